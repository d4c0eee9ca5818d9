"""The second half of the funnel, over all candidates at once: duplicates, test sets, splits.

Holds hashes, bands and texts in Arrow columns: about 0.5 KB and the text itself for every candidate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.clean.candidates import ARTICLE, PAIR
from pipelines.clean.decontamination import HeldOut
from pipelines.clean.duplicates import Union, clusters
from pipelines.clean.identity import split_chance

LARGE_CLUSTER_SHARE, LARGE_CLUSTER_ROWS = 0.01, 10
COLUMNS = ["kind", "id", "source", "url", "question", "text", "question_hash", "text_hash", "question_bands", "text_bands"]


@dataclass(frozen=True)
class Decisions:
    """For every candidate, in their order: the reason for its drop ("" when it is kept) and its split."""

    reasons: list[str]
    splits: list[str]
    facts: dict[str, float]


def decide(
    candidates: pa.Table,
    *,
    jaccard: float,
    held_out: HeldOut,
    valid_fraction: float,
    split_by_source: Mapping[str, str],
    seed: int,
) -> Decisions:
    """Decide on all candidates (columns COLUMNS) of both kinds; independent of their order.

    The longest row comes first, of equally long ones that with the smallest id, then URL; it stays unless a row that
    stays has nearly its text, its question or its answer. So every duplicate has a better row that is kept.
    Rows of one cluster get one split (unless the recipe splits by source), whichever of them stays.
    """
    size = candidates.num_rows
    reasons, splits = [""] * size, [""] * size
    facts: dict[str, float] = {}
    kinds = np.array(candidates["kind"].to_pylist(), dtype=object)
    for kind, fields in ((ARTICLE, ("text",)), (PAIR, ("question", "text"))):
        rows = np.flatnonzero(kinds == kind)
        if not len(rows):
            continue
        part = _Part(candidates.take(pa.array(rows)).combine_chunks())
        clusters_of = {field: part.clusters(field, jaccard) for field in fields}
        duplicates = part.duplicates(clusters_of)
        names = part.family_names(clusters_of)
        for index, row in enumerate(rows.tolist()):
            by_source = split_by_source.get(part.sources[index])
            splits[row] = by_source or ("valid" if split_chance(seed, names[index]) < valid_fraction else "train")
            if index in duplicates:
                reasons[row] = f"duplicate-{_called(kind, duplicates[index])}"
            elif name := next(filter(None, (held_out.match(part.text(field, index)) for field in fields)), None):
                reasons[row] = f"test-set {name}"
        facts[f"{kind} candidates"] = len(rows)
        for field, found in clusters_of.items():
            facts[f"largest duplicate-{_called(kind, field)}"] = int(np.bincount(found).max())
    return Decisions(reasons, splits, facts)


class _Part:
    """The candidates of one kind."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table
        self.ids: list[str] = table["id"].to_pylist()
        self.urls: list[str] = table["url"].to_pylist()
        self.sources: list[str] = table["source"].to_pylist()
        lengths = [pc.utf8_length(table[name]).to_numpy() for name in ("question", "text")]
        self.lengths: list[int] = (lengths[0] + lengths[1]).tolist()

    def text(self, field: str, row: int) -> str:
        value: str = self.table[field][int(row)].as_py()
        return value

    def clusters(self, field: str, jaccard: float) -> np.ndarray:
        hashes, bands = self.table[f"{field}_hash"].to_pylist(), self.table[f"{field}_bands"].to_pylist()
        return clusters(hashes, bands, partial(self.text, field), jaccard)

    def duplicates(self, found: Mapping[str, np.ndarray]) -> dict[int, str]:
        """Rows to drop, with the field whose cluster has a better row that stays."""
        taken: dict[str, set[int]] = {field: set() for field in found}
        dropped: dict[int, str] = {}
        for row in sorted(range(len(self.ids)), key=self._rank):
            field = next((name for name, cluster in found.items() if int(cluster[row]) in taken[name]), None)
            if field:
                dropped[row] = field
                continue
            for name, cluster in found.items():
                taken[name].add(int(cluster[row]))
        return dropped

    def _rank(self, row: int) -> tuple[int, str, str]:
        return -self.lengths[row], self.ids[row], self.urls[row]

    def family_names(self, found: Mapping[str, np.ndarray]) -> list[str]:
        """For every row the smallest id of all that it is joined with: more data seldom changes it, so splits stay."""
        families = Union(len(self.ids))
        for cluster in found.values():
            for row, first in enumerate(cluster.tolist()):
                families.join(first, row)
        smallest: dict[int, str] = {}
        for row, name in enumerate(self.ids):
            family = families.find(row)
            smallest[family] = min(smallest.get(family, name), name)
        return [smallest[families.find(row)] for row in range(len(self.ids))]


def _called(kind: str, field: str) -> str:
    return "answer" if (kind, field) == (PAIR, "text") else "article" if kind == ARTICLE else field


def large_clusters(facts: Mapping[str, float]) -> list[str]:
    """What a reader must know of the facts: one text that a large part of the rows repeat."""
    notes = []
    for kind, names in ((ARTICLE, ("article",)), (PAIR, ("question", "answer"))):
        total = facts.get(f"{kind} candidates", 0)
        for name in names:
            rows = facts.get(f"largest duplicate-{name}", 0)
            if rows > LARGE_CLUSTER_ROWS and rows > LARGE_CLUSTER_SHARE * total:
                notes.append(
                    f"{rows:,.0f} of {total:,.0f} {kind} rows have nearly the same {name}: see those dropped as duplicates"
                )
    return notes
