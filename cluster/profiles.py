"""Hardware profiles: what a machine kind means for workers, number format and training."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass

CUSTOM = "custom"
ZeroStage = Literal[1, 2, 3]
Level = Literal["none", "selective", "full"]  # of activation checkpointing, by what it saves


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class Profile:
    """What one kind of hardware gives a run. A recipe writes its own as `cluster.custom`, with these fields."""

    name: str = CUSTOM
    train_workers: int = Field(default=1, ge=1)  # data-parallel workers, one GPU each where there are GPUs
    gpus_per_worker: int = Field(default=1, ge=0, le=1)
    cpus_per_worker: int = Field(default=4, ge=1)
    dtype: Literal["bfloat16", "float32"] = "bfloat16"  # of serving; a training's is train.dtype
    attention: Literal["flash_attention_2", "sdpa", "eager"] = "flash_attention_2"  # the first only where it is installed
    zero_stage: ZeroStage = 2  # the lowest DeepSpeed ZeRO stage; the estimate takes 3 where 2 does not fit
    offload: bool = False  # weights on the host, under ZeRO 3; the estimate takes it where nothing else fits
    micro_batch: int = Field(default=2, ge=1)  # sequences a step on one worker; fewer where so many do not fit
    checkpointing: Level = "full"  # of activations in training; more where it does not fit
    memory_gib: float = Field(default=0.0, ge=0)  # of one device; 0: the machine's own
    host_gib: float = Field(default=0.0, ge=0)  # of a machine's main memory; 0: asked of it where the GPUs are here
    tflops: float = Field(default=0.0, ge=0)  # peak dense bf16 of one device, for MFU; 0: unknown
    watts: float = Field(default=0.0, ge=0)  # that one device draws, for energy (an A100 250, as in the paper); 0: unknown
    engine: Literal["transformers", "vllm"] = "transformers"  # of serving and evaluation

    @model_validator(mode="after")
    def _says_what_it_has(self) -> Profile:
        if self.gpus_per_worker and not self.memory_gib:
            raise ValueError("memory_gib is missing: say how much memory one GPU has, for example memory_gib: 24")
        if self.offload and self.zero_stage < 3:
            raise ValueError("offload keeps the weights on the host, which needs zero_stage: 3")
        return self

    @property
    def resources(self) -> dict[str, int]:
        """What one training worker asks Ray for."""
        asked = {"CPU": self.cpus_per_worker, "GPU": self.gpus_per_worker}
        return {name: number for name, number in asked.items() if number}

    @property
    def memory_bytes(self) -> int:
        return int(self.memory_gib * 2**30)

    @property
    def host_bytes(self) -> int:
        return int(self.host_gib * 2**30)


def _a100(name: str, *, workers: int = 1, gib: float = 80, micro_batch: int = 2) -> Profile:
    return Profile(
        name=name,
        train_workers=workers,
        cpus_per_worker=8,
        micro_batch=micro_batch,
        memory_gib=gib,
        tflops=312,
        watts=250,
        engine="vllm",
    )


PROFILES = {
    profile.name: profile
    for profile in (
        Profile(  # activation checkpointing saves memory that is not short on a CPU
            name="cpu", gpus_per_worker=0, cpus_per_worker=1, attention="sdpa", zero_stage=1, checkpointing="none"
        ),
        _a100("a100-40", gib=40, micro_batch=1),
        _a100("a100-80"),
        _a100("a100x8", workers=8),
        Profile(name="h100", cpus_per_worker=8, memory_gib=80, tflops=989, watts=700, engine="vllm"),
    )
}
