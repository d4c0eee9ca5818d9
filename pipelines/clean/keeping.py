"""The last part of the funnel, a shard of candidates at a time: duplicates and test sets out, splits made, the rest kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from pipelines.clean.candidates import ARTICLE, PAIR, TEXTS, VOTE, dropped_row
from pipelines.clean.decisions import REASONS
from pipelines.clean.decontamination import HeldOut
from pipelines.clean.identity import split_chance
from pipelines.clean.people import DROP, HUMAN
from pipelines.clean.testsets import HeldOutItem
from pipelines.tables import CONTAMINATED, CORPUS, DROPPED, LINEAGE, PAIRS, Table


@dataclass(frozen=True)
class Splits:
    """Which split a row is in: its source's, else by chance, which depends on nothing but the seed and its family."""

    seed: int
    valid_fraction: float
    by_source: Mapping[str, str]

    def of(self, source: str, family: int) -> str:
        chance = split_chance(self.seed, f"{family:016x}")
        return self.by_source.get(source) or ("valid" if chance < self.valid_fraction else "train")


@dataclass
class Kept:
    """What came of a shard of candidates: every row is either kept or dropped."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    dropped: list[dict[str, Any]] = field(default_factory=list)
    contaminated: list[dict[str, Any]] = field(default_factory=list)  # dropped rows, with the item found in each
    overruled: Counter[str] = field(default_factory=Counter)  # reasons of dropped rows that people keep

    def reasons(self) -> dict[str, int]:
        return dict(Counter(row["reason"] for row in self.dropped))

    def tables(self) -> dict[Table, pa.Table]:
        return {
            CORPUS: CORPUS.table([row for row in self.rows if row["kind"] == ARTICLE]),
            PAIRS: PAIRS.table([{**row, "answer": row["text"]} for row in self.rows if row["kind"] == PAIR]),
            LINEAGE: LINEAGE.table(self.rows),
            DROPPED: DROPPED.table(self.dropped),
            CONTAMINATED: CONTAMINATED.table(self.contaminated),
        }


def keep(rows: list[dict[str, Any]], reasons: np.ndarray, families: np.ndarray, held_out: HeldOut, splits: Splits) -> Kept:
    """Rows of candidates, with what was decided on each: the place of its reason in REASONS, and its family."""
    found = _items([row for row, code in zip(rows, reasons, strict=True) if not code], held_out)
    kept = Kept()
    for row, code, family in zip(rows, reasons.tolist(), families.tolist(), strict=True):
        item = None if code else next(found)
        if reason := REASONS[code] or (f"test-set {item.test_set}" if item else "") or (HUMAN if row["decided"] == DROP else ""):
            kept.dropped.append(dropped_row(row, reason))
            if item:
                kept.contaminated.append(_beside(row, item))
            if VOTE[row["decided"]] > 0:
                kept.overruled[reason] += 1
        else:
            kept.rows.append({**row, "split": splits.of(row["source"], family)})
    return kept


def _items(rows: list[dict[str, Any]], held_out: HeldOut) -> Iterator[HeldOutItem | None]:
    """For every row an item of a test set that is in one of its texts, if there is any."""
    found = (held_out.matches([row[text] for row in rows]) for text in TEXTS)
    return (next(filter(None, items), None) for items in zip(*found, strict=True))


def _beside(row: dict[str, Any], item: HeldOutItem) -> dict[str, Any]:
    """A row of CONTAMINATED."""
    text = "\n\n".join(filter(None, (row[text] for text in TEXTS)))
    return {**row, "test_set": item.test_set, "item": item.number, "item_text": item.question, "text": text}
