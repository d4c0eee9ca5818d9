"""What a step leaves behind: sealed units while it works, `artifact.json` when it is finished.

A step's folder is `DIR/<step>/<fingerprint>/`. Work is cut into *units* (one input shard, one host's slice,
one batch of samples). A unit's rows are written first and its record last, so a unit is done or not done;
a killed run redoes only units without a record. `artifact.json` adds the records up and comes last of all.
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
import time
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict

from cluster.errors import UserError
from cluster.storage import Storage
from pipelines.tables import RowsDigest, Table

MANIFEST = "artifact.json"
UNITS = ".units"
VERSIONS_OF = ("ray", "torch", "transformers", "peft", "deepspeed", "pyarrow", "aiohttp")


def fingerprint(value: Any) -> str:
    """A short name (16 hex digits of SHA-256) for a JSON-like value."""
    encoded = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(encoded.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def file_digest(path: Path) -> str:
    """SHA-256 of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class AlreadySealed(RuntimeError):
    """Another worker sealed this unit first; what this one did is not needed."""


class Shard(BaseModel):
    """One file of one table."""

    model_config = ConfigDict(frozen=True)

    table: str
    path: str
    rows: int
    digest: str


class UnitRecord(BaseModel):
    """What one finished unit of work took in, left and dropped. `facts` are numbers worth keeping, added up."""

    model_config = ConfigDict(frozen=True)

    unit: str
    rows_in: int = 0
    dropped: dict[str, int] = {}
    facts: dict[str, float] = {}
    shards: list[Shard] = []


def rows_digest(shards: Iterable[Shard]) -> RowsDigest:
    """The digest of all their rows."""
    digest = RowsDigest()
    for shard in shards:
        digest.merge(RowsDigest.of_hex(shard.digest, shard.rows))
    return digest


class TableRecord(BaseModel):
    """One table of a finished artifact."""

    rows: int
    digest: str
    columns: list[str]
    restricted: bool
    shards: list[str]

    def over(self, shards: Iterable[Shard]) -> TableRecord:
        """The same table where these are its shards, which were written again."""
        digest = rows_digest(shards)
        return self.model_copy(update={"rows": digest.rows, "digest": digest.hex()})


class Input(BaseModel):
    """Something a step read: an artifact, a file or a model, by content."""

    digest: str
    path: str = ""


class Manifest(BaseModel):
    """The text of `artifact.json`."""

    step: str
    version: int
    fingerprint: str
    digest: str
    settings: dict[str, Any]
    inputs: dict[str, Input]
    rows_in: int
    rows_out: int
    dropped: dict[str, int]
    facts: dict[str, float]
    tables: dict[str, TableRecord]
    files: dict[str, str]
    notes: list[str]
    versions: dict[str, str]
    started: float
    seconds: float
    peak_memory_bytes: int


class Artifact:
    """A finished step, for reading."""

    def __init__(self, folder: Storage, manifest: Manifest) -> None:
        self.folder, self.manifest = folder, manifest

    @classmethod
    def load(cls, folder: Storage) -> Artifact | None:
        """The artifact in a folder; None when it is not finished. Raises UserError for a damaged manifest."""
        try:
            text = folder.read(MANIFEST)
        except FileNotFoundError:
            return None
        try:
            return cls(folder, Manifest.model_validate_json(text))
        except ValueError as error:
            raise UserError(f"{folder.url}/{MANIFEST} is damaged; delete that folder and run again") from error

    @property
    def digest(self) -> str:
        return self.manifest.digest

    def shards(self, table: Table) -> list[str]:
        """Paths of a table's shards, in their order."""
        record = self.manifest.tables.get(table.name)
        return record.shards if record else []

    def rows(self, table: Table) -> int:
        record = self.manifest.tables.get(table.name)
        return record.rows if record else 0

    def read_shard(self, path: str, columns: list[str] | None = None) -> pa.Table:
        """One shard as an Arrow table."""
        return read_shard(self.folder, path, columns)

    def batches(self, table: Table, columns: list[str] | None = None) -> Iterator[pa.Table]:
        """A table, a shard at a time."""
        for path in self.shards(table):
            yield self.read_shard(path, columns)

    def read(self, table: Table, columns: list[str] | None = None) -> pa.Table:
        """A whole (small) table in memory."""
        parts = list(self.batches(table, columns))
        schema = table.schema if columns is None else pa.schema([table.schema.field(c) for c in columns])
        return pa.concat_tables(parts) if parts else schema.empty_table()

    def local(self, prefix: str, cache: Path) -> Path:
        """A local folder with the files below `prefix`."""
        return self.folder.local(prefix, cache)


