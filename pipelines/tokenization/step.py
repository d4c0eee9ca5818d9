"""The tokenize step: texts of the clean artifact become sequences of tokens in memory-mappable Arrow shards.

First half: Ray tasks, one shard of texts each, leave tokens. Second half: this process applies the budgets and the
layout, so the result does not depend on how the texts were sharded; it
holds some 8 bytes a token of the table at hand.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from cluster.errors import UserError
from cluster.storage import Storage
from pipelines.artifact import ArtifactFolder, UnitRecord, read_shard
from pipelines.steps import Outcome, StepRun
from pipelines.tables import CORPUS, CORPUS_TRAIN, CORPUS_VALID, PAIRS, QA_TRAIN, QA_VALID, Table
from pipelines.tokenization.encoding import NO_LABEL, Example, encode_document, encode_pair
from pipelines.tokenization.layout import laid_out_length, pack, windows
from pipelines.tokenization.selection import in_fraction, order_key, within_budget
from pipelines.tokenization.settings import TokenizeSettings

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Shard = tuple[str, str]  # "corpus" or "pairs", path in the clean artifact
SPLITS = ("train", "valid")  # a split of its own for tests is never trained on
SHARD_TOKENS = 16_000_000  # of a finished shard: 64 MB of token ids

# Working rows of the step, swept away when it is finished. `position`: where the document stands in the seeded order.
TOKENS = Table(
    "tokens",
    pa.schema(
        [
            *(pa.field(name, pa.string()) for name in ("table", "id", "source")),
            pa.field("position", pa.uint64()),
            *(pa.field(name, pa.list_(pa.int32())) for name in ("input_ids", "labels")),  # no labels: the tokens themselves
        ]
    ),
    format="arrow",
)


def tokenize(run: StepRun) -> Outcome:
    """Encode, select and lay out. Raises UserError for a model without a tokenizer or a budget that nothing fits in."""
    clean, recipe = run.inputs["clean"], run.recipe
    shards: list[Shard] = [(table.name, path) for table in (CORPUS, PAIRS) for path in clean.shards(table)]
    names = [_unit(shard) for shard in shards]
    encode = partial(_encode, source=clean.folder, out=run.out, model=recipe.model, settings=recipe.tokenize, seed=recipe.seed)
    for _ in run.map_units(encode, shards, names):
        pass
    sealed = run.out.sealed()
    for table, budget in _budgets(recipe.tokenize):
        if table.name not in sealed:
            tokens = _tokens_of(run.out, [sealed[name] for name in names], table)
            _seal_table(run.out, table, tokens, budget, recipe.tokenize, _bos(recipe.model))
    finished = [unit for unit in run.out.sealed() if unit not in names]
    return Outcome(units=[*names, *finished], notes=_notes(recipe.tokenize))


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

    return load_tokenizer(local_model(model))


def _bos(model: str) -> int | None:
    from serving.engines.models import wants_bos

    tokenizer = _tokenizer(model)
    return tokenizer.bos_token_id if wants_bos(tokenizer) else None


def _encode(
    shard: Shard, *, source: Storage, out: ArtifactFolder, model: str, settings: TokenizeSettings, seed: int
) -> UnitRecord:
    name, path = shard
    rows = read_shard(source, path).to_pylist()
    select = _documents if name == CORPUS.name else _pairs
    encoded, dropped = select(rows, _tokenizer(model), settings, seed)
    return out.seal(_unit(shard), {TOKENS: TOKENS.table(encoded)}, rows_in=len(rows), dropped=dropped)


def _documents(
    rows: list[dict[str, Any]], tokenizer: PreTrainedTokenizerBase, settings: TokenizeSettings, seed: int
) -> tuple[list[dict[str, Any]], dict[str, int]]:
    def encode(row: dict[str, Any]) -> Example:
        return Example(encode_document(tokenizer, row["text"]), [])

    return _encode_rows(rows, "corpus", encode, seed, fraction=settings.corpus_fraction)


def _pairs(
    rows: list[dict[str, Any]], tokenizer: PreTrainedTokenizerBase, settings: TokenizeSettings, seed: int
) -> tuple[list[dict[str, Any]], dict[str, int]]:
    def encode(row: dict[str, Any]) -> Example | None:
        return encode_pair(tokenizer, row["question"], row["answer"], settings.context)

    return _encode_rows(rows, "qa", encode, seed, fraction=1.0)


def _encode_rows(
    rows: list[dict[str, Any]], prefix: str, encode: Callable[[dict[str, Any]], Example | None], seed: int, fraction: float
) -> tuple[list[dict[str, Any]], dict[str, int]]:
    encoded, dropped = [], Counter[str]()
    for row in rows:
        position = order_key(seed, row["id"])
        if row["split"] not in SPLITS:
            dropped[f"split-{row['split']}"] += 1
        elif row["split"] == "train" and not in_fraction(position, fraction):
            dropped["outside-fraction"] += 1
        elif (example := encode(row)) is None:
            dropped["answer-too-long"] += 1
        else:
            encoded.append(
                {
                    "table": f"{prefix}_{row['split']}",
                    "id": row["id"],
                    "source": row["source"],
                    "position": position,
                    "input_ids": example.input_ids,
                    "labels": example.labels,
                }
            )
    return encoded, dict(dropped)


def _tokens_of(out: ArtifactFolder, records: list[UnitRecord], table: Table) -> pa.Table:
    """A table's encoded documents in the seeded order."""
    parts = [TOKENS.schema.empty_table()]
    for shard in (shard for record in records for shard in record.shards):
        rows = out.read_shard(shard.path)
        parts.append(rows.filter(pc.equal(rows["table"], table.name)))
    return pa.concat_tables(parts).sort_by([("position", "ascending"), ("id", "ascending")])


