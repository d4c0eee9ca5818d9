"""The data sets that steps leave behind: their Arrow schemas, written down once.

A *volatile* column (a time, a duration) may differ between two runs that did the same work, so it stays
out of the content digest. A *restricted* table holds raw patient text or URLs and is never published.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

_MODULUS = 1 << 256


@dataclass(frozen=True)
class Table:
    """One data set of an artifact: a folder of shards with this schema."""

    name: str
    schema: pa.Schema
    volatile: frozenset[str] = frozenset()
    restricted: bool = False
    format: str = "parquet"  # or "arrow": memory-mapped IPC files
    working: bool = False  # swept away when the step is finished, so nobody asks for its digest

    def table(self, rows: list[dict[str, Any]]) -> pa.Table:
        """Rows as an Arrow table of this schema. Raises pa.ArrowInvalid on a value of the wrong type."""
        return pa.Table.from_pylist(rows, schema=self.schema)

    def digest(self, table: pa.Table) -> RowsDigest:
        """The content digest of these rows, whatever their order."""
        kept = [name for name in self.schema.names if name not in self.volatile]
        digest = RowsDigest()
        for batch in table.select(kept).to_batches(max_chunksize=4096):
            digest.add(pa.RecordBatch.from_arrays([_tokens_as_bytes(column) for column in batch.columns], kept).to_pylist())
        return digest


@dataclass
class RowsDigest:
    """An order-free digest of rows: the sum of their SHA-256 modulo 2**256, and their number.

    A sum, unlike XOR, tells one row from three. About 8 µs a short row.
    """

    total: int = 0
    rows: int = 0

    def add(self, rows: list[dict[str, Any]]) -> None:
        for row in rows:
            self.total += int.from_bytes(hashlib.sha256(_as_json(row).encode("utf-8", "surrogatepass")).digest(), "big")
        self.total %= _MODULUS
        self.rows += len(rows)

    def merge(self, other: RowsDigest) -> None:
        self.total = (self.total + other.total) % _MODULUS
        self.rows += other.rows

    def hex(self) -> str:
        return f"{self.total:064x}"

    @classmethod
    def of_hex(cls, text: str, rows: int) -> RowsDigest:
        return cls(int(text, 16), rows)


def _tokens_as_bytes(column: pa.Array) -> pa.Array:
    """A column of token lists as one of bytes, without a copy; any other as it is. A token then costs 5 ns and not 300."""
    if column.type != _TOKENS or column.null_count or column.values.null_count:
        return column
    places = pa.py_buffer(column.offsets.to_numpy().astype(np.int64) * 4)
    return pa.Array.from_buffers(pa.large_binary(), len(column), [None, places, pa.py_buffer(column.values.to_numpy())])


def _encode(value: Any) -> str:
    return hashlib.sha256(value).hexdigest() if isinstance(value, bytes) else str(value)


# Made once: `json.dumps` makes an encoder for every row.
_as_json = json.JSONEncoder(sort_keys=True, ensure_ascii=False, default=_encode, separators=(",", ":")).encode


def _schema(**columns: pa.DataType) -> pa.Schema:
    return pa.schema([pa.field(name, kind) for name, kind in columns.items()])


_S, _I = pa.string(), pa.int64()
_TOKENS = pa.list_(pa.int32())

# crawl ------------------------------------------------------------------------------------------
PAGES = Table(
    "pages",
    _schema(
        url=_S,  # canonical form of the URL that was asked for
        final_url=_S,  # after redirects
        source=_S,
        status=pa.int32(),
        content_type=_S,
        charset=_S,  # the encoding that the text was decoded with
        replaced_bytes=_I,  # bytes that could not be decoded
        body=_S,  # the decoded document
        depth=pa.int32(),
        found_on=_S,
        rendered=pa.bool_(),  # by a browser
        canonical=_S,  # what the page says its own address is, where that is on the same site
        noindex=pa.bool_(),  # robots meta or X-Robots-Tag
        etag=_S,
        last_modified=_S,
        fetched_at=_S,  # ISO 8601, UTC
    ),
    volatile=frozenset({"fetched_at", "found_on", "depth", "etag", "last_modified"}),
    restricted=True,
)
FAILURES = Table("failures", _schema(url=_S, source=_S, reason=_S, detail=_S), volatile=frozenset({"detail"}), restricted=True)
# What a host's owner knows, as a journal: the frontier is rebuilt from it. It stays beside the pages, for a refresh.
FRONTIER = Table(
    "frontier",
    _schema(
        seq=_I,  # the order in which URLs were found
        url=_S,
        source=_S,
        kind=_S,  # page or sitemap
        depth=pa.int32(),
        found_on=_S,
        state=_S,
        attempts=pa.int32(),
        retry_at=pa.float64(),
        checked_at=pa.float64(),  # when it was last asked for, unix seconds
        etag=_S,
        last_modified=_S,
        shape=_S,
    ),
    restricted=True,
)

# extract ----------------------------------------------------------------------------------------
ARTICLES = Table("articles", _schema(url=_S, source=_S, title=_S, text=_S, published=_S), restricted=True)
QA = Table("qa", _schema(url=_S, source=_S, title=_S, question=_S, answer=_S), restricted=True)

# clean: what everything after it may see --------------------------------------------------------
CORPUS = Table("corpus", _schema(id=_S, source=_S, title=_S, text=_S, words=_I, split=_S))
PAIRS = Table("pairs", _schema(id=_S, source=_S, question=_S, answer=_S, words=_I, split=_S))
LINEAGE = Table("lineage", _schema(id=_S, kind=_S, source=_S, url=_S), restricted=True)
# Texts as they were found. Only clean, which knows them, fills in `id` and, of pairs, `question`.
DROPPED = Table("dropped", _schema(id=_S, kind=_S, source=_S, url=_S, reason=_S, question=_S, text=_S), restricted=True)
# What was dropped for a test set, beside the item that was found in it. `text` is the row's redacted text.
CONTAMINATED = Table(
    "contaminated", _schema(id=_S, kind=_S, source=_S, test_set=_S, item=_I, item_text=_S, text=_S), restricted=True
)

# tokenize: one row a training sequence ----------------------------------------------------------
# `ids` names the corpus rows or pairs in it, `sources` where each is from; `document_lengths` where their tokens end, in order.
_SEQUENCES = _schema(input_ids=_TOKENS, labels=_TOKENS, document_lengths=_TOKENS, ids=pa.list_(_S), sources=pa.list_(_S))
CORPUS_TRAIN = Table("corpus_train", _SEQUENCES, format="arrow")
CORPUS_VALID = Table("corpus_valid", _SEQUENCES, format="arrow")
QA_TRAIN = Table("qa_train", _SEQUENCES, format="arrow")
QA_VALID = Table("qa_valid", _SEQUENCES, format="arrow")

# train ------------------------------------------------------------------------------------------
TRAIN_LOG = Table(
    "log",
    _schema(
        step=_I,
        epoch=pa.float64(),
        loss=pa.float64(),
        learning_rate=pa.float64(),
        grad_norm=pa.float64(),
        tokens=_I,
        label_tokens=_I,
        valid_loss=pa.float64(),
        seconds=pa.float64(),
        tokens_per_second=pa.float64(),
        tokens_per_second_padded=pa.float64(),
        mfu=pa.float64(),
        memory_bytes=_I,
    ),
    volatile=frozenset({"valid_loss", "seconds", "tokens_per_second", "tokens_per_second_padded", "mfu", "memory_bytes"}),
)

# evaluate ---------------------------------------------------------------------------------------
ANSWERS = Table(
    "answers",
    _schema(
        task=_S,
        model=_S,
        method=_S,  # method: likelihood | generate | perplexity | free-form
        item=_S,
        prompt=_S,
        gold=_S,
        prediction=_S,  # an unreadable answer is "invalid"
        correct=pa.bool_(),
        text=_S,
        logprob=pa.float64(),
        tokens=_I,
        seconds=pa.float64(),
    ),
    volatile=frozenset({"seconds"}),
)
JUDGEMENTS = Table(
    "judgements",
    _schema(
        task=_S,
        item=_S,
        model_a=_S,
        model_b=_S,
        order=_S,
        verdict=_S,
        winner=_S,
        margin=pa.float64(),
        judge=_S,
        seconds=pa.float64(),
    ),
    volatile=frozenset({"seconds"}),
)
SCORES = Table(
    "scores",
    _schema(
        task=_S, model=_S, method=_S, metric=_S, value=pa.float64(), low=pa.float64(), high=pa.float64(), items=_I, invalid=_I
    ),
)
