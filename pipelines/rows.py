"""Rows of a .parquet, .jsonl, .csv or .xlsx file, streamed as dictionaries (150,000 short rows a second; of a workbook 8,000).

In memory are a few pages of a parquet file, the shared strings of a workbook, and else one row.
"""

from __future__ import annotations

import csv
import json
import zipfile
import zlib
from collections.abc import Collection, Iterable, Iterator
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from cluster.errors import UserError

FORMATS = (".parquet", ".jsonl", ".csv", ".xlsx")
HEAD_ROWS = 1_000
BATCH_ROWS = 1_024
READ_BYTES = 1 << 20
LONGEST_FIELD = 64 << 20  # characters of a CSV field; Python's own limit of 131,072 is less than some articles

# What the readers raise for damaged files; openpyxl adds KeyError for a missing part and TypeError for an odd style sheet.
UNREADABLE = (
    OSError, ValueError, KeyError, TypeError, NotImplementedError, SyntaxError, EOFError,
    csv.Error, zipfile.BadZipFile, zlib.error,
)  # fmt: skip

Row = dict[str, Any]


def column_names(path: Path) -> list[str]:
    """The columns of a file; of JSON lines, the keys of its first 1,000 rows. Raises UserError."""
    with _explained(path):
        match _format(path):
            case ".parquet":
                import pyarrow.parquet as pq

                names = list(pq.read_schema(path).names)
            case ".jsonl":
                names = list(dict.fromkeys(key for row in islice(_json_rows(path), HEAD_ROWS) for key in row))
            case ".csv":
                names = _header(_csv_lines(path))
            case _:
                names = _header(_xlsx_lines(path))
    return [name for name in names if name]


def read_rows(path: Path, columns: Collection[str]) -> Iterator[Row]:
    """Every row in its order, at least with those columns that it has; blank lines are none. Raises UserError."""
    with _explained(path):
        match _format(path):
            case ".parquet":
                yield from _parquet_rows(path, columns)
            case ".jsonl":
                yield from _json_rows(path)
            case ".csv":
                yield from _named(_csv_lines(path))
            case _:
                yield from _named(_xlsx_lines(path))


def _format(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise UserError(f"{path}: unknown format {suffix!r}; use one of {', '.join(FORMATS)}")
    return suffix


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """A damaged file is its owner's business: one line, whatever the library says."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text; save it as UTF-8") from error
    except UNREADABLE as error:
        raise UserError(f"{path} can't be read as {path.suffix.lower()}: {error}") from error


def _parquet_rows(path: Path, columns: Collection[str]) -> Iterator[Row]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path, pre_buffer=False, buffer_size=READ_BYTES) as file:  # pre_buffer holds on to what it has read
        for batch in file.iter_batches(BATCH_ROWS, columns=list(columns)):
            yield from batch.to_pylist()


def _json_rows(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                raise ValueError(f"line {number} is not JSON ({error.msg})") from error
            if not isinstance(row, dict):
                raise ValueError(f"line {number} is not a JSON object")
            yield row


def _csv_lines(path: Path) -> Iterator[list[str]]:
    csv.field_size_limit(LONGEST_FIELD)
    with path.open(encoding="utf-8-sig", newline="") as file:
        width = 0
        reader = csv.reader(file, strict=True)
        for line in reader:
            width = width or len(line)
            if len(line) > width:  # an unquoted comma would cut a text without a word
                raise ValueError(f"line {reader.line_num} has {len(line)} fields, the header has {width}")
            yield line


def _xlsx_lines(path: Path) -> Iterator[tuple[Any, ...]]:
    """The first sheet."""
    import openpyxl

    with closing(openpyxl.load_workbook(path, read_only=True, data_only=True)) as book:
        sheet = book.worksheets[0]
        sheet.reset_dimensions()  # some programs write a wrong size, and what is beyond it would not be read
        yield from sheet.iter_rows(values_only=True)


def _header(lines: Iterator[Iterable[Any]]) -> list[str]:
    return ["" if cell is None else str(cell).strip() for cell in next(lines, ())]


def _named(lines: Iterator[Iterable[Any]]) -> Iterator[Row]:
    header = _header(lines)
    for line in lines:
        if any(cell is not None and cell != "" for cell in line):  # published workbooks go on for a million blank rows
            yield dict.fromkeys(header) | dict(zip(header, line, strict=False))
