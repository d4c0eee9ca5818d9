"""Adapters on every linear layer of the architectures that people fine-tune, with their loss and their merge."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from transformers import CONFIG_MAPPING, AutoModelForCausalLM, PreTrainedModel

from pipelines.train.attention import attend_by_document
from pipelines.train.lora import PARITY, add_adapter, linear_layers, merge, save_adapter
from pipelines.train.loss import check_against_model
from pipelines.train.settings import LoraSettings

PAPERS_LIST = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}
LINEAR_LAYERS = {
    "cohere": PAPERS_LIST,
    "llama": PAPERS_LIST,
    "mistral": PAPERS_LIST,
    "qwen2": PAPERS_LIST,
    "qwen3": PAPERS_LIST,
    "gemma": PAPERS_LIST,
    "gemma2": PAPERS_LIST,
    "gemma3_text": PAPERS_LIST,
    "phi": {"q_proj", "k_proj", "v_proj", "dense", "fc1", "fc2"},
    "phi3": {"qkv_proj", "o_proj", "gate_up_proj", "down_proj"},
}
PROBE = torch.arange(20, 60)[None]


@pytest.fixture(params=LINEAR_LAYERS)
def architecture(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def model(architecture: str) -> PreTrainedModel:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "vocab_size": 200}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16, "pad_token_id": 0}
    config = CONFIG_MAPPING[architecture](**sizes, **heads, bos_token_id=1, eos_token_id=2)
    return AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()


def test_every_linear_layer_but_the_head_is_found(architecture: str, model: PreTrainedModel) -> None:
    assert linear_layers(model) == LINEAR_LAYERS[architecture]
    adapted = add_adapter(model, LoraSettings())
    placed = {name.split(".lora_A")[0].rpartition(".")[2] for name, p in adapted.named_parameters() if "lora_A" in name}
    assert placed == LINEAR_LAYERS[architecture]
    assert all("lora_" in name for name, p in adapted.named_parameters() if p.requires_grad)


def test_its_loss_is_the_models_own(model: PreTrainedModel) -> None:
    check_against_model(model, PROBE)


def test_attention_by_document_is_that_of_each_document_alone(model: PreTrainedModel) -> None:
    lengths = (17, 1, 22)
    with torch.no_grad():
        alone = [model(input_ids=part).logits[0] for part in PROBE.split(lengths, dim=1)]
        attend_by_document(model)
        positions = torch.cat([torch.arange(length) for length in lengths])[None]
        together = model(input_ids=PROBE, position_ids=positions, use_cache=False).logits[0]
    torch.testing.assert_close(together, torch.cat(alone), rtol=1e-4, atol=1e-4)


def test_the_merged_model_loads_in_plain_transformers_and_the_adapter_in_plain_peft(
    model: PreTrainedModel, tmp_path: Path
) -> None:
    model.save_pretrained(tmp_path / "base")
    adapted = add_adapter(model, LoraSettings(dropout=0)).eval()
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    save_adapter(adapted, tmp_path / "adapter", "the base")
    assert merge(tmp_path / "base", tmp_path / "adapter", tmp_path / "model", "float32", PROBE) < PARITY
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "model").eval()
    plain = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tmp_path / "base"), tmp_path / "adapter").eval()
    with torch.no_grad():
        expected = adapted(input_ids=PROBE).logits
        torch.testing.assert_close(merged(input_ids=PROBE).logits, expected, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(plain(input_ids=PROBE).logits, expected, rtol=1e-4, atol=1e-4)
