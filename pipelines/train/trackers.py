"""TensorBoard, W&B and MLflow for `train.report_to`, by transformers' own integrations: only rank 0 reports.

Nothing leaves the machine unless its user named a server (`WANDB_MODE=online`, `MLFLOW_TRACKING_URI`). What is written
locally goes to run storage with every checkpoint and at the end, since a node's own folders do not stay.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from cluster.errors import StorageFull
from cluster.storage import Storage
from pipelines.train.job import TRACKERS

PROJECT = "gaokerena"  # of W&B, and MLflow's experiment

log = logging.getLogger(__name__)


def settle(folder: Path) -> None:
    """Tell the trackers, before they start, to write below `folder` and to send nothing; what their user has set stands."""
    files = folder / TRACKERS
    defaults = {
        "TENSORBOARD_LOGGING_DIR": str(files / "tensorboard"),
        "WANDB_MODE": "offline",
        "WANDB_PROJECT": PROJECT,
        "WANDB_CONSOLE": "off",  # neither what is printed ...
        "WANDB_DISABLE_CODE": "true",  # ... nor code is recorded
        "WANDB_ERROR_REPORTING": "false",
        "WANDB_SILENT": "true",
        "MLFLOW_TRACKING_URI": f"sqlite:///{files / 'mlflow.db'}",
        "MLFLOW_EXPERIMENT_NAME": PROJECT,
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    for name, value in defaults.items():
        os.environ.setdefault(name, value)
    os.environ.setdefault("WANDB_DIR", str(files if os.environ["WANDB_MODE"] == "offline" else folder))
    files.mkdir(exist_ok=True)


class Trackers(TrainerCallback):
    """Brings back what an earlier attempt's trackers wrote, and copies their files to run storage."""

    def __init__(self, storage: Storage, folder: Path) -> None:
        self._storage, self._files = storage, folder / TRACKERS
        settle(folder)
        for path in storage.list(TRACKERS):
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(storage.read(path))

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if "mlflow" in args.report_to:
            import mlflow

            mlflow.flush_async_logging()
        self._upload(state)

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if "wandb" in args.report_to:
            import wandb

            wandb.finish()  # the other two were ended by their own callbacks
        self._upload(state)

    def _upload(self, state: TrainerState) -> None:
        try:
            self._storage.upload(self._files, TRACKERS)
        except StorageFull as error:
            notice = f"the trackers' files of step {state.global_step} are not on run storage, the training goes on: {error}"
            log.error(notice)
            state.log_history.append({"step": state.global_step, "notice": notice})
