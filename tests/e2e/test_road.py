"""The whole road with a tiny model: from the demo web to an answer of the served model."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.e2e.driver import RECIPE, Driver, digests
from tests.tiny_models import tiny_cohere

pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module")
def road(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str], Driver]:
    """A finished run: its folder, the command's arguments, and the process with its output."""
    folder = tmp_path_factory.mktemp("road")
    model = tiny_cohere(folder / "model")
    arguments = ["--recipe", str(RECIPE), "--out", str(folder / "run"), "--set", f"model={model}"]
    for change in ("evaluate.judge.model", "evaluate.judge.pairs=judge-check"):
        arguments += ["--set", change if "=" in change else f"{change}={model}"]
    driver = Driver(["run", *arguments])
    assert driver.wait() == 0, driver.output
    return folder / "run", arguments, driver


def test_every_step_leaves_a_finished_artifact(road: tuple[Path, list[str], Driver]) -> None:
    run, _, driver = road
    steps = ["crawl", "extract", "clean", "tokenize", "finetune", "instruct", "evaluate", "ask", "report"]
    assert list(digests(run)) == steps
    for step in steps:
        manifest = json.loads((run / step / "latest" / "artifact.json").read_text())
        assert manifest["digest"], step
    assert f"report: {run}/report/latest/" in driver.output.replace("\n", "")


def test_no_row_is_lost_on_the_way(road: tuple[Path, list[str], Driver]) -> None:
    run, _, _ = road
    clean = json.loads((run / "clean" / "latest" / "artifact.json").read_text())
    kept = clean["tables"]["corpus"]["rows"] + clean["tables"]["pairs"]["rows"]
    assert clean["rows_in"] == kept + sum(clean["dropped"].values())
    assert kept > 150


def test_a_row_leads_back_to_its_url(road: tuple[Path, list[str], Driver]) -> None:
    run, _, _ = road
    pairs = pq.read_table(run / "clean" / "latest" / "pairs").to_pylist()
    urls = {row["id"]: row["url"] for row in pq.read_table(run / "clean" / "latest" / "lineage").to_pylist()}
    assert all(urls[pair["id"]].startswith("http://") for pair in pairs)


def test_planted_numbers_stay_in_restricted_tables(road: tuple[Path, list[str], Driver]) -> None:
    from pipelines.demo.truth import PLANTED

    run, _, driver = road
    restricted = {"crawl", "extract", "clean/dropped", "clean/lineage"}
    for file in run.rglob("*"):
        relative = file.relative_to(run).as_posix()
        if not file.is_file() or "latest" in relative or relative.startswith("lease/"):
            continue
        step, _, *below = relative.split("/")  # the part between is the fingerprint
        if step in restricted or (below and f"{step}/{below[0]}" in restricted):
            continue
        text = str(pq.read_table(file).to_pylist()) if file.suffix == ".parquet" else file.read_bytes().decode("utf-8", "ignore")
        for planted in PLANTED:
            assert planted.value not in text, relative
    assert not any(planted.value in driver.output for planted in PLANTED)


def test_the_second_run_does_nothing_and_says_so_quickly(road: tuple[Path, list[str], Driver]) -> None:
    run, arguments, _ = road
    before, started = digests(run), time.monotonic()
    again = Driver(["run", *arguments])
    assert again.wait() == 0, again.output
    assert time.monotonic() - started < 15
    assert "nothing to do" in again.output
    assert digests(run) == before


def test_status_and_path_know_the_run(road: tuple[Path, list[str], Driver]) -> None:
    run, arguments, _ = road
    status = Driver(["status", *arguments])
    assert status.wait() == 0
    assert status.output.count("done") >= 9
    path = Driver(["path", "instruct", "--recipe", str(RECIPE), "--out", str(run)])
    assert path.wait() == 0
    assert (Path(path.output.strip()) / "model" / "config.json").is_file()
