"""A training sequence as text that a person can check: where documents end, and what the loss is taken on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from pipelines.tokenization.encoding import NO_LABEL

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def show(sequence: Mapping[str, Any], tokenizer: PreTrainedTokenizerBase) -> str:
    """A row of a table of sequences: one line a stretch, `+` where its tokens are learned and `-` where they are not."""
    lines, start = [], 0
    documents: Sequence[int] = sequence["document_lengths"]
    for number, length in enumerate(documents, start=1):
        lines.append(f"document {number} of {len(documents)}: {length} tokens")
        tokens = sequence["input_ids"][start : start + length]
        labels = sequence["labels"][start : start + length]
        start += length
        for learned, stretch in groupby(zip(tokens, labels, strict=True), key=lambda pair: pair[1] != NO_LABEL):
            lines.append(f"{'+' if learned else '-'} {tokenizer.decode([token for token, _ in stretch])}")
    return "\n".join(lines)
