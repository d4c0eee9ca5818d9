"""Each rule drops what it names and keeps ordinary prose."""

from __future__ import annotations

import pytest

from pipelines.clean.quality import article_problem
from pipelines.clean.settings import DocumentRules

PROSE = (
    "فشار خون بالا معمولاً علامتی ندارد و باید مرتب اندازه‌گیری شود. نوشیدن آب کافی، خواب منظم و ورزش روزانه به سلامت قلب کمک می‌کند.\n"
    "اگر تب کودک بیش از سه روز طول کشید یا بی‌حال شد، به پزشک مراجعه کنید. دیابت نوع دو با کاهش وزن، تغذیهٔ سالم و دارو قابل کنترل است.\n"
    "سردرد میگرنی اغلب یک‌طرفه و ضربان‌دار است و با نور و صدا بدتر می‌شود. کم‌خونی فقر آهن باعث خستگی و رنگ‌پریدگی هنگام فعالیت می‌شود."
)
RULES = DocumentRules()


def test_prose_is_kept() -> None:
    assert article_problem(PROSE, RULES) is None


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        ("short-article", "فشار خون بالا معمولاً علامتی ندارد."),
        ("word-length", "اااااااااااااااا " * 60),
        ("few-letters", PROSE + " ۱۲ ۳۴ ۵۶ - 7" * 10),
        ("no-stopwords", " ".join(f"کلمه{chr(1575 + i % 20)}{chr(1576 + i % 17)}" for i in range(60))),
        ("repeated-lines", PROSE + "\nما را دنبال کنید." * 3),
        ("list-like", "\n".join(word for word in PROSE.split())),
        ("repeated-phrases", PROSE + " برای رزرو نوبت همین حالا تماس بگیرید" * 12),
    ],
)
def test_reason_of_a_drop(reason: str, text: str) -> None:
    assert article_problem(text, RULES) == reason
