"""A notice that a machine is about to go becomes a checkpoint of the step under way, in one process and without Ray."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from cluster.storage import open_storage
from pipelines.artifact import Artifact
from pipelines.train import checkpoints, preemption
from pipelines.train.job import LOG_UNIT, Job
from pipelines.train.sigterm import heed_sigterm
from pipelines.train.worker import train
from tests.train.alone import job_of, reset, train_alone


class Gone(Exception):
    """The machine."""


pytestmark = pytest.mark.usefixtures("alone")


@pytest.fixture(autouse=True)
def usual_sigterm() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def adapter(job: Job) -> dict[str, torch.Tensor]:
    return load_file(Path(job.out.folder.url) / "adapter" / "adapter_model.safetensors")


def test_sigterm_saves_the_step_under_way_and_the_run_ends_where_an_unbroken_one_does(
    model: Path, tokens: Artifact, tmp_path: Path
) -> None:
    """Dropout is on; the signal comes after the second of six steps, the machine goes after the fourth."""
    dropout = {"finetune": {"lora": {"dropout": 0.1}}}
    unbroken = job_of(open_storage(tmp_path / "unbroken"), model, tokens=tokens, **dropout)
    train_alone(unbroken, tmp_path / "work")
    job = job_of(open_storage(tmp_path / "run"), model, tokens=tokens, checkpoint_steps=1000, **dropout)
    heed_sigterm()

    sent: list[int] = []

    def signalled(figures: dict[str, Any]) -> None:
        if figures["step"] == 2 and not sent:
            sent.append(2)
            os.kill(os.getpid(), signal.SIGTERM)
        if figures["step"] == 4:
            raise Gone

    (tmp_path / "gone").mkdir()
    reset()
    with pytest.raises(Gone):
        train(job, tmp_path / "gone", signalled)
    assert [checkpoint.step for checkpoint in checkpoints.complete(job.out.folder)] == [3]
    reported = train_alone(job, tmp_path / "again")
    assert reported[-1]["notices"] == ["a machine is about to go: a checkpoint is written at step 3, the training goes on"]
    assert next(figures["step"] for figures in reported if "loss" in figures) == 4
    assert job.out.record(LOG_UNIT).facts["checkpoints_without_room"] == 0
    assert all(torch.equal(tensor, adapter(unbroken)[name]) for name, tensor in adapter(job).items())


def test_a_node_that_ray_drains_is_saved_once(
    model: Path, tokens: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And once more for another node."""
    monkeypatch.setattr(preemption, "ASK_EVERY", 0.0)
    answers = iter([None, "node 1", "node 1", "nodes 1 and 2", "nodes 1 and 2", "nodes 1 and 2"])
    job = job_of(open_storage(tmp_path / "run"), model, tokens=tokens, checkpoint_steps=1000, keep_checkpoints=9)
    reported: list[dict[str, Any]] = []
    (tmp_path / "work").mkdir()
    reset()
    train(job, tmp_path / "work", reported.append, lambda: next(answers))
    assert [checkpoint.step for checkpoint in checkpoints.complete(job.out.folder)] == [2, 4, 6]
    assert len(reported[-1]["notices"]) == 2


def test_ray_is_not_asked_at_every_step(model: Path, tokens: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preemption, "ASK_EVERY", 600.0)  # longer than this takes on any machine

    def asked() -> None:
        raise AssertionError("before its time")

    job = job_of(open_storage(tmp_path / "run"), model, tokens=tokens, checkpoint_steps=1000)
    (tmp_path / "work").mkdir()
    reset()
    train(job, tmp_path / "work", lambda figures: None, asked)


def test_a_second_sigterm_ends_the_process_as_ever() -> None:
    caught: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: caught.append(number))
    heed_sigterm()
    os.kill(os.getpid(), signal.SIGTERM)
    assert caught == []
    os.kill(os.getpid(), signal.SIGTERM)
    assert caught == [signal.SIGTERM]
