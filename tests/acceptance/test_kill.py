"""A run that is killed in any step goes on from there and ends with the same content."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.storage import open_storage
from pipelines.artifact import MANIFEST
from pipelines.steps import graph
from tests.e2e.driver import RECIPE, Driver, digests
from tests.tiny_models import tiny_cohere

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(1200)]


def test_a_run_killed_in_every_step_ends_like_one_that_was_not(tmp_path: Path) -> None:
    model = tiny_cohere(tmp_path / "model")
    arguments = ["run", "--recipe", str(RECIPE), "--set", f"model={model}", "--set", f"evaluate.judge.model={model}"]
    whole = Driver([*arguments, "--out", str(tmp_path / "whole")])
    assert whole.wait(400) == 0, whole.output

    out = tmp_path / "killed"
    for step in (step.name for step in graph()):
        driver = Driver([*arguments, "--out", str(out)])
        assert driver.wait_for_line(f"^{step}: "), driver.output
        driver.wait_until(lambda step=step: _has_begun(out, step))
        driver.kill()
        assert step == "report" or not _is_finished(out, step), f"{step} was over before the kill: nothing was tested"
    last = Driver([*arguments, "--out", str(out)])
    assert last.wait(400) == 0, last.output
    assert digests(out) == digests(tmp_path / "whole")


def _has_begun(out: Path, step: str) -> bool:
    """Whether the step has written anything yet."""
    return bool(open_storage(out).list(step))


def _is_finished(out: Path, step: str) -> bool:
    return any(path.endswith(MANIFEST) for path in open_storage(out).list(step))
