"""Cross-entropy of the positions that have a label, a chunk at a time: other positions never get logits.

With Gemma's vocabulary of 262,144 the head costs more than the layers, so this is most of the speed of training.
A chunk's gradient is taken while its logits exist, and written over them; at most 2^25 logits exist at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from types import MethodType
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.modeling_outputs import CausalLMOutputWithPast

from cluster.errors import UserError
from pipelines.train.memory import CHUNK_LOGITS
from pipelines.train.sharding import gathered

CACHED_LOGITS = 1 << 20  # float32 logits that a CPU works on at once
TOLERANCE = 1e-2  # of the loss itself, in bfloat16

Function = Callable[[Tensor], Tensor]


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
    chunk = max(1, CHUNK_LOGITS // model.config.vocab_size)
    head = model.get_output_embeddings()
    with gathered(head.parameters()):  # once, however many chunks: workers have different numbers
        # Not called but its forward taken: called, ZeRO 3 would let its weights go again.
        total = _ChunkedCrossEntropy.apply(hidden[kept], targets[kept], head.forward, scaled(model), chunk)
    return total / (kept.sum().clamp(min=1) if items is None else items)


def scaled(model: PreTrainedModel) -> Function:
    """The function from what leaves the head to float32 logits, with Cohere's scale and Gemma 2's soft cap."""
    scale = getattr(model.config, "logit_scale", None)
    cap = getattr(model.config, "final_logit_softcapping", None)

    def logits(values: Tensor) -> Tensor:
        values = values.float() if scale is None else values.float() * scale
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


class CheckOnceSharded(TrainerCallback):
    """`check_against_model` when the training begins: before, a model that ZeRO 3 has sharded can't be run."""

    def __init__(self, model: PreTrainedModel, input_ids: Tensor) -> None:
        self._model, self._input_ids = model, input_ids

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        training = self._model.training
        self._model.eval()
        check_against_model(self._model, self._input_ids.to(args.device))
        self._model.train(training)


class _ChunkedCrossEntropy(torch.autograd.Function):
    """Summed cross-entropy of hidden states (n, width) and targets (n), in float32."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, targets: Tensor, head: Function, scaled: Function, chunk: int) -> Tensor:
        wanted = ctx.needs_input_grad[0]
        gradient = torch.empty_like(hidden) if wanted else None
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        for start in range(0, len(targets), chunk):
            part = slice(start, start + chunk)
            piece = hidden[part].detach().requires_grad_(wanted)
            with torch.set_grad_enabled(wanted):
                values = head(piece)
            total += _cross_entropy(values.detach(), targets[part], scaled, wanted)
            if gradient is not None:
                (gradient[part],) = torch.autograd.grad(values, piece, values.detach())
        ctx.gradient = gradient
        return total

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor | None, None, None, None, None]:
        gradient = ctx.gradient
        return (None if gradient is None else gradient * outer[0].to(gradient.dtype)), None, None, None, None


def _cross_entropy(values: Tensor, targets: Tensor, scaled: Function, wanted: bool) -> Tensor:
    """Summed cross-entropy of (n, vocabulary) values of the head, which their gradient is written over where it is wanted.

    A few rows at a time on a CPU: in its cache, float32 is five times as fast as through its memory.
    """
    rows = len(targets) if values.is_cuda else max(1, CACHED_LOGITS // values.shape[1])
    total = torch.zeros((), dtype=torch.float32, device=values.device)
    for some, at in zip(values.split(rows), targets[:, None].split(rows), strict=True):
        with torch.set_grad_enabled(wanted):
            leaf = some.detach().requires_grad_(wanted)
            logits = scaled(leaf)
        logs = logits.detach().log_softmax(-1)
        total -= logs.gather(1, at).sum()
        if wanted:
            outer = logs.exp_().scatter_add_(1, at, logs.new_full(at.shape, -1))
            some.copy_(torch.autograd.grad(logits, leaf, outer)[0])
    return total
