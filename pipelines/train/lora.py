"""LoRA: put an adapter on a model, save it, and merge it back in float32 with a check of the logits.

Merging holds the model in float32 for a moment: 4 bytes a parameter.
"""

from __future__ import annotations

import gc
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from safetensors.torch import load_file
from torch import Tensor, nn

from cluster.errors import UserError
from pipelines.train.dropout import speed_up_dropout
from pipelines.train.settings import LoraSettings
from serving.engines.models import load_model

if TYPE_CHECKING:
    from transformers import PreTrainedModel

PARITY = 1e-3  # largest difference of merged and unmerged logits, both float32, relative to the largest logit
BESIDE_WEIGHTS = ("*.json", "*.jinja", "*.model", "*.txt")  # tokenizer, template, generation settings


class EmptyAdapter(RuntimeError):
    """Training left an adapter that changes nothing."""


def add_adapter(model: PreTrainedModel, settings: LoraSettings) -> PeftModel:
    """The model, frozen, with a new adapter of its own number format. Raises UserError for a target that the model has not."""
    layers = linear_layers(model)
    if missing := set(settings.targets or []) - layers:
        raise UserError(f"lora.targets: the model has no {sorted(missing)}; its linear layers are {sorted(layers)}")
    config = LoraConfig(
        r=settings.r,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=settings.targets or sorted(layers),
        bias="none",
        task_type="CAUSAL_LM",
    )
    # DeepSpeed keeps the float32 master copy, so the adapter itself may have the model's format.
    adapted = get_peft_model(model, config, autocast_adapter_dtype=False)
    assert isinstance(adapted, PeftModel)
    speed_up_dropout(adapted)
    return adapted


def linear_layers(model: PreTrainedModel) -> set[str]:
    """Names of every linear layer but the head, whatever the architecture calls them: q_proj, qkv_proj, fc1 ..."""
    head = model.get_output_embeddings()
    return {
        name.rpartition(".")[2] for name, module in model.named_modules() if isinstance(module, nn.Linear) and module is not head
    }


def checkpoint_adapter_only(model: PeftModel) -> None:
    """Leave frozen weights out of the model's state: DeepSpeed would write a tied head into every checkpoint."""

    def drop_frozen(module: nn.Module, state: dict[str, Tensor], prefix: str, _: object) -> None:
        trained = {prefix + name for name, parameter in module.named_parameters() if parameter.requires_grad}
        for name in [name for name in state if name not in trained]:
            del state[name]

    model.register_state_dict_post_hook(drop_frozen)


def save_adapter(model: PeftModel, folder: Path, base_name: str) -> None:
    """A plain PEFT adapter. Raises EmptyAdapter when it changes nothing."""
    changing = [p for name, p in model.named_parameters() if "lora_B" in name]
    if not changing or not any(p.numel() and bool(p.detach().abs().max() > 0) for p in changing):
        raise EmptyAdapter("the adapter is empty after training: every lora_B weight is zero")
    model.peft_config["default"].base_model_name_or_path = base_name
    model.save_pretrained(folder, save_embedding_layers=False)
    (folder / "README.md").unlink(missing_ok=True)  # PEFT's template of a model card says nothing
    _sort_targets(folder / "adapter_config.json")


def _sort_targets(file: Path) -> None:
    """PEFT writes a set in the order of its hashes, which differs from process to process."""
    config = json.loads(file.read_text(encoding="utf-8"))
    config["target_modules"] = sorted(config["target_modules"])
    file.write_text(json.dumps(config, indent=2, sort_keys=True), encoding="utf-8")


def load_adapter(model: PreTrainedModel, folder: Path) -> PeftModel:
    """A saved adapter on its base. Raises UserError when it was made for another model: PEFT skips what has no place."""
    weights, config = load_file(folder / "adapter_model.safetensors"), LoraConfig.from_pretrained(folder)
    made_for = config.base_model_name_or_path
    adapted = get_peft_model(model, config, autocast_adapter_dtype=False)
    places = get_peft_model_state_dict(adapted, save_embedding_layers=False)
    for name in sorted(weights.keys() | places.keys()):
        there, here = (tuple(found[name].shape) if name in found else "missing" for found in (weights, places))
        if there != here:
            raise UserError(
                f"adapter {folder} was made for {made_for}, not for this {type(model).__name__}: {name} is {there} in it and "
                f"{here} in the model; name the model that it was trained on"
            )
    set_peft_model_state_dict(adapted, weights)
    assert isinstance(adapted, PeftModel)
    return adapted


def merge(base: Path, adapter: Path, out: Path, dtype: str, probe: Tensor) -> float:
    """Merge in float32, check, cast to `dtype` and save with the base's tokenizer, template and generation settings.

    `probe`: token ids (1, n). Returns the largest difference of a logit relative to the largest logit;
    raises ArithmeticError when it is over PARITY, and UserError for an adapter of another model.
    """
    with torch.no_grad():
        adapted = load_adapter(load_model(base, "float32"), adapter).eval()
        before = adapted(input_ids=probe).logits
        merged = adapted.merge_and_unload(safe_merge=True)
        after = merged(input_ids=probe).logits
    difference = float((after - before).abs().max() / before.abs().max())
    if not difference <= PARITY:
        raise ArithmeticError(f"merging changed the logits by {difference:.2g} of their size, over {PARITY:g}")
    merged.to(getattr(torch, dtype)).save_pretrained(out)
    for pattern in BESIDE_WEIGHTS:
        for file in base.glob(pattern):
            if file.name != "config.json" and not file.name.endswith(".index.json"):
                shutil.copyfile(file, out / file.name)
    del adapted, merged
    gc.collect()
    return difference
