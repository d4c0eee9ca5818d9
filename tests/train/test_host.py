"""Main memory has to be enough to merge: by what the profile says of it, or by this machine where it trains."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest
import torch

from cluster.errors import UserError
from cluster.profiles import PROFILES, Profile
from pipelines.cli import main
from pipelines.recipe import load_recipe
from pipelines.train import step
from pipelines.train.estimate import known_shape
from pipelines.train.host import with_host_memory
from pipelines.train.memory import Choice, choose_layout
from pipelines.train.settings import TrainSettings

AYA, GIB = "aya-expanse-8b", 2**30
DEVICE = 80  # GiB


def chosen(**fields: Any) -> Choice:
    found = choose_layout(AYA, Profile(memory_gib=DEVICE, **fields), TrainSettings(), "finetune", 1024)
    assert found
    return found


def test_merging_in_float32_is_counted() -> None:
    shape = known_shape(AYA)
    assert shape and chosen().memory.host == 4 * shape.parameters
    assert "29.9 GiB of main memory to merge" in str(chosen().memory)


def test_a_machine_that_is_too_small_to_merge_is_refused_in_one_line_before_it_trains() -> None:
    """A tenth of it stays free: 33.3 GiB are enough for 29.9, and 33.2 are not."""
    assert chosen(host_gib=33.3).layout
    with pytest.raises(UserError, match="finetune: merging aya-expanse-8b takes 29.9 GiB of main memory") as caught:
        chosen(host_gib=33.2)
    assert "a machine of 33.2 GiB has to keep a tenth free" in str(caught.value) and "\n" not in str(caught.value)


def test_a_machine_that_nothing_is_known_of_refuses_nothing() -> None:
    assert chosen(host_gib=0).layout


class Memory(NamedTuple):
    total: int


def with_gpus(monkeypatch: pytest.MonkeyPatch, number: int, gib: int) -> None:
    """This machine as if it had so many GPUs, and so much main memory."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: number)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: Memory(gib * GIB))


def test_the_machine_that_trains_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    with_gpus(monkeypatch, 2, 64)
    two = Profile(train_workers=2, memory_gib=DEVICE)
    assert with_host_memory(two, None).host_gib == 64
    assert with_host_memory(Profile(memory_gib=DEVICE, host_gib=100), None).host_gib == 100


def test_another_machine_and_a_cluster_are_not_judged_by_this_one(monkeypatch: pytest.MonkeyPatch) -> None:
    with_gpus(monkeypatch, 1, 64)
    one = Profile(memory_gib=DEVICE)
    assert with_host_memory(one, "auto") == one
    assert with_host_memory(PROFILES["a100x8"], None) == PROFILES["a100x8"]
    assert with_host_memory(PROFILES["cpu"], None) == PROFILES["cpu"]


def test_a_run_refuses_before_it_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    with_gpus(monkeypatch, 1, 16)
    recipe = load_recipe("paper", ["cluster.profile=custom", f"cluster.custom={{memory_gib: {DEVICE}}}"])
    with pytest.raises(UserError, match="a machine of 16 GiB"):
        step.check(recipe)


@pytest.mark.parametrize(("host", "code"), [("32", 2), ("64", 0)])
def test_a_dry_run_says_what_merging_takes_or_refuses_with_exit_code_two(
    host: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    changes = ["--set", "cluster.profile=custom", "--set", f"cluster.custom={{memory_gib: {DEVICE}, host_gib: {host}}}"]
    monkeypatch.setattr("sys.argv", ["gaokerena", "train", "--recipe", "paper", "--out", str(tmp_path), "--dry-run", *changes])
    with pytest.raises(SystemExit) as ended:
        main()
    assert (ended.value.code or 0) == code
    out, errors = capsys.readouterr()
    if code:
        (line,) = errors.splitlines()
        assert "merging aya-expanse-8b takes 29.9 GiB" in line and "a machine of 32 GiB" in line
    else:
        assert "29.9 GiB of main memory to merge" in " ".join(out.split())
