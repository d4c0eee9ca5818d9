"""ZeRO 3 leaves every worker a part of each parameter: what has to see a whole one comes here. A gather costs its bytes.

Nothing here does anything to parameters that are whole.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from torch import nn


def gathered(parameters: Iterable[nn.Parameter]) -> AbstractContextManager[Any]:
    """The parameters whole on every worker, inside the block; each worker has to come here, with the same ones."""
    sharded = [parameter for parameter in parameters if hasattr(parameter, "ds_id")]
    if not sharded:
        return nullcontext()
    import deepspeed

    context: AbstractContextManager[Any] = deepspeed.zero.GatheredParameters(sharded)
    return context


def whole_size(parameter: nn.Parameter) -> int:
    """Numbers in a parameter, wherever its parts lie."""
    return int(getattr(parameter, "ds_numel", parameter.numel()))


def load_whole_models() -> None:
    """From here on: transformers shards every model that is loaded after ZeRO 3 was set up in this process."""
    from transformers.integrations.deepspeed import unset_hf_deepspeed_config

    unset_hf_deepspeed_config()
