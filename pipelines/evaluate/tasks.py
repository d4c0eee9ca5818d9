"""Test sets: a YAML file names a kind, a data file and its columns; an item is checked when it is loaded.

A task's data ships with us (`data/x.jsonl`, beside the task file) or lies in the folder `evaluate.data`.
A task file may also be a group: a list of tasks.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from cluster.errors import UserError
from pipelines.artifact import Input, file_digest
from pipelines.rows import column_names, read_rows

FOLDER = Path(__file__).parent / "tasks"
LETTERS = "ABCD"
_ANSWERS = {str(number): letter for number, letter in enumerate(LETTERS, 1)} | {letter: letter for letter in LETTERS}

Kind = Literal["multiple-choice", "free-form", "held-out", "judge-check"]
_NEEDED = {
    "multiple-choice": ("question", "options", "answer"),
    "free-form": ("question",),
    "held-out": ("question", "reference"),
    "judge-check": ("question", "better", "worse"),
}


@dataclass(frozen=True)
class Item:
    """One question; which other fields are filled depends on the task's kind."""

    id: str
    question: str
    options: tuple[str, ...] = ()
    answer: str = ""  # the letter of the right option
    reference: str = ""  # an answer written by a person
    better: str = ""
    worse: str = ""


class TaskFile(BaseModel):
    """The text of one task file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    description: str
    kind: Kind | None = None
    file: str | None = None
    columns: dict[str, str | list[str]] = {}
    items: int | None = None  # how many there have to be
    tasks: list[str] = []  # of a group

    @model_validator(mode="after")
    def _is_task_or_group(self) -> TaskFile:
        if bool(self.kind) == bool(self.tasks):
            raise ValueError("give either kind or tasks")
        if self.kind and self.file:
            missing = [name for name in _NEEDED[self.kind] if name not in self.columns]
            if missing:
                raise ValueError(f"columns of a {self.kind} task need {', '.join(missing)}")
        return self


@dataclass(frozen=True)
class Task:
    """One test set, with its items."""

    name: str
    kind: Kind
    description: str
    items: tuple[Item, ...]

    def sample(self, number: int | None, seed: int) -> tuple[Item, ...]:
        """So many items chosen by seed, in the order of the file; all when there are no more."""
        if number is None or number >= len(self.items):
            return self.items
        chosen = random.Random(f"{seed}/{self.name}").sample(range(len(self.items)), number)
        return tuple(self.items[index] for index in sorted(chosen))


def task_names(names: Iterable[str]) -> list[str]:
    """The tasks that names stand for, groups opened, each once. Raises UserError."""
    found: dict[str, None] = {}
    for name in names:
        members = task_file(name)[1].tasks
        found |= dict.fromkeys(task_names(members) if members else [name])
    return list(found)


def short_name(name: str) -> str:
    """What a task that is named by name or path is called in results."""
    return Path(name).stem


def task_file(name: str) -> tuple[Path, TaskFile]:
    """A task file by name or path. Raises UserError."""
    path = FOLDER / f"{name}.yaml"
    if not path.is_file():
        path = Path(name)
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in FOLDER.glob("*.yaml")))
        raise UserError(f"evaluate.tasks: no task {name!r}; name a YAML file or one of {known}")
    try:
        return path, TaskFile.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"task {path} is not readable YAML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(f"task {path}: {'.'.join(map(str, first['loc']))} {first['msg']}") from error


def data_file(name: str, data: Path | None) -> Path | None:
    """Where a task's data lies; None for a task that reads the run's own artifacts. Raises UserError when it is not there."""
    path, task = task_file(name)
    if task.file is None:
        return None
    beside = path.parent / task.file
    if beside.is_file():
        return beside
    if data is None:
        raise UserError(f"task {name} needs {task.file}: set evaluate.data to the folder that holds it")
    if not (data / task.file).is_file():
        raise UserError(f"task {name} needs {task.file}, which is not in evaluate.data = {data}")
    return data / task.file


def load_task(name: str, data: Path | None = None) -> Task:
    """A task with its items. Raises UserError for a missing file, a missing column or an unreadable row."""
    _, task = task_file(name)
    if task.kind is None:
        raise UserError(f"task {name} is a group of tasks: {', '.join(task.tasks)}")
    file = data_file(name, data)
    rows = read_rows(file, column_names(file)) if file else []
    items = tuple(_item(task.kind, task.columns, row, f"{file}, item {number}", number) for number, row in enumerate(rows, 1))
    if task.items is not None and len(items) != task.items:
        raise UserError(f"task {name}: {file} has {len(items)} items, expected {task.items}")
    if len({item.id for item in items}) != len(items):
        raise UserError(f"task {name}: {file} has items with the same id")
    return Task(short_name(name), task.kind, task.description, items)


def task_inputs(names: Sequence[str], data: Path | None) -> dict[str, Input]:
    """What the tasks read, by content: a task file and its data count together."""
    inputs = {}
    for name in task_names(names):
        path, _ = task_file(name)
        file = data_file(name, data)
        digests = [file_digest(path), *([file_digest(file)] if file else [])]
        inputs[f"task:{name}"] = Input(digest="-".join(digests), path=str(file or path))
    return inputs


def _item(kind: Kind, columns: dict[str, str | list[str]], row: dict[str, Any], where: str, number: int) -> Item:
    fields: dict[str, Any] = {"id": str(number)}
    for field, column in columns.items():
        values = [_value(row, name, where) for name in ([column] if isinstance(column, str) else column)]
        fields[field] = _texts(values) if field == "options" else str(values[0]).strip()
    if kind == "multiple-choice":
        fields["answer"] = _answer(fields["answer"], len(fields["options"]), where)
    empty = [name for name in _NEEDED[kind] if not fields[name]]
    if empty:
        raise UserError(f"{where}: {empty[0]} is empty")
    return Item(**fields)


def _value(row: dict[str, Any], column: str, where: str) -> Any:
    if column not in row:
        raise UserError(f"{where}: there is no column {column!r}; columns are {', '.join(row)}")
    return "" if row[column] is None else row[column]


def _texts(values: list[Any]) -> tuple[str, ...]:
    whole = values[0] if len(values) == 1 and isinstance(values[0], list) else values
    return tuple(str(text).strip() for text in whole)


def _answer(value: str, options: int, where: str) -> str:
    letter = _ANSWERS.get(value.removesuffix(".0").upper(), "")
    if not letter or LETTERS.index(letter) >= options:
        raise UserError(f"{where}: the answer {value!r} is not one of 1-{options} or {LETTERS[:options]}")
    return letter
