"""Progress of long work: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as RichProgress

LINE_EVERY = 15.0  # seconds between plain lines


class Bar(RichProgress):
    """A bar, and what stands below it."""

    below: RenderableType = ""

    def get_renderables(self) -> Iterable[RenderableType]:
        yield from super().get_renderables()
        if self.below:
            yield self.below


class Progress:
    """What a step tells its user while it works."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=False, soft_wrap=True, highlight=False)
        self._bar: Bar | None = None
        self._name, self._done, self._total, self._printed = "", 0, 0, 0.0
        self._detail = ""
        self._parts: Sequence[str] = ()
        self._parts_printed = 0.0

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """One step's stretch of the output."""
        self._name, self._done, self._total, self._detail, self._parts = name, 0, 0, "", ()
        self._printed = self._parts_printed = time.monotonic()
        if not self.console.is_terminal:
            yield
            return
        columns = (
            TextColumn("[bold]{task.description:<9}"),
            BarColumn(30),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[detail]}"),
        )
        with Bar(*columns, console=self.console, transient=True) as self._bar:
            self._task = self._bar.add_task(name, total=None, detail="")
            try:
                yield
            finally:
                self._bar.refresh()
        self._bar = None

    def total(self, total: int, *, done: int = 0) -> None:
        """How much there is to do, and how much of it an earlier run did."""
        self._total, self._done = total, done
        self._show()

    def advance(self, by: int = 1, detail: str = "", total: int | None = None) -> None:
        """Some of it is done; `detail` is a short remark such as a loss or a rate; `total` where that changed, too."""
        self._done += by
        self._total = self._total if total is None else total
        self._detail = detail or self._detail
        self._show()

    def parts(self, table: RenderableType, lines: Sequence[str]) -> None:
        """How far each part of the work is: a table below the bar; elsewhere now and then the lines that have changed."""
        if self._bar:
            self._bar.below = table
        elif time.monotonic() - self._parts_printed > LINE_EVERY:
            self._parts_printed = time.monotonic()
            for line in lines:
                if line not in self._parts:
                    self.say(f"    {line}")
            self._parts = lines

    def say(self, line: str) -> None:
        """A line that stays."""
        self.console.print(line, markup=False)
        sys.stdout.flush()

    def _show(self) -> None:
        if self._bar:
            self._bar.update(self._task, total=self._total or None, completed=self._done, detail=self._detail)
        elif time.monotonic() - self._printed > LINE_EVERY:
            self._printed = time.monotonic()
            detail = f", {self._detail}" if self._detail else ""
            total = f" of {self._total:,}" if self._total else ""
            self.say(f"  {self._name}: {self._done:,}{total}{detail}")
