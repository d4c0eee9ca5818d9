"""The transformers Trainer as a stage needs it: arguments, DeepSpeed configuration, the step's figures, validation."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import psutil
import torch
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from cluster.profiles import Profile
from pipelines.train import validation
from pipelines.train.divergence import Diverged, departure
from pipelines.train.estimate import FLOPS_PER_PARAMETER
from pipelines.train.history import notices, perplexity
from pipelines.train.job import ALL, Job
from pipelines.train.memory import EVERY, LIVE
from pipelines.train.saving import Saving
from pipelines.train.sequences import Sequences
from pipelines.train.sharding import gathered, whole_size

BUCKET = 1 << 24  # elements reduced at once: a LoRA adapter fits, DeepSpeed's default takes gigabytes

Report = Callable[[dict[str, Any]], None]


def deepspeed_config(job: Job) -> dict[str, Any]:
    """DeepSpeed's configuration: ZeRO of the profile's stage, bf16 with float32 master weights and accumulation."""
    return {
        "train_micro_batch_size_per_gpu": job.micro_batch,
        "gradient_accumulation_steps": job.accumulation,
        "gradient_clipping": job.hyper.clip,
        "bf16": {"enabled": job.settings.dtype == "bfloat16"},
        "data_types": {"grad_accum_dtype": "fp32"},
        "zero_optimization": zero_optimization(job.profile),
        "steps_per_print": sys.maxsize,
    }


def zero_optimization(profile: Profile) -> dict[str, Any]:
    """Of ZeRO 3, what is whole at once is bounded: the estimate of memory counts on it."""
    zero: dict[str, Any] = {"stage": profile.zero_stage, "reduce_bucket_size": BUCKET, "allgather_bucket_size": BUCKET}
    if profile.zero_stage == 3:
        zero |= {"stage3_max_live_parameters": LIVE, "stage3_max_reuse_distance": LIVE}
    if profile.offload:
        zero["offload_param"] = {"device": "cpu", "pin_memory": profile.gpus_per_worker > 0}
    return zero


def training_arguments(job: Job, folder: Path) -> TrainingArguments:
    """Everything that transformers is told. One of its epochs is the whole plan of the stage."""
    hyper, on_gpu = job.hyper, job.profile.gpus_per_worker > 0
    level = job.settings.checkpointing or job.profile.checkpointing
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
        activation_checkpointing=level in EVERY,
        activation_checkpointing_kwargs={"use_reentrant": False, "every_n_layers": EVERY.get(level, 1)},
        seed=job.seed,
        logging_steps=1,
        logging_nan_inf_filter=False,  # it would show a mean instead of what is wrong
        eval_on_start=True,
        save_strategy="steps",
        save_steps=job.settings.checkpoint_steps,
        save_total_limit=1,
        remove_unused_columns=False,
        dataloader_pin_memory=on_gpu,
        disable_tqdm=True,
        report_to=job.settings.report_to or "none",
        run_name=job.run_name,
        deepspeed=deepspeed_config(job),
    )


class StageTrainer(Trainer):
    """Adds tokens, speed and memory to every logged step; validates at points; stops when it has gone wrong."""

    def __init__(
        self, *, job: Job, sequences: Sequences, held_out: validation.HeldOut, saving: Saving, report: Report, **options: Any
    ) -> None:
        super().__init__(train_dataset=sequences, **options)
        self._job, self._sequences, self._held_out, self._report = job, sequences, held_out, report
        self._parameters = sum(whole_size(p) for p in self.model.parameters())
        self._points = validation.points(sequences.plan.steps, job.settings.valid_points) if held_out.batches else set()
        self._clock, self._saving, self._data_seconds = StepClock(), saving, 0.0
        for callback in (self._clock, ValidateAt(self._points), saving):
            self.add_callback(callback)

    def get_batch_samples(self, *arguments: Any, **options: Any) -> Any:
        """All micro-batches of a step, as transformers takes them; how long that took is a figure of the step."""
        started = time.monotonic()
        batches = super().get_batch_samples(*arguments, **options)
        self._data_seconds = time.monotonic() - started
        return batches

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        if "loss" in logs:
            self._stop_if_diverged(logs)
            logs |= self._figures()
        super().log(logs, start_time)
        if self.is_world_process_zero():
            self._report_progress()

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Validation, once at each of its points; a resumed run has those behind it in its history."""
        step = self.state.global_step
        behind = any("eval_loss" in entry and entry["step"] == step for entry in self.state.log_history)
        if behind or step not in self._points:
            return {}
        started = time.monotonic()
        measured = validation.measure(self.model, self._held_out, self.data_collator, self.args.device)
        whole = measured.pop(ALL)
        metrics = {"eval_loss": whole.loss, "eval_perplexity": perplexity(whole.loss), "eval_labels": whole.labels}
        for source, part in measured.items():
            metrics |= {f"eval_loss_{source}": part.loss, f"eval_labels_{source}": part.labels}
        self.log(metrics | {"eval_seconds": time.monotonic() - started})
        return metrics

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """The adapter only."""
        with self.whole_adapter():
            if self.args.should_save:
                self.model.save_pretrained(output_dir, save_embedding_layers=False)

    def whole_adapter(self) -> AbstractContextManager[Any]:
        """The adapter's weights whole on every rank, inside the block; all ranks have to come here together."""
        if self._job.profile.zero_stage == 3:
            self.deepspeed.empty_partition_cache()  # what was fetched ahead is under way, and a gather would not wait for it
        return gathered(p for p in self.model.parameters() if p.requires_grad)

    def _save_checkpoint(self, *arguments: Any, **options: Any) -> None:
        if self._saving.has_room(self.args.output_dir, self.state):
            super()._save_checkpoint(*arguments, **options)

    def _stop_if_diverged(self, logs: dict[str, float]) -> None:
        """Raises Diverged, before the step is logged or saved."""
        losses = [entry["loss"] for entry in self.state.log_history if "loss" in entry]
        wrong = departure([*losses, logs["loss"]], logs.get("grad_norm", 0.0))
        if wrong:
            step, stage = self.state.global_step, self._job.stage
            raise Diverged(
                f"{stage}: {wrong} at step {step} (learning rate {logs['learning_rate']:.2g}; sequences of "
                f"{', '.join(self._sequences.names(step - 1))}); lower train.{stage}.learning_rate, or look at these rows",
                step,
            )

    def _report_progress(self) -> None:
        """The newest figures of both kinds, where the driver sees them."""
        history, step, steps = self.state.log_history, self.state.global_step, self.state.max_steps
        trained, validated = ([entry for entry in history if name in entry] for name in ("loss", "eval_loss"))
        self._report(
            {
                **(trained[-1] if trained else {}),
                "step": step,
                "steps": steps,
                "seconds_left": self._seconds_left(),
                "valid_loss": validated[-1]["eval_loss"] if validated else None,
                "notices": notices(history),
            }
        )

    def _seconds_left(self) -> float:
        return self._clock.seconds_a_step() * (self.state.max_steps - self.state.global_step)

    def _figures(self) -> dict[str, float]:
        step, width = self.state.global_step - 1, 1 if self._job.flat else self._job.micro_batch
        tokens, labels = self._sequences.counts(step)
        seconds = self._clock.seconds_of_step()
        figures = {
            "tokens": tokens,
            "label_tokens": labels,
            "seconds": seconds,
            "data_seconds": self._data_seconds,  # before the step: the wait for its micro-batches
            "tokens_per_second": tokens / seconds,
            "tokens_per_second_padded": self._sequences.padded(step, width) / seconds,
            "memory_bytes": _memory_bytes(),
            "seconds_left": self._seconds_left(),
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
        return (time.monotonic() - self._first) / self._steps if self._steps else 0.0


class ValidateAt(TrainerCallback):
    """Asks for a validation after the steps where one is due; before the first, transformers asks itself."""

    def __init__(self, points: set[int]) -> None:
        self._points = points

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if state.global_step in self._points:
            control.should_evaluate = True


def _memory_bytes() -> int:
    """The most that the GPU had to hold, or what the process holds now."""
    return torch.cuda.max_memory_allocated() if torch.cuda.is_available() else psutil.Process().memory_info().rss
