"""Which rows of a shard of clean texts are encoded, and why the others are not. A few microseconds a row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from pipelines.tokenization.selection import in_fraction, order_key

SPLITS = ("train", "valid")  # a split of its own for tests is never trained on


@dataclass(frozen=True)
class Row:
    """A document or a pair, and where it stands in the seeded order."""

    id: str
    source: str
    split: str
    position: int
    texts: tuple[str, ...]  # its text, or question and answer

    @property
    def characters(self) -> int:
        return sum(map(len, self.texts))


@dataclass(frozen=True)
class Choice:
    """Rows in the seeded order, and how many of the others were left out for which reason."""

    rows: list[Row]
    dropped: Counter[str]


def choose(table: pa.Table, columns: Sequence[str], *, seed: int, fraction: float) -> Choice:
    """The rows of a clean shard to encode: `fraction` of those that train, all that validate, none without text."""
    chosen: list[Row] = []
    dropped = Counter[str]()
    names = ("id", "source", "split", *columns)
    for name, source, split, *texts in zip(*(_strings(table[column]) for column in names), strict=True):
        position = order_key(seed, name)
        if split not in SPLITS:
            dropped[f"split-{split}"] += 1
        elif not all(text and text.strip() for text in texts):
            dropped["no-text"] += 1
        elif split == "train" and not in_fraction(position, fraction):
            dropped["outside-fraction"] += 1
        else:
            chosen.append(Row(name, source, split, position, tuple(texts)))
    return Choice(sorted(chosen, key=lambda row: row.position), dropped)


def _strings(column: pa.ChunkedArray) -> list[str]:
    """A column's values; nothing for null and for bytes that are no text (UTF-8 of a lone surrogate)."""
    try:
        values = column.to_pylist()
    except UnicodeDecodeError:
        values = [value and _decoded(value) for value in column.cast(pa.binary()).to_pylist()]
    return [value or "" for value in values]


def _decoded(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return ""
