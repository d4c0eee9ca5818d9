"""Which of the duplicates stay and which rows share a split: on columns of numbers, some 100 bytes a candidate."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from cluster.errors import UserError
from pipelines.clean.candidates import ARTICLE, PAIR
from pipelines.clean.duplicates import firsts, joined
from pipelines.clean.ranking import Ranking

REASONS = ("", "duplicate-article", "duplicate-question", "duplicate-answer", "boilerplate")
LARGE_CLUSTER_SHARE, LARGE_CLUSTER_ROWS = 0.01, 10
GIANT_TEXTS = 500  # a cluster of fewer different texts stops no step, however large its share


@dataclass(frozen=True)
class Decisions:
    """For every candidate of a kind, in their order."""

    reasons: np.ndarray  # (rows,) uint8: place in REASONS, 0 where the row is not dropped
    families: np.ndarray  # (rows,) uint64: the smallest id of all rows that have to be in one split
    facts: dict[str, float]


def decide(
    kind: str, ranking: Ranking, clusters: Mapping[str, np.ndarray], boilerplate: np.ndarray, dropped_in: Collection[str]
) -> Decisions:
    """Decide on all candidates of a kind by their clusters of each field; independent of their order.

    Those that are `boilerplate` are out. Of the fields in `dropped_in` duplicates are dropped: from the best row on, a row stays
    unless one that stays is in its cluster of questions or of texts, so that every duplicate has a better row that is kept.
    Rows of one cluster of any field get one split, whichever of them stays.
    """
    reasons = np.where(boilerplate, REASONS.index("boilerplate"), 0).astype(np.uint8)
    fields = {REASONS.index(_reason(kind, field)): found for field, found in clusters.items() if field in dropped_in}
    taken: dict[int, set[int]] = {reason: set() for reason in fields}
    crowd = np.flatnonzero(_in_company(clusters) & ~boilerplate)
    for row in ranking.best_first(crowd).tolist():
        own = {reason: int(found[row]) for reason, found in fields.items()}
        reasons[row] = next((reason for reason, cluster in own.items() if cluster in taken[reason]), 0)
        if not reasons[row]:
            for reason, cluster in own.items():
                taken[reason].add(cluster)
    facts: dict[str, float] = {f"{kind} candidates": len(ranking.ids)}
    for reason, found in fields.items():
        facts[f"largest {REASONS[reason]}"] = int(np.bincount(found).max(initial=0))
    return Decisions(reasons, _families(ranking.ids, clusters), facts)


def refuse_giant(kind: str, field: str, hashes: np.ndarray, found: np.ndarray, share: float) -> None:
    """Raises UserError when over `share` of the different texts hang together: a template, not one text many times."""
    different = firsts(hashes)
    largest = int(np.bincount(found[different]).max(initial=0))
    if largest > max(GIANT_TEXTS, share * len(different)):
        raise UserError(
            f"clean: {largest:,} of {len(different):,} different texts ({_reason(kind, field)}) hang together as near-"
            "duplicates, as pages of one template do; raise clean.duplicates.jaccard, leave their source out, or allow it with "
            "clean.duplicates.max_cluster_share"
        )


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


def _in_company(clusters: Mapping[str, np.ndarray]) -> np.ndarray:
    """Rows that share a cluster of any field with another: the others stay without a question."""
    found = [np.bincount(of)[of] > 1 for of in clusters.values()]
    return np.any(found, axis=0)


def _families(ids: np.ndarray, clusters: Mapping[str, np.ndarray]) -> np.ndarray:
    """More data seldom changes the smallest id, so splits stay."""
    size = len(ids)
    family = joined(size, np.concatenate([np.stack([found, np.arange(size)], axis=1) for found in clusters.values()]))
    smallest = np.full(size, np.iinfo(np.uint64).max, dtype=np.uint64)
    np.minimum.at(smallest, family, ids)
    return smallest[family]


def _reason(kind: str, field: str) -> str:
    return f"duplicate-{'article' if kind == ARTICLE else 'answer' if field == 'text' else field}"
