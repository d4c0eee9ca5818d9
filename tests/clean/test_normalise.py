"""The normaliser gives Persian one spelling and leaves what a physician reads alone."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.clean.normalise import normalise

AWKWARD = st.text(
    st.sampled_from(
        "ابيكىئآۀةـ \t\n\r\u200c\u200d\u200e\u00ac\u00a0\u00ad\u064b\u0654\u0338٠۱2.,/%<>/&;#abpriltqz=\"'-e\u0301\u2028\ufefb\ufb8a\ud800"
    )
)


@given(AWKWARD | st.text())
def test_twice_is_the_same_as_once(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once


@given(st.text(st.sampled_from("۰۱۲۳۴۵۶۷۸۹٠١٢٣٤٥٦٧٨٩0123456789./,٫٬%+-×:يكـ \u200c\u200f")))
def test_digits_and_what_stands_between_them_stay_in_their_order(text: str) -> None:
    def numbers(text: str) -> str:
        return re.sub(r"[^\d./,٫٬%+\-×:]", "", text)

    assert numbers(normalise(text)) == numbers(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("علي كتاب‌هاي بزرگي", "علی کتاب‌های بزرگی"),  # Arabic yeh and kaf
        ("بيمـــاري", "بیماری"),  # kashida
        ("می\u200c\u200cشود", "می\u200cشود"),
        ("می\u200c شود\u200c.", "می شود."),
        ("\u200cسلام\u200c", "سلام"),
        ("آن¬ها", "آن\u200cها"),  # an old code page's ZWNJ
        ("حتماً\u200cها", "حتماً\u200cها"),
        ("\u202bمتن\u202c\u200e راست\u200b", "متن راست"),
        ("سلام&nbsp;دنیا &amp;amp; <br/>خط", "سلام دنیا &\nخط"),
        ('<p class="x">یک</p><b>دو</b><!-- سه -->', "یک\nدو"),
        ("یک \t دو\u00a0\u3000سه", "یک دو سه"),
        ("الف\r\n\r\n\r\n\r\nب \n ج\rد", "الف\n\nب\nج\nد"),
        ("\ufefb\ufe91\ufbfe", "لابی"),  # presentation forms
        ("بد\ud800شکل", "بدشکل"),
    ],
)
def test_rules(text: str, expected: str) -> None:
    assert normalise(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "قرص متفورمین 2.5 mg و ۵۰۰/۵۰ میلی‌گرم، فشار ۱۴۰/۹۰، دمای ٣٨٫٥ درجه",
        "IU/L و µg/mL و HbA1c 6.5% و p < 0.05 و a <b and c> d",
        "https://example.org/a?b=1&para=2&copy=3#x",
        "AT&T و R&D",
        "رشد ۱۴۰۲-۰۳-۰۴ ساعت ۱۰:۳۰",
        "مسألهٔ رأی و دایرةالمعارف و موسیٰ",
    ],
)
def test_what_is_right_stays_as_it_is(text: str) -> None:
    assert normalise(text) == text
