"""What a training stage will cost, from the model's shape alone: parameters, operations, hours (memory.py has the memory)."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.train.settings import LoraSettings, StageSettings
from serving.engines.entries import entries

FLOPS_PER_PARAMETER = 4  # LoRA: forward 2 and the backward pass through frozen weights 2, per token
SIZES = {"num_attention_heads", "num_hidden_layers", "hidden_size", "intermediate_size", "vocab_size"}  # that a config needs


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
    """What one stage takes."""

    tokens: int
    sequences: int
    optimizer_steps: int
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


def known_shape(model: str) -> Shape | None:
    """The shape of a named model or of a local folder; None when it is not known without a download, or has other sizes."""
    config = known_config(model)
    return Shape.of_config(config) if config.keys() >= SIZES else None


def implied_mfu(flops: float, hours: float, tflops: float) -> float:
    """The share of a peak of `tflops` TFLOP/s that work done in `hours` reached."""
    return flops / (hours * 3600 * tflops * 1e12)


def stage_cost(shape: Shape, stage: StageSettings, *, tokens: int, context: int) -> Cost:
    """The cost of `tokens` tokens, in sequences of `context`, through one stage."""
    tokens = math.ceil(tokens * stage.epochs)
    sequences = math.ceil(tokens / context)
    return Cost(
        tokens=tokens,
        sequences=sequences,
        optimizer_steps=math.ceil(sequences / stage.effective_batch),
        flops=FLOPS_PER_PARAMETER * shape.parameters * tokens,
    )
