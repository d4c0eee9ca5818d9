"""What a stage computes, and what it survives: one worker in this process, exact arithmetic, a tiny model."""

from __future__ import annotations

import errno
import json
import os
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional

from cluster.storage import Storage, open_storage
from pipelines.artifact import Artifact
from pipelines.tables import CORPUS_VALID, TRAIN_LOG
from pipelines.train import checkpoints
from pipelines.train.divergence import Diverged
from pipelines.train.job import LOG_UNIT, VALIDATION, Job
from pipelines.train.worker import train
from serving.engines.models import load_model
from tests.train.alone import job_of, reset, train_alone
from tests.train.plain_loop import plain_loop
from tests.train.sequences_of import tokens_artifact

Rows = list[dict[str, Any]]


pytestmark = pytest.mark.usefixtures("alone")


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory, model: Path, tokens: Artifact) -> Job:
    """A finished stage of six optimizer steps, a checkpoint after every second."""
    folder = tmp_path_factory.mktemp("unbroken")
    job = job_of(open_storage(folder / "run"), model, tokens=tokens)
    train_alone(job, folder / "work")
    return job


def logged(job: Job) -> Rows:
    (shard,) = job.out.record(LOG_UNIT).shards
    rows: Rows = job.out.read_shard(shard.path).to_pylist()
    return rows


def adapter(job: Job) -> dict[str, torch.Tensor]:
    return load_file(Path(job.out.folder.url) / "adapter" / "adapter_model.safetensors")


def column(rows: Rows, name: str) -> list[float]:
    return [row[name] for row in rows]


def test_accumulating_sixteen_equals_a_batch_of_sixteen(model: Path, tmp_path: Path) -> None:
    found = {}
    for size in (1, 16):
        root = open_storage(tmp_path / str(size))
        job = job_of(root, model, tokens=tokens_artifact(root, 48), micro_batch=size, finetune={"effective_batch": 16})
        train_alone(job, tmp_path / f"work-{size}")
        found[size] = (logged(job), adapter(job))
    (single, weights), (whole, expected) = found[1], found[16]
    assert len(whole) == 3
    for name in ("loss", "grad_norm"):
        assert column(single, name) == pytest.approx(column(whole, name), rel=1e-5)
    for name, tensor in expected.items():
        torch.testing.assert_close(weights[name], tensor, rtol=1e-4, atol=1e-5)


def test_twenty_steps_equal_those_of_a_plain_loop(model: Path, tmp_path: Path) -> None:
    root = open_storage(tmp_path)
    job = job_of(root, model, tokens=tokens_artifact(root, 40), checkpoint_steps=100, valid_tokens=0, finetune={"epochs": 2})
    train_alone(job, tmp_path / "work")
    rows, (losses, norms) = logged(job), plain_loop(job)
    assert len(rows) == 20
    assert column(rows, "loss") == pytest.approx(losses, rel=1e-4)
    assert column(rows, "grad_norm") == pytest.approx(norms, rel=1e-4)


def test_validation_is_the_loss_of_the_trained_model_by_source(unbroken: Job) -> None:
    """Of every held-out document by itself, by the merged model's own loss, over labels and not over batches."""
    merged = load_model(Path(unbroken.out.folder.url) / "model", "float32")
    sums: dict[str, list[float]] = {"here": [0.0, 0], "there": [0.0, 0]}
    for row in unbroken.tokens.read(CORPUS_VALID).to_pylist():
        start = 0
        for length, source in zip(row["document_lengths"], row["sources"], strict=True):
            ids = torch.tensor(row["input_ids"][start : start + length])[None]
            with torch.no_grad():
                logits = merged(input_ids=ids).logits
            sums[source][0] += float(functional.cross_entropy(logits[0, :-1], ids[0, 1:], reduction="sum"))
            sums[source][1] += length - 1
            start += length
    rows = json.loads(unbroken.out.folder.read(VALIDATION))
    last = {row["source"]: row for row in rows if row["step"] == 6}
    for source, (total, labels) in {**sums, "all": [sum(column) for column in zip(*sums.values(), strict=True)]}.items():
        assert last[source]["labels"] == labels
        assert last[source]["loss"] == pytest.approx(total / labels, rel=1e-4)
    assert last["all"]["perplexity"] == pytest.approx(torch.tensor(last["all"]["loss"]).exp().item())


def test_validation_comes_before_after_and_between(unbroken: Job) -> None:
    rows = [row for row in json.loads(unbroken.out.folder.read(VALIDATION)) if row["source"] == "all"]
    assert column(rows, "step") == [0, 2, 3, 4, 6]
    by_step = {row["step"]: row["loss"] for row in rows}
    assert column(logged(unbroken), "valid_loss") == [by_step.get(step) for step in range(1, 7)]


def test_validation_changes_nothing_in_training(model: Path, tokens: Artifact, tmp_path: Path) -> None:
    """With dropout too: it draws no random number."""
    found = {}
    for valid_tokens in (0, 1000):
        root, lora = open_storage(tmp_path / str(valid_tokens)), {"lora": {"dropout": 0.3}}
        job = job_of(root, model, tokens=tokens, valid_tokens=valid_tokens, finetune=lora)
        train_alone(job, tmp_path / f"work-{valid_tokens}")
        found[valid_tokens] = job
    without, with_it = found[0], found[1000]
    assert TRAIN_LOG.digest(TRAIN_LOG.table(logged(without))) == TRAIN_LOG.digest(TRAIN_LOG.table(logged(with_it)))
    assert all(torch.equal(tensor, adapter(with_it)[name]) for name, tensor in adapter(without).items())
    assert json.loads(without.out.folder.read(VALIDATION)) == []
    assert json.loads(with_it.out.folder.read(VALIDATION))