class ArtifactFolder:
    """A step's folder while the step works. Picklable: tasks on other nodes seal units in it."""

    def __init__(self, folder: Storage) -> None:
        self.folder = folder

    def seal(
        self,
        unit: str,
        tables: Mapping[Table, pa.Table],
        *,
        rows_in: int = 0,
        dropped: Mapping[str, int] | None = None,
        facts: Mapping[str, float] | None = None,
        attempt: str = "",
    ) -> UnitRecord:
        """Write a unit's shards, then its record. Raises StorageFull.

        `attempt`: where several workers may try the same unit at once (a host whose owner was thought dead), the name of
        this try; the first record stands and a later one raises AlreadySealed.
        """
        shards = []
        for table, rows in tables.items():
            if rows.num_rows:
                rows = rows.select(table.schema.names).cast(table.schema)
                path = f"{table.name}/{unit}{'.' if attempt else ''}{attempt}.{table.format}"
                self.folder.write(path, _shard_bytes(table, rows))
                digest = "" if table.working else table.digest(rows).hex()
                shards.append(Shard(table=table.name, path=path, rows=rows.num_rows, digest=digest))
        record = UnitRecord(unit=unit, rows_in=rows_in, dropped=dict(dropped or {}), facts=dict(facts or {}), shards=shards)
        encoded = record.model_dump_json().encode()
        if not attempt:
            self.folder.write(f"{UNITS}/{unit}.json", encoded)
        elif not self.folder.create(f"{UNITS}/{unit}.json", encoded):
            raise AlreadySealed(f"{unit} was sealed by another worker")
        return record

    def sealed(self) -> dict[str, UnitRecord]:
        """Every finished unit by name, in the order of their names."""
        records = (UnitRecord.model_validate_json(self.folder.read(path)) for path in self.folder.list(UNITS))
        return {record.unit: record for record in records}

    def record(self, unit: str) -> UnitRecord:
        """One finished unit. Raises FileNotFoundError."""
        return UnitRecord.model_validate_json(self.folder.read(f"{UNITS}/{unit}.json"))

    def read_shard(self, path: str, columns: list[str] | None = None) -> pa.Table:
        return read_shard(self.folder, path, columns)

    def rewrite(self, table: Table, shard: Shard, rows: pa.Table) -> Shard:
        """Put these rows in the place of a shard's. Its new description is for the unit's record, which the caller writes."""
        self.folder.write(shard.path, _shard_bytes(table, rows))
        return shard.model_copy(update={"rows": rows.num_rows, "digest": table.digest(rows).hex()})

    def finish(
        self,
        *,
        step: str,
        version: int,
        settings: dict[str, Any],
        inputs: dict[str, Input],
        tables: tuple[Table, ...],
        started: float,
        units: list[str] | None = None,
        files: tuple[str, ...] = (),
        volatile_files: tuple[str, ...] = (),
        notes: list[str] | None = None,
        peak_memory_bytes: int = 0,
    ) -> Artifact:
        """Add the units up and write `artifact.json`.

        `units`: which to count (all by default). `files`: folders of plain files (a model, a report) that belong
        to the artifact; those under `volatile_files` are kept but stay out of the digest.
        Tables that are not in `tables` are working data of the step and are swept away.
        """
        sealed = self.sealed()
        records = [sealed[name] for name in (units if units is not None else sorted(sealed))]
        kept = {table.name: self._table_record(table, records) for table in tables}
        digests = self._file_digests(files)
        self._sweep({path for record in kept.values() for path in record.shards} | set(digests))
        counted = {path: digest for path, digest in digests.items() if not path.startswith(volatile_files or ("\0",))}
        manifest = Manifest(
            step=step,
            version=version,
            fingerprint=self.folder.url.rsplit("/", 1)[1],
            digest=content_digest(kept, counted),
            settings=settings,
            inputs=inputs,
            rows_in=sum(record.rows_in for record in records),
            rows_out=sum(record.rows for record in kept.values()),
            dropped=_add_up(record.dropped for record in records),
            facts=_add_up(record.facts for record in records),
            tables=kept,
            files=digests,
            notes=notes or [],
            versions=_versions(),
            started=started,
            seconds=round(time.time() - started, 3),
            peak_memory_bytes=peak_memory_bytes,
        )
        self.folder.create(MANIFEST, manifest.model_dump_json(indent=1).encode())
        return Artifact(self.folder, manifest)

    def _table_record(self, table: Table, records: list[UnitRecord]) -> TableRecord:
        shards = [shard for record in records for shard in record.shards if shard.table == table.name]
        digest = rows_digest(shards)
        paths = [shard.path for shard in shards]
        if not paths:  # readers find the schema even where nothing was kept
            paths = [f"{table.name}/empty.{table.format}"]
            self.folder.write(paths[0], _shard_bytes(table, table.schema.empty_table()))
        return TableRecord(
            rows=digest.rows, digest=digest.hex(), columns=table.schema.names, restricted=table.restricted, shards=paths
        )

    def _file_digests(self, prefixes: tuple[str, ...]) -> dict[str, str]:
        """Of the files that a prefix names, and of those in the folders that it names."""
        paths = [
            path for path in self.folder.list() if path in prefixes or path.startswith(tuple(f"{name}/" for name in prefixes))
        ]
        return {path: self._file_digest(path) for path in paths}

    def _file_digest(self, path: str) -> str:
        digest = hashlib.sha256()
        for piece in self.folder.chunks(path):
            digest.update(piece)
        return digest.hexdigest()

    def _sweep(self, keep: set[str]) -> None:
        for path in self.folder.list():
            if path not in keep and not path.startswith(f"{UNITS}/"):
                self.folder.delete(path)


