"""Trackers of a real training: what they wrote is on run storage, for each of them."""

from __future__ import annotations

import os
import sqlite3
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster.storage import open_storage
from pipelines.artifact import Artifact
from pipelines.train.job import Job
from pipelines.train.worker import train
from tests.train.alone import job_of, reset, train_alone

STEPS = 6
EVERY_STEP = {
    "loss", "learning_rate", "grad_norm", "tokens_per_second", "tokens_per_second_padded", "memory_bytes", "seconds_left",
}  # fmt: skip
VALIDATED = {"loss", "perplexity", "loss_here", "loss_there"}


pytestmark = pytest.mark.usefixtures("alone")


@pytest.fixture(autouse=True)
def clean_environment() -> Iterator[None]:
    """A worker has one training in its life, and its environment with it."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


def trackers(job: Job) -> Path:
    return Path(job.out.folder.url) / "trackers"


def scalars(file: Path) -> dict[str, list[tuple[int, float]]]:
    """What a TensorBoard event file holds, by tag: records of a length, its checksum, an event and its checksum."""
    from tensorboardX.proto.event_pb2 import Event

    found: dict[str, list[tuple[int, float]]] = {}
    data, at = file.read_bytes(), 0
    while at < len(data):
        (length,) = struct.unpack_from("<Q", data, at)
        event = Event.FromString(data[at + 12 : at + 12 + length])
        for value in event.summary.value:
            found.setdefault(value.tag, []).append((event.step, value.simple_value))
        at += 12 + length + 4
    return found


def test_tensorboard_has_every_step_and_every_validation(model: Path, tokens: Artifact, tmp_path: Path) -> None:
    job = job_of(open_storage(tmp_path / "run"), model, tokens=tokens, report_to=["tensorboard"])
    reported = train_alone(job, tmp_path / "work")
    (file,) = (trackers(job) / "tensorboard").glob("events.out.tfevents.*")
    found = scalars(file)
    for name in EVERY_STEP:
        assert [step for step, _ in found[f"train/{name}"]] == list(range(1, STEPS + 1)), name
    for name in VALIDATED:
        assert [step for step, _ in found[f"eval/{name}"]] == [0, 2, 3, 4, 6], name
    losses = {figures["step"]: figures["loss"] for figures in reported if "loss" in figures}
    assert dict(found["train/loss"]) == pytest.approx(losses, rel=1e-6)


class Gone(Exception):
    """The machine."""


def stop_at_five(figures: dict[str, Any]) -> None:
    if figures["step"] == 5:
        raise Gone


def test_a_killed_training_leaves_what_was_tracked_until_its_checkpoint(model: Path, tokens: Artifact, tmp_path: Path) -> None:
    """And the one that goes on adds the rest, so that every step is there once."""
    job = job_of(open_storage(tmp_path / "run"), model, tokens=tokens, report_to=["tensorboard"])
    (tmp_path / "gone").mkdir()
    reset()
    with pytest.raises(Gone):
        train(job, tmp_path / "gone", stop_at_five)
    (first,) = (trackers(job) / "tensorboard").iterdir()
    assert [step for step, _ in scalars(first)["train/loss"]] == [1, 2, 3, 4]
    os.environ.pop("TENSORBOARD_LOGGING_DIR")
    train_alone(job, tmp_path / "again")
    files = (trackers(job) / "tensorboard").iterdir()
    assert sorted(step for file in files for step, _ in scalars(file)["train/loss"]) == list(range(1, STEPS + 1))


def test_wandb_writes_its_files_for_a_later_sync(model: Path, tokens: Artifact, tmp_path: Path) -> None:
    pytest.importorskip("wandb")
    job = job_of(open_storage(tmp_path / "run"), model, tokens=tokens, report_to=["wandb"])
    train_alone(job, tmp_path / "work")
    (file,) = trackers(job).glob("wandb/offline-run-*/run-*.wandb")
    data = file.read_bytes()
    for name in EVERY_STEP:
        assert f"train/{name}".encode() in data, name
    for name in VALIDATED:
        assert f"eval/{name}".encode() in data, name


def test_mlflow_keeps_a_run_in_its_own_file(model: Path, tokens: Artifact, tmp_path: Path) -> None:
    pytest.importorskip("mlflow")
    job = job_of(open_storage(tmp_path / "run"), model, tokens=tokens, report_to=["mlflow"])
    train_alone(job, tmp_path / "work")
    database = sqlite3.connect(trackers(job) / "mlflow.db")
    assert database.execute("select name from experiments where name = 'gaokerena'").fetchall()
    assert database.execute("select name, status from runs").fetchall() == [(job.run_name, "FINISHED")]
    steps: dict[str, list[int]] = {}
    for key, step in database.execute("select key, step from metrics order by step"):
        steps.setdefault(key, []).append(step)
    assert all(steps[name] == list(range(1, STEPS + 1)) for name in EVERY_STEP)
    assert all(steps[f"eval_{name}"] == [0, 2, 3, 4, 6] for name in VALIDATED)


def test_what_a_user_has_set_stands(model: Path, tokens: Artifact, tmp_path: Path) -> None:
    os.environ["TENSORBOARD_LOGGING_DIR"] = str(tmp_path / "mine")
    job = job_of(open_storage(tmp_path / "run"), model, tokens=tokens, report_to=["tensorboard"])
    train_alone(job, tmp_path / "work")
    assert list((tmp_path / "mine").glob("events.out.tfevents.*"))
    assert not job.out.folder.list("trackers")
