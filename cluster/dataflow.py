"""The only file that touches Ray Data: a function over many items, streamed, in tasks or in actors.

Items and results are small Python objects; rows themselves go through run storage, so nothing large
crosses Ray's object store and a retried item is harmless. Starting costs a few seconds: one call a step.
"""

from __future__ import annotations

import gc
import logging
import pickle
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, TypeVar

from ray import cloudpickle

from cluster.errors import UserError

# Rows are many small objects without cycles: looking through them whenever 700 are new takes a tenth of a task's time.
NEW_OBJECTS = 200_000  # between two looks of the garbage collector

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_tasks(
    work: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    num_cpus: float = 1,
    num_gpus: float = 0,
    concurrency: int | None = None,
) -> Iterator[Result]:
    """Yield `work(item)` for every item as it is done, in any order. Errors of the work come out as they are."""
    from ray.data import TaskPoolStrategy

    options = {"compute": TaskPoolStrategy(size=concurrency)} if concurrency else {}
    yield from _run(_Task(_Shared(work)), items, num_cpus=num_cpus, num_gpus=num_gpus, **options)


def map_actors(
    make: Callable[[], Callable[[Item], Result]],
    items: Sequence[Item],
    *,
    size: int = 1,
    num_cpus: float = 1,
    num_gpus: float = 0,
) -> Iterator[Result]:
    """Like `map_tasks`, with a worker made once per actor: for work that loads a model or a browser."""
    from ray.data import ActorPoolStrategy

    class Actor(_Task[Item, Result]):
        def __init__(self) -> None:
            super().__init__(make())

    yield from _run(Actor, items, num_cpus=num_cpus, num_gpus=num_gpus, compute=ActorPoolStrategy(size=size))


class _Task(Generic[Item, Result]):
    """Unpacks an item, does the work and packs its result, or its error, into a row."""

    def __init__(self, work: Callable[[Item], Result]) -> None:
        self.work = work

    def __call__(self, row: dict[str, bytes]) -> dict[str, bytes]:
        gc.set_threshold(NEW_OBJECTS)
        item = pickle.loads(row["item"])
        try:
            return {"result": pickle.dumps(self.work(item)), "error": b""}
        except UserError as error:  # the user's business: no retry, no traceback of a remote worker
            return {"result": b"", "error": pickle.dumps(error)}


class _Shared(Generic[Item, Result]):
    """Work that a process unpacks once, not for every item: an index of test sets takes a third of a second."""

    def __init__(self, work: Callable[[Item], Result]) -> None:
        self._name, self._packed = uuid.uuid4().hex, cloudpickle.dumps(work)

    def __call__(self, item: Item) -> Result:
        if self._name not in _unpacked:
            _unpacked.clear()  # what was shared before is done
            _unpacked[self._name] = pickle.loads(self._packed)
        result: Result = _unpacked[self._name](item)
        return result


_unpacked: dict[str, Callable[[Any], Any]] = {}


def _run(work: Any, items: Sequence[Any], **options: Any) -> Iterator[Any]:
    if not items:
        return
    import ray

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    logging.getLogger("ray.data._internal").setLevel(logging.WARNING)
    logging.getLogger("ray.data._internal.progress").setLevel(logging.ERROR)  # it warns of what was asked for
    rows = [{"item": cloudpickle.dumps(item)} for item in items]
    dataset = ray.data.from_items(rows, override_num_blocks=len(rows)).map(work, **options)
    for row in dataset.iter_rows():
        if row["error"]:
            raise pickle.loads(row["error"])
        yield pickle.loads(row["result"])
