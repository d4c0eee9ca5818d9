"""The replay web sites, and a row in docs/acceptance.md for every test: what, result, figures, date, commit and machine."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks.road import machine

REPOSITORY = Path(__file__).resolve().parent.parent.parent
RECORD = REPOSITORY / "docs" / "acceptance.md"
FIGURES: pytest.StashKey[list[str]] = pytest.StashKey()


@pytest.fixture(scope="session")
def replay_server(published: Path) -> Path:
    """The script that serves the replay web sites."""
    script = published.parent / "replay" / "serve_sites.py"
    if not script.is_file():
        pytest.skip("needs the replay sites' server beside the published data")
    return script


@contextmanager
def serving(script: Path, log: Path) -> Iterator[Path]:
    """The replay web sites on 127.0.1.x:8800 for the block; their request log."""
    server = subprocess.Popen(
        [sys.executable, str(script), "--port", "8800", "--log", str(log)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        assert "forum" in server.stdout.readline(), "the sites did not start"
        yield log
    finally:
        server.terminate()
        server.wait(10)


@pytest.fixture
def sites(replay_server: Path, tmp_path: Path) -> Iterator[Path]:
    """The replay web sites for one test; their request log."""
    with serving(replay_server, tmp_path / "requests.jsonl") as log:
        yield log


@pytest.fixture(scope="session")
def truth(replay_server: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What a good crawl of the replay's sites yields: site, path, kind (article, qa, never, error), and the texts."""
    file = tmp_path_factory.mktemp("replay") / "truth.jsonl"
    subprocess.run([sys.executable, str(replay_server), "--truth", str(file)], check=True)
    with file.open(encoding="utf-8") as lines:  # str.splitlines() would cut texts at their line separators (U+2028)
        return [json.loads(line) for line in lines]


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
