"""What an evaluation consists of: units of work in the order in which each model does them. Pure, and stable under resumption."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from pipelines.evaluate.scores import BASE, TRAINED
from pipelines.evaluate.settings import EvaluateSettings
from pipelines.evaluate.tasks import Item, Task
from pipelines.evaluate.work import Method, Unit


@dataclass(frozen=True)
class Share:
    """The units that one loaded model does."""

    name: str  # base, trained or the judge's own
    spec: str  # what to load
    units: tuple[Unit, ...]


def shares(
    tasks: Sequence[Task], check: Task | None, settings: EvaluateSettings, *, seed: int, base: str, trained: str
) -> list[Share]:
    """Everything to do: the trained model, then the base, which also judges where it is the judge, else the judge last."""
    of_trained = list(_answering(tasks, TRAINED, settings, seed))
    of_base = list(_answering(tasks, BASE, settings, seed))
    found = [Share(TRAINED, trained, tuple(of_trained)), Share(BASE, base, tuple(of_base))]
    if settings.judge is None or check is None:
        return found
    judge = settings.judge.model
    judging = list(_units(check.name, "check-judge", judge, check.items, settings.batch))
    for task in tasks:
        if task.kind == "free-form":
            items = task.sample(settings.free_form_items, seed)
            answers = [unit for unit in (*of_trained, *of_base) if unit.task == task.name]
            judging += _judging(task.name, judge, items, answers, settings.batch)
    if judge == base:
        return [found[0], Share(BASE, base, (*of_base, *judging))]
    return [*found, Share(judge, judge, tuple(judging))]


def held_out(rows: Iterable[dict[str, str]], number: int, seed: int) -> tuple[Item, ...]:
    """So many of the run's own pairs that training did not see, chosen by a hash of their id: stable when others change."""

    def place(row: dict[str, str]) -> str:
        return hashlib.sha256(f"{seed}/{row['id']}".encode()).hexdigest()

    chosen = sorted((row for row in rows if row["split"] != "train"), key=place)[:number]
    return tuple(Item(row["id"], row["question"], reference=row["answer"]) for row in chosen)


def _answering(tasks: Sequence[Task], model: str, settings: EvaluateSettings, seed: int) -> Iterator[Unit]:
    for task in tasks:
        for method, number in _methods(task, settings):
            yield from _units(task.name, method, model, task.sample(number, seed), settings.batch)


def _methods(task: Task, settings: EvaluateSettings) -> list[tuple[Method, int | None]]:
    """How a task is done, and with how many of its items (None: all)."""
    if task.kind == "multiple-choice":
        return [("likelihood", settings.likelihood_items), ("generate", settings.generate_items)]
    if task.kind == "held-out":
        return [("perplexity", settings.perplexity_items)]
    return [("free-form", settings.free_form_items)] if task.kind == "free-form" else []


def _units(task: str, method: Method, model: str, items: Sequence[Item], batch: int) -> Iterator[Unit]:
    for first in range(0, len(items), batch):
        yield Unit(task, method, model, first, tuple(items[first : first + batch]))


def _judging(task: str, model: str, items: Sequence[Item], answers: Sequence[Unit], batch: int) -> Iterator[Unit]:
    for unit in _units(task, "judge", model, items, batch):
        asked = {item.id for item in unit.items}
        needs = tuple(answer for answer in answers if asked & {item.id for item in answer.items})
        yield Unit(unit.task, unit.method, unit.model, unit.first, unit.items, needs)
