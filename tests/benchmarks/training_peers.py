"""What the training benchmarks compare with, as one would write it by hand: transformers' Trainer with PEFT, and TRL's.

They get the stage's own settings, the same sequences in the drawn order, and nothing else of this project.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from torch.utils.data import Dataset
from transformers import PreTrainedModel, Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from pipelines.train.job import Job
from pipelines.train.sequences import NO_LABEL, Sequences, collate, load_sequences, make_plan, sequence_lengths

Item = dict[str, Any]
Batch = dict[str, torch.Tensor]
Log = Callable[[dict[str, Any]], None]


def drawn(job: Job, cache: Path) -> Sequences:
    """The stage's sequences in the order that they were drawn in: what the stage trains on, not sorted within a step."""
    table = load_sequences(job.tokens, job.table, cache)
    plan = make_plan(sequence_lengths(table), seed=job.seed, epochs=job.hyper.epochs, effective_batch=1, max_tokens=None)
    return Sequences(table, plan)


def padded(items: Sequence[Item], *, width: int | None = None) -> Batch:
    """Rows of `width` tokens, or of the longest one's, with an attention mask."""
    width = width or max(len(item["input_ids"]) for item in items)
    batch = {
        "input_ids": torch.zeros(len(items), width, dtype=torch.int64),
        "labels": torch.full((len(items), width), NO_LABEL),
        "attention_mask": torch.zeros(len(items), width, dtype=torch.int64),
    }
    for row, item in enumerate(items):
        length = len(item["input_ids"])
        batch["input_ids"][row, :length] = torch.from_numpy(item["input_ids"])
        batch["labels"][row, :length] = torch.from_numpy(item["labels"])
        batch["attention_mask"][row, :length] = 1
    return batch


def packed(items: Sequence[Item]) -> Batch:
    """Rows of several documents, which transformers keeps apart by their positions."""
    return collate(list(items))


def flat(items: Sequence[Item]) -> Batch:
    """All documents in one row, for FlashAttention."""
    return collate(list(items), flat=True)


class Logged(TrainerCallback):
    """Tells what the trainer logs of a step."""

    def __init__(self, told: Log) -> None:
        self._told = told

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, logs: dict[str, Any], **_: Any
    ) -> None:
        if "loss" in logs:
            self._told(logs)


def plain(
    job: Job, model: PreTrainedModel, items: Dataset[Item], collator: Callable[..., Batch], folder: Path, told: Log
) -> Trainer:
    """transformers' Trainer on a PEFT model, with the model's own loss."""
    model.config.use_cache = False  # with one, transformers does not keep packed documents apart
    return Trainer(
        model=get_peft_model(model, lora(job)),
        args=TrainingArguments(**arguments(job, folder)),
        train_dataset=items,
        data_collator=collator,
        callbacks=[Logged(told)],
    )


def trl(
    job: Job, model: PreTrainedModel, items: Dataset[Item], collator: Callable[..., Batch], folder: Path, told: Log
) -> Trainer:
    """TRL's SFTTrainer, with the chunked loss that it takes by default."""
    from datasets import Dataset as Rows
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast
    from trl import SFTConfig, SFTTrainer

    model.config.use_cache = False
    nothing_to_tokenize = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel({"<eos>": 0}, "<eos>")), eos_token="<eos>", pad_token="<eos>"
    )
    rows = [{name: values.tolist() for name, values in items[place].items()} for place in range(len(items))]  # type: ignore[arg-type]
    return SFTTrainer(
        model=model,
        args=SFTConfig(**arguments(job, folder), max_length=None, dataset_kwargs={"skip_prepare_dataset": True}),
        train_dataset=Rows.from_list(rows).with_format("numpy"),
        data_collator=collator,
        processing_class=nothing_to_tokenize,
        peft_config=lora(job),
        callbacks=[Logged(told)],
    )


def lora(job: Job) -> LoraConfig:
    chosen = job.hyper.lora
    return LoraConfig(
        r=chosen.r, lora_alpha=chosen.alpha, lora_dropout=chosen.dropout, target_modules="all-linear", task_type="CAUSAL_LM"
    )


def arguments(job: Job, folder: Path) -> dict[str, Any]:
    """The stage's settings as transformers names them; every step is logged, nothing is saved."""
    hyper, checkpointing = job.hyper, job.settings.checkpointing or job.profile.checkpointing
    return {
        "output_dir": str(folder),
        "num_train_epochs": 1,
        "per_device_train_batch_size": job.micro_batch,
        "gradient_accumulation_steps": job.accumulation,
        "train_sampling_strategy": "sequential",  # they are in the drawn order
        "learning_rate": hyper.learning_rate,
        "lr_scheduler_type": hyper.scheduler,
        "warmup_steps": hyper.warmup_ratio,
        "weight_decay": hyper.weight_decay,
        "max_grad_norm": hyper.clip,
        "bf16": job.settings.dtype == "bfloat16",
        "use_cpu": not job.profile.gpus_per_worker,
        "gradient_checkpointing": checkpointing != "none",
        "gradient_checkpointing_kwargs": {"use_reentrant": False},
        "seed": job.seed,
        "logging_steps": 1,
        "save_strategy": "no",
        "remove_unused_columns": False,
        "dataloader_pin_memory": job.profile.gpus_per_worker > 0,
        "disable_tqdm": True,
        "report_to": "none",
    }
