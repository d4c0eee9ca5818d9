"""Adapters: placed, saved, merged and checked."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from peft import PeftModel
from peft.tuners.lora import LoraModel

from cluster.errors import UserError
from pipelines.train.lora import EmptyAdapter, add_adapter, checkpoint_adapter_only, merge, save_adapter
from pipelines.train.settings import LoraSettings
from serving.engines.models import load_model, load_tokenizer
from tests.tiny_models import tiny_cohere

PROBE = torch.arange(30, 70)[None]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_cohere(tmp_path_factory.mktemp("base"))


def trained(base: Path) -> PeftModel:
    """A model with an adapter that changes something."""
    torch.manual_seed(0)
    adapted = add_adapter(load_model(base, "float32"), LoraSettings(r=4, dropout=0))
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.2)
    return adapted.eval()


def test_the_merged_model_answers_as_the_adapter_on_its_base(base: Path, tmp_path: Path) -> None:
    adapted = trained(base)
    save_adapter(adapted, tmp_path / "adapter", "the base")
    assert merge(base, tmp_path / "adapter", tmp_path / "model", "float32", PROBE) < 1e-5
    plain = PeftModel.from_pretrained(load_model(base, "float32"), tmp_path / "adapter")
    with torch.no_grad():
        expected = adapted(input_ids=PROBE).logits
        torch.testing.assert_close(plain(input_ids=PROBE).logits, expected)
        torch.testing.assert_close(
            load_model(tmp_path / "model", "float32")(input_ids=PROBE).logits, expected, rtol=1e-4, atol=1e-5
        )
        assert not torch.allclose(load_model(base, "float32")(input_ids=PROBE).logits, expected, atol=1e-3)


def test_the_merged_model_has_the_bases_tokenizer_and_template(base: Path, tmp_path: Path) -> None:
    save_adapter(trained(base), tmp_path / "adapter", "the base")
    merge(base, tmp_path / "adapter", tmp_path / "model", "bfloat16", PROBE)
    before, after = load_tokenizer(base), load_tokenizer(tmp_path / "model")
    assert after.chat_template == before.chat_template
    assert after("فشار خون").input_ids == before("فشار خون").input_ids
    assert (tmp_path / "model" / "generation_config.json").read_text() == (base / "generation_config.json").read_text()
    assert load_model(tmp_path / "model", "bfloat16").config.dtype == torch.bfloat16


def test_the_same_adapter_is_saved_as_the_same_files(base: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        save_adapter(trained(base), tmp_path / name, "the base")
    files = sorted(p.name for p in (tmp_path / "one").iterdir())
    assert files == ["adapter_config.json", "adapter_model.safetensors"]
    assert all((tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes() for name in files)
    assert str(tmp_path) not in (tmp_path / "one" / "adapter_config.json").read_text()


def test_an_adapter_that_changes_nothing_is_refused(base: Path, tmp_path: Path) -> None:
    untrained = add_adapter(load_model(base, "float32"), LoraSettings())
    with pytest.raises(EmptyAdapter):
        save_adapter(untrained, tmp_path / "adapter", "the base")


def test_a_merge_that_changes_the_logits_is_refused(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_adapter(trained(base), tmp_path / "adapter", "the base")
    whole = LoraModel.merge_and_unload

    def spoiled(self: LoraModel, **options: object) -> torch.nn.Module:
        merged = whole(self, **options)
        merged.model.layers[0].mlp.up_proj.weight.data *= 1.5
        return merged

    monkeypatch.setattr(LoraModel, "merge_and_unload", spoiled)
    with pytest.raises(ArithmeticError, match="merging changed the logits"):
        merge(base, tmp_path / "adapter", tmp_path / "model", "float32", PROBE)
    assert not (tmp_path / "model").exists()


def test_an_adapter_of_another_model_is_refused(base: Path, tmp_path: Path) -> None:
    """PEFT alone would leave out what has no place, or raise a traceback."""
    save_adapter(trained(base), tmp_path / "adapter", "the base")
    deeper, wider = tiny_cohere(tmp_path / "deeper", layers=3), tiny_cohere(tmp_path / "wider", hidden=32)
    for other, what in ((deeper, "layers.2.* is missing in it"), (wider, r"is \(.*\) in it and \(.*\) in the model")):
        with pytest.raises(UserError, match=f"was made for the base, not for this CohereForCausalLM: .*{what}") as caught:
            merge(other, tmp_path / "adapter", tmp_path / "model", "float32", PROBE)
        assert "\n" not in str(caught.value)


def test_targets_that_the_model_does_not_have_are_named(base: Path) -> None:
    with pytest.raises(UserError, match=r"the model has no \['c_attn'\]; its linear layers are .*down_proj"):
        add_adapter(load_model(base, "float32"), LoraSettings(targets=["q_proj", "c_attn"]))


def test_a_checkpoint_holds_the_adapter_and_no_frozen_weight(base: Path) -> None:
    adapted = trained(base)
    checkpoint_adapter_only(adapted)
    state = adapted.state_dict()
    assert state
    assert all("lora_" in name for name in state)