def content_digest(tables: Mapping[str, TableRecord], files: Mapping[str, str]) -> str:
    """An artifact's digest: of its rows, and of the files that count."""
    content = {
        "tables": {name: [record.rows, record.digest] for name, record in tables.items()},
        "files": {path: [digest] for path, digest in files.items()},
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def read_shard(folder: Storage, path: str, columns: list[str] | None = None) -> pa.Table:
    """One shard of a folder as an Arrow table. Raises UserError when the file is damaged."""
    data = pa.py_buffer(folder.read(path))
    try:
        if path.endswith(".arrow"):
            table = pa.ipc.open_file(data).read_all()
            return table.select(columns) if columns else table
        return pq.read_table(pa.BufferReader(data), columns=columns)
    except (pa.ArrowInvalid, OSError) as error:
        raise UserError(f"{folder.url}/{path} is damaged ({error}); delete its step's folder and run again") from error


def _shard_bytes(table: Table, rows: pa.Table) -> bytes:
    sink = io.BytesIO()
    if table.format == "arrow":
        with pa.ipc.new_file(sink, rows.schema) as writer:
            writer.write_table(rows)
    else:
        pq.write_table(rows, sink, compression="zstd")
    return sink.getvalue()


def _add_up(parts: Any) -> dict[str, Any]:
    total: dict[str, Any] = {}
    for part in parts:
        for name, number in part.items():
            total[name] = total.get(name, 0) + number
    return dict(sorted(total.items()))


def _versions() -> dict[str, str]:
    return {"python": platform.python_version()} | {name: version(name) for name in VERSIONS_OF}
