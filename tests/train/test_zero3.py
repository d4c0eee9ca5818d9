"""ZeRO 3 with two workers: sharded parameters end as whole ones do, are saved whole, and go on from a checkpoint."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from cluster.storage import open_storage
from pipelines.artifact import ArtifactFolder
from pipelines.train.job import LOG_UNIT, VALIDATION
from tests.tiny_models import tiny_cohere
from tests.train.pair import LAYOUTS
from tests.train.two_workers import run_two_workers

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
SHARDED = [name for name in LAYOUTS if name != "zero-2"]
HIDDEN = 384  # DeepSpeed keeps parameters of fewer than 100,000 numbers whole


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_cohere(tmp_path_factory.mktemp("model"), hidden=HIDDEN)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Path:
    """What two workers left under every layout."""
    folder = tmp_path_factory.mktemp("pair")
    run_two_workers("tests.train.pair", folder, model)
    return folder


def out(trained: Path, name: str) -> Path:
    return trained / name / "finetune" / ("0" * 16)


def adapter(trained: Path, name: str) -> dict[str, torch.Tensor]:
    return load_file(out(trained, name) / "adapter" / "adapter_model.safetensors")


def logged(trained: Path, name: str, column: str) -> list[float]:
    folder = ArtifactFolder(open_storage(out(trained, name)))
    (shard,) = folder.record(LOG_UNIT).shards
    found: list[float] = folder.read_shard(shard.path)[column].to_pylist()
    return found


@pytest.mark.parametrize("name", SHARDED)
def test_the_adapter_is_whole_and_the_same(trained: Path, name: str) -> None:
    expected, found = adapter(trained, "zero-2"), adapter(trained, name)
    assert {key: tensor.shape for key, tensor in found.items()} == {key: tensor.shape for key, tensor in expected.items()}
    assert len(found) == 2 * 2 * 7
    assert all(float(tensor.abs().max()) > 0 for tensor in found.values())
    for key, tensor in expected.items():
        torch.testing.assert_close(found[key], tensor, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", SHARDED)
def test_every_step_is_the_same(trained: Path, name: str) -> None:
    for column in ("loss", "grad_norm"):
        assert logged(trained, name, column) == pytest.approx(logged(trained, "zero-2", column), rel=1e-4)
    found, expected = (json.loads((out(trained, layout) / VALIDATION).read_text()) for layout in (name, "zero-2"))
    assert [(row["step"], row["source"]) for row in found] == [(row["step"], row["source"]) for row in expected]
    assert [row["loss"] for row in found] == pytest.approx([row["loss"] for row in expected], rel=1e-4)


def test_a_resumed_training_ends_with_the_same_weights(trained: Path) -> None:
    for key, tensor in adapter(trained, "zero-3").items():
        torch.testing.assert_close(adapter(trained, "resumed")[key], tensor, rtol=0, atol=1e-6)


def test_its_adapter_loads_in_plain_peft_and_its_model_in_plain_transformers(trained: Path, model: Path) -> None:
    folder, ids = out(trained, "zero-3"), torch.arange(20, 60)[None]
    plain = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(model), folder / "adapter").eval()
    merged = AutoModelForCausalLM.from_pretrained(folder / "model").eval()
    base = AutoModelForCausalLM.from_pretrained(model).eval()
    with torch.no_grad():
        expected = plain(input_ids=ids).logits
        torch.testing.assert_close(merged(input_ids=ids).logits, expected, rtol=1e-4, atol=1e-4)
        assert not torch.allclose(base(input_ids=ids).logits, expected, atol=1e-3)
