"""Finds postal addresses: a street with a house number, or what follows the word address and names a street; 2 µs a text.

A district or a street alone is no address: `در خیابان تشنج کرد`. A plaque is also one of teeth and arteries, so its number
counts only after a street, and not where a unit or a per cent follows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_GATE = ("پلاک", " پ ", "آدرس", "ادرس", "نشانی")
_STREET = r"(?:خیابان|خیابون|بلوار|کوچه|بزرگراه|اتوبان|چهار ?راه|میدان(?! دید)|شهرک|بن ?بست|کوی|(?<![\w\u200c])خ(?=[ .]))"
_NUMBER = r"(?:[0-9]{1,4}(?![0-9.٫/]| ?(?:درصد|٪|%|میلی|سانتی|mm|cm))|اول|دوم|سوم|چهارم|پنجم|ششم|همکف)"
_INSIDE = r"[^\n.!؟?؛\[\]]"
_WITH_NUMBER = re.compile(
    rf"{_STREET}{_INSIDE}{{1,90}}?(?<![\w\u200c])(?:پلاک|پ)[ :]{{0,2}}{_NUMBER}"
    rf"(?:[ ،,\-]{{1,3}}(?:و )?(?:واحد|طبقه|ط|زنگ)[ :]{{0,2}}{_NUMBER})*"
)
_NAMED = re.compile(
    r"(?:آدرس|ادرس|نشانی)(?: (?:مطب|منزل|محل کار|ما|من|کلینیک|دقیق|پستی))*(?: ?[:：] ?| )"
    rf"(?P<address>(?={_INSIDE}{{0,40}}{_STREET}){_INSIDE}{{5,160}})"
)


def addresses(text: str) -> Iterator[tuple[int, int]]:
    """Where addresses stand in a normalised text whose digits are ASCII."""
    if not any(word in text for word in _GATE):
        return
    for match in _NAMED.finditer(text):
        if any(sign in match.group() for sign in "،,:"):
            numbered = _WITH_NUMBER.search(text, *match.span("address"))
            yield match.start("address"), numbered.end() if numbered else match.end("address")
    for match in _WITH_NUMBER.finditer(text):
        yield match.span()
