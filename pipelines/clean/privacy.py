"""Replaces what identifies a person by a typed placeholder: about 20,000 texts/s.

Doses, laboratory values, dates and page numbers are never touched: every rule needs a checksum, a numbering plan,
a fixed grouping or a keyword beside it. Digits are folded to ASCII one for one, so offsets stay those of the text.
Checksums and the table of mobile prefixes are `fa-redact`'s, foreign telephone numbers `phonenumbers`'. How much is missed
on a labelled sample is for `residual.py` to say.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from pipelines.clean.addresses import addresses
from pipelines.clean.names import names

Span = tuple[int, int]
Rule = tuple[str, Callable[[str, int], Iterable[Span]]]  # of a text, from a place on

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
    "postal-code": "[کد پستی]",
    "name": "[نام]",
    "address": "[نشانی]",
}

BEFORE = 100  # characters: no keyword of a rule begins further before its number
PASSES = 4  # what is left of an address whose name was taken out may be one for the rules again

_S = "[ \\t\u00a0\u200c_()\\-\u2010-\u2015\u2212.]"  # what stands between the groups of a number; never `/` or `:`, as in dates
_OTHER_DIGITS = re.compile("[۰-۹٠-٩][۰-۹٠-٩]*")  # twice as fast as with a plus: a class that comes first is looked for
_G = "[ \\t\u200c]?"  # between the words of a keyword

_EMAIL = re.compile(
    r"[A-Za-z0-9][\w.+-]*@(?:gmail|yahoo|hotmail|outlook|chmail)\b(?!\.)|"
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
    r"(?:(?:اینستاگرام|اینستا|تلگرام|واتس[ \u200c]?[اآ]پ|ایتا|روبیکا|پیج|آیدی|ایدی)(?:م|مون|ش|شون)?"
    r"|(?<![A-Za-z])(?:instagram|insta|telegram|whatsapp)(?![A-Za-z]))"
    r"(?:\s(?:من|ما|بنده|دکتر|مطب|به|آدرس|نام|شناسه|آیدی|ایدی|id)){0,3}\s?[:：=]?\s?(?P<name>[A-Za-z][A-Za-z0-9_.]{3,}[A-Za-z0-9_])",
    re.IGNORECASE,
)
_IBAN = re.compile(rf"(?<![A-Za-z])IR(?:{_S}?[0-9]){{24}}(?![0-9])", re.IGNORECASE)
_CARD = re.compile(rf"(?<![0-9])[0-9]{{4}}(?:{_S}{{0,3}}[0-9]{{4}}){{3}}(?![0-9])")
_NAMED_CARD = re.compile(rf"(?:شماره|ش)?\s?کارت[^0-9\[\]]{{0,20}}(?P<number>[0-9](?:{_S}?[0-9]){{15}})(?![0-9])")
# 09 and nine digits, however they are grouped; in one piece also with a digit forgotten; without the zero only as one number
# or 3-3-4, 3-3-2-2, 3-7, 3-4-3.
_MOBILE = re.compile(
    rf"(?<![0-9])(?:(?:(?:\+|00){_S}?)?98{_S}{{0,2}}(?:0{_S}?|\(0\){_S}?)?9|\(?09|0{_S}{{1,2}}9)(?:{_S}{{0,3}}[0-9]){{9}}(?![0-9])"
    r"|(?<![0-9])09[0-9]{8}(?![0-9])"
)
_MOBILE_WITHOUT_ZERO = re.compile(
    rf"(?<![0-9./])9[0-9]{{2}}(?:[0-9]{{7}}|{_S}[0-9]{{7}}|{_S}[0-9]{{3}}{_S}[0-9]{{4}}|{_S}[0-9]{{3}}{_S}[0-9]{{2}}{_S}[0-9]{{2}}"
    rf"|{_S}[0-9]{{4}}{_S}[0-9]{{3}})(?![0-9])"
)
# Signs that dates and lists also have: only in the groups of a mobile number.
_MOBILE_IN_GROUPS = re.compile(r"(?<![0-9])09[0-9]{2}(?P<sign>[/*،,])(?:[0-9]{7}|[0-9]{3}(?P=sign)[0-9]{4})(?![0-9/])")
# Area codes of the 31 provinces (Iran's numbering plan, ITU-T E.129); the subscriber's number has eight digits.
_AREA = "(?:11|13|17|2[1345678]|3[1458]|4[145]|5[1468]|61|66|7[1467]|8[13467])"
_LANDLINE = re.compile(
    rf"(?<![0-9])\(?(?:0|(?:\+|00)98{_S}{{0,2}}0?){_AREA}\)?{_S}{{0,3}}[1-9](?:{_S}?[0-9]){{7}}(?![0-9])"
    rf"|(?<![0-9]){_AREA}{_S}[2-9][0-9]{{7}}(?![0-9])"
    rf"|(?<![0-9])0{_AREA}/[1-9][0-9]{{7}}(?![0-9/])"
)
_NAMED_PHONE = re.compile(
    rf"(?:تلفن(?:{_G}های)?|تلفکس|فکس|دورنگار|شماره(?:{_G}ی)?\s(?:تماس|مطب|منزل|همراه|موبایل|ثابت|من)|تماس|موبایل|tel|phone)"
    rf"(?:\s?(?:ثابت|مطب|منزل|همراه|با|شماره|من|ما|ایشان|ایشون|دکتر|بگیرید|به)){{0,3}}"
    rf"\s?[:：=.\-]?\s{{0,2}}(?P<number>[0-9](?:{_S}?[0-9]){{7,11}})(?![0-9])"
    r"|^ ?(?P<line>[2-9][0-9]{7})(?<!000) ?$",  # a line of its own below an address
    re.IGNORECASE | re.MULTILINE,
)
_FOREIGN = re.compile(r"(?<![0-9])(?:\+|00)[1-9][0-9 ().-]{6,}[0-9]")
_NATIONAL_ID = re.compile(rf"(?<![0-9])[0-9]{{10}}(?![0-9])|(?<![0-9])[0-9]{{3}}{_S}[0-9]{{6}}{_S}[0-9](?![0-9])")
_NAMED_NATIONAL_ID = re.compile(
    rf"(?:کد|شماره|شناسه)(?:{_G}ی)?{_G}ملی(?:[^0-9\n.\[\]]{{0,30}}?(?P<whole>[0-9]{{10}})"
    rf"|(?:\s?(?:من|بنده|بیمار|ام|م|ایشان|او|اش|همسرم|شما)){{0,2}}\s?[:：=\-]?\s?(?P<grouped>[0-9](?:{_S}?[0-9]){{7,9}}))(?![0-9])"
)
_MEDICAL_COUNCIL = re.compile(
    rf"(?:نظام{_G}(?:پزشکی|پرستاری|مامایی)|شماره(?:{_G}ی)?\sنظام|(?<![\w\u200c.])(?:ش\s?\.\s?)?ن[ \u200c]?\.?[ \u200c]?پ{_G}\.?)"
    rf"(?:{_G}(?:شماره|کد|به|ایشان|دکتر|ام|من))*\s?[:：=\-(]*\s?(?P<number>(?:[آ-ی]\s?-?\s?)?[0-9]{{4,7}})(?![0-9])"
)
_POSTAL_CODE = re.compile(rf"کد{_G}پستی[^0-9\[\]]{{0,12}}(?P<number>[0-9]{{5}}-?[0-9]{{5}})(?![0-9])")


def redact(text: str) -> tuple[str, Counter[str]]:
    """The text with typed placeholders, and how many of each type there are. Redacting twice is the same as once."""
    kinds: list[str] = []
    for _ in range(PASSES):
        text, found = _redact_once(text)
        if not found:
            break
        kinds += found
    return text, Counter(kinds)


def _redact_once(text: str) -> tuple[str, list[str]]:
    """Where two rules claim the same characters the earlier of PLACEHOLDERS wins."""
    folded = _OTHER_DIGITS.sub(_in_ascii, text)
    taken: list[tuple[Span, str]] = []
    covered = bytearray(len(folded))
    ascii_only = folded.encode("ascii", "ignore")
    for is_needed, where, rules in _RULES:
        first = where.search(folded) if is_needed.search(ascii_only) else None
        if not first:
            continue
        for kind, rule in rules:
            for start, end in rule(folded, max(0, first.start() - BEFORE)):
                if not any(covered[start:end]):
                    taken.append(((start, end), kind))
                    covered[start:end] = b"\1" * (end - start)
        # Brackets end an address or a number, as the placeholder will.
        folded = _replaced(folded, taken, lambda kind, size: "[" * size)
    return _replaced(text, taken, lambda kind, size: PLACEHOLDERS[kind]), [kind for _, kind in taken]


def _replaced(text: str, taken: list[tuple[Span, str]], by: Callable[[str, int], str]) -> str:
    if not taken:
        return text
    pieces, position = [], 0
    for (start, end), kind in sorted(taken):
        pieces += [text[position:start], by(kind, end - start)]
        position = end
    return "".join([*pieces, text[position:]])


def _matches(pattern: re.Pattern[str]) -> Callable[[str, int], Iterator[Span]]:
    """Every match of a pattern, or of the named group in it that matched."""
    return lambda text, begin: (_tidy(text, match.span(match.lastgroup or 0)) for match in pattern.finditer(text, begin))


def _tidy(text: str, span: Span) -> Span:
    """Without a bracket that is opened before a number and closed after it."""
    start, end = span
    return (start + 1, end) if text[start] == "(" and ")" not in text[start:end] else span


def _urls(text: str, begin: int) -> Iterator[Span]:
    for match in _URL.finditer(text, begin):
        yield match.start(), match.start() + len(match.group().rstrip(".,;:!?)]}،؛؟"))


def _cards(text: str, begin: int) -> Iterator[Span]:
    from fa_redact.validators import is_valid_bank_card_number

    yield from (m.span() for m in _CARD.finditer(text, begin) if is_valid_bank_card_number(_compact(m.group())))
    yield from _matches(_NAMED_CARD)(text, begin)


def _mobiles(text: str, begin: int) -> Iterator[Span]:
    from fa_redact.validators import is_valid_mobile_number, is_valid_national_id

    for match in _MOBILE.finditer(text, begin):
        if _one_number(match.group()) and not is_valid_national_id(match.group()):
            yield _tidy(text, match.span())
    yield from (match.span() for match in _MOBILE_IN_GROUPS.finditer(text, begin))
    for match in _MOBILE_WITHOUT_ZERO.finditer(text, begin):
        if is_valid_mobile_number("0" + _compact(match.group())):
            yield match.span()


def _one_number(text: str) -> bool:
    """Whether digits that stand apart are one number: 0 and 9 together, or all digits apart alike."""
    groups = re.findall("[0-9]+", text)
    if max(map(len, groups)) == 1:
        return len(set(re.findall("(?<=[0-9])[^0-9]+(?=[0-9])", text))) == 1
    return any(group.startswith(("09", "9", "0098")) and len(group) > 1 for group in groups[:3])


def _landlines(text: str, begin: int) -> Iterator[Span]:
    yield from _matches(_LANDLINE)(text, begin)
    yield from _matches(_NAMED_PHONE)(text, begin)


def _foreign(text: str, begin: int) -> Iterator[Span]:
    import phonenumbers

    for match in _FOREIGN.finditer(text, begin):
        number = "+" + re.sub("^00", "", _compact(match.group()))
        try:
            valid = phonenumbers.is_valid_number(phonenumbers.parse(number))
        except phonenumbers.NumberParseException:
            continue
        if valid:
            yield match.span()


def _national_ids(text: str, begin: int) -> Iterator[Span]:
    from fa_redact.validators import is_valid_national_id

    yield from (m.span() for m in _NATIONAL_ID.finditer(text, begin) if is_valid_national_id(_compact(m.group())))
    yield from _matches(_NAMED_NATIONAL_ID)(text, begin)


def _handles(text: str, begin: int) -> Iterator[Span]:
    yield from _matches(_HANDLE)(text, begin)
    yield from _matches(_NAMED_HANDLE)(text, begin)


def _where(pattern: str, rule: Callable[[str, int], Iterator[Span]]) -> Callable[[str, int], Iterable[Span]]:
    """The rule, only tried where the text holds what it needs."""
    gate = re.compile(pattern, re.IGNORECASE)
    return lambda text, begin: rule(text, begin) if gate.search(text, begin) else ()


def _anywhere(rule: Callable[[str], Iterator[Span]]) -> Callable[[str, int], Iterable[Span]]:
    return lambda text, begin: rule(text)


# By what a text must hold before the rules are tried, which most do not: looked for in its ASCII characters alone, a fifth of a
# Persian text, and then in the text itself. In the order of PLACEHOLDERS, an earlier kind wins.
_RULES: tuple[tuple[re.Pattern[bytes], re.Pattern[str], tuple[Rule, ...]], ...] = (
    (
        re.compile(b"[A-Za-z@]"),
        re.compile(""),
        (
            ("email", _where(r"@|[\s(\[]at[\s)\]]|\sات\s", _matches(_EMAIL))),
            ("url", _where(r"://|[a-z0-9-]\.[a-z]{2}", _urls)),
            ("handle", _where("@|[a-z][a-z0-9_.]{4}", _handles)),
        ),
    ),
    (
        re.compile(rb"[0-9](?:[^0-9A-Za-z]{0,3}[0-9]){3}"),
        re.compile(rf"[0-9](?:(?:{_S}{{0,3}}[0-9]){{6}}|(?<=0)[0-9]{{2,3}}[/*،,][0-9])"),
        (
            ("iban", _matches(_IBAN)),
            ("card", _cards),
            ("mobile", _mobiles),
            ("landline", _landlines),
            ("phone", _foreign),
            ("national-id", _national_ids),
            ("postal-code", _matches(_POSTAL_CODE)),
        ),
    ),
    (re.compile(b"[0-9][0-9]{3}"), re.compile("[0-9][0-9]{3}"), (("medical-council", _matches(_MEDICAL_COUNCIL)),)),
    (re.compile(b""), re.compile(""), (("name", _anywhere(names)), ("address", _anywhere(addresses)))),
)


def _compact(number: str) -> str:
    return re.sub("[^0-9]", "", number)


def _in_ascii(digits: re.Match[str]) -> str:
    return "".join(str(int(digit)) for digit in digits.group())
