"""Models whose weights are quantized: which methods are read, and what they need to be installed."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from cluster.errors import UserError

METHODS = ("torchao", "bitsandbytes")  # safetensors and no code of the model's own; each is the name of its package
INSTALL = "run `make quantize`"


def method_of(config: Mapping[str, Any]) -> str | None:
    """By what the weights of a `config.json` are quantized; None: they are not."""
    quantization = config.get("quantization_config")
    return str(quantization.get("quant_method")) if quantization else None


def check_method(spec: str, config: Mapping[str, Any]) -> None:
    """Raises UserError for weights that are quantized in a way that can't be read here."""
    method = method_of(config)
    if method is None:
        return
    if method not in METHODS:
        raise UserError(f"model {spec} is quantized by {method}; what can be read is {' and '.join(METHODS)}")
    if find_spec(method) is None:
        raise UserError(f"model {spec} is quantized by {method}, which is not installed: {INSTALL}")
