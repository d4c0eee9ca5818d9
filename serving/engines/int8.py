"""int8 weights, a scale a row, on a CPU: PyTorch's int8 product in place of torchao's, which unpacks a whole matrix a token.

Gemma 3 270M's head (262,144 x 640) for one token on 2 cores: 0.11 s here, 0.91 s there, 0.22 s in bfloat16. A looked-up row of an
embedding is unpacked alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torchao.quantization import Int8Tensor, PerRow

if TYPE_CHECKING:
    from transformers import PreTrainedModel

FEW = 16  # rows of activations; for more, unpacking the matrix costs less than the int8 product
ALIGNED = 64  # bytes that rows begin at a multiple of: the int8 product of PyTorch 2.13 crashes on others
UNPACKED = 16_384  # rows of a matrix that are unpacked at a time: 21 MB for 640 columns


class RowInt8(Int8Tensor):
    """A matrix (rows x columns) in int8 with a scale a row. It takes part in what linear layers and embeddings do, only."""


def hold_in_int8(model: PreTrainedModel) -> None:
    """Put a RowInt8 in the place of every int8 matrix that torchao left, and then of the embedding, which a tied head shares.

    A model without such matrices stays as it is.
    """
    layers = [module for module in model.modules() if isinstance(module, nn.Linear | nn.Embedding)]
    weights = {id(layer.weight): layer.weight for layer in layers if _has_row_scales(layer.weight)}
    if weights:
        embedding = model.get_input_embeddings().weight
        weights[id(embedding)] = embedding
    converted = {key: nn.Parameter(_row_int8(weight), requires_grad=False) for key, weight in weights.items()}
    for layer in layers:
        layer.weight = converted.get(id(layer.weight), layer.weight)


def _has_row_scales(weight: torch.Tensor) -> bool:
    """Whether it is int8 with one scale a row, and activations are left alone."""
    return isinstance(weight, Int8Tensor) and weight.act_quant_kwargs is None and weight.block_size[-1] == weight.shape[-1]


def _row_int8(weight: torch.Tensor) -> RowInt8:
    if not isinstance(weight, Int8Tensor):  # a part at a time: torchao works in float32
        parts = [Int8Tensor.from_hp(part, PerRow()) for part in weight.detach().split(UNPACKED)]
        qdata, scale = (torch.cat([getattr(part, name) for part in parts]) for name in ("qdata", "scale"))
        return RowInt8(qdata, scale, parts[0].block_size, weight.dtype)
    qdata = weight.qdata if _is_aligned(weight.qdata) else weight.qdata.clone()  # in a mapped file it lies anywhere
    return RowInt8(qdata, weight.scale, weight.block_size, weight.dtype)


def _is_aligned(matrix: torch.Tensor) -> bool:
    return matrix.is_contiguous() and matrix.data_ptr() % ALIGNED == 0 and matrix[0].nbytes % ALIGNED == 0


@RowInt8.implements_torch_function(nn.functional.linear)
def _linear(_: Any, types: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> torch.Tensor:
    inputs, weight = args[:2]
    bias = args[2] if len(args) > 2 else kwargs.get("bias")
    rows = inputs.reshape(-1, inputs.shape[-1]).contiguous()
    scale = weight.scale.flatten().to(rows.dtype)
    if rows.shape[0] <= FEW and rows.dtype == torch.bfloat16 and _is_aligned(rows) and _is_aligned(weight.qdata):
        found = torch._weight_int8pack_mm(rows, weight.qdata, scale)
    else:
        found = torch.cat([rows @ part.to(rows.dtype).t() for part in weight.qdata.split(UNPACKED)], 1) * scale
    found = found.reshape(*inputs.shape[:-1], weight.shape[0])
    return found if bias is None else found + bias


@RowInt8.implements_torch_function(nn.functional.embedding)
def _embedding(_: Any, types: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> torch.Tensor:
    ids, weight = args[:2]
    return weight.qdata[ids].to(weight.dtype) * weight.scale.reshape(-1)[ids].unsqueeze(-1).to(weight.dtype)
