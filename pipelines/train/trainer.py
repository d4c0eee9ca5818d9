"""The transformers Trainer as a stage needs it: arguments, DeepSpeed configuration, the step's figures, checkpoints."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import torch
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from pipelines.train import checkpoints
from pipelines.train.estimate import FLOPS_PER_PARAMETER
from pipelines.train.job import Job
from pipelines.train.sequences import Sequences

BUCKET = 1 << 24  # elements reduced at once: a LoRA adapter fits, DeepSpeed's default takes gigabytes

Report = Callable[[dict[str, float]], None]


def deepspeed_config(job: Job) -> dict[str, Any]:
    """DeepSpeed's configuration: ZeRO of the profile's stage, bf16 with float32 master weights and accumulation."""
    return {
        "train_micro_batch_size_per_gpu": job.micro_batch,
        "gradient_accumulation_steps": job.accumulation,
        "gradient_clipping": job.hyper.clip,
        "bf16": {"enabled": job.settings.dtype == "bfloat16"},
        "data_types": {"grad_accum_dtype": "fp32"},
        "zero_optimization": {"stage": job.profile.zero_stage, "reduce_bucket_size": BUCKET, "allgather_bucket_size": BUCKET},
        "steps_per_print": sys.maxsize,
    }


def training_arguments(job: Job, folder: Path) -> TrainingArguments:
    """Everything that transformers is told. One of its epochs is the whole plan of the stage."""
    hyper, on_gpu = job.hyper, job.profile.gpus_per_worker > 0
    return TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=1,
        per_device_train_batch_size=job.micro_batch,
        gradient_accumulation_steps=job.accumulation,
        train_sampling_strategy="sequential",
        learning_rate=hyper.learning_rate,
        lr_scheduler_type=hyper.scheduler if hyper.scheduler != "constant" else "constant_with_warmup",
        warmup_steps=hyper.warmup_ratio,
        weight_decay=hyper.weight_decay,
        max_grad_norm=hyper.clip,
        optim="adamw_torch",  # DeepSpeed's own would be compiled first
        bf16=job.settings.dtype == "bfloat16",
        use_cpu=not on_gpu,
        gradient_checkpointing=(job.settings.checkpointing or job.profile.checkpointing) == "full",
        gradient_checkpointing_kwargs={"use_reentrant": False},
        seed=job.seed,
        logging_steps=1,
        save_strategy="steps",
        save_steps=job.settings.checkpoint_steps,
        save_total_limit=1,
        remove_unused_columns=False,
        dataloader_pin_memory=on_gpu,
        disable_tqdm=True,
        report_to=job.settings.report_to or "none",
        deepspeed=deepspeed_config(job),
    )


class StageTrainer(Trainer):
    """Adds tokens, speed and memory to every logged step; saves the adapter alone."""

    def __init__(self, *, job: Job, sequences: Sequences, report: Report, **options: Any) -> None:
        super().__init__(train_dataset=sequences, **options)
        self._job, self._sequences, self._report = job, sequences, report
        self._parameters = sum(p.numel() for p in self.model.parameters())
        self._clock = StepClock()
        self.add_callback(self._clock)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        if "loss" in logs:
            logs |= self._figures()
        super().log(logs, start_time)
        if "loss" in logs and self.is_world_process_zero():
            step, steps = self.state.global_step, self.state.max_steps
            left = self._clock.seconds_a_step() * (steps - step)
            self._report({**logs, "step": step, "steps": steps, "seconds_left": left})

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """The adapter only. Every parameter is whole on rank 0 below ZeRO 3."""
        if self._job.profile.zero_stage == 3:
            super().save_model(output_dir, _internal_call)
        elif self.args.should_save:
            self.model.save_pretrained(output_dir, save_embedding_layers=False)

    def _figures(self) -> dict[str, float]:
        tokens, labels = self._sequences.counts(self.state.global_step - 1)
        seconds = self._clock.seconds_of_step()
        figures = {
            "tokens": tokens,
            "label_tokens": labels,
            "seconds": seconds,
            "tokens_per_second": tokens / seconds,
            "memory_bytes": _memory_bytes(),
        }
        if self._job.profile.tflops:
            peak = self._job.profile.tflops * 1e12 * self._job.profile.train_workers
            figures["mfu"] = FLOPS_PER_PARAMETER * self._parameters * tokens / seconds / peak
        return figures


class StepClock(TrainerCallback):
    """How long optimizer steps take: each by itself, and on average with the checkpoints between them."""

    def __init__(self) -> None:
        self._first, self._latest, self._steps = 0.0, 0.0, 0

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._latest = time.monotonic()
        self._first = self._first or self._latest
        self._steps += 1

    def seconds_of_step(self) -> float:
        return time.monotonic() - self._latest

    def seconds_a_step(self) -> float:
        return (time.monotonic() - self._first) / self._steps


def _memory_bytes() -> int:
    """The most that the GPU had to hold, or what the process holds now."""
    return torch.cuda.max_memory_allocated() if torch.cuda.is_available() else psutil.Process().memory_info().rss


class UploadCheckpoints(TrainerCallback):
    """Copies each checkpoint to run storage, from every rank's own disk."""

    def __init__(self, job: Job) -> None:
        self._storage, self._keep = job.out.folder, job.settings.keep_checkpoints

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        local = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        self._storage.upload(local, checkpoints.prefix_of(state.global_step))
        torch.distributed.barrier()
        if state.is_world_process_zero:
            checkpoints.seal(self._storage, state.global_step, args.world_size)
            checkpoints.prune(self._storage, self._keep)
        torch.distributed.barrier()
