"""Training sequences: which are used, in which order, and how they become batches. Memory-mapped, so it costs no memory.

The plan is one flat list for the whole stage, a multiple of the effective batch: optimizer step k takes the k-th
stretch of it at any world size, so the step number is the data cursor. Within a step sequences are ordered by length,
which leaves little padding in a micro-batch and changes no gradient. A last, incomplete step is filled with
sequences of one token and no label: nothing is dropped and nothing counted twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.ipc
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from cluster.errors import UserError
from pipelines.artifact import Artifact
from pipelines.tables import Table

NO_LABEL = -100
FILLER = -1  # in a plan: a sequence of one token without a label


def load_sequences(artifact: Artifact, table: Table, cache: Path) -> pa.Table:
    """A table of sequences, memory-mapped from run storage or from this node's copy. Raises UserError when damaged."""
    folder = artifact.local(table.name, cache).parent
    shards = []
    for path in artifact.shards(table):
        try:
            shards.append(pa.ipc.open_file(pa.memory_map(str(folder / path))).read_all())
        except (pa.ArrowInvalid, OSError) as error:
            raise UserError(
                f"{artifact.folder.url}/{path} is damaged ({error}); delete its step's folder and run again"
            ) from error
    return pa.concat_tables(shards)


@dataclass(frozen=True)
class Plan:
    """What a stage trains on: rows of the table in their order, `effective_batch` a step."""

    order: NDArray[np.int64]
    effective_batch: int
    sequences: int  # without fillers, every epoch counted
    tokens: int
    epochs: float
    available: int  # rows of the table
    unused: int  # of them, never trained on because of the cap

    @property
    def steps(self) -> int:
        return len(self.order) // self.effective_batch

    def of_step(self, step: int) -> NDArray[np.int64]:
        """Rows of optimizer step `step` (from 0), without fillers."""
        rows = self.order[step * self.effective_batch : (step + 1) * self.effective_batch]
        return rows[rows != FILLER]


