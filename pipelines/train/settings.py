"""Settings of the two training stages; the defaults are the paper's (Table of hyperparameters)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from cluster.errors import UserError
from cluster.profiles import Level
from pipelines.settings import Settings, execution


class LoraSettings(Settings):
    r: int = Field(8, ge=1)
    alpha: float = Field(16, gt=0)
    dropout: float = Field(0.05, ge=0, lt=1)
    targets: list[str] | None = None  # names of linear layers; by default all but the head, as in the paper


class StageSettings(Settings):
    lora: LoraSettings = LoraSettings()
    weight_decay: float = Field(0.1, ge=0)
    learning_rate: float = Field(5e-4, gt=0)
    epochs: float = Field(1, gt=0)
    effective_batch: int = Field(32, ge=1)  # sequences an optimizer step, over all workers and accumulation
    batch_tokens: int | None = Field(None, ge=1)  # the same in tokens, for the packed layout; sets effective_batch
    scheduler: Literal["cosine", "linear", "constant"] = "cosine"
    warmup_ratio: float = Field(0.03, ge=0, lt=1)
    clip: float = Field(0.3, gt=0)


class InstructLoraSettings(LoraSettings):
    r: int = Field(2, ge=1)
    alpha: float = Field(2, gt=0)
    dropout: float = Field(0.4, ge=0, lt=1)


class InstructSettings(StageSettings):
    """A class of its own, so that a recipe that changes one key keeps the paper's other values."""

    lora: InstructLoraSettings = InstructLoraSettings()
    weight_decay: float = Field(0.5, ge=0)


class TrainSettings(Settings):
    finetune: StageSettings = StageSettings()
    instruct: InstructSettings = InstructSettings()
    max_tokens: int | None = Field(None, gt=0)  # caps each stage; the report names it
    dtype: Literal["bfloat16", "float32"] = "bfloat16"  # of the frozen base weights
    micro_batch: int | None = execution(None, ge=1)  # sequences a worker takes at once; the profile's by default
    checkpointing: Level | None = execution(None)  # of activations; the profile's by default
    checkpoint_steps: int = execution(20, ge=1)  # optimizer steps between checkpoints
    keep_checkpoints: int = execution(2, ge=1)
    valid_tokens: int = execution(50_000, ge=0)  # held-out tokens that one validation reads; 0: no validation
    valid_share: float = execution(0.05, gt=0)  # and at most so many times the training tokens
    valid_points: int = execution(5, ge=2)  # validations of a stage: before it, after it, and between at equal distances
    kg_co2_per_kwh: float = execution(0.56, ge=0)  # of the grid; the paper's figure
    measure_energy: bool = execution(True)  # by codecarbon, beside the formula
    report_to: list[Literal["tensorboard", "wandb", "mlflow"]] = execution([])

    def in_sequences(self, layout: str, context: int) -> TrainSettings:
        """The same settings, each stage's batch in sequences. Raises UserError for tokens of sequences that are not packed."""
        found = {}
        for name in ("finetune", "instruct"):
            stage: StageSettings = getattr(self, name)
            if stage.batch_tokens is None:
                continue
            key = f"train.{name}.batch_tokens = {stage.batch_tokens:,}"
            if layout != "packed":
                raise UserError(f"{key} counts packed sequences; use --set tokenize.layout=packed, or effective_batch instead")
            if stage.batch_tokens % context:
                fitting = max(1, round(stage.batch_tokens / context)) * context
                raise UserError(f"{key} is no multiple of tokenize.context = {context:,}; use {fitting:,}")
            found[name] = stage.model_copy(update={"effective_batch": stage.batch_tokens // context})
        return self.model_copy(update=found)
