"""No text that contains a test question gets through, however it is spelled; ordinary texts do."""

from __future__ import annotations

import random

import pytest

from pipelines.clean.decontamination import HeldOut
from pipelines.clean.normalise import normalise
from tests.tiny_models import SENTENCES

LONG = "بیمار ۴۵ ساله‌ای با درد قفسهٔ سینه و تنگی نفس از دو ساعت پیش به اورژانس آورده شده است و می‌گوید درد به دست چپ تیر می‌کشد، اولین اقدام کدام است؟"
SHORT = "کدام ویتامین بر اثر تابش نور خورشید در پوست ساخته می‌شود؟"
TINY = "دیابت چیست؟"
ANSWER = "انسولین را باید در یخچال و دور از یخ‌زدگی نگه داشت و پیش از تزریق چند دقیقه در دمای اتاق گذاشت تا سوزش کمتر شود"
PROSE = "نوشیدن آب کافی و خواب منظم و ورزش روزانه به سلامت قلب کمک می‌کند و ویتامین دی بر اثر نور خورشید ساخته می‌شود. "
HELD_OUT = HeldOut.of([("long", LONG, []), ("short", SHORT, ["ویتامین دی"]), ("tiny", TINY, [ANSWER])])


@pytest.mark.parametrize(
    ("item", "text"),
    [
        ("long", PROSE + LONG + PROSE),
        ("long", " ".join(LONG.split()[5:18])),  # 13 words of it
        ("long", LONG.replace("ی", "ي").replace("ک", "ك")),
        ("long", LONG.replace("\u200c", "")),
        ("long", LONG.replace("\u200c", " ")),
        ("long", LONG.replace("۴۵", "45")),
        ("short", PROSE * 3 + SHORT),
        ("short", SHORT.replace("تابش", "برخورد")),
        ("short", SHORT.replace("\u200c", " ")),
        ("tiny", "دیابت چیست"),
        ("tiny", PROSE + ANSWER),
    ],
)
def test_copies_are_found(item: str, text: str) -> None:
    assert HELD_OUT.match(normalise(text)) == item


def planted(count: int) -> list[tuple[str, str]]:
    """Questions of 8 to 40 made-up words, half of them under 13, and answers that they stand in the middle of."""
    dice = random.Random(5)
    vocabulary = ["".join(dice.choices("ابپتجچحخدرزسشعفقکگلمنوهی", k=dice.randint(2, 7))) for _ in range(3000)]
    sizes = [dice.randint(8, 12) if number % 2 else dice.randint(13, 40) for number in range(count)]
    return [(" ".join(dice.choices(vocabulary, k=size)) + "؟", " ".join(dice.choices(SENTENCES, k=12))) for size in sizes]


def with_a_word_changed(text: str, dice: random.Random) -> str:
    words = text.split()
    words[dice.randrange(len(words))] = "دگرگون"
    return " ".join(words)


def test_recall_on_planted_items_and_no_false_removal() -> None:
    items = planted(200)
    held_out, dice = HeldOut.of(("exam", question, []) for question, _ in items), random.Random(6)

    def found(copies: list[tuple[str, str]]) -> float:
        texts = [normalise(f"{text[:300]} {question} {text[300:]}") for question, text in copies]
        return held_out.matches(texts).count("exam") / len(texts)

    assert found(items) == 1.0
    assert found([(question.replace("ی", "ي").replace("ک", "ك"), text) for question, text in items]) == 1.0
    # Of a shorter question a word, with what it touches, is often more than a fifth.
    long = [(question, text) for question, text in items if len(question.split()) >= 13]
    assert found([(with_a_word_changed(question, dice), text) for question, text in long]) >= 0.95
    assert not any(held_out.matches([normalise(text) for _, text in items]))


def test_many_texts_at_once_are_what_each_is_alone() -> None:
    texts = [normalise(text) for text in (PROSE + LONG, PROSE, SHORT, "", TINY, PROSE + SHORT + PROSE, PROSE * 20, ANSWER)]
    assert HELD_OUT.matches(texts * 60) == [HELD_OUT.match(text) for text in texts] * 60


@pytest.mark.parametrize("text", [PROSE, PROSE + TINY, " ".join(LONG.split()[:11]), "ویتامین دی", ""])
def test_other_texts_pass(text: str) -> None:
    assert HELD_OUT.match(normalise(text)) is None


def test_grams_of_an_item_scattered_over_a_long_text_are_no_copy() -> None:
    words = SHORT.split()
    filler = "سردرد میگرنی اغلب ضربان دار است و گاهی چند روز طول می کشد " * 3
    assert HELD_OUT.match(normalise(filler.join(" ".join(words[i : i + 3]) + " " for i in range(0, len(words), 3)))) is None


def test_nothing_held_out_matches_nothing() -> None:
    assert HeldOut.of([]).match(normalise(LONG)) is None
