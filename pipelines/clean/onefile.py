"""The funnel on one file: every row of it is found again, with its original text, in `kept.parquet` or in `dropped.parquet`.

The work is an ordinary run (extract, clean) in `DIR/run`, so a killed one goes on and the same again does nothing. Then the
file is read once more beside what became of its rows, a piece of 10,000 at a time.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from cluster.errors import UserError
from cluster.storage import full_disk_is_clear, open_storage
from pipelines.artifact import Artifact
from pipelines.clean.step import kept_unit, sifted_unit
from pipelines.crawl.filesource import NEEDED, Columns, FileSource
from pipelines.extract.files import FileReader, readers_of
from pipelines.extract.text import sound
from pipelines.progress import Progress
from pipelines.recipe import Recipe
from pipelines.run import execute
from pipelines.steps import step_named
from pipelines.tables import CORPUS, DROPPED, LINEAGE, PAIRS, Table

SOURCE = "file"
KEPT_FILE, DROPPED_FILE = "kept.parquet", "dropped.parquet"
TEXTS = {"article": CORPUS, "qa": PAIRS}

Row = dict[str, Any]


@dataclass
class Funnel:
    """How many rows were kept, and how many dropped for each reason."""

    kept: int = 0
    dropped: Counter[str] = field(default_factory=Counter)


def clean_file(file: Path, kind: str, recipe: Recipe, out: Path, columns: Columns, progress: Progress) -> Funnel:
    """Clean one file of articles or pairs (`kind`: article or qa) as the recipe says. Raises UserError.

    Both outputs hold the original text in `<column>_raw`: they are restricted, and only their owner can read them.
    """
    if not file.is_file():
        raise UserError(f"{file} does not exist; name a .parquet, .jsonl, .csv or .xlsx file")
    source = FileSource(name=SOURCE, kind=kind, files=[str(file.absolute())], columns=columns, numbered=True)
    (reader,) = readers_of([source])
    extracted, cleaned = _run(source, recipe, out / "run", progress)
    return _write(reader, _Outcome(kind, extracted, cleaned), out)


def _run(source: FileSource, recipe: Recipe, folder: Path, progress: Progress) -> tuple[Artifact, Artifact]:
    """What extract and clean leave of the file."""
    folder.mkdir(parents=True, exist_ok=True)
    written = folder / "source.yaml"
    written.write_text(yaml.safe_dump(source.model_dump(exclude_defaults=True), allow_unicode=True), encoding="utf-8")
    crawl = recipe.crawl.model_copy(update={"sources": [str(written)]})
    alone = recipe.model_copy(update={"crawl": crawl, "demo_web": None})
    funnel = replace(step_named("clean"), work="pipelines.clean.step:funnel")  # a file without a good row is an answer, too
    steps = (step_named("crawl"), step_named("extract"), funnel)
    _, extracted, cleaned = execute(alone, open_storage(folder), progress=progress, steps=steps)
    return extracted.artifact, cleaned.artifact


@dataclass(frozen=True)
class _Outcome:
    """What became of the rows of each piece of the file."""

    kind: str
    extracted: Artifact
    cleaned: Artifact

    def kept(self, unit: str) -> dict[int, Row]:
        """The cleaned rows of a piece, by the number of the row."""
        name = kept_unit(sifted_unit(self.kind, unit))
        numbers = [_number(row["url"]) for row in self._rows(self.cleaned, LINEAGE, name)]
        return dict(zip(numbers, self._rows(self.cleaned, TEXTS[self.kind], name), strict=True))

    def dropped(self, unit: str) -> dict[int, str]:
        """The reasons of a piece, by the number of the row."""
        sifted = sifted_unit(self.kind, unit)
        rows = [*self._rows(self.extracted, DROPPED, unit)]
        rows += [row for name in (sifted, kept_unit(sifted)) for row in self._rows(self.cleaned, DROPPED, name)]
        return {_number(row["url"]): row["reason"] for row in rows}

    @staticmethod
    def _rows(artifact: Artifact, table: Table, unit: str) -> Iterator[Row]:
        for path in artifact.shards(table):
            if PurePosixPath(path).stem == unit:
                yield from artifact.read_shard(path).to_pylist()


def _number(address: str) -> int:
    return int(address.rsplit("#", 1)[1])


def _write(reader: FileReader, outcome: _Outcome, out: Path) -> Funnel:
    """Both files, which appear when they are whole."""
    roles = NEEDED[reader.source.kind]
    raw = [pa.field(f"{role}_raw", pa.string()) for role in roles]
    kept = pa.schema([pa.field("row", pa.int64()), *TEXTS[reader.source.kind].schema, *raw])
    dropped = pa.schema([pa.field("row", pa.int64()), pa.field("reason", pa.string()), *raw])
    found = Funnel()
    parts = {out / KEPT_FILE: kept, out / DROPPED_FILE: dropped}
    with full_disk_is_clear(str(out)):
        with ExitStack() as stack:
            writers = [stack.enter_context(_private(path, schema)) for path, schema in parts.items()]
            for number, piece in enumerate(reader.pieces()):
                unit = reader.unit(0, number)
                rows, reasons = outcome.kept(unit), outcome.dropped(unit)
                originals = {place: _originals(reader, row) for place, row in piece}
                found.kept += len(rows)
                found.dropped.update(reasons.values())
                there = [{"row": place, **rows[place], **text} for place, text in originals.items() if place in rows]
                lost = sorted(originals.keys() - rows.keys())
                gone = [{"row": place, "reason": reasons[place], **originals[place]} for place in lost]
                for writer, schema, part in zip(writers, parts.values(), (there, gone), strict=True):
                    writer.write_table(pa.Table.from_pylist(part, schema=schema))
        for path in parts:
            _unfinished(path).replace(path)
    return found


def _private(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    partial = _unfinished(path)
    partial.unlink(missing_ok=True)
    os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    return pq.ParquetWriter(partial, schema, compression="zstd")


def _unfinished(path: Path) -> Path:
    return path.with_name(f".{path.name}.part")


def _originals(reader: FileReader, row: Row) -> dict[str, str | None]:
    return {f"{role}_raw": _original(row.get(reader.columns[role])) for role in NEEDED[reader.source.kind]}


def _original(value: Any) -> str | None:
    """The value as it was, in a form that can be stored: paragraphs as lines, numbers as they are written."""
    if isinstance(value, list):
        return "\n".join(filter(None, map(_original, value)))
    return None if value is None else sound(str(value))
