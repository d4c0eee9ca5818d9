"""The sequences that are being written, as one left-padded batch with one key-value cache.

Sequences join and leave between steps. A joining prompt is computed alone, then its cache is padded on the
left to the batch's length, so every sequence ends in the same column. One step is one forward pass with one
new token a sequence; the cache is copied once a step (about 18 KB a token for Gemma 3 270M).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn.functional import pad
from transformers import DynamicCache

if TYPE_CHECKING:
    from transformers import PreTrainedModel

PREFILL_TOKENS = 512  # of a prompt in one forward pass: bounds the memory of long prompts


def positions(mask: torch.Tensor) -> torch.Tensor:
    """Position of each column within its own sequence; padding columns get 0. Shape as `mask`, [rows, columns]."""
    return (mask.cumsum(-1) - 1).clamp(min=0)


def new_cache() -> DynamicCache:
    """A cache whose every layer keeps all tokens, sliding windows too: the attention mask does the sliding,
    and rows with different padding can be joined."""
    return DynamicCache()


@dataclass
class Batch:
    """Rows of running sequences: attention mask [rows, columns] and cache; row i is the i-th to have joined."""

    model: PreTrainedModel
    cache: DynamicCache | None = None
    mask: torch.Tensor | None = None

    def __len__(self) -> int:
        return 0 if self.mask is None else self.mask.shape[0]

    def join(self, prompt_ids: Sequence[int]) -> torch.Tensor:
        """Compute a prompt and add its row. Returns the logits after its last token, [vocabulary]."""
        mask = torch.ones(1, len(prompt_ids), dtype=torch.long)
        cache, logits = prefill(self.model, torch.tensor([prompt_ids]), mask)
        if self.cache is None or self.mask is None:
            self.cache, self.mask = cache, mask
        else:
            columns = max(self.mask.shape[1], len(prompt_ids))
            self.mask = torch.cat([pad_left(self.mask, columns), pad_left(mask, columns)])
            for mine, new in zip(self.cache.layers, cache.layers, strict=True):
                mine.keys = torch.cat([_pad_columns(mine.keys, columns), _pad_columns(new.keys, columns)])
                mine.values = torch.cat([_pad_columns(mine.values, columns), _pad_columns(new.values, columns)])
        return logits[0]

    def step(self, token_ids: Sequence[int]) -> torch.Tensor:
        """Append one token to every row. Returns the logits after it, [rows, vocabulary]."""
        assert self.mask is not None
        self.mask = pad(self.mask, (0, 1), value=1)
        output = self.model(
            input_ids=torch.tensor(token_ids)[:, None],
            attention_mask=self.mask,
            position_ids=positions(self.mask)[:, -1:],
            past_key_values=self.cache,
            use_cache=True,
        )
        logits: torch.Tensor = output.logits[:, -1]
        return logits

    def keep(self, rows: Sequence[int]) -> None:
        """Let every other row leave, and drop the columns that only they needed."""
        if not rows:
            self.cache = self.mask = None
            return
        if self.cache is None or self.mask is None or len(rows) == len(self):
            return
        kept = self.mask[list(rows)]
        start = int(kept.any(0).int().argmax())  # the first column that some remaining row uses
        self.mask = kept[:, start:]
        for layer in self.cache.layers:
            layer.keys = layer.keys[list(rows), :, start:]
            layer.values = layer.values[list(rows), :, start:]


def prefill(model: PreTrainedModel, ids: torch.Tensor, mask: torch.Tensor) -> tuple[DynamicCache, torch.Tensor]:
    """Compute left-padded prompts, [rows, columns]. Returns their cache and the logits after each, [rows, vocabulary]."""
    cache, places = new_cache(), positions(mask)
    for start in range(0, ids.shape[1], PREFILL_TOKENS):
        end = min(start + PREFILL_TOKENS, ids.shape[1])
        output = model(
            input_ids=ids[:, start:end],
            attention_mask=mask[:, :end],
            position_ids=places[:, start:end],
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
    return cache, output.logits[:, -1]


def pad_left(rows: torch.Tensor, columns: int) -> torch.Tensor:
    """[rows, fewer columns] padded with zeros on the left."""
    return pad(rows, (columns - rows.shape[1], 0))


def _pad_columns(states: torch.Tensor, columns: int) -> torch.Tensor:
    """Keys or values [rows, heads, fewer columns, size] padded with zeros on the left."""
    return pad(states, (0, 0, columns - states.shape[2], 0))
