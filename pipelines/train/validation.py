"""Validation loss of held-out documents, whole and by source, normalised by labels. A forward pass: half a step's cost.

Packed documents don't see each other, so each is read alone: the loss is the same, and belongs to one source.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from pipelines.train.job import ALL
from pipelines.train.sequences import NO_LABEL, Sequences, make_plan, sequence_lengths, without_label

Document = dict[str, NDArray[np.int64]]  # input_ids, labels and position_ids
UNKNOWN = "unknown"  # of a sequence that does not say


@dataclass(frozen=True)
class HeldOut:
    """Micro-batches of held-out documents, each of one source."""

    batches: list[tuple[str, list[Document]]]

    @property
    def sources(self) -> list[str]:
        return sorted({source for source, _ in self.batches})


@dataclass(frozen=True)
class Measured:
    """The mean loss (nats a label) of one source's held-out labels."""

    loss: float
    labels: int


def held_out(table: pa.Table, *, seed: int, max_tokens: int, micro_batch: int) -> HeldOut:
    """About `max_tokens` tokens of a table of sequences (at least one sequence, where there is one), chosen by seed."""
    if not table.num_rows or not max_tokens:
        return HeldOut([])
    lengths = sequence_lengths(table)
    at_least_one = max(max_tokens, int(lengths.max()))
    plan = make_plan(lengths, seed=seed, epochs=1, effective_batch=1, max_tokens=at_least_one)
    documents: dict[str, list[Document]] = defaultdict(list)
    for row in plan.order:
        for source, document in _documents(table, Sequences(table, plan), int(row)):
            if (document["labels"] != NO_LABEL).any():
                documents[source].append(document)
    return HeldOut([(source, part) for source in sorted(documents) for part in _parts(documents[source], micro_batch)])


def _documents(table: pa.Table, sequences: Sequences, row: int) -> list[tuple[str, Document]]:
    """The documents of one sequence, each with its source."""
    lengths = table.column("document_lengths")[row].as_py()
    sources = table.column("sources")[row].as_py() or [UNKNOWN] * len(lengths)
    whole, starts = sequences.sequence(row), np.cumsum(lengths) - lengths
    return [
        (source, {name: values[start : start + length] for name, values in whole.items()})
        for source, start, length in zip(sources, starts, lengths, strict=True)
    ]


def _parts(documents: list[Document], size: int) -> list[list[Document]]:
    """Documents of like length together: little padding."""
    by_length = sorted(documents, key=lambda document: -len(document["input_ids"]))
    return [by_length[start : start + size] for start in range(0, len(by_length), size)]


def measure(
    model: torch.nn.Module, data: HeldOut, collate: Callable[[list[Any]], dict[str, torch.Tensor]], device: torch.device
) -> dict[str, Measured]:
    """Loss by source and of `ALL`; every rank reads its share and has the result. The model is as it was afterwards."""
    rank, ranks = torch.distributed.get_rank(), torch.distributed.get_world_size()
    sources = data.sources
    sums = torch.zeros(len(sources), 2, dtype=torch.float64, device=device)
    filler = (sources[0], [without_label()])  # ZeRO 3 wants as many forward passes of every rank
    batches = data.batches + [filler] * (-len(data.batches) % ranks)
    was_training = model.training
    model.eval()
    with torch.no_grad():
        for source, documents in batches[rank::ranks]:
            batch = {name: values.to(device) for name, values in collate(documents).items()}
            sums[sources.index(source), 0] += model(**batch, num_items_in_batch=1).loss.double()
            sums[sources.index(source), 1] += (batch["labels"] != NO_LABEL).sum()
    model.train(was_training)
    torch.distributed.all_reduce(sums)
    return {
        name: Measured(float(total / labels), int(labels))
        for name, (total, labels) in zip([ALL, *sources], [sums.sum(0), *sums], strict=True)
    }


def points(steps: int, number: int) -> set[int]:
    """The optimizer steps after which to validate: 0 (before the first), the last, and between at equal distances."""
    return {round(index * steps / (number - 1)) for index in range(number)}
