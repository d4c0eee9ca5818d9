"""No text that contains a test question gets through, however it is spelled; ordinary texts do."""

from __future__ import annotations

import pytest

from pipelines.clean.decontamination import HeldOut
from pipelines.clean.normalise import normalise

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


@pytest.mark.parametrize("text", [PROSE, PROSE + TINY, " ".join(LONG.split()[:11]), "ویتامین دی", ""])
def test_other_texts_pass(text: str) -> None:
    assert HELD_OUT.match(normalise(text)) is None


def test_grams_of_an_item_scattered_over_a_long_text_are_no_copy() -> None:
    words = SHORT.split()
    filler = "سردرد میگرنی اغلب ضربان دار است و گاهی چند روز طول می کشد " * 3
    assert HELD_OUT.match(normalise(filler.join(" ".join(words[i : i + 3]) + " " for i in range(0, len(words), 3)))) is None


def test_nothing_held_out_matches_nothing() -> None:
    assert HeldOut.of([]).match(normalise(LONG)) is None
