"""An index of short passages by their rarest character 5-grams: says which may be in a text; 50 µs a text of 600 characters."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.sparse import csr_array

from pipelines.clean.shingles import shingles_of

EVIDENCE = 5  # of a passage's rarest grams have to be in a text before it is looked at itself
_KNOWN_BITS = 22  # a table of four million places says of most grams of a text that no passage has them


class RareGrams:
    """Passages, without spaces; of each the share of its grams that a text has to hold."""

    def __init__(self, passages: Sequence[str], shares: Sequence[float]) -> None:
        rarest = _rarest_grams(passages, shares)
        self.evidence = np.array([min(EVIDENCE, len(grams)) for grams in rarest])
        self.grams, places = np.unique(np.concatenate(rarest), return_inverse=True)
        holders = np.repeat(np.arange(len(rarest)), [len(grams) for grams in rarest])
        self.holders = _ones(places, holders, (len(self.grams), len(rarest)))
        self.known = np.zeros(1 << _KNOWN_BITS, dtype=bool)
        self.known[_table_place(self.grams)] = True

    def suspects(self, joined: Sequence[str]) -> list[tuple[int, int]]:
        """Texts (without spaces) and passages of whose rarest grams they hold enough, wherever those stand, as numbers."""
        shingles = shingles_of(joined, by_words=False)
        known = self.known[_table_place(shingles.hashes)]
        hashes, texts = shingles.hashes[known], shingles.owners[known]
        places = np.minimum(np.searchsorted(self.grams, hashes), len(self.grams) - 1)
        same = self.grams[places] == hashes
        common = (_ones(texts[same], places[same], (len(joined), len(self.grams))) @ self.holders).tocoo()
        enough = common.data >= self.evidence[common.col]
        return sorted(zip(common.row[enough].tolist(), common.col[enough].tolist(), strict=True))


def _rarest_grams(passages: Sequence[str], shares: Sequence[float]) -> list[np.ndarray]:
    """If m of a passage's n grams have to be there, EVIDENCE of any n - m + EVIDENCE are: of its rarest, say."""
    shingles = shingles_of(passages, by_words=False)
    grams, places, frequency = np.unique(shingles.hashes, return_inverse=True, return_counts=True)
    of_passages = [np.unique(part) for part in np.split(places, shingles.starts[1:])]
    by_rarity = [part[np.argsort(frequency[part], kind="stable")] for part in of_passages]
    may_lack = [len(part) - math.ceil(share * len(part)) for part, share in zip(by_rarity, shares, strict=True)]
    return [grams[part[: number + EVIDENCE]] for part, number in zip(by_rarity, may_lack, strict=True)]


def _table_place(hashes: np.ndarray) -> np.ndarray:
    return hashes >> np.uint64(64 - _KNOWN_BITS)


def _ones(rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int]) -> csr_array:
    """A sparse matrix with a 1 at these places, however often each is named."""
    matrix = csr_array((np.ones(len(rows), dtype=np.int32), (rows, columns)), shape=shape)
    matrix.sum_duplicates()
    matrix.data[:] = 1
    return matrix
