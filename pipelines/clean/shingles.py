"""What texts are compared by: every run of 5 words or 5 characters as a 64-bit hash, many texts at once; 30 ns a character.

Texts of under 60 words are compared by characters: one changed word of 11 would leave a word-shingle Jaccard of .17.
Texts come here folded (`folding.py`). Where a shape says *shingles*, it means those of all texts, one after another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

SHINGLE = 5
SHORT_WORDS = 60
# Texts of up to this many words may be near-duplicates of a short one, so they are compared by characters too.
LONGEST_NEIGHBOUR_OF_SHORT = round(SHORT_WORDS / 0.8)

_GAP = SHINGLE - 1  # zeros between two texts, so that no run reads on into the next one
_SPACE = 32
_BASE = np.uint64(0x9E3779B97F4A7C15)
_COLUMNS = (1 << 63) - 1
_PAIRS_AT_ONCE = 4096


@dataclass(frozen=True)
class Shingles:
    """The shingles of some texts, in their order, repeats included."""

    hashes: np.ndarray  # (shingles,), uint64
    starts: np.ndarray  # (texts,), int64: where each text's begin

    @property
    def owners(self) -> np.ndarray:
        """(shingles,), int64: the text of each."""
        return np.repeat(np.arange(len(self.starts)), np.diff(self.starts, append=len(self.hashes)))

    def jaccard(self, pairs: np.ndarray) -> np.ndarray:
        """The exact Jaccard of pairs of texts, shape (pairs, 2), as float64 (pairs,)."""
        sets = self._sets()
        sizes = np.diff(sets.indptr)
        found = [_common(sets, pairs[i : i + _PAIRS_AT_ONCE]) for i in range(0, len(pairs), _PAIRS_AT_ONCE)]
        common = np.concatenate(found) if found else np.empty(0, dtype=np.int64)
        return common / (sizes[pairs[:, 0]] + sizes[pairs[:, 1]] - common)

    def _sets(self) -> csr_array:
        """A sparse matrix with a row for each text: its columns are hashes, so that a row is a sorted set of them."""
        columns = (self.hashes >> np.uint64(1)).astype(np.int64)
        ends = np.append(self.starts, len(columns))
        sets = csr_array((np.ones(len(columns), dtype=np.int8), columns, ends), shape=(len(self.starts), _COLUMNS))
        sets.sum_duplicates()
        sets.data[:] = 1
        return sets


def word_count(folded: str) -> int:
    return folded.count(" ") + 1 if folded else 0


def shingles_of(folded: Sequence[str], by_words: bool) -> Shingles:
    """The shingles of at least one folded text; a text of under 5 words (or characters) is a shingle itself."""
    gap = "\0" * _GAP
    characters = np.frombuffer((gap.join(folded) + gap).encode("utf-32-le", "surrogatepass"), dtype="<u4").astype(np.uint64)
    lengths = np.array([len(text) for text in folded])
    tokens, lengths = _words(characters, _starts(lengths + _GAP)) if by_words else (characters, lengths)
    runs = np.maximum(lengths - _GAP, 1)
    starts = _starts(runs)
    places = np.arange(runs.sum()) + np.repeat(_starts(lengths + _GAP) - starts, runs)
    return Shingles(_runs(tokens)[places], starts)


def _starts(lengths: np.ndarray) -> np.ndarray:
    """Where parts of these lengths begin when they stand one after another."""
    return np.cumsum(lengths) - lengths


def _words(characters: np.ndarray, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The words of all texts as hashes, with the gaps between texts, and the number of words of each text."""
    letters = characters > _SPACE
    begins = letters & ~np.append(False, letters[:-1])
    first = np.flatnonzero(begins)
    inside = np.arange(len(characters)) - np.repeat(np.append(0, first), np.diff(np.concatenate([[0], first, [len(characters)]])))
    hashed = mix(characters | inside.astype(np.uint64) << np.uint64(32)) * letters
    owners = np.searchsorted(starts, first, side="right") - 1
    words = np.zeros(len(first) + _GAP * len(starts), dtype=np.uint64)
    words[np.arange(len(first)) + _GAP * owners] = np.add.reduceat(hashed, first) if len(first) else 0
    return words, np.bincount(owners, minlength=len(starts))


def _runs(tokens: np.ndarray) -> np.ndarray:
    """The hash of every 5 tokens that follow each other."""
    tokens = np.append(tokens, np.uint64(0))  # an empty text at the end has a run, too
    number = len(tokens) - _GAP
    hashes = np.zeros(number, dtype=np.uint64)
    for place in range(SHINGLE):
        hashes = hashes * _BASE + tokens[place : place + number]
    return mix(hashes)


def mix(values: np.ndarray) -> np.ndarray:
    """SplitMix64's last step: every bit of a uint64 depends on every other afterwards."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _common(sets: csr_array, pairs: np.ndarray) -> np.ndarray:
    """How many shingles the two texts of each pair share."""
    return np.diff(sets[pairs[:, 0]].multiply(sets[pairs[:, 1]]).tocsr().indptr)
