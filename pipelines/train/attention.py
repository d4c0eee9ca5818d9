"""Attention within documents that lie one after another in one row: PyTorch's causal kernel, once a document.

transformers keeps packed documents apart with a mask over the whole row, of which most is hidden, and masked kernels are
slow ones. By document there is no mask, no padding, and no work on what is hidden.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AttentionInterface, PreTrainedModel

NAME = "by_document"


def attend_by_document(model: PreTrainedModel) -> None:
    """Let a model attend by document where it would use PyTorch's attention; it then takes batches of one row.

    Masks of other kinds than causal and sliding ones (Llama 4's chunks) stay transformers' own.
    """
    kinds = getattr(model.config, "layer_types", None) or []
    if model.config._attn_implementation == "sdpa" and "chunked_attention" not in kinds:
        AttentionInterface.register(NAME, attention)
        model.set_attn_implementation(NAME)


def attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    position_ids: Tensor,
    dropout: float = 0.0,
    scaling: float | None = None,
    sliding_window: int | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """(1, heads, length, width) to (1, length, heads, width); a document begins where `position_ids` (1, length) are 0."""
    starts = (position_ids[0] == 0).nonzero().flatten()
    lengths = torch.diff(starts, append=starts.new_tensor([query.shape[2]])).tolist()
    found = [
        functional.scaled_dot_product_attention(
            *document,
            attn_mask=(mask := _window(document[0].shape[2], sliding_window, query.device)),
            dropout_p=dropout,
            is_causal=mask is None,
            scale=scaling,
            enable_gqa=query.shape[1] != key.shape[1],
        )
        for document in zip(*(states.split(lengths, dim=2) for states in (query, key, value)), strict=True)
    ]
    return torch.cat(found, dim=2).transpose(1, 2).contiguous(), None


def _window(length: int, window: int | None, device: torch.device) -> Tensor | None:
    """True where a token of a document that is longer than the window is seen: causal, and not too far back."""
    if window is None or length <= window:
        return None
    seen = torch.ones(length, length, dtype=torch.bool, device=device).tril()
    return seen.triu(1 - window)
