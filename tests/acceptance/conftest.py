"""Every acceptance test leaves a row in docs/acceptance.md: what, result, figures, date, commit and machine."""

from __future__ import annotations

import subprocess
from collections.abc import Generator
from datetime import date
from pathlib import Path

import pytest

from tests.benchmarks.road import machine

REPOSITORY = Path(__file__).resolve().parent.parent.parent
RECORD = REPOSITORY / "docs" / "acceptance.md"
FIGURES: pytest.StashKey[list[str]] = pytest.StashKey()


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> list[str]:
    """What the test measured: lines for its row."""
    found: list[str] = []
    request.node.stash[FIGURES] = found
    return found


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.when == "call" and item.get_closest_marker("acceptance"):
        _append(item.name, report.outcome, report.duration, item.stash.get(FIGURES, []))
    return report


def _append(name: str, outcome: str, seconds: float, figures: list[str]) -> None:
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    cells = [name, outcome, "; ".join(figures), f"{seconds:.0f} s", str(date.today()), commit.stdout.strip(), machine()]
    with RECORD.open("a", encoding="utf-8") as file:
        file.write("| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |\n")
