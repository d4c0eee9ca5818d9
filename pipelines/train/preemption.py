"""A machine of a training is about to go: every rank writes a checkpoint at the end of the step under way.

Two notices are heeded. Ray drains a node (its autoscaler, a spot instance's warning, an administrator), which Ray Train's
watcher sees; or SIGTERM reaches a worker. The training goes on meanwhile, and when the node has gone, Ray Train starts it
again on what is left, from this checkpoint. It costs two numbers all-reduced a step, and a question to Ray now and then.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from pipelines.train.sigterm import take_notice

ASK_EVERY = 5.0  # seconds between two questions to Ray, whose watcher looks as often

Drained = Callable[[], object | None]  # what Ray Train says of drained nodes; every rank has to ask equally often

log = logging.getLogger(__name__)


class SaveBeforePreemption(TrainerCallback):
    """Asks for a checkpoint, on every rank at the same step, when any of them has a notice."""

    def __init__(self, drained: Drained) -> None:
        self._drained = drained
        self._asked = time.monotonic()
        self._known: object | None = None

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        signalled, due = self._on_any_rank(args.device)
        if signalled or (due and self._newly_drained()):
            notice = f"a machine is about to go: a checkpoint is written at step {state.global_step}, the training goes on"
            log.warning(notice)
            state.log_history.append({"step": state.global_step, "notice": notice})
            control.should_save = True

    def _on_any_rank(self, device: torch.device) -> tuple[bool, bool]:
        """Whether a rank was signalled, and whether it is time to ask Ray; all ranks have the same answers."""
        flags = torch.tensor([take_notice(), time.monotonic() - self._asked >= ASK_EVERY], dtype=torch.int32, device=device)
        torch.distributed.all_reduce(flags, torch.distributed.ReduceOp.MAX)
        signalled, due = flags.tolist()
        return bool(signalled), bool(due)

    def _newly_drained(self) -> bool:
        """Whether Ray names nodes that it did not name before."""
        before, self._known = self._known, self._drained()
        self._asked = time.monotonic()
        return self._known is not None and self._known != before
