"""What is left of a table's rows when an address is forgotten: whole rows go, and mentions of it in others' rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import compress
from typing import Any

import numpy as np
import pyarrow as pa

from pipelines import tables as t
from pipelines.forget.tombstones import Tombstones
from pipelines.tables import Table

ADDRESSES = ("url", "final_url", "canonical")
_SEQUENCES = (t.CORPUS_TRAIN, t.CORPUS_VALID, t.QA_TRAIN, t.QA_VALID)
BY_ADDRESS = (t.PAGES, t.FAILURES, t.FRONTIER, t.ARTICLES, t.QA, t.LINEAGE, t.DROPPED)
BY_ID = {t.CORPUS: "id", t.PAIRS: "id", t.CONTAMINATED: "id", t.ANSWERS: "item", t.JUDGEMENTS: "item"}
KNOWN: dict[str, Table] = {table.name: table for table in (*BY_ADDRESS, *BY_ID, *_SEQUENCES)}


@dataclass(frozen=True)
class Gone:
    """What is forgotten: addresses, and the ids of the cleaned rows that came from there."""

    addresses: Tombstones
    ids: frozenset[str] = frozenset()

    def covers_row(self, row: dict[str, Any]) -> bool:
        return any(self.addresses.covers(row.get(name)) for name in ADDRESSES)

    def left(self, table: Table, rows: pa.Table) -> pa.Table:
        """The rows without what is forgotten; the same object when there is nothing of it."""
        if table in _SEQUENCES:
            return self._left_of_sequences(rows)
        if table in BY_ID:
            return _where(rows, (name not in self.ids for name in rows[BY_ID[table]].to_pylist()))
        columns = [name for name in ADDRESSES if name in rows.column_names]
        kept = _where(rows, (not self.covers_row(row) for row in rows.select(columns).to_pylist()))
        if table == t.LINEAGE:
            return kept
        for name in ("found_on", "detail"):
            kept = _blanked(kept, name, self._is_named_in)
        return kept

    def _is_named_in(self, text: str) -> bool:
        return any(self.addresses.covers(word) for word in text.split())

    def _left_of_sequences(self, rows: pa.Table) -> pa.Table:
        """Documents are cut out of packed sequences; a sequence of nothing else goes."""
        if not any(name in self.ids for ids in rows["ids"].to_pylist() for name in ids):
            return rows
        return pa.Table.from_pylist([left for row in rows.to_pylist() if (left := self._left_of(row))], schema=rows.schema)

    def _left_of(self, row: dict[str, Any]) -> dict[str, Any] | None:
        keep = np.array([name not in self.ids for name in row["ids"]])
        if not keep.any():
            return None
        of_kept = np.repeat(keep, row["document_lengths"])
        tokens = {name: np.array(row[name], dtype=np.int32)[of_kept] for name in ("input_ids", "labels")}
        documents = {name: list(compress(row[name], keep)) for name in ("document_lengths", "ids", "sources")}
        return {**tokens, **documents}


def _where(rows: pa.Table, keep: Iterable[bool]) -> pa.Table:
    mask = np.fromiter(keep, dtype=bool, count=rows.num_rows)
    return rows if mask.all() else rows.filter(pa.array(mask))


def _blanked(rows: pa.Table, name: str, is_gone: Callable[[str], bool]) -> pa.Table:
    """With an empty text where one names what is forgotten."""
    if name not in rows.column_names:
        return rows
    values = rows[name].to_pylist()
    if not any(value and is_gone(value) for value in values):
        return rows
    column = pa.array(["" if value and is_gone(value) else value for value in values], type=rows.schema.field(name).type)
    return rows.set_column(rows.column_names.index(name), rows.schema.field(name), column)
