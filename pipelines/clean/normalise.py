"""Brings Persian text to one spelling without touching what a physician would read: about 8 MB/s on one core.

| rule | why |
|---|---|
| NFC | a letter and its accent are one character or two; the eye sees no difference |
| Arabic ي ى ك ڪ become ی ک, ۀ becomes هٔ | old keyboards and code pages wrote them; a tokenizer sees other words |
| presentation forms become letters | PDFs and old fonts wrote shapes; ligatures of whole phrases (ﷺ, ﷲ, ﷼) stay |
| kashida goes; between digits or spaces it is a dash | it stretches a word, but `10ـ20 mg` is no 1020 mg |
| direction marks, zero-width characters, controls, lone surrogates go | layout of a page, or impossible to store |
| references and tags of HTML go, however often escaped | leftovers of extraction; `p < 0.05` and `?a=1&para=2` are none |
| cells become spaces, <sup> before a number ^ | `<td>120</td><td>80</td>` is no 12080, `10<sup>3</sup>` no 103 |
| every kind of space is one space, every line end \\n, at most one blank line | layout, not language |
| ZWNJ only between letters, one at a time, placed by `zwnj.py` | elsewhere it shows nothing |

Digits of any script, decimals, doses, units, Latin names and URLs stay exactly as they are, and so do hamza, tashdid and
other marks, ة, أ and quotation marks: they carry meaning or are a matter of style. Normalising twice is the same as once.
"""

from __future__ import annotations

import html
import re
import unicodedata
from functools import cache

from pipelines.clean.zwnj import LETTER, MARK, ZWNJ, place_zwnj

# A character reference ends in a semicolon here: without that rule `?a=1&para=2` in a URL would change.
_REFERENCE = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_ATTRIBUTES = r"""(?:\s+[\w:-]+\s*=\s*(?:"[^"]*"|'[^']*'|[^\s"'<>]+))*\s*/?"""
# Only names of HTML, with attributes that look like some: `p < 0.05` and `<b and c>` are no tags.
_TAGS = tuple(
    (re.compile(pattern, re.IGNORECASE | re.DOTALL), replacement)
    for pattern, replacement in (
        (rf"<sup{_ATTRIBUTES}>(?=\s*[-+−]?\d)", "^"),
        (rf"</?(?:p|br|div|li|ul|ol|tr|table|h[1-6]|hr|blockquote){_ATTRIBUTES}>", "\n"),
        (rf"</?(?:td|th){_ATTRIBUTES}>", " "),
        (rf"<!--.{{0,1000}}?-->|</?(?:a|b|i|u|em|strong|span|font|img|tbody|thead|sup|sub|small){_ATTRIBUTES}>", ""),
    )
)

KASHIDA = "\u0640"
_STRETCHING = re.compile(f"(?<=[{LETTER}{MARK}]){KASHIDA}+|(?<!{KASHIDA}){KASHIDA}++(?=[{LETTER}{MARK}])")
_NOT_SIGN_AS_ZWNJ = re.compile(f"(?<=[{LETTER}])\u00ac(?=[{LETTER}])")
# The first ZWNJ comes first in the pattern, since what every match begins with is found at once.
_USELESS_ZWNJ = re.compile(f"{ZWNJ}(?:(?<![{LETTER}{MARK}{ZWNJ}]{ZWNJ}){ZWNJ}*|{ZWNJ}*(?=[^{LETTER}{ZWNJ}]|\\Z))")
_REPEATED_ZWNJ = re.compile(f"{ZWNJ}{{2,}}")

_LINE_ENDS = "\r\u0085\u2028\u2029\x0b\x0c"
_SPACES = "\t\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
_REPEATED_SPACES = re.compile("  +")
_AROUND_LINE_END = re.compile(" ?\n ?")
_BLANK_LINES = re.compile("\n{3,}")

