"""The last part of the funnel, a shard of candidates at a time: duplicates and test sets out, splits made, the rest kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from pipelines.clean.candidates import ARTICLE, PAIR, TEXTS, dropped_row
from pipelines.clean.decisions import REASONS
from pipelines.clean.decontamination import HeldOut
from pipelines.clean.identity import split_chance
from pipelines.tables import CORPUS, DROPPED, LINEAGE, PAIRS, Table


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

    def reasons(self) -> dict[str, int]:
        return dict(Counter(row["reason"] for row in self.dropped))

    def tables(self) -> dict[Table, pa.Table]:
        return {
            CORPUS: CORPUS.table([row for row in self.rows if row["kind"] == ARTICLE]),
            PAIRS: PAIRS.table([{**row, "answer": row["text"]} for row in self.rows if row["kind"] == PAIR]),
            LINEAGE: LINEAGE.table(self.rows),
            DROPPED: DROPPED.table(self.dropped),
        }


def keep(rows: list[dict[str, Any]], reasons: np.ndarray, families: np.ndarray, held_out: HeldOut, splits: Splits) -> Kept:
    """Rows of candidates, with what was decided on each: the place of its reason in REASONS, and its family."""
    test_sets = _test_sets([row for row, code in zip(rows, reasons, strict=True) if not code], held_out)
    kept = Kept()
    for row, code, family in zip(rows, reasons.tolist(), families.tolist(), strict=True):
        if reason := REASONS[code] or next(test_sets):
            kept.dropped.append(dropped_row(row["kind"], row["source"], row["url"], reason, row["raw"]))
        else:
            kept.rows.append({**row, "split": splits.of(row["source"], family)})
    return kept


def _test_sets(rows: list[dict[str, Any]], held_out: HeldOut) -> Iterator[str]:
    """For every row the reason if a text of a test set is in it, else ""."""
    found = (held_out.matches([row[text] for row in rows]) for text in TEXTS)
    return (f"test-set {name}" if (name := next(filter(None, names), None)) else "" for names in zip(*found, strict=True))
