"""What nothing may be learned from: the items of the evaluation's tasks and of the files in `clean.decontaminate`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cluster.errors import UserError
from pipelines.artifact import Input, file_digest
from pipelines.evaluate.tasks import data_file, load_task, task_inputs, task_names
from pipelines.rows import column_names, read_rows

if TYPE_CHECKING:
    from pipelines.recipe import Recipe

QUESTION_COLUMNS = ("question", "prompt", "query", "instruction")


@dataclass(frozen=True)
class HeldOutItem:
    """One item of a test set."""

    test_set: str
    number: int  # of its row in the file, from 1
    question: str
    others: tuple[str, ...] = ()  # what belongs to it: options, answers, statements that an answer must have


def held_out_inputs(recipe: Recipe) -> dict[str, Input]:
    """Every test set by content. Raises UserError for a missing file."""
    for path in recipe.clean.decontaminate:
        if not path.is_file():
            raise UserError(f"clean.decontaminate: {path} does not exist")
    files = {f"decontaminate:{path}": Input(digest=file_digest(path), path=str(path)) for path in recipe.clean.decontaminate}
    return files | task_inputs(_tasks(recipe), recipe.evaluate.data)


def held_out_items(recipe: Recipe) -> Iterator[HeldOutItem]:
    """Every item of every test set. Raises UserError for a file that can't be read."""
    for name in _tasks(recipe):
        task = load_task(name, recipe.evaluate.data)
        for number, item in enumerate(task.items, 1):
            yield HeldOutItem(task.name, number, item.question, (*item.options, item.reference))
    for path in recipe.clean.decontaminate:
        yield from items_of(path)


def _tasks(recipe: Recipe) -> list[str]:
    """The tasks that have items of their own; the others test on what clean itself holds out."""
    return [name for name in task_names(recipe.evaluate.tasks) if data_file(name, recipe.evaluate.data)]


def items_of(path: Path) -> Iterator[HeldOutItem]:
    """The items of a data file with a column of questions; every other text belongs to them. Raises UserError."""
    found = False
    for number, row in enumerate(read_rows(path, column_names(path)), 1):
        if question := _question(row):
            found = True
            others = tuple(text for text in _texts(list(row.values())) if text != question)
            yield HeldOutItem(path.stem, number, question, others)
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
