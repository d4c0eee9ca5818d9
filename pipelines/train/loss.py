"""Cross-entropy of the positions that have a label, a chunk at a time: other positions never get logits.

With Gemma's vocabulary of 262,144 the head costs more than the layers, so this is most of the speed of training.
A chunk's gradient is taken while its logits exist; at most 128 MiB of float32 logits do at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from types import MethodType
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers import PreTrainedModel
from transformers.modeling_outputs import CausalLMOutputWithPast

from cluster.errors import UserError

CHUNK_LOGITS = 1 << 25
TOLERANCE = 1e-2  # of the loss itself, in bfloat16


def train_on_labels_only(model: PreTrainedModel) -> None:
    """Make a causal model's forward return, when it is given labels, their loss alone and no logits.

    The loss is the sum over labels divided by `num_items_in_batch` (labels in the whole accumulated and distributed
    batch) when that is given, else by the labels at hand. Raises UserError when the head itself is trained.
    """
    if any(p.requires_grad for p in model.get_output_embeddings().parameters()):
        raise UserError("train: lora.targets must not name the output head; leave out lm_head")
    whole = model.forward

    def forward(self: PreTrainedModel, *args: Any, labels: Tensor | None = None, **inputs: Any) -> Any:
        if labels is None:
            return whole(*args, **inputs)
        items = inputs.pop("num_items_in_batch", None)
        return CausalLMOutputWithPast(loss=label_loss(self, labels, items, *args, **inputs))

    model.forward = MethodType(forward, model)


def label_loss(model: PreTrainedModel, labels: Tensor, items: Tensor | int | None, *args: Any, **inputs: Any) -> Tensor:
    """Loss of `labels` (batch, length), each predicted from the position before it; -100 is no label."""
    # Without a cache: with one, transformers does not keep packed documents apart.
    inputs = {name: value for name, value in inputs.items() if value is not None} | {"use_cache": False}
    hidden = model.get_decoder()(*args, **inputs).last_hidden_state[:, :-1]
    targets = labels[:, 1:]
    kept = targets != -100
    total = _ChunkedCrossEntropy.apply(hidden[kept], targets[kept], head(model), max(1, CHUNK_LOGITS // model.config.vocab_size))
    return total / (kept.sum().clamp(min=1) if items is None else items)


def head(model: PreTrainedModel) -> Callable[[Tensor], Tensor]:
    """The function from hidden states to float32 logits, with Cohere's scale and Gemma 2's soft cap."""
    scale = getattr(model.config, "logit_scale", None)
    cap = getattr(model.config, "final_logit_softcapping", None)

    def logits(hidden: Tensor) -> Tensor:
        values = model.get_output_embeddings()(hidden).float()
        if scale is not None:
            values = values * scale
        return values if cap is None else torch.tanh(values / cap) * cap

    return logits


def check_against_model(model: PreTrainedModel, input_ids: Tensor) -> None:
    """Raises UserError when a model's own loss on (1, length) tokens differs: its head does something unknown here."""
    with torch.no_grad():
        ours = label_loss(model, input_ids, None, input_ids)
        own = model.loss_function(logits=model(input_ids=input_ids).logits, labels=input_ids, vocab_size=model.config.vocab_size)
    if not torch.isclose(ours, own.to(ours.dtype), rtol=TOLERANCE, atol=TOLERANCE):
        name = type(model).__name__
        raise UserError(f"train: the loss of {name} is {own:.4f}, and {ours:.4f} by what is known of its head")


class _ChunkedCrossEntropy(torch.autograd.Function):
    """Summed cross-entropy of hidden states (n, width) and targets (n), in float32."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, targets: Tensor, logits: Callable[[Tensor], Tensor], chunk: int) -> Tensor:
        wanted = ctx.needs_input_grad[0]
        gradient = torch.empty_like(hidden) if wanted else None
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        for start in range(0, len(targets), chunk):
            part = slice(start, start + chunk)
            piece = hidden[part].detach().requires_grad_(wanted)
            with torch.set_grad_enabled(wanted):
                loss = functional.cross_entropy(logits(piece), targets[part], reduction="sum")
            if gradient is not None:
                (gradient[part],) = torch.autograd.grad(loss, piece)
            total += loss.detach()
        ctx.gradient = gradient
        return total

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor | None, None, None, None]:
        gradient = ctx.gradient
        return (None if gradient is None else gradient * outer[0].to(gradient.dtype)), None, None, None
