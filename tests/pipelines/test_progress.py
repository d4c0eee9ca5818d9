"""What a step tells its user while it works: a bar on a terminal, tidy lines elsewhere."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from pipelines import progress as module
from pipelines.progress import Progress


def plain(text: io.StringIO) -> Progress:
    return Progress(Console(file=text, width=100))


def test_lines_come_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    text, now = io.StringIO(), 1000.0
    monkeypatch.setattr(module.time, "monotonic", lambda: now)
    progress = plain(text)
    with progress.step("crawl"):
        for _ in range(40):  # a second each
            now += 1
            progress.advance(2, "well")
            progress.parts("a table", ["a.ir: done", f"b.ir: {now:.0f}"])
    assert text.getvalue().splitlines() == [
        "  crawl: 32, well",
        "    a.ir: done",
        "    b.ir: 1016",
        "  crawl: 64, well",
        "    b.ir: 1032",  # a.ir has nothing new to say
    ]


def test_a_terminal_shows_the_parts_below_the_bar_and_not_the_lines() -> None:
    text = io.StringIO()
    progress = Progress(Console(file=text, force_terminal=True, width=100))
    with progress.step("crawl"):
        progress.total(10, done=4)
        progress.parts("the table", ["the line"])
    assert "4/10" in text.getvalue() and "the table" in text.getvalue()
    assert "the line" not in text.getvalue()


def test_the_next_step_begins_without_the_parts_of_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LINE_EVERY", -1.0)
    text = io.StringIO()
    progress = plain(text)
    for step in ("crawl", "extract"):
        with progress.step(step):
            progress.parts("a table", ["a.ir: done"])
    assert text.getvalue().count("a.ir: done") == 2
