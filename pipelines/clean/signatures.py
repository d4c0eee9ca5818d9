"""A text in 128 bytes by which near-duplicates find each other: MinHash, one byte a value; 50 µs a text of 60 words.

Two texts agree in a value with a probability of their Jaccard (and in 1 of 256 by chance). Every 5 values are a band:
texts of Jaccard .8 share one of the 25 bands with a probability of .99995, texts of .5 with .55.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from pipelines.clean.shingles import LONGEST_NEIGHBOUR_OF_SHORT, SHORT_WORDS, mix, shingles_of, word_count

VALUES = 128
BANDS, BAND_VALUES = 25, 5
SEED = 20250516
_CHARACTERS_AT_ONCE = 1 << 16  # their shingles stay in a core's own cache

_RANDOM = mix(np.arange(1, 2 * VALUES + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(SEED)).astype(np.uint32)
_MASKS, _FACTORS = _RANDOM[:VALUES], _RANDOM[VALUES:] | np.uint32(1)


def signature_pair(folded: Sequence[str]) -> tuple[list[bytes | None], list[bytes | None]]:
    """For every folded text its signature by characters and by words; None where it is too long, too short or empty.

    Texts of 60 to 75 words have both: their neighbours may be on either side of the limit.
    """
    words = [word_count(text) for text in folded]
    short = [i for i, number in enumerate(words) if 0 < number <= LONGEST_NEIGHBOUR_OF_SHORT]
    long = [i for i, number in enumerate(words) if number >= SHORT_WORDS]
    return _placed(folded, short, by_words=False), _placed(folded, long, by_words=True)


def signatures(folded: Sequence[str], by_words: bool) -> np.ndarray:
    """Shape (texts, VALUES), uint8: of folded texts that are not empty."""
    found = np.empty((len(folded), VALUES), dtype=np.uint8)
    for start, end in _slices(folded):
        shingles = shingles_of(folded[start:end], by_words)
        hashes = (shingles.hashes >> np.uint64(32)).astype(np.uint32)
        permuted = np.empty_like(hashes)
        for value in range(VALUES):
            np.bitwise_xor(hashes, _MASKS[value], out=permuted)
            np.multiply(permuted, _FACTORS[value], out=permuted)
            found[start:end, value] = np.minimum.reduceat(permuted, shingles.starts)  # the lowest byte of it
    return found


def _placed(folded: Sequence[str], rows: list[int], by_words: bool) -> list[bytes | None]:
    placed: list[bytes | None] = [None] * len(folded)
    for row, signature in zip(rows, signatures([folded[row] for row in rows], by_words), strict=True):
        placed[row] = signature.tobytes()
    return placed


def _slices(folded: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Cuts of the texts, so that each has about _CHARACTERS_AT_ONCE or one text."""
    start = characters = 0
    for end, text in enumerate(folded, start=1):
        characters += len(text)
        if characters >= _CHARACTERS_AT_ONCE:
            yield start, end
            start, characters = end, 0
    if start < len(folded):
        yield start, len(folded)
