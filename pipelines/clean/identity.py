"""Names for texts: the same text of the same source has the same id in every crawl; 1 µs each, folding 30 ns a character."""

from __future__ import annotations

import hashlib
import re
from functools import cache

from pipelines.clean.zwnj import ZWNJ

_NO_LETTER = re.compile(r"\W|_")


def content_id(kind: str, source: str, *texts: str) -> str:
    """16 hex digits of BLAKE2b. Give it redacted text: a hash of a phone number can be guessed back from its id."""
    encoded = "\x1f".join((kind, source, *texts)).encode()
    return hashlib.blake2b(encoded, digest_size=8).hexdigest()


def hash64(text: str) -> int:
    """An unsigned 64-bit hash that is the same in every process."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def split_chance(seed: int, name: str) -> float:
    """A number in [0, 1) that depends on nothing but the seed and the name."""
    return hash64(f"split:{seed}:{name}") / 2**64


def fold(text: str) -> str:
    """Text as it is compared: lower case, digits in ASCII, no marks, no ZWNJ, words parted by single spaces.

    For comparing only; what is stored is never folded. The text is normalised already.
    """
    return spellings(text)[0]


def spellings(text: str) -> list[str]:
    """The folded text, and beside it, if it has any ZWNJ, the same with a space for each: as many would write it."""
    letters = text.lower().translate(_folding())
    if ZWNJ not in letters:
        return [" ".join(letters.split())]
    return [" ".join(letters.replace(ZWNJ, other).split()) for other in ("", " ")]


class _Folding(dict[int, "str | int | None"]):
    """A translation table that learns what becomes of the characters it meets: a missing key costs an exception each time."""

    def __missing__(self, code: int) -> int:
        folded = self[code] = ord(" ") if _NO_LETTER.match(chr(code)) else code
        return folded


@cache
def _folding() -> _Folding:
    digits = {ord(d): str(i) for start in ("۰", "٠") for i, d in enumerate(chr(ord(start) + n) for n in range(10))}
    marks = dict.fromkeys([*range(0x064B, 0x0660), 0x0670])
    letters = str.maketrans({"ة": "ه", "ۀ": "ه", "أ": "ا", "إ": "ا", "آ": "ا", "ؤ": "و", "ئ": "ی"})
    return _Folding({**digits, **marks, **letters, ord(ZWNJ): ZWNJ})
