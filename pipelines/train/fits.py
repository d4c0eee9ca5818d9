"""Whether sequences and a model belong together: labels, vocabulary and positions. Reads each column once, memory-mapped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from cluster.errors import UserError
from serving.engines.quantized import method_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def check_has_labels(table: pa.Table) -> None:
    """Raises UserError when nothing in a table of sequences is to be learned."""
    if _largest(table, "labels") < 0:
        raise UserError(f"train: none of {table.num_rows:,} sequences has a label; look at tokenize and its context")


def check_fits(table: pa.Table, model: PreTrainedModel, name: str) -> None:
    """Raises UserError for a token beyond the model's embedding or a document longer than its positions."""
    rows, highest = model.get_input_embeddings().num_embeddings, _largest(table, "input_ids")
    if highest >= rows:
        raise UserError(f"train: token {highest} is beyond the vocabulary of {rows} of {name}; tokenize with its own tokenizer")
    check_positions(_largest(table, "document_lengths"), getattr(model.config, "max_position_embeddings", None), name)


def check_positions(longest: int, positions: int | None, name: str) -> None:
    """Raises UserError when a window is longer than what the model was made for; None: the model sets no limit."""
    if positions is not None and longest > positions:
        raise UserError(
            f"train: a window has {longest} tokens and {name} has {positions} positions; use --set tokenize.context={positions}"
        )


def check_precision(config: Mapping[str, Any], name: str) -> None:
    """Raises UserError for a model whose weights are quantized: an adapter could not be merged into them without loss."""
    if method := method_of(config):
        raise UserError(f"train: the weights of {name} are quantized by {method}; name the model that they were made from")


def _largest(table: pa.Table, column: str) -> int:
    parts = (pc.max(chunk.flatten()).as_py() for chunk in table.column(column).chunks)
    return max((part for part in parts if part is not None), default=-1)
