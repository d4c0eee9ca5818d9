"""Words as the paper counts them: marks are words, the parts of a compound verb are one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.clean.paper_words import may_join, paper_words


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (0, ""),
        (5, "سرم درد می کند."),
        (4, "چرا سرم؟؟!! درد"),
        (3, "قرص 2.5 میلی‌گرمی"),
        (5, "(تب) بالا،"),
        (2, "آزمایش داده‌ام"),
        (2, "آزمایش داده ام"),
        (2, "دارو دیده شده است"),
        (2, "خوب خواهد شد"),
        (3, "دو هفته است"),
        (3, "بسیار نگران‌کننده است"),
        (1, "نخواهند رفت"),
        (8, "این جمله (خیلی) پیچیده نیست!!!"),
        (4, "ساعت ۲۲:۳۰ دمای ۳۸.۵"),
    ],
)
def test_count(words: int, text: str) -> None:
    assert paper_words(text) == words


def test_lines_and_spaces_part_words_alike() -> None:
    assert paper_words("تب\nو\tلرز  دارم") == paper_words("تب و لرز دارم") == 4


@given(st.lists(st.sampled_from("دیده شده است بود خواهد نخواهند رفت داده اند هفته تب ، . ۲.۵ شود بوده باشد".split())))
def test_no_more_words_join_than_may(words: list[str]) -> None:
    assert paper_words(" ".join(words)) >= len(words) - may_join(" ".join(words))
