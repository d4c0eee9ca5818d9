"""The clean step: extracted rows become a corpus and a question-answer set, and every dropped row has its reason.

Three rounds of Ray tasks over shards, so that no process holds more than a shard of texts: sift leaves candidates and their
signatures; pairs of candidates that signatures propose are compared; what is not a duplicate or of a test set is kept.
Between them this process decides on signatures and numbers, at most 600 bytes a candidate.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from cluster.errors import UserError
from cluster.storage import Storage
from pipelines.artifact import ArtifactFolder, Input, UnitRecord, read_shard
from pipelines.clean.agreement import OVERRULED, review_facts, review_notes
from pipelines.clean.boilerplate import repeating
from pipelines.clean.candidates import ARTICLE, CANDIDATES, PAIR, REVIEWED, sift_articles, sift_pairs
from pipelines.clean.comparisons import UNIT, Comparison, Pool, comparisons, near_pairs
from pipelines.clean.decisions import Decisions, decide, large_clusters, refuse_giant
from pipelines.clean.decontamination import HeldOut
from pipelines.clean.duplicates import clusters
from pipelines.clean.keeping import Splits, keep
from pipelines.clean.people import Decision, Votes, decision_inputs, read_votes
from pipelines.clean.ranking import Ranking
from pipelines.clean.settings import CleanSettings, DuplicateRules, PairRules
from pipelines.clean.testsets import held_out_inputs, held_out_items
from pipelines.steps import Outcome, StepRun
from pipelines.tables import ARTICLES, CORPUS, PAIRS, QA

if TYPE_CHECKING:
    from pipelines.recipe import Recipe

Shard = tuple[str, str]  # kind, path in the extract artifact
PEOPLE_UNIT = "people"
FEW_PAIRS = 10_000  # a second's work: less than it takes to start tasks
DUPLICATES_IN = {ARTICLE: ("text",), PAIR: ("question", "text")}
LONGER = 1 << 40  # than any text is: what people keep stays, of duplicates, before what is long; what they drop comes last


def external(recipe: Recipe) -> dict[str, Input]:
    """The test sets that nothing may be learned from, and people's decisions, by content. Raises UserError for a missing file."""
    return held_out_inputs(recipe) | decision_inputs(recipe)


def check(recipe: Recipe) -> None:
    """Raises UserError for a mistake in a review sheet: a crawl may take days before it is needed."""
    read_votes(recipe.clean.decisions)


def clean(run: StepRun) -> Outcome:
    """Run the funnel. Raises UserError when nothing is left."""
    outcome = funnel(run)
    sealed = run.out.sealed()
    _require_rows([sealed[name] for name in outcome.units or []])
    return outcome


def funnel(run: StepRun) -> Outcome:
    """Everything but the demand that something is left."""
    extract = run.inputs["extract"]
    shards: list[Shard] = [(kind, path) for kind, table in ((ARTICLE, ARTICLES), (PAIR, QA)) for path in extract.shards(table)]
    names = [_unit(shard) for shard in shards]
    kept_names = [kept_unit(name) for name in names]
    votes = read_votes(run.recipe.clean.decisions)
    if not run.out.sealed().keys() >= set(kept_names):
        sift = partial(_sift, source=extract.folder, out=run.out, settings=run.recipe.clean, people=votes.decisions())
        for _ in run.map_units(sift, shards, names):
            pass
        _keep_all(run, names, votes)
    sealed = run.out.sealed()
    others = [name for name in sealed if name == PEOPLE_UNIT or name.startswith(f"{UNIT}-")]
    facts: defaultdict[str, float] = defaultdict(float)
    for name, number in (fact for unit in (*others, *kept_names) for fact in sealed[unit].facts.items()):
        facts[name] += number
    return Outcome(units=[*names, *others, *kept_names], notes=[*large_clusters(facts), *review_notes(facts)])


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
    return sifted_unit(kind, PurePosixPath(path).stem)


def sifted_unit(kind: str, unit: str) -> str:
    """What becomes of an extracted unit by itself."""
    return f"{kind}-{unit}"


def kept_unit(sifted: str) -> str:
    """What is left of it beside all others."""
    return f"kept-{sifted}"


def _sift(
    shard: Shard, *, source: Storage, out: ArtifactFolder, settings: CleanSettings, people: Mapping[str, Decision]
) -> UnitRecord:
    kind, path = shard
    rows = read_shard(source, path).to_pylist()
    sifted = (sift_articles if kind == ARTICLE else sift_pairs)(rows, settings, people)
    facts = {f"redacted {what}": number for what, number in sorted(sifted.redacted.items())}
    return out.seal(_unit(shard), sifted.tables(), rows_in=len(rows), dropped=sifted.reasons(), facts=facts)


