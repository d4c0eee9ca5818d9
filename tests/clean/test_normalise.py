"""The normaliser gives Persian one spelling and leaves what a physician reads alone."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.clean.normalise import count_words, normalise

AWKWARD = st.text(
    st.sampled_from(
        "ابيكىئآۀةەـ \t\n\r\u200c\u200d\u200e\u00ac\u00a0\u00ad\u064b\u0654\u0338٠۱2.,/%<>/&;#abpriltqz=\"'-e\u0301\u2028\ufefb\ufb8a\ud800"
    )
)


WORDS = st.lists(
    st.sampled_from(
        "می نمی شود کنم میشود قدیمی قرص بچه ها های ترین تر دقیق ای ام اند خسته که اس 10 ۲۰ mg ـ - \u200c \u0654 <sup> <td> . \n".split(
            " "
        )
    )
)
JOINED = st.tuples(WORDS, st.sampled_from(["", " ", "\u200c"])).map(lambda pair: pair[1].join(pair[0]))


@given(AWKWARD | st.text() | JOINED)
def test_twice_is_the_same_as_once(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once


@given(AWKWARD | st.text() | JOINED)
def test_words_are_counted_as_splitting_would(text: str) -> None:
    normalised = normalise(text)
    assert count_words(normalised) == len(normalised.split())


@given(st.text(st.sampled_from("۰۱۲۳۴۵۶۷۸۹٠١٢٣٤٥٦٧٨٩0123456789./,٫٬%+-×:يك \u200c\u200f")))
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
        ("می\u200c شود\u200c.", "می\u200cشود."),
        ("\u200cسلام\u200c", "سلام"),
        ("آن¬ها", "آن\u200cها"),  # an old code page's ZWNJ
        ("حتماً\u200cها", "حتماً\u200cها"),
        ("\u202bمتن\u202c\u200e راست\u200b", "متن راست"),
        ("بچۀ من", "بچهٔ من"),
        ("سلام&nbsp;دنیا &amp;amp; <br/>خط", "سلام دنیا &\nخط"),
        ('<p class="x">یک</p><b>دو</b><!-- سه -->', "یک\nدو"),
        ("<tr><td>120</td><td>80</td></tr>", "120 80"),
        ("WBC 4.5×10<sup>3</sup> و H<sub>2</sub>O", "WBC 4.5×10^3 و H2O"),
        ("10ـ20 mg، سؤال ـ جواب، ســلام", "10-20 mg، سؤال - جواب، سلام"),  # kashida as a dash
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
        "قرص آسپرین ۸۰ میلی‌گرم و Co-amoxiclav 625 mg هر 8 h (IU/mL ≥ 1.5)",
        "مسألهٔ رأی و دایرةالمعارف و موسیٰ",
    ],
)
def test_what_is_right_stays_as_it_is(text: str) -> None:
    assert normalise(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("می شود و نمی شود", "می~شود و نمی~شود"),
        ("میشود و نمیکنم و میتونه و می خوام", "می~شود و نمی~کنم و می~تونه و می~خوام"),
        ("قرص های من، خانم هایی که بچه هاشون", "قرص~های من، خانم~هایی که بچه~هاشون"),
        ("شایع ترین علت؛ دقیق تر بگویید.", "شایع~ترین علت؛ دقیق~تر بگویید."),
        ("لکه قهوه ای، هفته ای دو بار، رابطه ای که", "لکه قهوه~ای، هفته~ای دو بار، رابطه~ای که"),
        ("خسته ام، خورده ایم، کرده اید، شده اند", "خسته~ام، خورده~ایم، کرده~اید، شده~اند"),
    ],
)
def test_zwnj_is_placed(text: str, expected: str) -> None:
    assert normalise(text) == expected.replace("~", "\u200c")


@pytest.mark.parametrize(
    "text",
    [
        "میزان میوه و میگرن و دریچهٔ میترال و میانگین",
        "در ماه می بارداری و قدیمی شود",
        "مطالعه میدانی، میدان دید، چشم میشی",
        "اگزمای تر و پانسمان تر",
        "تری گلیسیرید بالا و قوی تری سیکلیک",
        "نتیجه ای ان ای مثبت، دوره ای وی اف، ویتامین ای",
        "حمله ام اس و نتیجه ام آر آی، گروه ای",
        "ای خدا، بچه ای خدا",
        "IVF ها و 5 ها",
        "داروها و تنها و اشتها",
        "میشه ی سوال بپرسم".replace("میشه", "می\u200cشه"),
    ],
)
def test_zwnj_is_not_placed_where_another_reading_exists(text: str) -> None:
    assert normalise(text) == text
