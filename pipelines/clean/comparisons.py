"""The pairs of candidates that may be near-duplicates, in batches that tasks compare: numbers here, texts only there.

A field at a time is in memory, at most 272 bytes a row; a task holds the texts of one batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa

from pipelines.artifact import ArtifactFolder, UnitRecord
from pipelines.clean.candidates import CANDIDATES, SIGNATURES
from pipelines.clean.duplicates import firsts, near, proposed
from pipelines.clean.signatures import VALUES
from pipelines.tables import Table

BATCH_CHARACTERS = 1 << 22  # in the texts of a batch's pairs; 40 bytes of memory each
UNIT = "near"  # how names of the units begin

# Working rows of the step: pairs of candidates that are near-duplicates, by their places among those of their kind.
NEAR = Table("near", pa.schema([("first", pa.int64()), ("second", pa.int64())]), working=True)


@dataclass(frozen=True)
class Pool:
    """All candidates of one kind, numbered through in the order of their units."""

    kind: str
    fields: tuple[str, ...]  # the texts that duplicates are looked for in
    folder: ArtifactFolder
    units: tuple[UnitRecord, ...]

    @property
    def shards(self) -> list[tuple[int, str]]:
        """The number of the first row and the path of every shard of candidates."""
        found = [shard for unit in self.units for shard in unit.shards if shard.table == CANDIDATES.name]
        starts = np.cumsum([0, *(shard.rows for shard in found)]).tolist()
        return [(start, shard.path) for start, shard in zip(starts, found, strict=False)]

    def numbers(self, *columns: str) -> pa.Table:
        """Columns of SIGNATURES, of all rows."""
        paths = [shard.path for unit in self.units for shard in unit.shards if shard.table == SIGNATURES.name]
        empty = SIGNATURES.schema.empty_table().select(columns)
        return pa.concat_tables([empty, *(self.folder.read_shard(path, list(columns)) for path in paths)]).combine_chunks()

    def texts(self, field: str, rows: np.ndarray) -> list[str]:
        """One text of each of these rows, which are sorted; a shard at a time is in memory."""
        shards = self.shards
        found: list[str] = []
        for here, (start, path) in zip(np.split(rows, np.searchsorted(rows, [s for s, _ in shards[1:]])), shards, strict=True):
            if len(here):
                found += self.folder.read_shard(path, [field])[field].take(pa.array(here - start)).to_pylist()
        return found


@dataclass(frozen=True)
class Comparison:
    """A batch of proposed pairs."""

    unit: str
    kind: str
    field: str
    by_words: bool
    pairs: np.ndarray  # (pairs, 2)

    def run(self, *, pools: dict[str, Pool], threshold: float, out: ArtifactFolder) -> UnitRecord:
        """Compare the texts and seal the pairs that are near-duplicates."""
        found = near(self.pairs, partial(pools[self.kind].texts, self.field), threshold, self.by_words)
        rows = pa.table({"first": found[:, 0], "second": found[:, 1]}, schema=NEAR.schema)
        return out.seal(self.unit, {NEAR: rows}, facts={f"{self.kind} pairs compared": len(self.pairs)})


def comparisons(pool: Pool, threshold: float) -> Iterator[Comparison]:
    """Every pair that signatures propose, of texts that differ: the same batches whenever it is asked."""
    for field in pool.fields:
        numbers = pool.numbers(*(f"{field}_{name}" for name in ("hash", "size", "characters", "words")))
        sizes = numbers[f"{field}_size"].to_numpy()
        rows = firsts(numbers[f"{field}_hash"].to_numpy())
        for by_words, name in ((False, "characters"), (True, "words")):
            signed = rows[numbers[f"{field}_{name}"].is_valid().to_numpy()[rows]]
            pairs = np.sort(signed[proposed(_matrix(numbers[f"{field}_{name}"].take(pa.array(signed))), threshold)], axis=1)
            pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
            for number, batch in enumerate(_batches(pairs, sizes)):
                yield Comparison(f"{UNIT}-{pool.kind}-{field}-{name}-{number:05}", pool.kind, field, by_words, batch)


def near_pairs(folder: ArtifactFolder, done: list[Comparison], kind: str, field: str) -> np.ndarray:
    """What the comparisons of one field found, shape (pairs, 2)."""
    records = [folder.record(one.unit) for one in done if (one.kind, one.field) == (kind, field)]
    found = [folder.read_shard(shard.path) for record in records for shard in record.shards]
    table = pa.concat_tables([NEAR.schema.empty_table(), *found])
    return np.stack([table["first"].to_numpy(), table["second"].to_numpy()], axis=1)


def _matrix(column: pa.ChunkedArray) -> np.ndarray:
    """Signatures as uint8, shape (rows, VALUES)."""
    joined = column.combine_chunks()
    values = np.frombuffer(joined.buffers()[1] or b"", dtype=np.uint8)
    return values[joined.offset * VALUES : (joined.offset + len(joined)) * VALUES].reshape(-1, VALUES)


def _batches(pairs: np.ndarray, sizes: np.ndarray) -> list[np.ndarray]:
    """Cut the pairs so that the texts of each part have about BATCH_CHARACTERS."""
    if not len(pairs):
        return []
    number = np.cumsum(sizes[pairs].sum(axis=1), dtype=np.int64) // BATCH_CHARACTERS
    return np.split(pairs, np.flatnonzero(np.diff(number)) + 1)