def _seal_table(
    out: ArtifactFolder, table: Table, tokens: pa.Table, budget: int | None, settings: TokenizeSettings, bos: int | None
) -> None:
    """Apply the budget and the layout, and write the sequences; the unit with the table's name comes last of its shards."""
    is_corpus = table.name.startswith(CORPUS.name)
    lengths = pc.list_value_length(tokens["input_ids"]).to_numpy().astype(np.int64)
    if is_corpus:
        lengths = np.array([laid_out_length(int(n), settings.context, bos is not None) for n in lengths], dtype=np.int64)
    used = within_budget(lengths, budget)
    if not used and len(lengths):
        setting = "corpus_tokens" if is_corpus else "qa_tokens"
        raise UserError(f"tokenize.{setting} = {budget}: the first document has {lengths[0]:,} tokens; raise it")
    pieces = list(_pieces(tokens.slice(0, used), settings.context, bos))
    sizes = [len(piece.input_ids) for piece in pieces]
    plan = pack(sizes, settings.context) if settings.layout == "packed" else [[index] for index in range(len(pieces))]
    for number, part in enumerate(_shards(plan, sizes)):
        out.seal(f"{table.name}-{number:05d}", {table: _sequences(table, [[pieces[index] for index in group] for group in part])})
    facts = {
        "documents": used,
        "sequences": len(plan),
        "tokens": sum(sizes),
        "label_tokens": sum(int((piece.labels != NO_LABEL).sum()) for piece in pieces),
    }
    facts |= {f"{table.name} {name}": number for name, number in facts.items()}
    out.seal(table.name, {}, dropped={"token-budget": len(lengths) - used} if used < len(lengths) else {}, facts=facts)


@dataclass(frozen=True)
class Piece:
    """One window of one document."""

    id: str
    source: str
    input_ids: NDArray[np.int32]
    labels: NDArray[np.int32]


def _pieces(tokens: pa.Table, context: int, bos: int | None) -> Iterator[Piece]:
    """A pair is one piece; a document is one for each of its windows, and every token of it is a label."""
    columns = (tokens[name] for name in ("id", "source", "input_ids", "labels"))
    for name, source, ids, labels in zip(*columns, strict=True):
        values, origin = ids.values.to_numpy(), (name.as_py(), source.as_py())
        if len(labels):
            yield Piece(*origin, values, labels.values.to_numpy())
        else:
            yield from (Piece(*origin, window, window) for window in windows(values, context, bos))


def _shards(plan: list[list[int]], sizes: list[int]) -> Iterator[list[list[int]]]:
    """The plan in parts of about SHARD_TOKENS."""
    part: list[list[int]] = []
    tokens = 0
    for group in plan:
        part.append(group)
        tokens += sum(sizes[index] for index in group)
        if tokens >= SHARD_TOKENS:
            yield part
            part, tokens = [], 0
    if part:
        yield part


def _sequences(table: Table, groups: list[list[Piece]]) -> pa.Table:
    columns = {
        "input_ids": [np.concatenate([piece.input_ids for piece in group]) for group in groups],
        "labels": [np.concatenate([piece.labels for piece in group]) for group in groups],
        "document_lengths": [[len(piece.input_ids) for piece in group] for group in groups],
        "ids": [[piece.id for piece in group] for group in groups],
        "sources": [[piece.source for piece in group] for group in groups],
    }
    return pa.table(columns, schema=table.schema)
