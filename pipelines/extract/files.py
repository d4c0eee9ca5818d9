"""Rows of data files to articles and question-answer pairs, a sealed unit for every 10,000 rows.

This process reads them. Files lie where the run was started and can't be cut up without being read; at some 9,000 pairs
of a forum or 2,000 articles a second, the paper's whole corpus takes a minute, which a copy for workers on other nodes
would not save. A run that goes on reads over what is sealed already.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

from pipelines.artifact import ArtifactFolder, UnitRecord
from pipelines.crawl.filesource import NEEDED, FileSource
from pipelines.extract.dates import iso_date
from pipelines.extract.locate import DataFile, find_files
from pipelines.extract.text import one_line, sound, tidy
from pipelines.forget.tombstones import REASON, Tombstones
from pipelines.progress import Progress
from pipelines.rows import Row, column_names, read_rows
from pipelines.tables import ARTICLES, DROPPED, QA, Table

PIECE_ROWS = 10_000
PIECE_CHARACTERS = 16 << 20  # a piece is in memory until it is sealed

Piece = list[tuple[int, Row]]  # the rows' numbers in their file, from 1, and the rows


@dataclass(frozen=True)
class FileReader:
    """One file of a source; `columns`: which of its columns holds what."""

    source: FileSource
    file: DataFile
    columns: dict[str, str]

    @classmethod
    def of(cls, source: FileSource, file: DataFile) -> FileReader:
        """Raises UserError for a file that can't be read or that lacks a column."""
        return cls(source, file, source.columns_in(file.path, column_names(file.path)))

    def pieces(self) -> Iterator[Piece]:
        """The rows in bounded pieces, which are the same whenever the file is."""
        piece: Piece = []
        characters = 0
        for number, row in enumerate(read_rows(self.file.path, list(self.columns.values())), start=1):
            piece.append((number, row))
            characters += sum(_length(row.get(column)) for column in self.columns.values())
            if len(piece) == PIECE_ROWS or characters >= PIECE_CHARACTERS:
                yield piece
                piece, characters = [], 0
        if piece:
            yield piece

    def unit(self, place: int, number: int) -> str:
        """The name of a sealed piece: of the file at this place among all, of the piece with this number in it."""
        return f"{self.source.name}.{place:04d}.{number:06d}"

    def name_of(self, number: int) -> str:
        """What stands for the URL of a row that has none."""
        return f"file:{self.source.name}/{self.file.name}#{number}"

    def read(self, number: int, row: Row) -> tuple[Table, dict[str, Any]]:
        """A row of `articles` or `qa`, or of `dropped` with the reason: the column, and what is wrong with it."""
        values = {role: row.get(column) for role, column in self.columns.items()}
        texts = {role: _text(value) for role, value in values.items()}
        like = {
            "url": ("" if self.source.numbered else texts.get("url")) or self.name_of(number),
            "source": texts.get("source") or self.source.name,
        }
        for role in NEEDED[self.source.kind]:
            if reason := _fault(values[role], texts[role]):
                return DROPPED, like | {"kind": self.source.kind, "reason": f"{role}-{reason}", "text": ""}
        like["title"] = one_line(texts.get("title") or "")
        if self.source.kind == "qa":
            return QA, like | {"question": texts["question"], "answer": texts["answer"]}
        return ARTICLES, like | {"text": texts["text"], "published": _date(values.get("date"))}


def readers_of(sources: Iterable[FileSource]) -> list[FileReader]:
    """Every file of every source. Raises UserError."""
    return [FileReader.of(source, file) for source in sources for file in find_files(source)]


def extract_files(sources: Iterable[FileSource], out: ArtifactFolder, progress: Progress) -> list[str]:
    """Seal a unit for each piece that has none yet; the names of all, in order. Raises UserError."""
    readers = readers_of(sources)
    if not readers:
        return []
    done, forgotten = out.sealed(), Tombstones.beside(out.folder)
    progress.total(len(readers))
    names = []
    for place, reader in enumerate(readers):
        for number, piece in enumerate(reader.pieces()):
            names.append(reader.unit(place, number))
            if names[-1] not in done:
                _seal(out, names[-1], reader, piece, forgotten)
            progress.advance(0, f"{piece[-1][0]:,} rows of {reader.file.name}")
        progress.advance()
    return names


def _seal(out: ArtifactFolder, unit: str, reader: FileReader, piece: Piece, forgotten: Tombstones) -> UnitRecord:
    found: defaultdict[Table, list[dict[str, Any]]] = defaultdict(list)
    for number, row in piece:
        table, result = reader.read(number, row)
        if forgotten.covers(result["url"]):
            gone = {"url": forgotten.pseudonym(result["url"]), "source": result["source"], "reason": REASON, "text": ""}
            table, result = DROPPED, gone | {"kind": reader.source.kind}
        found[table].append(result)
    return out.seal(
        unit,
        {table: table.table(found[table]) for table in (ARTICLES, QA, DROPPED)},
        rows_in=len(piece),
        dropped=Counter(row["reason"] for row in found[DROPPED]),
    )


def _text(value: Any) -> str | None:
    """A text, or a list of them as paragraphs; None for anything else."""
    if isinstance(value, list) and all(part is None or isinstance(part, str) for part in value):
        value = "\n".join(part for part in value if part)
    return tidy(sound(value)) if isinstance(value, str) else None


def _fault(value: Any, text: str | None) -> str:
    if value is None:
        return "null"
    return "not-text" if text is None else "" if text else "empty"


def _date(value: Any) -> str:
    """An ISO day; empty where none is named."""
    return f"{value:%Y-%m-%d}" if isinstance(value, date) else iso_date(_text(value) or "")


def _length(value: Any) -> int:
    return len(value) if isinstance(value, str) else sum(map(_length, value)) if isinstance(value, list) else 0