def _keep_all(run: StepRun, names: list[str], votes: Votes) -> None:
    """From sifted units to kept ones."""
    sealed, recipe = run.out.sealed(), run.recipe
    pools = {
        kind: Pool(kind, fields, run.out, tuple(sealed[name] for name in names if name.startswith(f"{kind}-")))
        for kind, fields in DUPLICATES_IN.items()
    }
    compared = _compare(run, pools)
    if votes.by_row:  # what this counts is swept away when the step is finished
        run.out.seal(PEOPLE_UNIT, {}, facts=review_facts(votes, _reviewed(pools, recipe.clean.pairs)))
    decided = {kind: _decide(pool, compared, recipe.clean) for kind, pool in pools.items()}
    verdicts = [verdict for kind, pool in pools.items() for verdict in _verdicts(pool, decided[kind])]
    splits = Splits(recipe.seed, recipe.clean.valid_fraction, recipe.clean.split_by_source)
    keep_unit = partial(_keep, out=run.out, held_out=HeldOut.of(held_out_items(recipe)), splits=splits)
    for _ in run.map_units(keep_unit, verdicts, [kept_unit(verdict.unit) for verdict in verdicts]):
        pass


def _compare(run: StepRun, pools: dict[str, Pool]) -> list[Comparison]:
    threshold = run.recipe.clean.duplicates.jaccard
    if threshold is None:
        return []
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


def _decide(pool: Pool, compared: list[Comparison], settings: CleanSettings) -> Decisions:
    found = {}
    for field in pool.fields:
        hashes = pool.numbers(f"{field}_hash")[0].to_numpy()
        found[field] = clusters(hashes, near_pairs(pool.folder, compared, pool.kind, field))
        refuse_giant(pool.kind, field, hashes, found[field], settings.duplicates.max_cluster_share)
    ranking, wanted = _ranking(pool), pool.numbers("vote")["vote"].to_numpy() > 0
    boilerplate = _boilerplate(pool, ranking, settings.pairs) & ~wanted
    return decide(pool.kind, ranking, found, boilerplate, _dropped_in(pool.kind, settings.duplicates))


def _ranking(pool: Pool, *, ask_people: bool = True) -> Ranking:
    ids, urls, votes, *sizes = (column.to_numpy() for column in pool.numbers("id", "url", "vote", "question_size", "text_size"))
    return Ranking(ids, urls, sizes[0] + sizes[1] + votes.astype(np.int64) * (LONGER if ask_people else 0))


def _reviewed(pools: dict[str, Pool], rules: PairRules) -> dict[str, str]:
    """The rows that people decided on, and which filter would drop each ("" for none)."""
    found: dict[str, str] = {}
    for pool in pools.values():
        for path in [shard.path for unit in pool.units for shard in unit.shards if shard.table == REVIEWED.name]:
            rows = pool.folder.read_shard(path)
            found |= dict(zip(rows["id"].to_pylist(), rows["reason"].to_pylist(), strict=True))
        ids, votes = (column.to_numpy() for column in pool.numbers("id", "vote"))
        boilerplate = _boilerplate(pool, _ranking(pool, ask_people=False), rules)
        common = (f"{row:016x}" for row in ids[boilerplate & (votes != 0)].tolist())
        found |= {row: found[row] or "boilerplate" for row in common}
    return found


def _boilerplate(pool: Pool, ranking: Ranking, rules: PairRules) -> np.ndarray:
    numbers = pool.numbers("sentences", "sentence_words", "text_hash", "words")
    texts, words = numbers["text_hash"].to_numpy(), numbers["words"].to_numpy()
    sentences, lengths = (numbers[name].combine_chunks() for name in ("sentences", "sentence_words"))
    return repeating(sentences, lengths, texts, words, ranking, least=rules.boilerplate_answers, most=rules.max_boilerplate)


def _dropped_in(kind: str, rules: DuplicateRules) -> list[str]:
    """The fields whose duplicates are dropped."""
    wanted = {"text": rules.articles} if kind == ARTICLE else {"question": rules.questions, "text": rules.answers}
    return [field for field, is_wanted in wanted.items() if is_wanted]


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
    facts = verdict.facts | {f"{OVERRULED}: {reason}": rows for reason, rows in kept.overruled.items()}
    return out.seal(kept_unit(verdict.unit), kept.tables(), dropped=kept.reasons(), facts=facts)


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
