"""No text that contains a test question gets through, however it is spelled; ordinary texts do."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipelines.clean.decontamination import MIN_WORDS_IN_A_TEXT, HeldOut
from pipelines.clean.folding import fold
from pipelines.clean.normalise import normalise
from pipelines.clean.testsets import HeldOutItem, items_of
from pipelines.rows import FORMATS
from tests.clean.medical_questions import prose, questions

LONG = "بیمار ۴۵ ساله‌ای با درد قفسهٔ سینه و تنگی نفس از دو ساعت پیش به اورژانس آورده شده است و می‌گوید درد به دست چپ تیر می‌کشد، اولین اقدام کدام است؟"
SHORT = "کدام ویتامین بر اثر تابش نور خورشید در پوست ساخته می‌شود؟"
SHORTER = "خودمراقبتی در دیابت بارداری یعنی چه؟"
TINY = "دیابت چیست؟"
ANSWER = "انسولین را باید در یخچال و دور از یخ‌زدگی نگه داشت و پیش از تزریق چند دقیقه در دمای اتاق گذاشت تا سوزش کمتر شود"
PROSE = "نوشیدن آب کافی و خواب منظم و ورزش روزانه به سلامت قلب کمک می‌کند و ویتامین دی بر اثر نور خورشید ساخته می‌شود. "
ITEMS = [
    HeldOutItem("long", 1, LONG),
    HeldOutItem("short", 1, SHORT, ("ویتامین دی",)),
    HeldOutItem("short", 2, SHORTER),
    HeldOutItem("tiny", 1, TINY, (ANSWER,)),
]
HELD_OUT = HeldOut.of(ITEMS)


@pytest.mark.parametrize(
    ("item", "text"),
    [
        (0, PROSE + LONG + PROSE),
        (0, " ".join(LONG.split()[5:18])),  # 13 words of it
        (0, LONG.replace("ی", "ي").replace("ک", "ك")),
        (0, LONG.replace("\u200c", "")),
        (0, LONG.replace("\u200c", " ")),
        (0, LONG.replace("۴۵", "45")),
        (1, PROSE * 3 + SHORT),
        (1, SHORT.replace("تابش", "برخورد")),
        (1, SHORT.replace("\u200c", " ")),
        (2, PROSE + SHORTER.replace("دیابت", "کم‌خونی") + PROSE),  # of its grams a third is gone
        (2, PROSE + SHORTER.replace("خودمراقبتی", "پرهیز") + PROSE),
        (2, SHORTER.replace("بارداری ", "")),
        (2, SHORTER.replace("دیابت", "بیماری دیابت")),
        (3, "دیابت چیست"),
        (3, PROSE + ANSWER),
    ],
)
def test_copies_are_found(item: int, text: str) -> None:
    assert HELD_OUT.match(normalise(text)) == ITEMS[item]


def as_it_is(text: str, dice: random.Random) -> str:
    return text


def with_a_word_changed(text: str, dice: random.Random) -> str:
    words = text.split()
    words[dice.randrange(len(words))] = dice.choice(("دگرگون", "آزمایش‌ها", "خوب", "و"))
    return " ".join(words)


def spelled_otherwise(text: str, dice: random.Random) -> str:
    return text.replace("ی", "ي").replace("ک", "ك").replace("\u200c", "")


Exam = tuple[list[HeldOutItem], HeldOut]


def recall(exam: Exam, changed: Callable[[str, random.Random], str], among: Callable[[random.Random], str]) -> float:
    """Of 200 items planted in texts. One of a few words is a text by itself, since it is an everyday phrase in any other."""
    (items, held_out), dice, texts = exam, random.Random(6), []
    for item in dice.sample(items, 200):
        planted = changed(item.question, dice)
        is_everyday = len(fold(normalise(item.question)).split()) < MIN_WORDS_IN_A_TEXT
        texts.append(planted if is_everyday else f"{among(dice)} {planted} {among(dice)}")
    return sum(found is not None for found in held_out.matches([normalise(text) for text in texts])) / len(texts)


NEEDED = [(as_it_is, 1.0), (with_a_word_changed, 0.95), (spelled_otherwise, 1.0)]


@pytest.fixture(scope="module")
def made_up() -> Exam:
    items = [HeldOutItem("exam", number, text) for number, text in enumerate(questions(1000, seed=5), 1)]
    return items, HeldOut.of(items)


@pytest.mark.parametrize(("changed", "needed"), NEEDED)
def test_recall_on_items_of_real_length(changed: Callable[[str, random.Random], str], needed: float, made_up: Exam) -> None:
    assert recall(made_up, changed, lambda dice: prose(4, dice)) >= needed


def test_questions_about_something_else_pass(made_up: Exam) -> None:
    (_, held_out), dice = made_up, random.Random(7)
    texts = [normalise(prose(dice.randint(1, 6), dice)) for _ in range(2000)]
    assert not [(text, item) for text, item in zip(texts, held_out.matches(texts), strict=True) if item]


@pytest.fixture(scope="module")
def published_exam(published: Path) -> Exam:
    items = [item for path in sorted((published / "benchmarks").iterdir()) if path.suffix in FORMATS for item in items_of(path)]
    return items, HeldOut.of(items)


@pytest.mark.parametrize(("changed", "needed"), NEEDED)
def test_recall_on_the_published_items(
    changed: Callable[[str, random.Random], str], needed: float, published: Path, published_exam: Exam
) -> None:
    articles = [
        "\n".join(text)[:400] for text in pq.read_table(published / "magazine_articles.parquet")["paragraphs"].to_pylist()
    ]
    assert recall(published_exam, changed, lambda dice: dice.choice(articles)) >= needed


def test_many_texts_at_once_are_what_each_is_alone() -> None:
    texts = [normalise(text) for text in (PROSE + LONG, PROSE, SHORT, "", TINY, PROSE + SHORT + PROSE, PROSE * 20, ANSWER)]
    assert HELD_OUT.matches(texts * 60) == [HELD_OUT.match(text) for text in texts] * 60


@pytest.mark.parametrize(
    "text",
    [
        PROSE,
        PROSE + TINY,
        " ".join(LONG.split()[:11]),
        "ویتامین دی",
        "",
        PROSE + SHORTER.replace("خودمراقبتی", "پرهیز").replace("بارداری", "نوزادان"),  # two words of six
        "خودمراقبتی در دیابت " + PROSE + "بارداری یعنی چه؟",
    ],
)
def test_other_texts_pass(text: str) -> None:
    assert HELD_OUT.match(normalise(text)) is None


def test_grams_of_an_item_scattered_over_a_long_text_are_no_copy() -> None:
    words = SHORT.split()
    filler = "سردرد میگرنی اغلب ضربان دار است و گاهی چند روز طول می کشد " * 3
    assert HELD_OUT.match(normalise(filler.join(" ".join(words[i : i + 3]) + " " for i in range(0, len(words), 3)))) is None


def test_nothing_held_out_matches_nothing() -> None:
    assert HeldOut.of([]).match(normalise(LONG)) is None
