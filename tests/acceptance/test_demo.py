"""The demo, as a newcomer runs it: under 20 minutes, under 12 GB, and it learns."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from cluster.storage import open_storage
from pipelines import tables
from pipelines.steps import graph, latest
from tests.e2e.driver import Driver

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(2400)]


def perplexities(out: str | Path, task: str) -> dict[str, float]:
    """Perplexity of a task's held-out answers by model."""
    evaluate = latest(open_storage(out), "evaluate")
    assert evaluate is not None
    rows = evaluate.read(tables.SCORES).to_pylist()
    return {row["model"]: row["value"] for row in rows if row["task"] == task and row["metric"] == "perplexity"}


def peak_memory(out: str | Path) -> int:
    """The largest peak of any step, in bytes."""
    artifacts = (latest(open_storage(out), step.name) for step in graph())
    return max(artifact.manifest.peak_memory_bytes for artifact in artifacts if artifact)


def test_the_demo(tmp_path: Path, figures: list[str]) -> None:
    started = time.monotonic()
    driver = Driver(["run", "--recipe", "demo", "--out", str(tmp_path / "run")])
    assert driver.wait(2300) == 0, driver.output
    seconds = time.monotonic() - started
    before, after = (perplexities(tmp_path / "run", "held-out-answers")[model] for model in ("base", "trained"))
    memory = peak_memory(tmp_path / "run")
    figures += [f"{seconds:.0f} s", f"peak {memory / 1e9:.1f} GB", f"held-out perplexity {before:.1f} -> {after:.1f}"]
    assert after < before
    assert seconds < 1200
    assert memory < 12e9
