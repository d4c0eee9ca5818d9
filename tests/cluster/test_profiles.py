"""Hardware profiles: those with a name, and one that a recipe writes itself."""

from __future__ import annotations

import pytest

from cluster.errors import UserError
from cluster.profiles import PROFILES
from pipelines.recipe import load_recipe

RTX_4090 = ("cluster.profile=custom", "cluster.custom={train_workers: 2, memory_gib: 24, tflops: 165, watts: 450}")


def test_every_kind_of_machine_has_one() -> None:
    assert list(PROFILES) == ["cpu", "a100-40", "a100-80", "a100x8", "h100"]
    assert PROFILES["cpu"].resources == {"CPU": 1}
    assert PROFILES["a100x8"].resources == {"CPU": 8, "GPU": 1}
    assert PROFILES["a100x8"].train_workers == 8


def test_a_recipe_writes_its_own() -> None:
    profile = load_recipe("paper", RTX_4090).cluster.hardware()
    assert (profile.name, profile.train_workers, profile.memory_bytes) == ("custom", 2, 24 * 2**30)
    assert (profile.tflops, profile.watts, profile.zero_stage, profile.dtype) == (165, 450, 2, "bfloat16")
    assert profile.resources == {"CPU": 4, "GPU": 1}
    assert load_recipe("paper", [*RTX_4090, "cluster.workers=4"]).cluster.hardware().train_workers == 4


def test_hardware_changes_no_result() -> None:
    assert load_recipe("paper", RTX_4090).identity() == load_recipe("paper").identity()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["cluster.custom.memory=24"], r"unknown key cluster.custom.memory; .*memory_gib"),
        (["cluster.custom.tflops=fast"], r"cluster.custom.tflops = 'fast': .*number"),
        (["cluster.custom.attention=flash"], r"cluster.custom.attention = 'flash': .*'sdpa'"),
        (["cluster.custom.gpus_per_worker=2"], r"cluster.custom.gpus_per_worker = 2: .*less than or equal to 1"),
        (["cluster.custom={}"], r"memory_gib is missing"),
        (["cluster.custom={memory_gib: 24, offload: true}"], r"needs zero_stage: 3"),
        (
            ["cluster.custom=null"],
            r"the profile custom and its hardware in cluster.custom belong together; that has .*memory_gib",
        ),
        (["cluster.profile=h100"], r"belong together"),
    ],
)
def test_a_mistake_in_it_is_one_line(changes: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        load_recipe("paper", [*RTX_4090, *changes])
    assert "\n" not in str(caught.value)
