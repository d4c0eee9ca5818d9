"""Days of publication: every spelling of a day comes back as that day, and nothing else comes back at all."""

from __future__ import annotations

from datetime import date, timedelta

import jdatetime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from selectolax.lexbor import LexborHTMLParser

from pipelines.extract.dates import iso_date, published_on

PERSIAN, ARABIC = str.maketrans("0123456789", "۰۱۲۳۴۵۶۷۸۹"), str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩")
MONTHS = "فروردین اردیبهشت خرداد تیر مرداد شهریور مهر آبان آذر دی بهمن اسفند".split()
FOREIGN_MONTHS = "ژانویه فوریه مارس آوریل مه ژوئن ژوئیه اوت سپتامبر اکتبر نوامبر دسامبر".split()
FIRST, LAST = date(1921, 3, 21), date(2072, 3, 19)  # 1 Farvardin 1300 and 29 Esfand 1450


@given(st.dates(FIRST, LAST))
def test_every_jalali_day_comes_back_however_it_is_written(day: date) -> None:
    jalali = jdatetime.date.fromgregorian(date=day)
    y, m, d, name = jalali.year, jalali.month, jalali.day, MONTHS[jalali.month - 1]
    assert 1300 <= y <= 1450
    for text in (
        f"{y}/{m:02}/{d:02}",
        f"{y}-{m}-{d}".translate(PERSIAN),
        f"{d:02} {name} {y}".translate(ARABIC),
        f"{d} {name} {y}".translate(PERSIAN).replace("ی", "ي"),
        f"{name} {d}, {y}",
        f"سه\u200cشنبه، {d} {name}\u200cماه {y} ساعت 10:30".translate(PERSIAN),
        f"به\u200cروزرسانی: {d} {name} سال {y}",
    ):
        assert iso_date(text) == day.isoformat(), text


@given(st.dates(date(1900, 1, 1), date(2100, 12, 31)))
def test_every_gregorian_day_comes_back_however_it_is_written(day: date) -> None:
    name = FOREIGN_MONTHS[day.month - 1]
    for text in (
        f"{day.isoformat()}T23:59:59+03:30",
        f"{day.isoformat()}T00:00:00Z",
        f"{day.year}/{day.month}/{day.day}",
        f"{day:%a, %d %b %Y} 10:00:00 +0330",
        f"{day:%B} {day.day}, {day.year}",
        f"{day.day} {name} {day.year}".translate(PERSIAN),
    ):
        assert iso_date(text) == day.isoformat(), text


def test_jalali_days_follow_each_other_without_a_gap() -> None:
    """Counted here: a year has 6 x 31 + 5 x 30 + 29 days and a day more in leap years, which are known."""
    day, leap = date(2016, 3, 20), {1395, 1399, 1403, 1408}  # 1 Farvardin 1395
    for year in range(1395, 1409):
        lengths = [31] * 6 + [30] * 5 + [30 if year in leap else 29]
        for month, length in enumerate(lengths, 1):
            for number in (1, length):
                assert iso_date(f"{year}/{month}/{number}") == (day + timedelta(days=number - 1)).isoformat()
            assert iso_date(f"{year}/{month}/{length + 1}") == ""
            day += timedelta(days=length)


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("۱۴۰۳/۰۵/۱۲", "2024-08-02"),
        ("1403-5-12", "2024-08-02"),
        ("١٤٠٣/٥/١٢", "2024-08-02"),
        ("۱۲ مرداد ۱۴۰۳", "2024-08-02"),
        ("شنبه ۱۲ امرداد ۱۴۰۳", "2024-08-02"),
        ("۱۰ دي ۱۴۰۲", "2023-12-31"),
        ("۲ اوت ۲۰۲۴", "2024-08-02"),
        ("۵ مارس ۲۰۲۴", "2024-03-05"),
        ("۲ آگوست ۲۰۲۴ - ۱۰:۳۰", "2024-08-02"),
        ("2nd Aug. 2024", "2024-08-02"),
        ("1403-05-12T10:00:00+03:30", "2024-08-02"),
        ("\u200f۱۴۰۳/۰۵/۱۲\u200f", "2024-08-02"),
        ("12 مرداد 1403 (2 August 2024)", "2024-08-02"),
        ("تاریخ انتشار:۱۴۰۳/۵/۱۲ | ۱۰:۳۰", "2024-08-02"),
    ],
)
def test_days_that_sites_write(text: str, day: str) -> None:
    assert iso_date(text) == day


@pytest.mark.parametrize(
    "text",
    [
        "",
        "دیروز",
        "۱۴۰۳",
        "مرداد ۱۴۰۳",
        "1403/13/1",
        "1403/12/31",
        "1404/12/30",  # no leap year
        "2023-02-29",
        "31 شهریور 2024",  # a Jalali month in a Gregorian year
        "2 اوت 1403",
        "1299/12/29",
        "1451/1/1",
        "1700/01/01",
        "2101-01-01",
        "3/1/2025",  # of January or of March?
        "12/5/1403",
        "03/05/12",
        "021-1403-5-12",  # a telephone number
        "1.1403.5.12",
        "20240802",
        "1722556800",
        "انتشار: ۱۲ مرداد ۱۴۰۳، به\u200cروزرسانی: ۱۳ مرداد ۱۴۰۳",  # which of the two?
        "در ۱۲ مرداد ۱۴۰۳ " + "متن مقاله " * 30,  # an article is not a date
    ],
)
def test_what_names_no_one_day_is_never_guessed(text: str) -> None:
    assert iso_date(text) == ""


@given(st.text(max_size=60))
def test_any_text_is_a_day_or_nothing(text: str) -> None:
    found = iso_date(text)
    assert not found or date.fromisoformat(found)


RULE = '<span class="when">۱ مرداد ۱۴۰۳</span>'
META = '<meta property="article:published_time" content="2024-07-23T08:00:00+03:30">'
ITEM = '<meta itemprop="datePublished" content="2024-07-24">'
TIME = '<article><time datetime="2024-07-25">دیروز</time></article>'
COMMENT = '<div class="comments"><time datetime="2024-07-26">امروز</time><b itemprop="datePublished">2024-07-26</b></div>'


@pytest.mark.parametrize(
    ("html", "rule", "said", "day"),
    [
        (RULE + META + ITEM + TIME, ".when", "2024-07-21", "2024-07-22"),
        (RULE + META + ITEM + TIME, "", "2024-07-21", "2024-07-21"),
        (RULE + META + ITEM + TIME, "", "", "2024-07-23"),
        (RULE + COMMENT + ITEM + TIME, "", "", "2024-07-24"),
        (RULE + COMMENT + TIME, "", "", "2024-07-25"),
        (RULE + COMMENT, "", "", ""),
        (RULE + META, "time", "۳۰ مهر", "2024-07-23"),  # a rule that finds nothing and a day without a year
        ('<time class="when" datetime="2024-07-22">۲ مرداد ۱۴۰۳</time>', ".when", "", "2024-07-22"),
    ],
)
def test_the_first_place_that_names_a_day_counts(html: str, rule: str, said: str, day: str) -> None:
    assert published_on(LexborHTMLParser(html), rule, said) == day
