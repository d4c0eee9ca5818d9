"""The plan of a training counts with the MFU that one like it reached in the same run, finished or under way."""

from __future__ import annotations

import io
import shutil
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from rich.console import Console

from cluster.profiles import Profile
from cluster.storage import open_storage
from pipelines.artifact import Artifact, ArtifactFolder
from pipelines.plan import training_plan
from pipelines.recipe import Recipe
from pipelines.tables import TRAIN_LOG
from pipelines.train import checkpoints
from pipelines.train.estimate import known_shape
from pipelines.train.job import LAYOUT, Job
from pipelines.train.worker import train
from tests.train.alone import job_of, reset, train_alone

WORDS = 1_000_000_000
CPU = {"gpus_per_worker": 0, "attention": "sdpa", "zero_stage": 1, "checkpointing": "none"}
HARDWARE: dict[str, Any] = {**CPU, "tflops": 0.05, "watts": 100}
STAGE = {"effective_batch": 4, "lora": {"dropout": 0.0}}

pytestmark = pytest.mark.usefixtures("alone")


class Stopped(Exception):
    """The test ended the training."""


def recipe_for(model: Path, **hardware: Any) -> Recipe:
    return Recipe.model_validate(
        {
            "name": "test",
            "model": str(model),
            "crawl": {"sources": ["demo-magazine"]},
            "cluster": {"profile": "custom", "custom": {**HARDWARE, **hardware}},
            "tokenize": {"corpus_fraction": 1},
            "train": {"dtype": "float32", "finetune": STAGE, "instruct": STAGE},
            "expected": {"corpus_words": WORDS, "qa_words": WORDS, "tokens_per_word": 1.0},
        }
    )


def planned(recipe: Recipe, root: Path) -> list[str]:
    """The lines with hours: of fine-tuning, and of instruction tuning."""
    out = io.StringIO()
    Console(file=out, width=2000).print(training_plan(recipe, open_storage(root)))
    return [line for line in out.getvalue().splitlines() if " h at " in line]


def finish(job: Job) -> Artifact:
    return job.out.finish(
        step="finetune", version=1, settings={}, inputs={}, tables=(TRAIN_LOG,), files=(LAYOUT,), started=time.time()
    )


def mfu_of_log(artifact: Artifact) -> list[float]:
    found: list[float] = artifact.read(TRAIN_LOG)["mfu"].to_pylist()
    return found


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory, model: Path, tokens: Artifact, alone: None) -> Job:
    """A fine-tuning under way: stopped at its fifth step, with a checkpoint of the fourth."""
    folder = tmp_path_factory.mktemp("run")
    found = job_of(open_storage(folder), model, tokens=tokens, valid_tokens=0)
    found = replace(found, profile=Profile(**HARDWARE))

    def stop(step: int, figures: dict[str, Any]) -> None:
        if figures["step"] == step:
            raise Stopped

    work = tmp_path_factory.mktemp("work")
    reset()
    with pytest.raises(Stopped):
        train(found, work, partial(stop, 5))
    assert checkpoints.newest(found.out.folder).step == 4  # type: ignore[union-attr]
    return found


@pytest.fixture(scope="module")
def root(job: Job) -> Path:
    return Path(job.out.folder.url).parents[1]


def test_before_any_training_it_is_assumed(model: Path, tmp_path: Path) -> None:
    assert all("h at an assumed 35% of 0 TFLOP/s (4N a token)" in line for line in planned(recipe_for(model), tmp_path))


def test_one_under_way_counts_with_the_steps_up_to_its_newest_checkpoint(job: Job, model: Path, root: Path) -> None:
    """For both stages: instruction tuning has not begun."""
    said = planned(recipe_for(model), root)
    assert len(said) == 2
    assert all(f"(4N a token; median of 4 optimizer steps in {job.out.folder.url})" in line for line in said)


@pytest.mark.parametrize("other", [{"tflops": 0.06}, {"train_workers": 2}, {"checkpointing": "full"}, {"micro_batch": 1}])
def test_other_hardware_and_another_layout_are_not_measured(model: Path, root: Path, other: dict[str, Any]) -> None:
    assert all("an assumed 35%" in line for line in planned(recipe_for(model, **other), root))


def test_a_finished_one_counts_with_all_its_steps(job: Job, model: Path, root: Path, tmp_path: Path) -> None:
    """4 operations a parameter and token, by the peak and the median of its log."""
    shutil.copytree(root, tmp_path / "run")
    whole = replace(job, out=ArtifactFolder(open_storage(tmp_path / "run" / "finetune" / ("0" * 16))))
    train_alone(whole, tmp_path / "work")
    artifact = finish(whole)
    mfu, shape = median(mfu_of_log(artifact)), known_shape(str(model))
    assert shape
    hours = 4 * shape.parameters * WORDS / (0.05e12 * mfu) / 3600
    (said, _) = planned(recipe_for(model), tmp_path / "run")
    assert f"; {hours:.1f} h at a measured {mfu:.1%} of 0 TFLOP/s (4N a token; median of 6 optimizer steps in" in said
    assert f", {hours * 0.1:.2f} kWh, " in said


def test_another_model_is_not_measured(root: Path, model: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "config.json").write_bytes((model / "config.json").read_bytes())
    assert all("an assumed 35%" in line for line in planned(recipe_for(other), root))
