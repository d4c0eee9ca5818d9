"""What reaches the model of one worker: the tokens of every micro-batch, with the optimizer step that they belong to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from pipelines.train.trainer import StageTrainer

MicroBatch = tuple[int, list[int]]  # optimizer steps done before it, its tokens


@contextmanager
def seen() -> Iterator[list[MicroBatch]]:
    """Fills the list while a stage trains inside the block."""
    found: list[MicroBatch] = []
    train_on = StageTrainer.training_step

    def training_step(trainer: StageTrainer, model: Any, inputs: dict[str, Any], *more: Any) -> Any:
        found.append((trainer.state.global_step, inputs["input_ids"].flatten().tolist()))
        return train_on(trainer, model, inputs, *more)

    with patch.object(StageTrainer, "training_step", training_step):
        yield found
