"""How documents become sequences of at most `context` tokens. No padding is stored: the collator of the trainer pads.

`windows` (the paper's): each document by itself, what overflows goes into further windows.
`packed`: such windows of several documents share a sequence; their lengths are kept, so that attention stays apart.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def windows(tokens: NDArray[np.int32], context: int, bos: int | None) -> list[NDArray[np.int32]]:
    """A document's tokens in windows; with `bos`, the token the document starts with, every window starts with it."""
    if bos is None:
        return [tokens[start : start + context] for start in range(0, len(tokens), context)]
    body, room = tokens[1:], context - 1
    return [np.insert(body[start : start + room], 0, bos) for start in range(0, len(body), room)]


def laid_out_length(length: int, context: int, has_bos: bool) -> int:
    """Tokens in all windows of a document of `length` tokens."""
    return length - 1 + -(-(length - 1) // (context - 1)) if has_bos else length


def pack(lengths: Sequence[int] | NDArray[np.int64], context: int) -> list[list[int]]:
    """Pieces, by their index, in sequences of at most `context` tokens: best fit, longest first.

    Longest first leaves the short pieces for the gaps; at most 11/9 of the fewest sequences possible.
    Sequences come in the order of their first piece, pieces within one in their own order. O(n log n).
    """
    sequences: list[list[int]] = []
    rooms: list[tuple[int, int]] = []  # (free tokens, sequence), sorted
    for piece in np.argsort(-np.asarray(lengths), kind="stable").tolist():
        size = int(lengths[piece])
        if size > context:
            raise ValueError(f"a piece of {size} tokens does not fit in {context}")
        place = bisect.bisect_left(rooms, (size, -1))
        if place == len(rooms):
            free, sequence = context, len(sequences)
            sequences.append([])
        else:
            free, sequence = rooms.pop(place)
        sequences[sequence].append(piece)
        if free > size:
            bisect.insort(rooms, (free - size, sequence))
    return sorted(sorted(pieces) for pieces in sequences)
