"""The tokenize step: texts of the clean artifact become sequences of tokens in memory-mappable Arrow shards.

Two rounds of Ray tasks: each shard of texts is encoded; then each finished shard is laid out from the runs of tokens that
belong to it. Between them this process decides on numbers which those are, about 30 bytes a document. So no process holds
more than a shard, and the result does not depend on how the texts were sharded.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cluster.errors import UserError
from cluster.storage import Storage
from pipelines.artifact import ArtifactFolder, UnitRecord, read_shard
from pipelines.steps import Outcome, StepRun
from pipelines.tables import CORPUS, CORPUS_TRAIN, CORPUS_VALID, PAIRS, QA_TRAIN, QA_VALID, Table
from pipelines.tokenization.choice import Row, choose
from pipelines.tokenization.encoding import NO_LABEL, Example, batches, check_tokenizer, encode_documents, encode_pairs
from pipelines.tokenization.layout import laid_out_length, sequences
from pipelines.tokenization.selection import Share, shares
from pipelines.tokenization.settings import TokenizeSettings
from pipelines.tokenization.working import in_batches, numbers_of, read_run, tokens_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Shard = tuple[str, str]  # "corpus" or "pairs", path in the clean artifact
TABLES = {CORPUS.name: {"train": CORPUS_TRAIN, "valid": CORPUS_VALID}, PAIRS.name: {"train": QA_TRAIN, "valid": QA_VALID}}
TEXTS = {CORPUS.name: ("text",), PAIRS.name: ("question", "answer")}
SHARD_TOKENS = 4_000_000  # of a finished shard: 32 MB of tokens and labels
FEW_TOKENS = 1_000_000  # a second's work to lay out: less than it takes to start tasks
COUNTED = ("documents", "sequences", "tokens", "label_tokens")


@dataclass(frozen=True)
class Job:
    """What every task knows."""

    source: Storage
    out: ArtifactFolder
    model: str
    seed: int
    settings: TokenizeSettings
    bos: int | None  # the token that every sequence starts with


@dataclass(frozen=True)
class Finished:
    """A shard to lay out: which rows of which files of tokens are in it."""

    table: Table
    number: int
    runs: tuple[tuple[str, int, int], ...]  # path, first row, the row after the last
    tokens: int

    @property
    def unit(self) -> str:
        return f"{self.table.name}-{self.number:05d}"


def tokenize(run: StepRun) -> Outcome:
    """Encode, select and lay out.

    Raises UserError for a tokenizer that does not fit, a budget that nothing fits in, and when nothing is left to train on.
    """
    clean, recipe = run.inputs["clean"], run.recipe
    tokenizer = _tokenizer(recipe.model)
    check_tokenizer(tokenizer, recipe.model, pairs=clean.rows(PAIRS) > 0)
    job = Job(clean.folder, run.out, recipe.model, recipe.seed, recipe.tokenize, _bos(tokenizer))
    shards: list[Shard] = [(table.name, path) for table in (CORPUS, PAIRS) for path in clean.shards(table)]
    names = [_unit(shard) for shard in shards]
    for _ in run.map_units(partial(_encode, job=job), shards, names):
        pass
    sealed = run.out.sealed()
    encoded = [sealed[name] for name in names]
    _require_rows(encoded)
    finished = [shard for table, budget in _budgets(recipe.tokenize) for shard in _decide(run.out, encoded, table, budget)]
    _lay_out_all(run, job, finished)
    tables = [table.name for table, _ in _budgets(recipe.tokenize)]
    return Outcome(units=[*names, *tables, *(shard.unit for shard in finished)], notes=_notes(recipe.tokenize))


def _budgets(settings: TokenizeSettings) -> tuple[tuple[Table, int | None], ...]:
    """Every table with its budget of tokens; what is held out has none."""
    return ((CORPUS_TRAIN, settings.corpus_tokens), (CORPUS_VALID, None), (QA_TRAIN, settings.qa_tokens), (QA_VALID, None))


def _notes(settings: TokenizeSettings) -> list[str]:
    caps = (("corpus", settings.corpus_tokens), ("qa", settings.qa_tokens))
    return [f"tokenize.{name}_tokens caps the training tokens at {cap:,}" for name, cap in caps if cap is not None]


def _unit(shard: Shard) -> str:
    name, path = shard
    return f"{name}-{PurePosixPath(path).stem}"


@cache
def _tokenizer(model: str) -> PreTrainedTokenizerBase:
    """Loaded once in a process: it takes seconds, and Ray gives a process many shards."""
    from serving.engines.models import load_tokenizer, local_model

    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # a task has one core
    return load_tokenizer(local_model(model))


def _bos(tokenizer: PreTrainedTokenizerBase) -> int | None:
    from serving.engines.models import wants_bos

    return tokenizer.bos_token_id if wants_bos(tokenizer) else None


def _encode(shard: Shard, *, job: Job) -> UnitRecord:
    """The first round: a shard of texts becomes tokens and their numbers."""
    kind, path = shard
    texts, tokenizer, context = read_shard(job.source, path), _tokenizer(job.model), job.settings.context
    fraction = job.settings.corpus_fraction if kind == CORPUS.name else 1.0
    choice = choose(texts, TEXTS[kind], seed=job.seed, fraction=fraction)
    tables, dropped = {}, choice.dropped
    for split, table in TABLES[kind].items():
        rows = [row for row in choice.rows if row.split == split]
        tokens = pa.concat_tables([tokens_of(table).schema.empty_table(), *_encoded(rows, table, tokenizer, context)])
        has_bos = kind == CORPUS.name and job.bos is not None
        lengths = [laid_out_length(length, context, has_bos=has_bos) for length in _lengths(tokens)]
        tables[tokens_of(table)] = in_batches(tokens)
        tables[numbers_of(table)] = pa.table({"position": tokens["position"], "tokens": lengths})
        if too_long := len(rows) - tokens.num_rows:
            dropped["answer-too-long"] += too_long
    return job.out.seal(_unit(shard), tables, rows_in=texts.num_rows, dropped=dropped)


def _encoded(rows: list[Row], table: Table, tokenizer: PreTrainedTokenizerBase, context: int) -> Iterator[pa.Table]:
    """Rows of tokens, a batch of texts at a time."""
    for batch in batches([row.characters for row in rows]):
        examples = _examples([row.texts for row in rows[batch]], tokenizer, context)
        used = [(row, example) for row, example in zip(rows[batch], examples, strict=True) if example]
        yield pa.table(
            {
                "id": [row.id for row, _ in used],
                "source": [row.source for row, _ in used],
                "position": [row.position for row, _ in used],
                "prompt": [example.prompt for _, example in used],
                "input_ids": [example.input_ids for _, example in used],
            },
            schema=tokens_of(table).schema,
        )


def _examples(texts: Sequence[tuple[str, ...]], tokenizer: PreTrainedTokenizerBase, context: int) -> Sequence[Example | None]:
    if len(texts[0]) == 1:
        return encode_documents(tokenizer, [text for (text,) in texts])
    return encode_pairs(tokenizer, [(question, answer) for question, answer in texts], context)


def _lengths(tokens: pa.Table) -> list[int]:
    lengths: list[int] = pc.list_value_length(tokens["input_ids"]).to_pylist()
    return lengths


def _require_rows(encoded: list[UnitRecord]) -> None:
    """Raise UserError when there is nothing to train on."""
    trained = {tokens_of(table).name for table in (CORPUS_TRAIN, QA_TRAIN)}
    if any(shard.table in trained for unit in encoded for shard in unit.shards):
        return
    rows, dropped = sum(unit.rows_in for unit in encoded), Counter[str]()
    for unit in encoded:
        dropped.update(unit.dropped)
    if not rows:
        raise UserError("tokenize has nothing to do: clean left neither documents nor pairs; look at what clean dropped")
    biggest = ", ".join(f"{reason} {number:,}" for reason, number in dropped.most_common(3)) or "all are held out"
    raise UserError(f"tokenize left nothing to train on of {rows:,} rows ({biggest}); relax the settings that these name")


def _decide(out: ArtifactFolder, encoded: list[UnitRecord], table: Table, budget: int | None) -> Iterator[Finished]:
    """The shards of a table, on numbers alone; a unit of the table's name counts the documents beyond the budget."""
    paths, keys, lengths = [], [], []
    for unit in encoded:
        found = {shard.table: shard.path for shard in unit.shards}
        if tokens_of(table).name in found:
            numbers = out.read_shard(found[numbers_of(table).name])
            paths.append(found[tokens_of(table).name])
            keys.append(numbers["position"].to_numpy())
            lengths.append(numbers["tokens"].to_numpy())
    chosen = shares(keys, lengths, budget, SHARD_TOKENS)
    if keys and not chosen:
        setting, first = _budget_of(table), _first(keys, lengths)
        raise UserError(f"tokenize.{setting} = {budget}: the first document has {first:,} tokens; raise it")
    unused = sum(map(len, keys)) - sum(part.stop - part.start for share in chosen for part in share.runs)
    facts = {**dict.fromkeys(COUNTED, 0), **{f"{table.name} {name}": 0 for name in COUNTED}}
    out.seal(table.name, {}, dropped={"token-budget": unused} if unused else {}, facts=facts)
    for number, share in enumerate(chosen):
        yield _finished(table, number, share, paths)


