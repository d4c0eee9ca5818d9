"""What nothing may be learned from: the items of the evaluation's tasks and of the files in `clean.decontaminate`."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cluster.errors import UserError
from pipelines.artifact import Input, file_digest
from pipelines.evaluate.tasks import data_file, load_task, task_inputs, task_names

if TYPE_CHECKING:
    from pipelines.recipe import Recipe

QUESTION_COLUMNS = ("question", "prompt", "query", "instruction")
# One blank row in a spreadsheet may be a slip; a published one goes on for a million blank rows.
BLANK_ROWS_AT_THE_END = 100

Item = tuple[str, str, Sequence[str]]  # test set, question, longer texts that belong to it


def held_out_inputs(recipe: Recipe) -> dict[str, Input]:
    """Every test set by content. Raises UserError for a missing file."""
    for path in recipe.clean.decontaminate:
        if not path.is_file():
            raise UserError(f"clean.decontaminate: {path} does not exist")
    files = {f"decontaminate:{path}": Input(digest=file_digest(path), path=str(path)) for path in recipe.clean.decontaminate}
    return files | task_inputs(_tasks(recipe), recipe.evaluate.data)


def held_out_items(recipe: Recipe) -> Iterator[Item]:
    """Every item of every test set. Raises UserError for a file that can't be read."""
    for name in _tasks(recipe):
        task = load_task(name, recipe.evaluate.data)
        for item in task.items:
            yield task.name, item.question, [*item.options, item.reference]
    for path in recipe.clean.decontaminate:
        yield from items_of(path)


def _tasks(recipe: Recipe) -> list[str]:
    """The tasks that have items of their own; the others test on what clean itself holds out."""
    return [name for name in task_names(recipe.evaluate.tasks) if data_file(name, recipe.evaluate.data)]


def items_of(path: Path) -> Iterator[Item]:
    """The items of a .jsonl, .csv, .parquet or .xlsx file with a column of questions; every other text belongs to them."""
    readers = {".jsonl": _jsonl, ".csv": _csv, ".parquet": _parquet, ".xlsx": _xlsx}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise UserError(f"test set {path}: unknown format {path.suffix!r}; use one of {', '.join(readers)}")
    found = False
    for row in reader(path):
        if question := _question(row):
            found = True
            yield path.stem, question, [text for text in _texts(list(row.values())) if text != question]
    if not found:
        raise UserError(f"test set {path}: no column or key named {', '.join(QUESTION_COLUMNS)} with a text in it")


def _question(row: dict[str, Any]) -> str:
    """The first text in a column of questions; "" when there is none."""
    return next((str(value) for key, value in row.items() if str(key).strip().lower() in QUESTION_COLUMNS and value), "")


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for part in value:
            yield from _texts(part)


def _jsonl(path: Path) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise UserError(f"test set {path}, line {number} is not JSON: {error.msg}") from error
        if isinstance(row, dict):
            yield row


def _csv(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        yield from csv.DictReader(file)


def _parquet(path: Path) -> Iterator[dict[str, Any]]:
    import pyarrow.parquet as pq

    for batch in pq.ParquetFile(path).iter_batches():
        yield from batch.to_pylist()


def _xlsx(path: Path) -> Iterator[dict[str, Any]]:
    import openpyxl

    sheet = openpyxl.load_workbook(path, read_only=True).active
    rows = sheet.iter_rows(values_only=True) if sheet else iter(())
    header = [str(name) for name in next(rows, ())]
    blank = 0
    for row in rows:
        blank = 0 if any(value is not None for value in row) else blank + 1
        if blank == BLANK_ROWS_AT_THE_END:
            return
        if not blank:
            yield dict(zip(header, row, strict=False))