_DELETED = (
    "\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"  # direction marks of the page it came from
    "\u200b\u200d\u2060\ufeff\u00ad\u180e"  # zero width
)
_HEH_WITH_YEH, _HEH_AND_HAMZA = "\u06c0", "\u0647\u0654"
_ARABIC_LOOK_ALIKES = {
    "\u064a": "\u06cc",  # Arabic yeh
    "\u0649": "\u06cc",  # alef maksura, which old keyboards gave for yeh
    "\u0643": "\u06a9",  # Arabic kaf
    "\u06aa": "\u06a9",  # swash kaf
}


def normalise(text: str) -> str:
    """The text in one spelling; "" for a text of nothing but controls and spaces."""
    text = unicodedata.normalize("NFC", text.replace("\r\n", "\n"))
    if _translated().search(text):
        text = text.translate(_table())
    if "&" in text or "<" in text:
        text = _without_html(text)
    if KASHIDA in text:
        text = _STRETCHING.sub("", text).replace(KASHIDA, "-")
    if "\u00ac" in text:
        text = _NOT_SIGN_AS_ZWNJ.sub(ZWNJ, text)
    if ZWNJ in text:
        text = _USELESS_ZWNJ.sub("", text)
    if ZWNJ * 2 in text:
        text = _REPEATED_ZWNJ.sub(ZWNJ, text)
    if "  " in text:
        text = _REPEATED_SPACES.sub(" ", text)
    if " \n" in text or "\n " in text:
        text = _AROUND_LINE_END.sub("\n", text)
    if "\n\n\n" in text:
        text = _BLANK_LINES.sub("\n\n", text)
    # What was deleted may have kept a letter and its accent apart: compose them now, not in the next run.
    text = unicodedata.normalize("NFC", text.strip(" \n"))
    if _HEH_WITH_YEH in text:
        text = unicodedata.normalize("NFC", text.replace(_HEH_WITH_YEH, _HEH_AND_HAMZA))
    return place_zwnj(text)


def count_words(normalised: str) -> int:
    """Words between white space, of which a normalised text has one at a time or a blank line: much faster than splitting."""
    lines = normalised.count("\n")
    blank = normalised.count("\n\n") if lines else 0
    return normalised.count(" ") + lines - blank + 1 if normalised else 0


def _without_html(text: str) -> str:
    """Text without character references and tags, however often they were escaped."""
    while True:
        before = text
        text = _REFERENCE.sub(_character, text).replace("\r\n", "\n").translate(_table())
        for tag, replacement in _TAGS:
            text = tag.sub(replacement, text)
        if text == before:
            return text


def _character(reference: re.Match[str]) -> str:
    return html.unescape(reference.group())


class CharacterTable(dict[int, "str | int | None"]):
    """A translation table that learns the characters that stay: `str.translate` raises and catches for every missing key."""

    def __missing__(self, code: int) -> int:
        self[code] = code
        return code


@cache
def _table() -> CharacterTable:
    """Character by character: look-alikes, presentation forms and what is deleted."""
    look_alikes = str.maketrans(_ARABIC_LOOK_ALIKES)
    table: dict[int, str | None] = {code: form.translate(look_alikes) for code, form in _presentation_forms()}
    table |= {ord(character): None for character in _DELETED}
    table |= {code: None for code in (*range(0x20), *range(0x7F, 0xA0)) if code != 0x0A}
    table |= {ord(character): " " for character in _SPACES} | {ord(character): "\n" for character in _LINE_ENDS}
    table |= dict.fromkeys(range(0xD800, 0xE000))  # lone surrogates can't be stored as UTF-8
    return CharacterTable({**look_alikes, **table})


@cache
def _translated() -> re.Pattern[str]:
    """Any character that the table changes. Most texts have none, and looking for one takes a tenth of translating."""
    changed = (chr(code) for code, becomes in _table().items() if becomes != code)
    return re.compile(f"[{re.escape(''.join(changed))}]")


def _presentation_forms() -> list[tuple[int, str]]:
    """Letters in the shapes of old fonts and PDFs, by the letters that they stand for (ligatures of phrases stay)."""
    codes = [*range(0xFB50, 0xFDF0), *range(0xFE70, 0xFEFD)]
    forms = [(code, unicodedata.normalize("NFKC", chr(code))) for code in codes]
    return [(code, form) for code, form in forms if " " not in form and form != chr(code)]