def _budget_of(table: Table) -> str:
    return "corpus_tokens" if table == CORPUS_TRAIN else "qa_tokens"


def _first(keys: list[np.ndarray], lengths: list[np.ndarray]) -> int:
    """Tokens of the first document of the order."""
    return int(np.concatenate(lengths)[np.concatenate(keys).argmin()])


def _finished(table: Table, number: int, share: Share, paths: list[str]) -> Finished:
    runs = tuple((paths[run.part], run.start, run.stop) for run in share.runs)
    return Finished(table, number, runs, share.tokens)


def _lay_out_all(run: StepRun, job: Job, finished: list[Finished]) -> None:
    """The second round: in tasks where it is worth it."""
    lay_out = partial(_lay_out, job=job)
    if sum(shard.tokens for shard in finished) > FEW_TOKENS:
        for _ in run.map_units(lay_out, finished, [shard.unit for shard in finished]):
            pass
        return
    sealed = run.out.sealed()
    for shard in finished:
        if shard.unit not in sealed:
            lay_out(shard)


def _lay_out(shard: Finished, *, job: Job) -> UnitRecord:
    """A finished shard: its documents in the seeded order, in the layout."""
    rows = pa.concat_tables([read_run(job.out.folder, *run) for run in shard.runs]).combine_chunks()
    documents = rows.take(np.argsort(rows["position"].to_numpy(), kind="stable"))
    laid_out = sequences(shard.table, documents, job.settings.context, job.settings.layout, job.bos)
    labels = laid_out["labels"].combine_chunks().values.to_numpy()
    counts = (documents.num_rows, laid_out.num_rows, len(labels), int((labels != NO_LABEL).sum()))
    facts = dict(zip(COUNTED, counts, strict=True))
    facts |= {f"{shard.table.name} {name}": number for name, number in facts.items()}
    return job.out.seal(shard.unit, {shard.table: laid_out}, facts=facts)
