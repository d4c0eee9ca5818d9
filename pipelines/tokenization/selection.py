"""Which documents are used: a seeded order that depends on nothing but their ids, cut by a fraction and by a token budget."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipelines.clean.identity import hash64


def order_key(seed: int, identifier: str) -> int:
    """Where a document stands in the seeded order: an unsigned 64-bit number, independent of the one that splits."""
    return hash64(f"order:{seed}:{identifier}")


def in_fraction(key: int, fraction: float) -> bool:
    """Whether a document belongs to the first `fraction` of the order."""
    return key < fraction * 2**64


def within_budget(lengths: NDArray[np.int64], budget: int | None) -> int:
    """How many documents, in their order, are used before the next one would pass the budget of tokens."""
    if budget is None:
        return len(lengths)
    return int(np.searchsorted(np.cumsum(lengths), budget, side="right"))
