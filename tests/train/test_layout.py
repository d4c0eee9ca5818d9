"""The layout that a stage was trained under stays with it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cluster.errors import StorageFull
from cluster.profiles import PROFILES
from cluster.storage import LocalStorage, open_storage
from pipelines.artifact import Artifact
from pipelines.train import step
from pipelines.train.layout import UsedLayout, read_layout, write_layout
from tests.train.alone import job_of, train_alone


@pytest.mark.usefixtures("alone")
def test_a_stage_leaves_the_layout_that_it_ran_under(model: Path, tokens: Artifact, tmp_path: Path) -> None:
    """As it was at the end of all choices: the micro-batch and the attention are not the profile's."""
    job = job_of(open_storage(tmp_path), model, tokens=tokens, micro_batch=1, checkpointing="selective", valid_tokens=0)
    train_alone(job, tmp_path / "work")
    assert read_layout(job.out.folder) == UsedLayout(
        model=str(model), profile="cpu", tflops=0.0, workers=1, gpus_per_worker=0, dtype="float32", zero_stage=1, offload=False,
        micro_batch=1, accumulation=4, checkpointing="selective", attention="by_document",
    )  # fmt: skip
    said = "profile `cpu`, 1 worker(s) on a CPU: ZeRO 1, micro-batch 1, checkpointing selective, 4 accumulated, "
    assert f"finetune ran on {said}attention SDPA by document" in step._notes(job)


def used(folder: Path, profile: str = "a100x8") -> UsedLayout:
    job = job_of(open_storage(folder), folder)
    return UsedLayout.of(replace(job, profile=replace(PROFILES[profile], train_workers=4)), "flash_attention_2")


def test_it_is_said_in_words(tmp_path: Path) -> None:
    layout = used(tmp_path)
    assert layout.hardware == "profile `a100x8`, 4 GPU(s)"
    assert str(layout) == "ZeRO 2, micro-batch 1, checkpointing full, 1 accumulated, attention FlashAttention 2"
    offloaded = replace(layout, zero_stage=3, offload=True, attention="eager")
    assert str(offloaded).startswith("ZeRO 3 with the weights on the host, ") and str(offloaded).endswith("attention eager")


@pytest.mark.parametrize("other", [{"name": "a100-80"}, {"tflops": 300}, {"gpus_per_worker": 0}, {"train_workers": 8}])
def test_it_knows_the_hardware_that_it_is_of(other: dict[str, Any], tmp_path: Path) -> None:
    layout, profile = used(tmp_path), replace(PROFILES["a100x8"], train_workers=4)
    assert layout.is_of(profile)
    assert not layout.is_of(replace(profile, **other))


def test_a_full_disk_stops_only_a_training_that_has_something_to_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise StorageFull("no room")

    folder, layout = open_storage(tmp_path), used(tmp_path)
    write_layout(folder, layout)
    monkeypatch.setattr(LocalStorage, "write", full)
    write_layout(folder, layout)
    with pytest.raises(StorageFull):
        write_layout(folder, replace(layout, micro_batch=2))
    assert read_layout(folder) == layout
