"""A page's date of publication as an ISO day: Gregorian or Jalali, in figures or with a month's name (30 µs).

What is no date, a day that does not exist, a year that no page is from, two days in one text, and orders that can be
read in two ways (3/1/2025) are "": never a guess. A day is the one that the page names, in whatever time zone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import date

import jdatetime
from selectolax.lexbor import LexborHTMLParser, LexborNode

from pipelines.extract.boilerplate import is_elsewhere
from pipelines.extract.text import text_of

JALALI_YEARS = range(1300, 1451)
GREGORIAN_YEARS = range(1900, 2101)
MAX_LENGTH = 200  # characters; a longer text is not about a date
META = 'meta[property="article:published_time" i], meta[name="article:published_time" i]'

_JALALI = "فروردین اردیبهشت خرداد تیر مرداد|امرداد شهریور مهر ابان اذر دی بهمن اسفند"
_GREGORIAN = (
    "ژانویه|january|jan فوریه|february|feb مارس|march|mar اوریل|اپریل|april|apr مه|می|may ژوئن|جون|june|jun "
    "ژوئیه|ژوییه|جولای|july|jul اوت|اگوست|اگست|august|aug سپتامبر|september|sept|sep اکتبر|october|oct "
    "نوامبر|november|nov دسامبر|december|dec"
)
# Digits of three scripts to one, Arabic letters to Persian, alef with madda to plain alef; joiners and marks of direction go.
_FOLD = str.maketrans(
    dict(zip("۰۱۲۳۴۵۶۷۸۹٠١٢٣٤٥٦٧٨٩", "01234567890123456789", strict=True))
    | {"ي": "ی", "ى": "ی", "ك": "ک", "آ": "ا", "أ": "ا", "\u200c": " ", "\u00a0": " "}
    | dict.fromkeys("ـ\u200b\u200d\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")
)


def _months(names: str, is_jalali: bool) -> dict[str, tuple[int, bool]]:
    """By name: the month's number, and whether it is a Jalali one."""
    months = enumerate(names.split(), 1)
    return {name: (number, is_jalali) for number, variants in months for name in variants.split("|")}


_MONTHS = _months(_JALALI, True) | _months(_GREGORIAN, False)
_NAME = f"(?P<name>{'|'.join(sorted(_MONTHS, key=len, reverse=True))})"
_DAY, _YEAR = r"(?P<day>\d{1,2})", r"(?P<year>\d{4})"
_IN_FIGURES = re.compile(rf"(?<!\d)(?<!\d[/.-]){_YEAR}\s*([/.-])\s*(?P<month>\d{{1,2}})\s*\2\s*{_DAY}(?!\d)(?![/.-]\d)")
_DAY_FIRST = re.compile(rf"(?<!\d){_DAY}(?:st|nd|rd|th)?[\s/.-]*{_NAME}\.?(?:\s*ماه)?[\s/.,،-]*(?:سال\s+)?{_YEAR}(?!\d)")
_MONTH_FIRST = re.compile(rf"(?<!\w){_NAME}\.?\s+{_DAY}(?:st|nd|rd|th)?\s*[,،]\s*{_YEAR}(?!\d)")


def iso_date(text: str) -> str:
    """`YYYY-MM-DD` of the one day that a text names; empty when it names none or several."""
    if len(text) > MAX_LENGTH:
        return ""
    days = set(_named_days(text.translate(_FOLD).lower()))
    return days.pop() if len(days) == 1 else ""


def published_on(tree: LexborHTMLParser, rule: str, said: str) -> str:
    """A page's ISO day, by its source's rule (CSS), by `said` in its JSON-LD, by meta data, by an element that is a time."""
    return next(filter(None, map(iso_date, _candidates(tree, rule, said))), "")


def _candidates(tree: LexborHTMLParser, rule: str, said: str) -> Iterator[str]:
    if rule:
        yield from _values(tree.css(rule))
    yield said
    yield from _values(tree.css(META))
    for selector in ("[itemprop=datePublished]", "time[datetime]"):
        yield from _values(node for node in tree.css(selector) if not is_elsewhere(node))


def _values(nodes: Iterable[LexborNode]) -> Iterator[str]:
    for node in nodes:
        attributes = node.attributes
        yield attributes.get("content") or attributes.get("datetime") or text_of(node)


def _named_days(text: str) -> Iterator[str]:
    for match in _IN_FIGURES.finditer(text):
        year = int(match["year"])
        yield _iso(year, int(match["month"]), int(match["day"]), year in JALALI_YEARS)
    for pattern in (_DAY_FIRST, _MONTH_FIRST):
        for match in pattern.finditer(text):
            month, is_jalali = _MONTHS[match["name"]]
            yield _iso(int(match["year"]), month, int(match["day"]), is_jalali)


def _iso(year: int, month: int, day: int, is_jalali: bool) -> str:
    """Empty for a day that does not exist or a year out of range."""
    if year not in (JALALI_YEARS if is_jalali else GREGORIAN_YEARS):
        return ""
    try:
        found = jdatetime.date(year, month, day).togregorian() if is_jalali else date(year, month, day)
    except ValueError:
        return ""
    return str(found.isoformat())
