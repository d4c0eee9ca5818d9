"""One of two workers that train the same stage under several ZeRO stages, without Ray: `pair.py FOLDER MODEL RANK`."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from cluster.session import prepare_environment
from cluster.storage import open_storage
from pipelines.artifact import Artifact
from pipelines.train import checkpoints
from pipelines.train import loss as losses
from pipelines.train.job import Job
from tests.train.alone import job_of, process_group, train_alone
from tests.train.sequences_of import tokens_artifact

STOPPED = 2  # of four, the step of the checkpoint that the resumed training has
LAYOUTS: dict[str, dict[str, Any]] = {
    "zero-2": {"zero_stage": 2},
    "zero-3": {"zero_stage": 3},
    "resumed": {"zero_stage": 3},
    "offloaded": {"zero_stage": 3, "offload": True, "checkpointing": "full"},
}


def main(folder: Path, model: Path, rank: int) -> None:
    losses.CHUNK_LOGITS = 700 * 20  # about twenty labels: the workers have different numbers of chunks
    with process_group(folder, rank=rank, ranks=2):
        if rank == 0:
            tokens_artifact(open_storage(folder / "tokens"), 16)
        torch.distributed.barrier()
        for name in LAYOUTS:
            job = job_for(name, folder, model)
            if name == "resumed" and rank == 0:
                shutil.copytree(job_for("zero-3", folder, model).out.folder.url, job.out.folder.url)
                (Path(job.out.folder.url) / ".units" / "log.json").unlink()
                checkpoints.drop_after(job.out.folder, STOPPED)
            torch.distributed.barrier()
            first_step = train_alone(job, folder / f"{name}-worker-{rank}")
            if rank == 0 and name == "resumed":
                assert first_step[0]["step"] > STOPPED, "it began again"
            torch.distributed.barrier()


def job_for(name: str, folder: Path, model: Path) -> Job:
    """Two steps of accumulation on each worker."""
    tokens = Artifact.load(open_storage(folder / "tokens").sub("tokenize", "0" * 16))
    job = job_of(open_storage(folder / name), model, tokens=tokens, micro_batch=1)
    return replace(job, profile=replace(job.profile, train_workers=2, **LAYOUTS[name]))


if __name__ == "__main__":
    prepare_environment()
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
