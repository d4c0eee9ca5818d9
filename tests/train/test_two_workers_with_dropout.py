"""Two workers with dropout: they go on from a checkpoint as if nothing had been, and see and learn what one worker does."""

from __future__ import annotations

import json
from itertools import groupby
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from cluster.storage import open_storage
from pipelines.artifact import ArtifactFolder
from pipelines.tables import CORPUS_TRAIN
from pipelines.train.job import LOG_UNIT, VALIDATION
from tests.train.alone import train_alone
from tests.train.dropout_pair import NOISY, RESUMED, SEED, UNBROKEN, noisy_job, tokens_in
from tests.train.seen import MicroBatch, seen
from tests.train.two_workers import run_two_workers

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
BySeed = dict[int, tuple[Path, list[MicroBatch]]]
SEEDS = (SEED, SEED + 1, SEED + 2)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Path:
    """What two workers left."""
    folder = tmp_path_factory.mktemp("pair")
    run_two_workers("tests.train.dropout_pair", folder, model)
    return folder


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory, two: Path, model: Path, alone: None) -> BySeed:
    """By seed, what one worker left of the same stage, and what it saw."""
    left = {}
    for seed in SEEDS:
        folder = tmp_path_factory.mktemp(f"seed-{seed}")
        with seen() as found:
            train_alone(noisy_job(open_storage(folder), model, tokens_in(two / "predictable"), seed), folder / "work")
        left[seed] = (folder, found)
    return left


def out(folder: Path) -> Path:
    return folder / "finetune" / ("0" * 16)


def adapter(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(out(folder) / "adapter" / "adapter_model.safetensors")


def logged(folder: Path, name: str) -> list[float]:
    stage = ArtifactFolder(open_storage(out(folder)))
    (shard,) = stage.record(LOG_UNIT).shards
    found: list[float] = stage.read_shard(shard.path)[name].to_pylist()
    return found


def held_out_losses(folder: Path) -> list[float]:
    return [row["loss"] for row in json.loads((out(folder) / VALIDATION).read_text()) if row["source"] == "all"]


def steps(batches: list[MicroBatch]) -> list[list[list[int]]]:
    """The sequences of each optimizer step, in their order."""
    return [[tokens for _, tokens in group] for _, group in groupby(batches, key=lambda batch: batch[0])]


def dealt(two: Path) -> list[list[list[int]]]:
    """What both workers saw, step by step, taken in turns."""
    ranks = [steps(json.loads((two / f"seen-{rank}.json").read_text())) for rank in range(2)]
    return [[tokens for turn in zip(*shares, strict=True) for tokens in turn] for shares in zip(*ranks, strict=True)]


def test_two_workers_that_resume_draw_the_dropout_that_unbroken_ones_drew(two: Path) -> None:
    for name, tensor in adapter(two / UNBROKEN).items():
        torch.testing.assert_close(adapter(two / RESUMED)[name], tensor, rtol=0, atol=1e-6)
    assert logged(two / RESUMED, "loss") == logged(two / UNBROKEN, "loss")


def test_two_workers_see_the_sequences_of_one_in_the_same_order(two: Path, one: BySeed) -> None:
    by_seed = {seed: steps(found) for seed, (_, found) in one.items()}
    assert dealt(two) == by_seed[SEED]
    assert by_seed[SEED] != by_seed[SEED + 1]
    rows = tokens_in(two / "predictable").read(CORPUS_TRAIN)["input_ids"].to_pylist()
    first_epoch = [tokens for step in by_seed[SEED] for tokens in step][: len(rows)]
    assert sorted(first_epoch) == sorted(rows)


def test_a_step_of_two_workers_has_the_tokens_of_a_step_of_one(two: Path, one: BySeed) -> None:
    """Of those that reached the models, without the fillers of the last step, which are sequences of one token."""
    counted = [sum(len(tokens) for tokens in step if len(tokens) > 1) for step in dealt(two)]
    for name in ("tokens", "label_tokens"):
        assert logged(two / NOISY, name) == logged(one[SEED][0], name)
    assert logged(two / NOISY, "tokens") == counted


def test_two_workers_learn_what_one_does(two: Path, one: BySeed) -> None:
    """Masks of dropout and roundings differ, order and start do not: to its own seed it is nearer than seeds are to each other.

    So it lies within the spread of the three, or beside it by less than their spread: a fourth draw of what the three were
    drawn from would be outside of them one time in two.
    """
    losses = {seed: held_out_losses(folder) for seed, (folder, _) in one.items()}
    final, found = [loss[-1] for loss in losses.values()], held_out_losses(two / NOISY)
    spread = max(final) - min(final)
    print(f"one worker, by seed: {final}; two workers: {found[-1]}; before: {found[0]}")
    assert found[0] == pytest.approx(losses[SEED][0], abs=1e-2)
    assert found[0] - max(final) > 5 * spread, "it learns too little to tell right from wrong"
    assert abs(found[-1] - losses[SEED][-1]) <= spread
