"""One of two workers that train with dropout, without Ray: `dropout_pair.py FOLDER MODEL RANK`. What it saw is in FOLDER/seen-RANK.json."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from cluster.session import prepare_environment
from cluster.storage import Storage, open_storage
from pipelines.artifact import Artifact
from pipelines.train import checkpoints
from pipelines.train.job import Job
from pipelines.train.settings import LoraSettings
from tests.train.alone import job_of, process_group, train_alone
from tests.train.seen import seen
from tests.train.sequences_of import predictable_artifact, tokens_artifact

STOPPED = 4  # of six, the step of the checkpoint that the resumed training has
SEED = 2025
UNBROKEN, RESUMED, NOISY = "unbroken", "resumed", "noisy"


def main(folder: Path, model: Path, rank: int) -> None:
    with process_group(folder, rank=rank, ranks=2):
        if rank == 0:
            tokens_artifact(open_storage(folder / "random"))
            predictable_artifact(open_storage(folder / "predictable"))
        torch.distributed.barrier()
        train_alone(exact_job(folder, model, UNBROKEN), folder / f"unbroken-{rank}")
        resumed = exact_job(folder, model, RESUMED)
        if rank == 0:
            break_off(exact_job(folder, model, UNBROKEN), resumed)
        torch.distributed.barrier()
        figures = train_alone(resumed, folder / f"resumed-{rank}")
        assert rank or figures[0]["step"] > STOPPED, "it began again"
        noisy = of_two(noisy_job(open_storage(folder / NOISY), model, tokens_in(folder / "predictable")))
        with seen() as found:
            train_alone(noisy, folder / f"noisy-{rank}")
        (folder / f"seen-{rank}.json").write_text(json.dumps(found))


def exact_job(folder: Path, model: Path, name: str) -> Job:
    """Two workers, much dropout, exact arithmetic."""
    lora = {"lora": {"dropout": 0.3}}
    return of_two(job_of(open_storage(folder / name), model, tokens=tokens_in(folder / "random"), micro_batch=1, finetune=lora))


def noisy_job(root: Storage, model: Path, tokens: Artifact, seed: int = SEED) -> Job:
    """One worker, bfloat16 and the paper's LoRA; a learning rate and epochs with which a tiny model learns something."""
    settings: dict[str, Any] = {"lora": LoraSettings().model_dump(), "learning_rate": 5e-3, "epochs": 2.2}
    return job_of(root, model, tokens=tokens, seed=seed, dtype="bfloat16", micro_batch=1, finetune=settings)


def of_two(job: Job) -> Job:
    return replace(job, profile=replace(job.profile, train_workers=2))


def tokens_in(folder: Path) -> Artifact:
    found = Artifact.load(open_storage(folder).sub("tokenize", "0" * 16))
    assert found
    return found


def break_off(whole: Job, broken: Job) -> None:
    """What a stage would have left that was killed after the checkpoint of step STOPPED."""
    shutil.copytree(whole.out.folder.url, broken.out.folder.url)
    (Path(broken.out.folder.url) / ".units" / "log.json").unlink()
    shutil.rmtree(Path(broken.out.folder.url) / "adapter")
    checkpoints.drop_after(broken.out.folder, STOPPED)


if __name__ == "__main__":
    prepare_environment()
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
