"""One training stage in this process, as its only worker and without Ray: some seconds instead of a minute."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import deepspeed.comm.comm
import deepspeed.utils.groups
import torch
from accelerate.state import AcceleratorState
from deepspeed.ops import __compatible_ops__

from cluster.profiles import PROFILES
from cluster.storage import Storage
from pipelines.artifact import Artifact, ArtifactFolder
from pipelines.train.job import Job
from pipelines.train.settings import TrainSettings
from pipelines.train.worker import train
from tests.train.sequences_of import tokens_artifact

ALONE = {
    "RANK": "0",
    "LOCAL_RANK": "0",
    "WORLD_SIZE": "1",
    "LOCAL_WORLD_SIZE": "1",
    "MASTER_ADDR": "127.0.0.1",
    "MASTER_PORT": "0",
}
ALONE |= {"OMP_NUM_THREADS": "1"}  # accelerate sets threads by it


@contextmanager
def process_group(folder: Path, backend: str = "gloo", *, rank: int = 0, ranks: int = 1) -> Iterator[None]:
    """This process as a group of one, or as one of more, with one thread: a tiny model's tensors are not worth sharing."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    before = {name: os.environ.get(name) for name in ALONE}
    os.environ.update(ALONE | {name: str(rank) for name in ("RANK", "LOCAL_RANK")})
    os.environ.update({name: str(ranks) for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE")})
    store = torch.distributed.FileStore(str(folder / "store"), ranks)
    __compatible_ops__["deepspeed_shm_comm"] = False  # compiled otherwise
    torch.distributed.init_process_group(backend, store=store, rank=rank, world_size=ranks)
    yield
    torch.distributed.destroy_process_group()
    _forget_groups()
    torch.set_num_threads(threads)
    for name, value in before.items():
        os.environ.pop(name) if value is None else os.environ.update({name: value})


def _forget_groups() -> None:
    """DeepSpeed keeps the groups of its first process group for the next one, which does not know them."""
    deepspeed.comm.comm.cdb = None
    importlib.reload(deepspeed.utils.groups)


def job_of(root: Storage, model: Path, *, seed: int = 2025, tokens: Artifact | None = None, **settings: Any) -> Job:
    """A fine-tuning in exact arithmetic; `settings` are those of `train`."""
    stage = {"effective_batch": 4, "lora": {"dropout": 0.0}, **settings.pop("finetune", {})}
    return Job(
        stage="finetune",
        settings=TrainSettings.model_validate(
            {"dtype": "float32", "checkpoint_steps": 2, "valid_share": 9, "measure_energy": False, **settings, "finetune": stage}
        ),
        seed=seed,
        profile=PROFILES["cpu"],
        model=str(model),
        previous=None,
        tokens=tokens or tokens_artifact(root),
        out=ArtifactFolder(root.sub("finetune", "0" * 16)),
    )


def reset() -> None:
    """Forget the training before: a worker has one in its life."""
    AcceleratorState._reset_state(reset_partial_state=True)


def train_alone(job: Job, folder: Path) -> list[dict[str, Any]]:
    """Train a stage; the figures that it reported, one entry a report."""
    reported: list[dict[str, Any]] = []
    folder.mkdir(parents=True, exist_ok=True)
    reset()
    train(job, folder, reported.append)
    return reported
