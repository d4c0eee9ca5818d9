"""Checkpoints while a stage trains: from every rank's own disk to run storage, and what happens when there is no room.

A checkpoint that finds no room, on a node's disk or on run storage, is left out whole: the run goes on, and the notice
stands in its history, in its output and in the artifact's notes. All ranks decide together.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from cluster.errors import StorageFull
from cluster.storage import Storage
from pipelines.train import checkpoints

TRAINED_BYTES = 20  # a trained parameter on disk: adapter, float32 copy, two moments, and some more
LEAST_BYTES = 32 << 20  # whatever the size of the adapter

log = logging.getLogger(__name__)


class Saving(TrainerCallback):
    """Copies each checkpoint to run storage and keeps the newest ones."""

    def __init__(self, storage: Storage, *, keep: int, trained: int) -> None:
        """`trained`: parameters of the adapter."""
        self._storage, self._keep = storage, keep
        self._bytes = LEAST_BYTES + TRAINED_BYTES * trained
        self._saved = True  # this step's files are on the nodes' disks

    def has_room(self, folder: str, state: TrainerState) -> bool:
        """Whether every rank's disk takes another checkpoint; asked before, since a rank that fails leaves others waiting."""
        self._saved = not _noted(state, self._missing_room(folder))
        return self._saved

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if not self._saved:
            return
        step, rank = state.global_step, args.process_index
        local = Path(args.output_dir) / f"checkpoint-{step}"
        full = _noted(state, _full(lambda: checkpoints.upload(self._storage, step, rank, local)))
        full = full or _noted(state, _full(lambda: self._seal(step, args.world_size)) if rank == 0 else "")
        if full and rank == 0:
            checkpoints.delete(self._storage, checkpoints.prefix_of(step))  # makes room for what is written next
        torch.distributed.barrier()

    def _seal(self, step: int, workers: int) -> None:
        checkpoints.seal(self._storage, step, workers)
        checkpoints.prune(self._storage, self._keep)

    def _missing_room(self, folder: str) -> str:
        free = shutil.disk_usage(folder).free
        return "" if free >= self._bytes else f"{folder} has {free / 1e6:,.0f} MB free, {self._bytes / 1e6:,.0f} MB are needed"


def _full(save: Callable[[], None]) -> str:
    """What a full storage says; nothing when there was room."""
    try:
        save()
    except StorageFull as error:
        return str(error)
    return ""


def _noted(state: TrainerState, problem: str) -> bool:
    """Whether any rank has a problem; the first is told loudly and kept in the history, which checkpoints hold."""
    problems: list[str] = [""] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(problems, problem)
    first = next((text for text in problems if text), "")
    if first:
        notice = f"no checkpoint at step {state.global_step}, the training goes on: {first}"
        log.error(notice)
        state.log_history.append({"step": state.global_step, "notice": notice, "without_room": True})
    return bool(first)
