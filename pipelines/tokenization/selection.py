"""Which documents are used, and in which shard: a seeded order that depends on nothing but their ids, cut by budgets.

Decided on numbers, about 30 bytes a document.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.clean.identity import hash64

NO_SHARE = np.iinfo(np.int64).max  # beyond the budget, and so beyond every share


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


@dataclass(frozen=True)
class Run:
    """Documents `start` to `stop` of one of the parts that were encoded."""

    part: int
    start: int
    stop: int


@dataclass(frozen=True)
class Share:
    """The documents of one finished shard."""

    runs: tuple[Run, ...]
    tokens: int


def shares(keys: list[NDArray[np.uint64]], lengths: list[NDArray[np.int64]], budget: int | None, size: int) -> list[Share]:
    """The documents within the budget, in the seeded order, in shares of about `size` tokens.

    `keys` and `lengths`: of the documents of every part, by key, so that a share is one run of each part. A document
    belongs to the share that its first token falls in: a share has the same documents however they are parted.
    """
    if not keys:
        return []
    all_lengths = np.concatenate(lengths)
    order = np.argsort(np.concatenate(keys), kind="stable")
    used = order[: within_budget(all_lengths[order], budget)]
    ends = np.cumsum(all_lengths[used])
    number = (ends - all_lengths[used]) // size
    share_of = np.full(len(order), NO_SHARE)
    share_of[used] = number
    runs: dict[int, list[Run]] = {share: [] for share in np.unique(number).tolist()}
    start = 0
    for part, of_part in enumerate(keys):
        here = share_of[start : start + len(of_part)]  # ascending, as the keys of a part are
        start += len(of_part)
        for share in np.unique(here[here != NO_SHARE]).tolist():
            first, last = np.searchsorted(here, [share, share + 1]).tolist()
            runs[share].append(Run(part, first, last))
    tokens = np.bincount(number, weights=all_lengths[used])
    return [Share(tuple(found), int(tokens[share])) for share, found in runs.items()]
