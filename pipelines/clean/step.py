"""The clean step: extracted rows become a corpus and a question-answer set, and every dropped row has its reason.

Three rounds of Ray tasks over shards, so that no process holds more than a shard of texts: sift leaves candidates and their
signatures; pairs of candidates that signatures propose are compared; what is not a duplicate or of a test set is kept.
Between them this process decides on signatures and numbers, at most 600 bytes a candidate.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from cluster.errors import UserError
from cluster.storage import Storage
from pipelines.artifact import ArtifactFolder, Input, UnitRecord, read_shard
from pipelines.clean.candidates import ARTICLE, CANDIDATES, PAIR, sift_articles, sift_pairs
from pipelines.clean.comparisons import UNIT, Comparison, Pool, comparisons, near_pairs
from pipelines.clean.decisions import Decisions, decide, large_clusters
from pipelines.clean.decontamination import HeldOut
from pipelines.clean.duplicates import clusters
from pipelines.clean.keeping import Splits, keep
from pipelines.clean.settings import CleanSettings
from pipelines.clean.testsets import held_out_inputs, held_out_items
from pipelines.steps import Outcome, StepRun
from pipelines.tables import ARTICLES, CORPUS, PAIRS, QA

if TYPE_CHECKING:
    from pipelines.recipe import Recipe

Shard = tuple[str, str]  # kind, path in the extract artifact
FEW_PAIRS = 10_000  # a second's work: less than it takes to start tasks
DUPLICATES_IN = {ARTICLE: ("text",), PAIR: ("question", "text")}


def external(recipe: Recipe) -> dict[str, Input]:
    """The test sets that nothing may be learned from, by content."""
    return held_out_inputs(recipe)


def clean(run: StepRun) -> Outcome:
    """Run the funnel. Raises UserError when nothing is left."""
    extract = run.inputs["extract"]
    shards: list[Shard] = [(kind, path) for kind, table in ((ARTICLE, ARTICLES), (PAIR, QA)) for path in extract.shards(table)]
    names = [_unit(shard) for shard in shards]
    kept_names = [_kept(name) for name in names]
    if not run.out.sealed().keys() >= set(kept_names):
        sift = partial(_sift, source=extract.folder, out=run.out, settings=run.recipe.clean)
        for _ in run.map_units(sift, shards, names):
            pass
        _keep_all(run, names)
    sealed = run.out.sealed()
    compared = [name for name in sealed if name.startswith(f"{UNIT}-")]
    _require_rows([sealed[name] for name in (*names, *kept_names)])
    facts = {name: number for unit in kept_names for name, number in sealed[unit].facts.items()}
    return Outcome(units=[*names, *compared, *kept_names], notes=large_clusters(facts))


@dataclass(frozen=True)
class Verdict:
    """A sifted unit, and what was decided on each of its candidates."""

    unit: str
    path: str  # of its candidates; "" when it has none
    reasons: np.ndarray
    families: np.ndarray
    facts: dict[str, float]


def _unit(shard: Shard) -> str:
    kind, path = shard
    return f"{kind}-{PurePosixPath(path).stem}"


def _kept(unit: str) -> str:
    return f"kept-{unit}"


def _sift(shard: Shard, *, source: Storage, out: ArtifactFolder, settings: CleanSettings) -> UnitRecord:
    kind, path = shard
    rows = read_shard(source, path).to_pylist()
    sifted = (sift_articles if kind == ARTICLE else sift_pairs)(rows, settings)
    facts = {f"redacted {what}": number for what, number in sorted(sifted.redacted.items())}
    return out.seal(_unit(shard), sifted.tables(), rows_in=len(rows), dropped=sifted.reasons(), facts=facts)


def _keep_all(run: StepRun, names: list[str]) -> None:
    """From sifted units to kept ones."""
    sealed, recipe = run.out.sealed(), run.recipe
    pools = {
        kind: Pool(kind, fields, run.out, tuple(sealed[name] for name in names if name.startswith(f"{kind}-")))
        for kind, fields in DUPLICATES_IN.items()
    }
    compared = _compare(run, pools)
    verdicts = [verdict for pool in pools.values() for verdict in _verdicts(pool, _decide(pool, compared))]
    splits = Splits(recipe.seed, recipe.clean.valid_fraction, recipe.clean.split_by_source)
    keep_unit = partial(_keep, out=run.out, held_out=HeldOut.of(held_out_items(recipe)), splits=splits)
    for _ in run.map_units(keep_unit, verdicts, [_kept(verdict.unit) for verdict in verdicts]):
        pass


def _compare(run: StepRun, pools: dict[str, Pool]) -> list[Comparison]:
    threshold = run.recipe.clean.near_duplicate_jaccard
    todo = [batch for pool in pools.values() for batch in comparisons(pool, threshold)]
    compare = partial(Comparison.run, pools=pools, threshold=threshold, out=run.out)
    if sum(len(batch.pairs) for batch in todo) <= FEW_PAIRS:
        sealed = run.out.sealed()
        for batch in todo:
            if batch.unit not in sealed:
                compare(batch)
        return todo
    for _ in run.map_units(compare, todo, [batch.unit for batch in todo]):
        pass
    return todo


def _decide(pool: Pool, compared: list[Comparison]) -> Decisions:
    found = {}
    for field in pool.fields:
        hashes = pool.numbers(f"{field}_hash")[0].to_numpy()
        found[field] = clusters(hashes, near_pairs(pool.folder, compared, pool.kind, field))
    ids, urls, *sizes = (column.to_numpy() for column in pool.numbers("id", "url", "question_size", "text_size"))
    return decide(pool.kind, ids, urls, sizes[0] + sizes[1], found)


def _verdicts(pool: Pool, decisions: Decisions) -> Iterator[Verdict]:
    """The decisions unit by unit; the facts of the whole once."""
    start, facts = 0, decisions.facts
    for unit in pool.units:
        path, rows = next(((shard.path, shard.rows) for shard in unit.shards if shard.table == CANDIDATES.name), ("", 0))
        here = slice(start, start + rows)
        yield Verdict(unit.unit, path, decisions.reasons[here], decisions.families[here], facts)
        start, facts = start + rows, {}


def _keep(verdict: Verdict, *, out: ArtifactFolder, held_out: HeldOut, splits: Splits) -> UnitRecord:
    rows = out.read_shard(verdict.path).to_pylist() if verdict.path else []
    kept = keep(rows, verdict.reasons, verdict.families, held_out, splits)
    return out.seal(_kept(verdict.unit), kept.tables(), dropped=kept.reasons(), facts=verdict.facts)


def _require_rows(units: Iterable[UnitRecord]) -> None:
    """Raise UserError when no unit kept a row."""
    counts: Counter[str] = Counter()
    rows_in = 0
    for unit in units:
        if any(shard.table in (CORPUS.name, PAIRS.name) for shard in unit.shards):
            return
        counts.update(unit.dropped)
        rows_in += unit.rows_in
    if not rows_in:
        raise UserError(
            "clean has nothing to do: extract left neither articles nor pairs; look at the sources and at what extract dropped"
        )
    biggest = ", ".join(f"{reason} {number:,}" for reason, number in counts.most_common(3))
    raise UserError(f"clean kept none of {rows_in:,} rows ({biggest}); relax the clean settings that these name, or add sources")
