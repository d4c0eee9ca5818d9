"""How documents become sequences of at most `context` tokens, on whole columns. No padding is stored: the trainer pads.

`windows` (the paper's): each document by itself, what overflows goes into further windows.
`packed`: such windows of several documents share a sequence; their lengths are kept, so that attention stays apart.
Some 20 ns a token; packing 2 µs a window.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipelines.tables import Table
from pipelines.tokenization.encoding import NO_LABEL


@dataclass(frozen=True)
class Windows:
    """Windows of documents that lie one after another: of which document, from which token on (over all), how many tokens."""

    document: NDArray[np.int64]
    start: NDArray[np.int64]
    length: NDArray[np.int64]


def windows(lengths: NDArray[np.int64], context: int, *, has_bos: bool) -> Windows:
    """The windows of documents of so many tokens, in their order.

    `has_bos`: a document's first token is BOS, and every further window of it starts with one, too: in place of the
    token that lies before the window's own.
    """
    room = context - has_bos
    body = lengths - has_bos
    count = -(-body // room)
    document = np.repeat(np.arange(len(lengths)), count)
    before = (np.arange(len(document)) - np.repeat(np.cumsum(count) - count, count)) * room
    start = (np.cumsum(lengths) - lengths)[document] + before
    return Windows(document, start, np.minimum(room, body[document] - before) + has_bos)


def laid_out_length(length: int, context: int, *, has_bos: bool) -> int:
    """Tokens in all windows of a document of `length` tokens."""
    return length - 1 + -(-(length - 1) // (context - 1)) if has_bos else length


def pack(lengths: Sequence[int] | NDArray[np.int64], context: int) -> list[list[int]]:
    """Windows, by their index, in sequences of at most `context` tokens: best fit, longest first.

    Longest first leaves the short ones for the gaps; at most 11/9 of the fewest sequences possible.
    Sequences come in the order of their first window, windows within one in their own order. O(n log n).
    """
    sequences: list[list[int]] = []
    rooms: list[tuple[int, int]] = []  # (free tokens, sequence), sorted
    sizes = np.asarray(lengths)
    longest_first = np.argsort(-sizes, kind="stable")
    for window, size in zip(longest_first.tolist(), sizes[longest_first].tolist(), strict=True):
        if size > context:
            raise ValueError(f"a window of {size} tokens does not fit in {context}")
        place = bisect.bisect_left(rooms, (size, -1))
        if place == len(rooms):
            free, sequence = context, len(sequences)
            sequences.append([])
        else:
            free, sequence = rooms.pop(place)
        sequences[sequence].append(window)
        if free > size:
            bisect.insort(rooms, (free - size, sequence))
    return sorted(sorted(together) for together in sequences)


def sequences(table: Table, documents: pa.Table, context: int, layout: str, bos: int | None) -> pa.Table:
    """Documents (id, source, prompt, input_ids) in the layout, as rows of `table`; nothing of a prompt is a label.

    `bos`: the token that every document starts with, if there is one.
    """
    lengths = pc.list_value_length(documents["input_ids"]).to_numpy().astype(np.int64)
    cut = windows(lengths, context, has_bos=bos is not None)
    sizes = np.ones(len(cut.length), np.int64)  # windows a sequence
    if layout == "packed":
        plan = pack(cut.length, context)
        order = np.fromiter(chain.from_iterable(plan), np.int64, len(cut.length))
        cut = Windows(cut.document[order], cut.start[order], cut.length[order])
        sizes = np.fromiter(map(len, plan), np.int64, len(plan))
    ids, labels = _tokens_and_labels(documents, cut, bos)
    of_windows = _offsets(sizes)
    ends = np.append(0, np.cumsum(cut.length))[of_windows]
    columns = {
        "input_ids": _lists(ends, ids),
        "labels": _lists(ends, labels),
        "document_lengths": _lists(of_windows, cut.length.astype(np.int32)),
        "ids": _lists(of_windows, documents["id"].combine_chunks().take(cut.document)),
        "sources": _lists(of_windows, documents["source"].combine_chunks().take(cut.document)),
    }
    return pa.table(columns, schema=table.schema)


def _tokens_and_labels(documents: pa.Table, cut: Windows, bos: int | None) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """The windows' tokens one after another, and their labels."""
    tokens = pc.list_flatten(documents["input_ids"]).combine_chunks().to_numpy()
    begins = np.cumsum(cut.length) - cut.length
    within = np.arange(cut.length.sum()) - np.repeat(begins, cut.length)
    ids = tokens[within + np.repeat(cut.start, cut.length)]
    if bos is not None:
        ids[begins] = bos
    prompts = documents["prompt"].to_numpy()
    if not prompts.any():
        return ids, ids
    return ids, np.where(within < np.repeat(prompts[cut.document], cut.length), np.int32(NO_LABEL), ids)


def _offsets(sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.append(0, np.cumsum(sizes))


def _lists(offsets: NDArray[np.int64], values: NDArray[np.int32] | pa.Array) -> pa.ListArray:
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values)
