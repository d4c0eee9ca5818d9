"""Quantizes the weights of a trained model for home devices, without calibration data: safetensors that plain transformers loads.

int8 by torchao, a scale a row. int4 by bitsandbytes (NF4, a scale a block of 64): torchao's int4 for CPUs is laid out for one
kind of processor and can't be saved as safetensors. In memory are the model in bfloat16 and its copy.
"""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from cluster.errors import StorageFull, UserError
from pipelines.publish.settings import Precision
from pipelines.train.estimate import Shape
from serving.engines.models import load_model
from serving.engines.quantized import INSTALL

if TYPE_CHECKING:
    from transformers import PreTrainedModel

PACKAGES = {"int8": "torchao", "int4": "bitsandbytes"}
BLOCK = 64  # weights that share a scale in int4
HOW = {
    "int8": "Each matrix is held in int8 with one scale a row, by torchao. The embedding is among them (with the head, where "
    "that is the same matrix), but for architectures whose embedding scales what it looks up (Gemma): their embedding stays in "
    "bfloat16 in this folder, since transformers loses that scale, and this project's server puts it into int8 on loading.",
    "int4": "The linear layers are held in 4 bits (NF4, one scale for 64 weights), by bitsandbytes. The embedding, and a head "
    "that is the same matrix, stay in bfloat16.",
}


def check_package(precision: Precision) -> None:
    """Raises UserError where the package that quantizes so is not installed."""
    if find_spec(PACKAGES[precision]) is None:
        raise UserError(f"--quantize {precision} needs {PACKAGES[precision]}: {INSTALL}")


def quantize(model: Path, precision: Precision, out: Path) -> Path:
    """Weights and config.json of a model folder, quantized, in `out`. Raises StorageFull."""
    _check_room(model, out.parent)
    _METHODS[precision](model, out)
    (out / "generation_config.json").unlink(missing_ok=True)  # the model's own is published
    return out


def _int8(model: Path, out: Path) -> None:
    """By hand where transformers 5.23 can't: it neither quantizes a tied embedding nor saves one."""
    from safetensors.torch import save_file
    from torch import nn
    from torchao.prototype.safetensors.safetensors_support import flatten_tensor_state_dict
    from torchao.quantization import Int8WeightOnlyConfig, quantize_
    from transformers import TorchAoConfig

    loaded = load_model(model, "bfloat16")
    embedding, head = loaded.get_input_embeddings(), loaded.get_output_embeddings()
    kept = [] if _is_plain(loaded) else [embedding]
    tied = head.weight is embedding.weight
    skipped = [*kept, *([head] if tied else [])]
    method = Int8WeightOnlyConfig(set_inductor_config=False)
    quantize_(loaded, method, lambda layer, _: isinstance(layer, nn.Linear | nn.Embedding) and layer not in skipped)
    names = {name for name, layer in loaded.named_modules() if tied and layer is head}
    tensors, metadata = flatten_tensor_state_dict(
        {name: tensor for name, tensor in loaded.state_dict().items() if name.rpartition(".")[0] not in names}
    )
    out.mkdir()
    save_file(tensors, out / "model.safetensors", metadata={"format": "pt", **metadata})
    loaded.config.quantization_config = TorchAoConfig(method, include_input_output_embeddings=not kept)
    loaded.config.save_pretrained(out)


def _is_plain(model: PreTrainedModel) -> bool:
    """Whether the embedding only looks up. A buffer of its own, Gemma's scale, is left empty by transformers 5.23 when it
    loads an embedding that is quantized."""
    return next(model.get_input_embeddings().buffers(), None) is None


def _int4(model: Path, out: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    method = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.bfloat16)
    loaded = AutoModelForCausalLM.from_pretrained(
        model,
        dtype=torch.bfloat16,
        quantization_config=method,
        device_map={"": "cpu"},
        local_files_only=True,
        use_safetensors=True,
        trust_remote_code=False,
    )
    loaded.save_pretrained(out)


_METHODS = {"int8": _int8, "int4": _int4}


def weight_sizes(shape: Shape) -> dict[str, int]:
    """Bytes of a model's weights in each form, all but norms and biases: linear layers, and the embedding with its head."""
    table = shape.vocabulary * shape.hidden * (1 if shape.tied else 2)
    linear = shape.parameters - table
    scales = 2 * (shape.vocabulary + shape.layers * sum(rows for _, rows in shape.linear_sizes().values()))
    return {
        "bfloat16": 2 * (linear + table),
        "int8": linear + table + scales,
        "int4": linear // 2 + 4 * linear // BLOCK + 2 * table,
    }


def _check_room(model: Path, folder: Path) -> None:
    """Raises StorageFull: the writer of safetensors does not say clearly that a disk is full."""
    needed, free = sum(file.stat().st_size for file in model.glob("*.safetensors")), shutil.disk_usage(folder).free
    if free < needed:
        raise StorageFull(
            f"no room left while quantizing: {folder} has {free / 1e9:.1f} GB free and {needed / 1e9:.1f} GB are needed; "
            "free some space, or set GAOKERENA_CACHE to a larger disk"
        )
