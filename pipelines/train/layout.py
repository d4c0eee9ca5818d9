"""What a stage is really trained under: `layout.json`, for its notes, the model card and the plan of the next training."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from cluster.profiles import Level, Profile, ZeroStage
from cluster.storage import Storage
from pipelines.train.job import LAYOUT, Job
from pipelines.train.memory import Layout

ATTENTION = {"by_document": "SDPA by document", "sdpa": "SDPA", "flash_attention_2": "FlashAttention 2"}


@dataclass(frozen=True)
class UsedLayout:
    """The hardware of a stage and how it lay on it. Attention is known on the workers only: it depends on what they have."""

    model: str  # the recipe's
    profile: str
    tflops: float  # the peak of one device that MFU is a share of; 0: unknown
    workers: int
    gpus_per_worker: int
    dtype: str  # of the frozen weights
    zero_stage: ZeroStage
    offload: bool
    micro_batch: int
    accumulation: int  # micro-batches that a worker adds up in an optimizer step
    checkpointing: Level
    attention: str  # transformers' name, or this project's

    @classmethod
    def of(cls, job: Job, attention: str) -> UsedLayout:
        profile = job.profile
        return cls(
            model=job.model,
            profile=profile.name,
            tflops=profile.tflops,
            workers=profile.train_workers,
            gpus_per_worker=profile.gpus_per_worker,
            dtype=job.settings.dtype,
            zero_stage=profile.zero_stage,
            offload=profile.offload,
            micro_batch=job.micro_batch,
            accumulation=job.accumulation,
            checkpointing=job.settings.checkpointing or profile.checkpointing,
            attention=attention,
        )

    @property
    def layout(self) -> Layout:
        """What the estimate chose, or would have to choose."""
        return Layout(self.zero_stage, self.offload, self.micro_batch, self.checkpointing)

    def __str__(self) -> str:
        return f"{self.layout}, {self.accumulation} accumulated, attention {ATTENTION.get(self.attention, self.attention)}"

    @property
    def hardware(self) -> str:
        """The devices, in words."""
        devices = self.workers * self.gpus_per_worker
        return f"profile `{self.profile}`, " + (f"{devices} GPU(s)" if devices else f"{self.workers} worker(s) on a CPU")

    def is_of(self, profile: Profile) -> bool:
        """Whether this is the hardware of a profile."""
        of_profile = (profile.name, profile.tflops, profile.train_workers, profile.gpus_per_worker)
        return (self.profile, self.tflops, self.workers, self.gpus_per_worker) == of_profile


def write_layout(folder: Storage, layout: UsedLayout) -> None:
    """A training that goes on as it began writes nothing, so that a full disk does not end it. Raises StorageFull."""
    if read_layout(folder) != layout:
        folder.write(LAYOUT, json.dumps(asdict(layout), indent=1).encode())


def read_layout(folder: Storage) -> UsedLayout | None:
    """Of a stage's folder; None where it was not written down."""
    try:
        return UsedLayout(**json.loads(folder.read(LAYOUT)))
    except FileNotFoundError:
        return None