@pytest.mark.parametrize("level", ["selective", "full"])
def test_activation_checkpointing_ends_with_the_same_weights(
    unbroken: Job, model: Path, tokens: Artifact, tmp_path: Path, level: str
) -> None:
    job = job_of(open_storage(tmp_path / "run"), model, tokens=tokens, checkpointing=level)
    train_alone(job, tmp_path / "work")
    for name, tensor in adapter(unbroken).items():
        torch.testing.assert_close(adapter(job)[name], tensor, rtol=1e-5, atol=1e-6)


class Stopped(Exception):
    """The test ended the training."""


def stop_at(step: int, figures: dict[str, Any]) -> None:
    if figures["step"] == step:
        raise Stopped


def stopped_job(model: Path, tokens: Artifact, folder: Path, **settings: Any) -> Job:
    """A stage that was stopped at its fifth step, with checkpoints of the second and the fourth."""
    job = job_of(open_storage(folder / "run"), model, tokens=tokens, **settings)
    (folder / "stopped").mkdir()
    reset()
    with pytest.raises(Stopped):
        train(job, folder / "stopped", partial(stop_at, 5))
    assert [checkpoint.step for checkpoint in checkpoints.complete(job.out.folder)] == [2, 4]
    return job


def truncate(storage: Storage, path: str) -> None:
    with (Path(storage.url) / path).open("r+b") as file:
        file.truncate(100)


def test_a_damaged_checkpoint_falls_back_to_the_one_before(unbroken: Job, model: Path, tokens: Artifact, tmp_path: Path) -> None:
    job = stopped_job(model, tokens, tmp_path)
    newest = checkpoints.complete(job.out.folder)[-1]
    truncate(job.out.folder, next(path for path in newest.files if "optim_states" in path))
    (said,) = checkpoints.drop_damaged(job.out.folder)
    assert "step-000004 is damaged" in said and "optim_states.pt is not what was written" in said
    steps = column(train_alone(job, tmp_path / "again"), "step")
    assert steps[0] == 3
    assert all(torch.equal(tensor, adapter(unbroken)[name]) for name, tensor in adapter(job).items())
    assert column(logged(job), "loss") == column(logged(unbroken), "loss")
    assert column(logged(job), "valid_loss") == column(logged(unbroken), "valid_loss")


def test_a_resumed_training_draws_the_dropout_that_the_unbroken_one_drew(
    unbroken: Job, model: Path, tokens: Artifact, tmp_path: Path
) -> None:
    dropout = {"finetune": {"lora": {"dropout": 0.3}}}
    whole = job_of(open_storage(tmp_path / "whole"), model, tokens=tokens, **dropout)
    train_alone(whole, tmp_path / "work")
    assert largest_difference(whole, unbroken) > 1e-4, "dropout changes nothing: nothing would be tested"
    job = stopped_job(model, tokens, tmp_path, **dropout)
    steps = column(train_alone(job, tmp_path / "again"), "step")
    assert steps[0] == 5
    assert largest_difference(job, whole) <= 1e-6
    assert column(logged(job), "loss") == column(logged(whole), "loss")


def largest_difference(job: Job, other: Job) -> float:
    """Between two adapters' weights."""
    weights = adapter(other)
    return max(float((tensor - weights[name]).abs().max()) for name, tensor in adapter(job).items())


def test_a_full_disk_costs_a_checkpoint_and_not_the_run(
    unbroken: Job, model: Path, tokens: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.fsync

    def no_room_for_step_4(descriptor: int) -> None:
        if "step-000004" in os.readlink(f"/proc/self/fd/{descriptor}"):
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", no_room_for_step_4)
    job = job_of(open_storage(tmp_path / "run"), model, tokens=tokens)
    reported = train_alone(job, tmp_path / "work")
    assert [checkpoint.step for checkpoint in checkpoints.complete(job.out.folder)] == [2, 6]
    assert not job.out.folder.list(checkpoints.prefix_of(4))
    (notice,) = reported[-1]["notices"]
    assert notice.startswith("no checkpoint at step 4, the training goes on: no room left while writing")
    assert job.out.record(LOG_UNIT).facts["checkpoints_without_room"] == 1
    assert all(torch.equal(tensor, adapter(unbroken)[name]) for name, tensor in adapter(job).items())


def test_a_full_disk_of_a_node_is_seen_before_the_checkpoint_is_written(
    model: Path, tokens: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(10**9, 10**9 - 1000, 1000))
    job = job_of(open_storage(tmp_path / "run"), model, tokens=tokens)
    reported = train_alone(job, tmp_path / "work")
    assert not checkpoints.complete(job.out.folder)
    assert not list((tmp_path / "work").glob("checkpoint-*"))
    assert [notice.split(",")[0] for notice in reported[-1]["notices"]] == [f"no checkpoint at step {n}" for n in (2, 4, 6)]


def test_a_loss_that_is_no_number_stops_before_it_is_kept(model: Path, tokens: Artifact, tmp_path: Path) -> None:
    """A learning rate of 1e30 leaves weights that overflow."""
    job = job_of(open_storage(tmp_path), model, tokens=tokens, checkpoint_steps=1, finetune={"learning_rate": 1e30})
    with pytest.raises(Diverged, match=r"finetune: the (loss|gradient norm) is (nan|inf) at step \d .*row-\d+.* lower") as caught:
        train_alone(job, tmp_path / "work")
    assert caught.value.step > 1
    assert all(checkpoint.step < caught.value.step for checkpoint in checkpoints.complete(job.out.folder))
