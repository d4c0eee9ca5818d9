"""The clean step: extracted rows become a corpus and a question-answer set, and every dropped row has its reason.

First half: Ray tasks, one extracted shard each, leave candidates (a core does some 1,500 pairs or 300 articles/s).
Second half: this process decides on all candidates at once, then writes the kept rows shard by shard.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import partial
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import pyarrow as pa

from cluster.errors import UserError
from cluster.storage import Storage
from pipelines.artifact import ArtifactFolder, Input, UnitRecord, read_shard
from pipelines.clean.candidates import ARTICLE, CANDIDATES, PAIR, dropped_row, sift_articles, sift_pairs
from pipelines.clean.decisions import COLUMNS, Decisions, decide, large_clusters
from pipelines.clean.decontamination import HeldOut
from pipelines.clean.settings import CleanSettings
from pipelines.clean.testsets import held_out_inputs, held_out_items
from pipelines.steps import Outcome, StepRun
from pipelines.tables import ARTICLES, CORPUS, DROPPED, LINEAGE, PAIRS, QA

if TYPE_CHECKING:
    from pipelines.recipe import Recipe

Shard = tuple[str, str]  # kind, path in the extract artifact


def external(recipe: Recipe) -> dict[str, Input]:
    """The test sets that nothing may be learned from, by content."""
    return held_out_inputs(recipe)


def clean(run: StepRun) -> Outcome:
    """Run the funnel. Raises UserError when nothing is left."""
    extract, settings = run.inputs["extract"], run.recipe.clean
    shards: list[Shard] = [(kind, path) for kind, table in ((ARTICLE, ARTICLES), (PAIR, QA)) for path in extract.shards(table)]
    names = [_unit(shard) for shard in shards]
    sift = partial(_sift, source=extract.folder, out=run.out, settings=settings)
    for _ in run.map_units(sift, shards, names):
        pass
    sealed = run.out.sealed()
    kept_names = [f"kept-{name}" for name in names]
    if any(name not in sealed for name in kept_names):
        sifted = [sealed[name] for name in names]
        decisions = _decide(run, sifted)
        _require_rows(sifted, decisions)
        _seal_kept(run.out, sifted, decisions, done=set(sealed))
        sealed = run.out.sealed()
    return Outcome(units=[*names, *kept_names], notes=large_clusters(sealed[kept_names[0]].facts))


def _unit(shard: Shard) -> str:
    kind, path = shard
    return f"{kind}-{PurePosixPath(path).stem}"


def _sift(shard: Shard, *, source: Storage, out: ArtifactFolder, settings: CleanSettings) -> UnitRecord:
    kind, path = shard
    rows = read_shard(source, path).to_pylist()
    sifted = (sift_articles if kind == ARTICLE else sift_pairs)(rows, settings)
    facts = {f"redacted {what}": number for what, number in sorted(sifted.redacted.items())}
    return out.seal(_unit(shard), sifted.tables(), rows_in=len(rows), dropped=sifted.reasons(), facts=facts)


def _decide(run: StepRun, sifted: Iterable[UnitRecord]) -> Decisions:
    parts = [run.out.read_shard(path, COLUMNS) for path in _candidate_paths(sifted)]
    schema = pa.schema([CANDIDATES.schema.field(name) for name in COLUMNS])
    settings = run.recipe.clean
    return decide(
        pa.concat_tables(parts) if parts else schema.empty_table(),
        jaccard=settings.near_duplicate_jaccard,
        held_out=HeldOut.of(held_out_items(run.recipe)),
        valid_fraction=settings.valid_fraction,
        split_by_source=settings.split_by_source,
        seed=run.recipe.seed,
    )


def _candidate_paths(sifted: Iterable[UnitRecord]) -> list[str]:
    return [shard.path for record in sifted for shard in record.shards if shard.table == CANDIDATES.name]


def _require_rows(sifted: Iterable[UnitRecord], decisions: Decisions) -> None:
    if "" in decisions.reasons:
        return
    counts = Counter(reason for reason in decisions.reasons)
    rows_in = 0
    for record in sifted:
        counts.update(record.dropped)
        rows_in += record.rows_in
    if not rows_in:
        raise UserError(
            "clean has nothing to do: extract left neither articles nor pairs; look at the sources and at what extract dropped"
        )
    biggest = ", ".join(f"{reason} {number:,}" for reason, number in counts.most_common(3))
    raise UserError(f"clean kept none of {rows_in:,} rows ({biggest}); relax the clean settings that these name, or add sources")


def _seal_kept(out: ArtifactFolder, sifted: list[UnitRecord], decisions: Decisions, done: set[str]) -> None:
    """One unit for every shard of candidates: its kept rows, and what the decisions dropped of it."""
    start = 0
    for record in sifted:
        name = f"kept-{record.unit}"
        paths = _candidate_paths([record])
        rows = [row for path in paths for row in out.read_shard(path).to_pylist()]
        reasons, splits = (part[start : start + len(rows)] for part in (decisions.reasons, decisions.splits))
        start += len(rows)
        if name in done:
            continue
        kept = [{**row, "split": split} for row, reason, split in zip(rows, reasons, splits, strict=True) if not reason]
        dropped = [
            dropped_row(row["kind"], row["source"], row["url"], reason, row["raw"])
            for row, reason in zip(rows, reasons, strict=True)
            if reason
        ]
        tables = {
            CORPUS: CORPUS.table([row for row in kept if row["kind"] == ARTICLE]),
            PAIRS: PAIRS.table([{**row, "answer": row["text"]} for row in kept if row["kind"] == PAIR]),
            LINEAGE: LINEAGE.table(kept),
            DROPPED: DROPPED.table(dropped),
        }
        facts = decisions.facts if record is sifted[0] else {}  # those of the whole, once
        out.seal(name, tables, dropped=Counter(reason for reason in reasons if reason), facts=facts)
