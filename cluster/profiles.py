"""Hardware profiles: what a machine kind means for workers, number format and training."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Profile:
    """What one kind of hardware gives a run."""

    name: str
    train_workers: int  # data-parallel workers, one GPU each where there are GPUs
    gpus_per_worker: int
    cpus_per_worker: int
    dtype: str  # of the frozen base weights in training and of serving: "bfloat16" or "float32"
    attention: str  # attn_implementation, when the package for it is installed; else "sdpa"
    zero_stage: int  # DeepSpeed ZeRO
    micro_batch: int  # sequences a step on one worker
    memory_bytes: int  # of one device; 0: the machine's own
    tflops: float  # peak dense bf16, for MFU; 0: unknown
    engine: str  # of serving and evaluation
    checkpointing: str = "full"  # activation checkpointing in training; on a CPU it saves memory that is not short
    watts: float = 0.0  # that one device draws, for the estimate of energy (an A100 250, as in the paper); 0: unknown


PROFILES = {
    profile.name: profile
    for profile in (
        Profile("cpu", 1, 0, 1, "bfloat16", "sdpa", 1, 2, 0, 0.0, "transformers", "none"),
        Profile("a100-40", 1, 1, 8, "bfloat16", "flash_attention_2", 2, 1, 40 << 30, 312.0, "vllm", watts=250.0),
        Profile("a100", 1, 1, 8, "bfloat16", "flash_attention_2", 2, 2, 80 << 30, 312.0, "vllm", watts=250.0),
        Profile("a100x8", 8, 1, 8, "bfloat16", "flash_attention_2", 2, 2, 80 << 30, 312.0, "vllm", watts=250.0),
        Profile("h100", 1, 1, 8, "bfloat16", "flash_attention_2", 2, 2, 80 << 30, 989.0, "vllm", watts=700.0),
    )
}
