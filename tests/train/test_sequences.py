"""Order, cap and batches of a stage's sequences."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.errors import UserError
from cluster.storage import open_storage
from pipelines.tables import CORPUS_TRAIN
from pipelines.train.sequences import FILLER, Sequences, load_sequences, make_plan, sequence_lengths
from tests.train.sequences_of import row, tokens_artifact

LENGTHS = st.lists(st.integers(1, 100), min_size=1, max_size=60).map(np.array)


def plan_of(lengths: np.ndarray, **options: object) -> object:
    return make_plan(lengths, **{"seed": 1, "epochs": 1, "effective_batch": 4, "max_tokens": None, **options})


@given(LENGTHS, st.integers(1, 9))
def test_an_epoch_trains_on_every_sequence_once(lengths: np.ndarray, batch: int) -> None:
    plan = plan_of(lengths, effective_batch=batch)
    used = plan.order[plan.order != FILLER]
    assert sorted(used) == list(range(len(lengths)))
    assert len(plan.order) == plan.steps * batch
    assert plan.steps == -(-len(lengths) // batch)
    assert plan.unused == 0


@given(LENGTHS, st.integers(1, 3000), st.integers(0, 5))
def test_the_cap_is_never_passed_and_takes_the_same_sequences_first(lengths: np.ndarray, cap: int, seed: int) -> None:
    whole = plan_of(lengths, seed=seed, effective_batch=1)
    first = lengths[whole.order[0]]
    if first > cap:
        with pytest.raises(UserError, match="max_tokens"):
            plan_of(lengths, seed=seed, max_tokens=cap)
        return
    plan = plan_of(lengths, seed=seed, effective_batch=1, max_tokens=cap)
    assert plan.tokens == lengths[plan.order].sum() <= cap
    assert list(plan.order) == list(whole.order[: len(plan.order)])
    if plan.unused:
        assert plan.tokens + lengths[whole.order[len(plan.order)]] > cap


def test_the_order_comes_from_the_seed_alone() -> None:
    lengths = np.arange(1, 41)
    assert plan_of(lengths, seed=5).order.tolist() == plan_of(lengths, seed=5).order.tolist()
    assert plan_of(lengths, seed=5).order.tolist() != plan_of(lengths, seed=6).order.tolist()


def test_a_step_holds_the_same_sequences_longest_first() -> None:
    lengths = np.random.default_rng(0).integers(1, 100, 37)
    single = plan_of(lengths, effective_batch=1).order
    plan = plan_of(lengths, effective_batch=8)
    for step in range(plan.steps):
        rows = plan.of_step(step)
        assert set(rows) == set(single[step * 8 : (step + 1) * 8])
        assert list(lengths[rows]) == sorted(lengths[rows], reverse=True)


def test_every_epoch_has_an_order_of_its_own() -> None:
    plan = plan_of(np.full(20, 10), epochs=2.5, effective_batch=10)
    assert plan.sequences == 50
    assert plan.steps == 5
    first, second = (set(plan.of_step(0)) | set(plan.of_step(1)), set(plan.of_step(2)) | set(plan.of_step(3)))
    assert first == second == set(range(20))
    assert plan.of_step(0).tolist() != plan.of_step(2).tolist()


def test_nothing_to_train_on_is_said() -> None:
    with pytest.raises(UserError, match="no sequence to train on"):
        plan_of(np.array([], dtype=np.int64))


def test_stored_padding_is_left_out() -> None:
    padded = row(9, 4, seed=1)
    padded["input_ids"] += [0] * 7
    padded["labels"] += [-100] * 7
    table = CORPUS_TRAIN.table([padded])
    assert sequence_lengths(table).tolist() == [13]
    sequences = Sequences(table, plan_of(sequence_lengths(table), effective_batch=1))
    assert len(sequences[0]["input_ids"]) == 13
    assert sequences.counts(0) == (13, 13 - 2)


def test_rows_of_a_step_have_names() -> None:
    table = CORPUS_TRAIN.table([row(9, seed=n) for n in range(5)])
    sequences = Sequences(table, plan_of(sequence_lengths(table), effective_batch=4))
    assert sequences.names(0)[3:] == ["..."]
    assert len(sequences.names(1)) == 1 and sequences.names(1)[0].startswith("row-")


def test_a_filler_has_no_label() -> None:
    table = CORPUS_TRAIN.table([row(9, seed=1)])
    sequences = Sequences(table, plan_of(sequence_lengths(table), effective_batch=4))
    assert [len(sequences[i]["input_ids"]) for i in range(len(sequences))] == [9, 1, 1, 1]
    assert sequences[1]["labels"].tolist() == [-100]
    assert sequences.counts(0) == (9, 8)


def test_sequences_come_from_a_folder_and_from_an_object_store_alike(tmp_path: Path, s3_url: str) -> None:
    here = load_sequences(tokens_artifact(open_storage(tmp_path / "run")), CORPUS_TRAIN, tmp_path / "cache")
    there = load_sequences(tokens_artifact(open_storage(s3_url)), CORPUS_TRAIN, tmp_path / "cache")
    assert here.equals(there)
    assert here.num_rows == 24


def test_a_damaged_shard_is_named(tmp_path: Path) -> None:
    artifact = tokens_artifact(open_storage(tmp_path))
    (path,) = artifact.shards(CORPUS_TRAIN)
    artifact.folder.write(path, b"no arrow file")
    with pytest.raises(UserError, match=r"corpus_train/all\.arrow is damaged"):
        load_sequences(artifact, CORPUS_TRAIN, tmp_path / "cache")


def test_every_sequence_of_a_micro_batch_costs_as_much_as_its_longest() -> None:
    """Five sequences in steps of four; the second step has three fillers of one token."""
    table = CORPUS_TRAIN.table([row(n, seed=n) for n in (9, 7, 4, 3, 5)])
    plan = make_plan(sequence_lengths(table), seed=1, epochs=1, effective_batch=4, max_tokens=None)
    sequences = Sequences(table, plan)
    for step in range(2):
        lengths = [len(sequences[index]["input_ids"]) for index in range(step * 4, step * 4 + 4)]
        assert sequences.padded(step, 1) == sum(lengths)
        assert sequences.padded(step, 2) == 2 * (max(lengths[:2]) + max(lengths[2:]))
        assert sequences.padded(step, 4) == 4 * max(lengths)
