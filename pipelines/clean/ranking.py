"""Which of several rows is the best one: of duplicates, and of answers made of the same sentences."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Ranking:
    """The longest row comes first, of equally long ones that with the smallest id, then the smallest hash of its URL.

    So it does not depend on the order of the rows.
    """

    ids: np.ndarray  # (rows,) uint64
    urls: np.ndarray  # (rows,) uint64: hashes
    lengths: np.ndarray  # (rows,) characters, or what counts more than any number of them

    def best_first(self, rows: np.ndarray) -> np.ndarray:
        """Numbers of rows, sorted."""
        return rows[np.lexsort((self.urls[rows], self.ids[rows], -self.lengths[rows]))]
