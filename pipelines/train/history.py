"""What the trainer's history says: a row a step, what was measured on held-out sequences, and what had to be told.

transformers keeps it as a list of entries, each with its step, in every checkpoint: a resumed run has all of it.
"""

from __future__ import annotations

from math import exp
from typing import Any

from pipelines.tables import TRAIN_LOG
from pipelines.train.job import ALL
from pipelines.train.sequences import Plan

History = list[dict[str, Any]]
LARGEST = 700.0  # nats: the exponential of more is past counting


def log_rows(history: History, measured: History, plan: Plan) -> History:
    """The rows of TRAIN_LOG; `measured` is what `validations` found."""
    by_step = {row["step"]: row["loss"] for row in measured if row["source"] == ALL}
    rows = []
    for entry in history:
        if "loss" in entry:
            row = {name: entry.get(name) for name in TRAIN_LOG.schema.names}
            epoch = entry["step"] / plan.steps * plan.epochs
            rows.append(row | {"epoch": epoch, "valid_loss": by_step.get(entry["step"])})
    return rows


def validations(history: History) -> History:
    """A row a step and source, and one of all sources together: loss in nats a label, perplexity, labels."""
    rows = []
    for entry in history:
        for key in entry:
            if key == "eval_loss" or key.startswith("eval_loss_"):
                source, loss = key.removeprefix("eval_loss").removeprefix("_") or ALL, entry[key]
                row = {"step": entry["step"], "source": source, "loss": loss, "perplexity": perplexity(loss)}
                rows.append(row | {"labels": entry[key.replace("loss", "labels", 1)]})
    return rows


def notices(history: History) -> list[str]:
    """What had to be told, and did not end the run."""
    return [entry["notice"] for entry in history if "notice" in entry]


def without_room(history: History) -> int:
    """Checkpoints that were not kept."""
    return sum("without_room" in entry for entry in history)


def perplexity(loss: float) -> float:
    """Of a mean loss in nats."""
    return exp(loss) if loss < LARGEST else float("inf")