def make_plan(lengths: NDArray[np.int64], *, seed: int, epochs: float, effective_batch: int, max_tokens: int | None) -> Plan:
    """The order of a stage: a new permutation for each epoch, cut where the next sequence would pass `max_tokens`.

    Raises UserError when there is nothing to train on.
    """
    if not len(lengths):
        raise UserError("train: there is no sequence to train on; look at what clean and tokenize left and dropped")
    random = np.random.default_rng(seed)
    wanted = max(1, round(epochs * len(lengths)))
    order = np.concatenate([random.permutation(len(lengths)) for _ in range(-(-wanted // len(lengths)))])[:wanted]
    if max_tokens is not None:
        order = order[: int(np.searchsorted(np.cumsum(lengths[order]), max_tokens, side="right"))]
        if not len(order):
            raise UserError(f"train.max_tokens = {max_tokens}: the first sequence is longer than that; raise it")
    padded = np.append(order, np.full(-len(order) % effective_batch, FILLER))
    steps = padded.reshape(-1, effective_batch)
    by_length = np.argsort(-np.where(steps == FILLER, 0, lengths[steps]), axis=1, kind="stable")
    return Plan(
        order=np.take_along_axis(steps, by_length, axis=1).reshape(-1),
        effective_batch=effective_batch,
        sequences=len(order),
        tokens=int(lengths[order].sum()),
        epochs=len(order) / len(lengths),
        available=len(lengths),
        unused=len(lengths) - len(np.unique(order)),
    )


def without_label() -> dict[str, NDArray[np.int64]]:
    """A sequence of one token that nothing is learned from."""
    return {"input_ids": np.zeros(1, np.int64), "labels": np.full(1, NO_LABEL), "position_ids": np.zeros(1, np.int64)}


class Sequences(Dataset):  # type: ignore[type-arg]
    """The sequences of a plan, in its order."""

    def __init__(self, table: pa.Table, plan: Plan) -> None:
        self.table, self.plan = table, plan
        self._columns = {name: table.column(name) for name in ("input_ids", "labels", "document_lengths", "ids")}

    def __len__(self) -> int:
        return len(self.plan.order)

    def __getitem__(self, index: int) -> dict[str, NDArray[np.int64]]:
        """Tokens, their labels and the positions within their document, all of one length."""
        row = int(self.plan.order[index])
        if row == FILLER:
            return without_label()
        return self.sequence(row)

    def sequence(self, row: int) -> dict[str, NDArray[np.int64]]:
        """One row of the table."""
        documents = self._values("document_lengths", row)
        length = int(documents.sum())  # what lies beyond is padding
        starts = np.cumsum(documents) - documents
        labels = self._values("labels", row)[:length].copy()
        labels[starts] = NO_LABEL  # the first token of a document is predicted by nothing of it
        positions = np.arange(length) - np.repeat(starts, documents)
        return {"input_ids": self._values("input_ids", row)[:length], "labels": labels, "position_ids": positions}

    def counts(self, step: int) -> tuple[int, int]:
        """Tokens and labels of one optimizer step, over all workers."""
        items = [self.sequence(int(row)) for row in self.plan.of_step(step)]
        return sum(len(item["input_ids"]) for item in items), sum(int((item["labels"] != NO_LABEL).sum()) for item in items)

    def padded(self, step: int, micro_batch: int) -> int:
        """Positions that one optimizer step computes, with padding and fillers: a micro-batch is as wide as its longest."""
        rows = self.plan.order[step * self.plan.effective_batch : (step + 1) * self.plan.effective_batch]
        lengths = np.array([1 if row == FILLER else self._values("document_lengths", int(row)).sum() for row in rows])
        return int(lengths.reshape(-1, micro_batch).max(axis=1).sum()) * micro_batch

    def names(self, step: int, most: int = 3) -> list[str]:
        """Ids of the first rows of one optimizer step, for a message."""
        found = [name for row in self.plan.of_step(step) for name in self._columns["ids"][int(row)].as_py()]
        return found[:most] + (["..."] if len(found) > most else [])

    def _values(self, column: str, row: int) -> NDArray[np.int64]:
        values: NDArray[np.int64] = self._columns[column][row].values.to_numpy(zero_copy_only=False).astype(np.int64)
        return values


def sequence_lengths(table: pa.Table) -> NDArray[np.int64]:
    """Tokens of every row, without padding."""
    documents = table.column("document_lengths").combine_chunks()
    parents = pc.list_parent_indices(documents).to_numpy(zero_copy_only=False)
    tokens = pc.list_flatten(documents).to_numpy(zero_copy_only=False)
    return np.bincount(parents, weights=tokens, minlength=table.num_rows).astype(np.int64)


def collate(items: list[dict[str, Any]], *, flat: bool = False) -> dict[str, torch.Tensor]:
    """A micro-batch of (rows, longest) tensors, padded on the right.

    No attention mask: attention is causal, so padding on the right reaches nothing, and where positions restart
    transformers itself keeps attention within the document (also in sliding windows). FlashAttention and attention by
    document do that for one row only: with `flat` all sequences are joined into one, without padding.
    """
    if flat:
        joined = {name: np.concatenate([item[name] for item in items]) for name in items[0]}
        return {name: torch.from_numpy(values)[None] for name, values in joined.items()}
    width = max(len(item["input_ids"]) for item in items)
    batch = {
        "input_ids": torch.zeros(len(items), width, dtype=torch.int64),
        "labels": torch.full((len(items), width), NO_LABEL),
        "position_ids": torch.zeros(len(items), width, dtype=torch.int64),
    }
    for row, item in enumerate(items):
        length = len(item["input_ids"])
        for name, values in item.items():
            batch[name][row, :length] = torch.from_numpy(values)
        last = int(item["position_ids"][-1])
        batch["position_ids"][row, length:] = torch.arange(last + 1, last + 1 + width - length)
    return batch
