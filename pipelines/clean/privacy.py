"""Replaces what identifies a person by a typed placeholder: 30,000 texts/s without a digit or a Latin letter, 5,000 with.

Doses, laboratory values, dates and page numbers are never touched: every rule needs a checksum, a numbering plan,
a fixed grouping or a keyword beside it. Digits are folded to ASCII one for one, so offsets stay those of the text.
Checksums and the table of mobile prefixes are `fa-redact`'s, foreign telephone numbers `phonenumbers`'.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache

Span = tuple[int, int]

PLACEHOLDERS = {
    "email": "[ایمیل]",
    "url": "[نشانی وب]",
    "handle": "[شناسه]",
    "iban": "[شبا]",
    "card": "[شماره کارت]",
    "mobile": "[تلفن همراه]",
    "landline": "[تلفن]",
    "phone": "[تلفن]",
    "national-id": "[کد ملی]",
    "medical-council": "[شماره نظام پزشکی]",
}

_S = "[ \\t\u00a0\u200c_()\\-\u2010-\u2015\u2212.]"  # what stands between the groups of a number; never `/` or `:`, as in dates
_ANYTHING_TO_FIND = re.compile(r"[0-9]{3}|[0-9][ .\-\u200c()_][0-9]|@|[A-Za-z]{3}")

_EMAIL = re.compile(
    r"[A-Za-z0-9][\w.+-]*@(?:[\w-]+\.)+[A-Za-z]{2,}|"
    r"[A-Za-z0-9][\w.+-]*\s?(?:@|\(at\)|\[at\]|\(@\)|\s(?:at|ات)\s)\s?[A-Za-z0-9-]+\s?(?:\.|\s(?:dot|دات)\s)\s?(?:com|ir|net|org|کام)\b",
    re.ASCII,
)
_URL = re.compile(
    r"(?:https?://|www\.)[^\s<>«»]+|"
    r"(?<![\w@.-])(?:[a-z0-9-]+\.)+(?:com|ir|org|net|info|me|co|io)(?:/[^\s<>«»]*)?(?![\w-])",
    re.IGNORECASE | re.ASCII,
)
_HANDLE = re.compile(r"(?<![\w@.])@[A-Za-z0-9_](?:[A-Za-z0-9_.]*[A-Za-z0-9_])+", re.ASCII)
_NAMED_HANDLE = re.compile(
    r"(?:اینستاگرام|اینستا|تلگرام|واتس ?[اآ]پ|ایتا|روبیکا|پیج|آیدی|ایدی"
    r"|(?<![A-Za-z])(?:instagram|insta|telegram|whatsapp)(?![A-Za-z]))"
    r"(?:\s(?:من|ما|بنده|دکتر|مطب|به|آدرس|نام|شناسه|آیدی|ایدی)){0,3}\s?[:：=]?\s?(?P<name>[A-Za-z][A-Za-z0-9_.]{3,}[A-Za-z0-9_])",
    re.IGNORECASE,
)
_IBAN = re.compile(rf"(?<![A-Za-z])IR(?:{_S}?[0-9]){{24}}(?![0-9])", re.IGNORECASE)
_CARD = re.compile(rf"(?<![0-9])[0-9]{{4}}(?:{_S}{{0,3}}[0-9]{{4}}){{3}}(?![0-9])")
_NAMED_CARD = re.compile(rf"(?:شماره|ش)?\s?کارت\D{{0,20}}(?P<number>[0-9](?:{_S}?[0-9]){{15}})(?![0-9])")
# 09 and nine digits, however they are grouped; without the zero only as one number or 3-3-4, 3-3-2-2, 3-7, 3-4-3.
_MOBILE = re.compile(
    rf"(?<![0-9])(?:(?:\+|00)?{_S}?98{_S}{{0,2}}(?:0{_S}?|\(0\){_S}?)?9|\(?09|0{_S}{{1,2}}9)(?:{_S}{{0,3}}[0-9]){{9}}(?![0-9])"
)
_MOBILE_WITHOUT_ZERO = re.compile(
    rf"(?<![0-9./])9[0-9]{{2}}(?:[0-9]{{7}}|{_S}[0-9]{{7}}|{_S}[0-9]{{3}}{_S}[0-9]{{4}}|{_S}[0-9]{{3}}{_S}[0-9]{{2}}{_S}[0-9]{{2}}"
    rf"|{_S}[0-9]{{4}}{_S}[0-9]{{3}})(?![0-9])"
)
# Area codes of the 31 provinces (Iran's numbering plan, ITU-T E.129); the subscriber's number has eight digits.
_AREA = "(?:11|13|17|2[1345678]|3[1458]|4[145]|5[1468]|61|66|7[1467]|8[13467])"
_LANDLINE = re.compile(
    rf"(?<![0-9])\(?(?:0|(?:\+|00)98{_S}{{0,2}}0?){_AREA}\)?{_S}{{0,3}}[1-9](?:{_S}?[0-9]){{7}}(?![0-9])"
    rf"|(?<![0-9]){_AREA}{_S}[2-9][0-9]{{7}}(?![0-9])"
)
_NAMED_PHONE = re.compile(
    rf"(?:تلفن|تلفکس|فکس|دورنگار|شماره(?:\s?ی)?\s(?:تماس|مطب|منزل|همراه|موبایل|من)|تماس|موبایل|tel|phone)"
    rf"(?:\s?(?:ثابت|مطب|منزل|همراه|با|شماره|من|بگیرید|به)){{0,3}}\s?[:：=\-]?\s?(?P<number>[0-9](?:{_S}?[0-9]){{7,11}})(?![0-9])",
    re.IGNORECASE,
)
_FOREIGN = re.compile(r"(?<![0-9])(?:\+|00)[1-9][0-9 ().-]{6,}[0-9]")
_NATIONAL_ID = re.compile(rf"(?<![0-9])[0-9]{{10}}(?![0-9])|(?<![0-9])[0-9]{{3}}{_S}[0-9]{{6}}{_S}[0-9](?![0-9])")
_NAMED_NATIONAL_ID = re.compile(
    rf"(?:کد|شماره|شناسه)(?:\s?ی)?\s?ملی(?:\s?(?:من|بنده|بیمار|ام|م|ایشان|او|اش|همسرم|شما)){{0,2}}\s?[:：=\-]?\s?"
    rf"(?P<number>[0-9](?:{_S}?[0-9]){{7,9}})(?![0-9])"
)
_MEDICAL_COUNCIL = re.compile(
    r"(?:نظام\s?پزشکی|نظام\s?پرستاری|ن\s?\.\s?پ\s?\.?)(?:\s?(?:شماره|کد|به|ایشان|دکتر))*\s?[:：=\-(]*\s?(?P<number>(?:[آ-ی]\s?-\s?)?[0-9]{3,7})(?![0-9])"
)


def redact(text: str) -> tuple[str, Counter[str]]:
    """The text with typed placeholders, and how many of each type there are.

    Redacting twice is the same as once. Where two rules claim the same characters the earlier of PLACEHOLDERS wins.
    """
    folded = text.translate(_digits())
    found: Counter[str] = Counter()
    if not _ANYTHING_TO_FIND.search(folded):
        return text, found
    taken: list[tuple[Span, str]] = []
    for kind, rule in _RULES:
        for span in rule(folded):
            if not any(span[0] < end and start < span[1] for (start, end), _ in taken):
                taken.append((span, kind))
    pieces, position = [], 0
    for (start, end), kind in sorted(taken):
        pieces += [text[position:start], PLACEHOLDERS[kind]]
        position = end
        found[kind] += 1
    return "".join([*pieces, text[position:]]), found


def _matches(pattern: re.Pattern[str]) -> Callable[[str], Iterator[Span]]:
    """Every match of a pattern, or of its group `number` or `name`."""
    group = next(iter(pattern.groupindex), 0)
    return lambda text: (match.span(group) for match in pattern.finditer(text))


def _urls(text: str) -> Iterator[Span]:
    for match in _URL.finditer(text):
        yield match.start(), match.start() + len(match.group().rstrip(".,;:!?)]}،؛؟"))


def _cards(text: str) -> Iterator[Span]:
    from fa_redact.validators import is_valid_bank_card_number

    yield from (m.span() for m in _CARD.finditer(text) if is_valid_bank_card_number(_compact(m.group())))
    yield from _matches(_NAMED_CARD)(text)


def _mobiles(text: str) -> Iterator[Span]:
    from fa_redact.validators import is_valid_mobile_number

    for match in _MOBILE.finditer(text):
        if _one_number(match.group()):
            yield match.span()
    for match in _MOBILE_WITHOUT_ZERO.finditer(text):
        if is_valid_mobile_number("0" + _compact(match.group())):
            yield match.span()


def _one_number(text: str) -> bool:
    """Whether digits that stand apart are one number: 0 and 9 together, or all digits apart alike."""
    groups = re.findall("[0-9]+", text)
    if max(map(len, groups)) == 1:
        return len(set(re.findall("(?<=[0-9])[^0-9]+(?=[0-9])", text))) == 1
    return any(group.startswith(("09", "9", "0098")) and len(group) > 1 for group in groups[:3])


def _landlines(text: str) -> Iterator[Span]:
    yield from _matches(_LANDLINE)(text)
    yield from _matches(_NAMED_PHONE)(text)


def _foreign(text: str) -> Iterator[Span]:
    import phonenumbers

    for match in _FOREIGN.finditer(text):
        number = "+" + re.sub("^00", "", _compact(match.group()))
        try:
            valid = phonenumbers.is_valid_number(phonenumbers.parse(number))
        except phonenumbers.NumberParseException:
            continue
        if valid:
            yield match.span()


def _national_ids(text: str) -> Iterator[Span]:
    from fa_redact.validators import is_valid_national_id

    yield from (m.span() for m in _NATIONAL_ID.finditer(text) if is_valid_national_id(_compact(m.group())))
    yield from _matches(_NAMED_NATIONAL_ID)(text)


def _handles(text: str) -> Iterator[Span]:
    yield from _matches(_HANDLE)(text)
    yield from _matches(_NAMED_HANDLE)(text)


_RULES: tuple[tuple[str, Callable[[str], Iterator[Span]]], ...] = (
    ("email", _matches(_EMAIL)),
    ("url", _urls),
    ("handle", _handles),
    ("iban", _matches(_IBAN)),
    ("card", _cards),
    ("mobile", _mobiles),
    ("landline", _landlines),
    ("phone", _foreign),
    ("national-id", _national_ids),
    ("medical-council", _matches(_MEDICAL_COUNCIL)),
)


def _compact(number: str) -> str:
    return re.sub("[^0-9]", "", number)


@cache
def _digits() -> dict[int, str]:
    return {ord(first) + value: str(value) for first in "۰٠" for value in range(10)}
