"""Bytes to text, as browsers and Persian sites need it: BOM, header, meta, windows-1256; broken bytes are counted."""

from __future__ import annotations

import codecs
from dataclasses import dataclass

from w3lib.encoding import html_body_declared_encoding, http_content_type_encoding, read_bom, resolve_encoding

PERSIAN_CODE_PAGE = "cp1256"
# A text in a one-byte code page read as UTF-8 is wrong at nearly every letter; a damaged UTF-8 text is wrong at a few.
MOSTLY_WRONG = 0.3


@dataclass(frozen=True)
class Decoded:
    """`replaced`: places where bytes could not be read and U+FFFD stands now."""

    text: str
    charset: str
    replaced: int


def decode(body: bytes, content_type: str) -> Decoded:
    """A document's text. Valid UTF-8 wins over a wrong declaration, since no other encoding looks like it by chance."""
    bom_charset, bom = read_bom(body)
    if bom_charset and bom:
        return _lenient(body[len(bom) :], bom_charset)
    declared = http_content_type_encoding(content_type) or html_body_declared_encoding(body[:4096])
    charset = _known(declared) or "utf-8"
    if not charset.startswith("utf-16") and not charset.startswith("utf-32"):
        try:
            return Decoded(body.decode("utf-8"), "utf-8", 0)
        except UnicodeDecodeError:
            pass
    found = _lenient(body, charset)
    high = sum(1 for byte in body if byte >= 0x80) if found.replaced else 0
    if charset == "utf-8" and found.replaced > MOSTLY_WRONG * high:
        return _lenient(body, PERSIAN_CODE_PAGE)
    return found


def _lenient(body: bytes, charset: str) -> Decoded:
    text = body.decode(charset, errors="replace")
    return Decoded(text, codecs.lookup(charset).name, text.count("\ufffd"))


def _known(name: str | None) -> str | None:
    resolved = resolve_encoding(name) if name else None
    if resolved in ("ascii", "cp1252"):  # what servers say by default, and never what a Persian page is in
        return None
    return resolved
