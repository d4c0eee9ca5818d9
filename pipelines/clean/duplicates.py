"""Finds near-duplicates: MinHash bands propose pairs, the exact Jaccard of their shingles decides.

Shingles are 5 words, or 5 characters for texts under 60 words, where one changed word of 11 would leave a word-shingle
Jaccard of .17. 25 bands of 5 values propose a pair of Jaccard .8 with a probability of .99995.
About 0.3 ms a text of 100 words for its bands; 200-400 bytes of bands a text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np

from pipelines.clean.identity import fold, hash64

SHINGLE = 5
SHORT_WORDS = 60
BANDS, BAND_ROWS = 25, 5
MINHASH_SEED = 20250516
# Texts of up to SHORT_WORDS / 0.8 words may be near-duplicates of a short one, so they have bands of both kinds.
LONGEST_NEIGHBOUR_OF_SHORT = round(SHORT_WORDS / 0.8)


def exact_hash(text: str) -> int:
    """The same for texts that differ in no letter or digit; 0 for a text without any."""
    folded = fold(text)
    return hash64(folded) if folded else 0


def shingles(folded: str, by_words: bool) -> set[str]:
    """Every run of 5 words (or of 5 characters) of a folded text; the text itself when it is shorter."""
    parts: Sequence[str] = folded.split() if by_words else folded
    join: Callable[[Sequence[str]], str] = " ".join if by_words else "".join
    if len(parts) <= SHINGLE:
        return {folded}
    return {join(parts[i : i + SHINGLE]) for i in range(len(parts) - SHINGLE + 1)}


def jaccard(first: str, second: str) -> float:
    """Exact Jaccard of two texts' shingles: of words where both are long, else of characters."""
    a, b = fold(first), fold(second)
    by_words = min(_words(a), _words(b)) >= SHORT_WORDS
    return _overlap(shingles(a, by_words), shingles(b, by_words))


def band_keys(texts: Sequence[str]) -> list[bytes]:
    """The bands of every text as little-endian 64-bit keys, 25 or 50 of them; equal keys propose a pair."""
    folded = [fold(text) for text in texts]
    short = [i for i, text in enumerate(folded) if text and _words(text) <= LONGEST_NEIGHBOUR_OF_SHORT]
    long = [i for i, text in enumerate(folded) if _words(text) >= SHORT_WORDS]
    keys = [b""] * len(texts)
    for rows, by_words in ((short, False), (long, True)):
        for row, bands in zip(rows, _bands([sorted(shingles(folded[i], by_words)) for i in rows], by_words), strict=True):
            keys[row] += bands.tobytes()
    return keys


def clusters(hashes: Sequence[int], bands: Sequence[bytes], text_of: Callable[[int], str], threshold: float) -> np.ndarray:
    """For every row the smallest row of its cluster. A row whose hash is 0 is alone.

    Equal texts are joined by their hash first, so that only one of each is compared with others.
    """
    union = Union(len(hashes))
    first_with: dict[int, int] = {}
    for row, value in enumerate(hashes):
        if value:
            union.join(first_with.setdefault(value, row), row)
    sets = lru_cache(maxsize=4096)(lambda row, by_words: shingles(fold(text_of(row)), by_words))
    word_count = lru_cache(maxsize=None)(lambda row: _words(fold(text_of(row))))

    def near(a: int, b: int) -> bool:
        by_words = min(word_count(a), word_count(b)) >= SHORT_WORDS
        return _overlap(sets(a, by_words), sets(b, by_words)) >= threshold

    distinct = [row for value, row in first_with.items() if value]
    for bucket in _buckets(distinct, bands):
        for position, row in enumerate(bucket):
            for other in bucket[:position]:
                if union.find(row) != union.find(other) and near(row, other):
                    union.join(row, other)
    return np.array([union.find(row) for row in range(len(hashes))], dtype=np.int64)


class Union:
    """Union-find over rows; a set is named by its smallest row."""

    def __init__(self, size: int) -> None:
        self._parent = list(range(size))

    def find(self, row: int) -> int:
        while self._parent[row] != row:
            self._parent[row] = self._parent[self._parent[row]]
            row = self._parent[row]
        return row

    def join(self, first: int, second: int) -> None:
        a, b = self.find(first), self.find(second)
        self._parent[max(a, b)] = min(a, b)


def _words(folded: str) -> int:
    return folded.count(" ") + 1 if folded else 0


def _overlap(a: set[str], b: set[str]) -> float:
    common = len(a & b)
    return common / (len(a) + len(b) - common)


def _bands(token_sets: list[list[str]], by_words: bool) -> np.ndarray:
    """Shape (texts, BANDS), uint64: each band's values mixed into one key."""
    from rensa import RMinHash

    if not token_sets:
        return np.empty((0, BANDS), dtype=np.uint64)
    rows = RMinHash.digest_matrix_from_token_sets(token_sets, BANDS * BAND_ROWS, MINHASH_SEED).to_rows()
    values = np.array(rows, dtype=np.uint64).reshape(len(rows), BANDS, BAND_ROWS)
    keys = np.full((len(rows), BANDS), 2 * np.arange(BANDS) + by_words, dtype=np.uint64)  # bands of two kinds never meet
    for column in range(BAND_ROWS):  # multiplication and shift of SplitMix64; overflow wraps
        keys = (keys ^ values[:, :, column]) * np.uint64(0x9E3779B97F4A7C15)
        keys ^= keys >> np.uint64(29)
    return keys


def _buckets(rows: Sequence[int], bands: Sequence[bytes]) -> list[list[int]]:
    """Rows that share a band, in the order of rows; sorted arrays instead of a dictionary keep it at 16 bytes a band."""
    if not rows:
        return []
    lengths = np.array([len(bands[row]) // 8 for row in rows])
    keys = np.frombuffer(b"".join(bands[row] for row in rows), dtype="<u8")
    owners = np.repeat(np.array(rows), lengths)
    order = np.argsort(keys, kind="stable")
    keys, owners = keys[order], owners[order]
    starts = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]]) if len(keys) else np.array([], dtype=int)
    ends = np.r_[starts[1:], len(keys)]
    return [owners[start:end].tolist() for start, end in zip(starts, ends, strict=True) if end - start > 1]
