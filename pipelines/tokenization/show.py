"""A training sequence as text that a person can check: where documents end, and what the loss is taken on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import TYPE_CHECKING, Any

from pipelines.tokenization.encoding import NO_LABEL

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def show(sequence: Mapping[str, Any], tokenizer: PreTrainedTokenizerBase) -> str:
    """A row of a table of sequences: its documents line by line, `+` where tokens are learned and `-` where they are not."""
    return "\n".join(_lines(sequence, tokenizer))


def _lines(sequence: Mapping[str, Any], tokenizer: PreTrainedTokenizerBase) -> Iterator[str]:
    names, lengths, start = sequence["ids"], sequence["document_lengths"], 0
    for number, (name, length) in enumerate(zip(names, lengths, strict=True), start=1):
        yield f"document {number} of {len(lengths)}: {name}, {length} tokens"
        tokens = sequence["input_ids"][start : start + length]
        labels = sequence["labels"][start : start + length]
        start += length
        for learned, stretch in groupby(zip(tokens, labels, strict=True), key=lambda pair: pair[1] != NO_LABEL):
            for line in tokenizer.decode([token for token, _ in stretch]).split("\n"):
                yield f"{'+' if learned else '-'} {line}"
