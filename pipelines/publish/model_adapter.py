"""The adapters of both stages as one: what sits on the base model does what the two did one after the other.

Stage 1 adds s1 B1 A1 to a weight and stage 2 adds s2 B2 A2 to the sum, so the ranks stand side by side: B = [s1 B1, s2 B2],
A = [A1; A2], with a scale of 1. Exact but for the rounding of the merged model between the stages.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
A, B = ".lora_A.weight", ".lora_B.weight"


@dataclass(frozen=True)
class Adapter:
    """A saved LoRA adapter: its configuration, and A (r x in) and B (out x r) of each layer."""

    config: Mapping[str, Any]
    weights: Mapping[str, Tensor]

    @classmethod
    def load(cls, folder: Path) -> Adapter:
        return cls(json.loads((folder / CONFIG).read_text(encoding="utf-8")), load_file(folder / WEIGHTS))

    @property
    def rank(self) -> int:
        rank: int = self.config["r"]
        return rank

    @property
    def layers(self) -> set[str]:
        return {name.removesuffix(A) for name in self.weights if name.endswith(A)}

    def of_layer(self, layer: str, like: Adapter) -> tuple[Tensor, Tensor]:
        """A and the scaled B in float32; of a layer that only `like` adapts zeros."""
        if layer in self.layers:
            return self.weights[layer + A].float(), self.weights[layer + B].float() * (self.config["lora_alpha"] / self.rank)
        shape_a, shape_b = like.weights[layer + A].shape, like.weights[layer + B].shape
        return torch.zeros(self.rank, shape_a[1]), torch.zeros(shape_b[0], self.rank)


def combine(folders: Sequence[Path], base_name: str, out: Path) -> Path:
    """One adapter for the base model in `out`, made of those that were trained one after the other."""
    adapters = [Adapter.load(folder) for folder in folders]
    with_layer = {layer: adapter for adapter in adapters for layer in adapter.layers}
    weights: dict[str, Tensor] = {}
    for layer in sorted(with_layer):
        parts = [adapter.of_layer(layer, with_layer[layer]) for adapter in adapters]
        weights[layer + A] = torch.cat([a for a, _ in parts]).contiguous()
        weights[layer + B] = torch.cat([b for _, b in parts], dim=1).contiguous()
    rank = sum(adapter.rank for adapter in adapters)
    changes = {
        "r": rank,
        "lora_alpha": rank,  # a scale of alpha / r = 1
        "lora_dropout": 0.0,  # of training
        "target_modules": sorted({name for adapter in adapters for name in adapter.config["target_modules"]}),
        "base_model_name_or_path": base_name,
    }
    out.mkdir()
    save_file(weights, out / WEIGHTS, metadata={"format": "pt"})
    (out / CONFIG).write_text(json.dumps({**adapters[0].config, **changes}, indent=2, sort_keys=True), encoding="utf-8")
    return out
