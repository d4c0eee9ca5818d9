"""What a training stage will cost, from the model's shape alone: parameters, memory, operations, hours.

Formulas are the usual ones for LoRA on a decoder-only transformer. They leave out allocator overhead and
temporary buffers of kernels, so treat memory as a lower bound with a margin of a tenth.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.train.settings import LoraSettings, StageSettings
from serving.engines.entries import entries

BYTES = {"bfloat16": 2, "float32": 4}
FLOPS_PER_PARAMETER = 4  # LoRA: forward 2 and the backward pass through frozen weights 2, per token


@dataclass(frozen=True)
class Shape:
    """The sizes of a decoder-only transformer that decide its cost."""

    layers: int
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int
    tied: bool  # input and output embeddings are one matrix

    @classmethod
    def of_config(cls, config: Mapping[str, Any]) -> Shape:
        """From the fields of a transformers `config.json`."""
        heads = config["num_attention_heads"]
        return cls(
            layers=config["num_hidden_layers"],
            hidden=config["hidden_size"],
            intermediate=config["intermediate_size"],
            heads=heads,
            kv_heads=config.get("num_key_value_heads") or heads,
            head_dim=config.get("head_dim") or config["hidden_size"] // heads,
            vocabulary=config["vocab_size"],
            tied=config.get("tie_word_embeddings", True),
        )

    def linear_sizes(self) -> dict[str, tuple[int, int]]:
        """In and out features of each linear layer of one block."""
        query, key = self.heads * self.head_dim, self.kv_heads * self.head_dim
        return {
            "q_proj": (self.hidden, query),
            "k_proj": (self.hidden, key),
            "v_proj": (self.hidden, key),
            "o_proj": (query, self.hidden),
            "gate_proj": (self.hidden, self.intermediate),
            "up_proj": (self.hidden, self.intermediate),
            "down_proj": (self.intermediate, self.hidden),
        }

    @property
    def parameters(self) -> int:
        block = sum(a * b for a, b in self.linear_sizes().values())
        return self.layers * block + self.vocabulary * self.hidden * (1 if self.tied else 2)

    def adapter_parameters(self, lora: LoraSettings) -> int:
        """Each adapted layer of a x b gains r x (a + b)."""
        sizes = self.linear_sizes()
        return self.layers * lora.r * sum(sum(sizes[name]) for name in lora.targets or sizes if name in sizes)


@dataclass(frozen=True)
class Cost:
    """What one stage takes. `memory_bytes` is one device's."""

    tokens: int
    sequences: int
    optimizer_steps: int
    memory_bytes: int
    flops: float

    def hours(self, tflops: float, mfu: float) -> float:
        return self.flops / (tflops * 1e12 * mfu) / 3600


def known_config(model: str) -> Mapping[str, Any]:
    """The `config.json` of a local folder or what is written down of a named model; empty without either: no download."""
    entry = entries().get(model)
    if entry and entry.config:
        return entry.config
    config = Path(model).expanduser() / "config.json"
    found: dict[str, Any] = json.loads(config.read_text(encoding="utf-8")) if config.is_file() else {}
    return found


def implied_mfu(flops: float, hours: float, tflops: float) -> float:
    """The share of a peak of `tflops` TFLOP/s that work done in `hours` reached."""
    return flops / (hours * 3600 * tflops * 1e12)


def stage_cost(
    shape: Shape, stage: StageSettings, *, tokens: int, context: int, micro_batch: int, dtype: str, checkpointing: str
) -> Cost:
    """The cost of `tokens` tokens, in sequences of `context`, through one stage."""
    tokens = math.ceil(tokens * stage.epochs)
    sequences = math.ceil(tokens / context)
    adapter = shape.adapter_parameters(stage.lora)
    # frozen weights; adapter weights, gradients and two Adam moments in fp32
    fixed = shape.parameters * BYTES[dtype] + adapter * 16
    per_token = 2 * shape.hidden  # what full checkpointing keeps of a block: its input, 2 bytes a number
    inside = 2 * (6 * shape.hidden + 3 * shape.intermediate + 2 * (shape.heads + shape.kv_heads) * shape.head_dim)
    blocks = shape.layers * (per_token if checkpointing == "full" else inside) + inside
    return Cost(
        tokens=tokens,
        sequences=sequences,
        optimizer_steps=math.ceil(sequences / stage.effective_batch),
        memory_bytes=fixed + micro_batch * context * blocks,
        flops=FLOPS_PER_PARAMETER * shape.parameters * tokens,
    )
