"""Memory of a device: what the estimate says, what PyTorch keeps, which layout is chosen, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import CohereConfig, CohereForCausalLM, LlamaConfig, LlamaForCausalLM

from cluster.errors import UserError
from cluster.profiles import PROFILES, Profile
from pipelines.cli import main
from pipelines.recipe import load_recipe
from pipelines.train import memory, step
from pipelines.train.estimate import Shape, known_shape
from pipelines.train.lora import add_adapter
from pipelines.train.loss import train_on_labels_only
from pipelines.train.memory import EVERY, LEVELS, Choice, Layout, activations, choose_layout, device_memory
from pipelines.train.settings import LoraSettings, TrainSettings

SIZES = {"hidden_size": 128, "intermediate_size": 384, "num_hidden_layers": 4, "vocab_size": 500}
HEADS = {"num_attention_heads": 4, "num_key_value_heads": 2, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
TOKENS = 96
ARCHITECTURES = {"cohere": (CohereForCausalLM, CohereConfig), "llama": (LlamaForCausalLM, LlamaConfig)}
AYA, GIB = "aya-expanse-8b", 2**30


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small tensors are not worth sharing."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def adapted(architecture: str = "cohere", *, dropout: float = 0.0, dtype: torch.dtype = torch.float32) -> nn.Module:
    """A small model as training has it, with an adapter that changes something."""
    torch.manual_seed(0)
    kind, config = ARCHITECTURES[architecture]
    model = kind(config(**SIZES, **HEADS, max_position_embeddings=TOKENS)).to(dtype)
    found = add_adapter(model, LoraSettings(dropout=dropout)).train()
    for name, parameter in found.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter, std=0.1)
    train_on_labels_only(model)
    return found


def checkpoint(model: Any, level: str) -> nn.Module:
    """As the Trainer does it."""
    if level in EVERY:
        model.activation_checkpointing_enable({"use_reentrant": False}, every_n_layers=EVERY[level])
    return model


def backward(model: nn.Module) -> tuple[int, dict[str, torch.Tensor]]:
    """Bytes that wait for the backward pass of one sequence, without parameters and logits, and the gradients."""
    ids = torch.arange(TOKENS)[None] % SIZES["vocab_size"]
    parameters = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in parameters and tensor.shape[-1:] != (SIZES["vocab_size"],):
            kept[storage.data_ptr()] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = model(input_ids=ids, labels=ids).loss
    loss.backward()
    return sum(storage.nbytes() for storage in kept.values()), {
        name: p.grad for name, p in model.named_parameters() if p.grad is not None
    }


@pytest.mark.parametrize("level", ["selective", "full"])
def test_checkpointing_changes_no_gradient(level: str) -> None:
    _, expected = backward(adapted())
    _, found = backward(checkpoint(adapted(), level))
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-5, atol=1e-7)


def test_selective_checkpointing_keeps_half_the_blocks() -> None:
    none, selective, full = (backward(checkpoint(adapted(), level))[0] for level in LEVELS)
    assert full < selective < none
    assert selective == pytest.approx((none + full) / 2, rel=0.05)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(("dtype", "dropout"), [("bfloat16", 0.05), ("float32", 0.0)])
def test_the_estimate_of_activations_is_what_pytorch_keeps(
    architecture: str, dropout: float, level: str, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the block that is made again in the backward pass; with copies for a loss over every position, which are no graph."""
    number, lora = {"bfloat16": 2, "float32": 4}[dtype], LoraSettings(dropout=dropout)
    monkeypatch.setattr(memory, "MASK", number)  # on a CPU, a mask has the format of what it masks
    shape = Shape.of_config({**SIZES, **HEADS, "tie_word_embeddings": True})
    kept, _ = backward(checkpoint(adapted(architecture, dropout=dropout, dtype=getattr(torch, dtype)), level))
    one_block = activations(shape, lora, "none", number) / shape.layers if level != "none" else 0
    estimated = TOKENS * (activations(shape, lora, level, number) - one_block)
    copies = TOKENS * shape.hidden * (3 * number + 4)
    assert 0.98 * kept < estimated < 1.15 * kept + copies


def aya() -> Shape:
    found = known_shape(AYA)
    assert found is not None
    return found


def gpus(number: int, gib: float, **fields: Any) -> Profile:
    return Profile(train_workers=number, memory_gib=gib, **fields)


def chosen(profile: Profile, context: int = 1024, **settings: Any) -> Choice:
    found = choose_layout(AYA, profile, TrainSettings.model_validate(settings), "finetune", context)
    assert found is not None
    return found


def test_where_there_is_room_the_profile_stays_as_it_is() -> None:
    for name in ("a100-80", "a100x8", "h100", "a100-40"):
        found = chosen(PROFILES[name])
        assert found.layout == Layout(2, False, PROFILES[name].micro_batch, "full"), name
        assert found.applied_to(PROFILES[name]) == PROFILES[name]
        assert f"fits in {PROFILES[name].memory_gib:g} GiB" in found.reason


def test_eight_billion_parameters_in_bfloat16_are_fifteen_gibibytes() -> None:
    """8.03e9 x 2 bytes; 21 M trained ones with 2 + 4 + 12 bytes each."""
    found = chosen(PROFILES["a100-80"]).memory
    assert found.weights == 2 * aya().parameters
    assert found.adapter == 20_971_520 * 18
    assert 15 * GIB < found.total < 20 * GIB


def test_fewer_sequences_come_before_more_checkpointing_and_both_before_sharding() -> None:
    own = chosen(gpus(2, 80, checkpointing="none", micro_batch=2)).memory.total / GIB
    one = chosen(gpus(2, 80, checkpointing="none", micro_batch=1)).memory.total / GIB
    assert one < own
    between = one / 0.9 + 0.1
    assert chosen(gpus(2, between, checkpointing="none")).layout == Layout(2, False, 1, "none")
    assert chosen(gpus(2, one / 0.9 - 0.1, checkpointing="none")).layout == Layout(2, False, 1, "selective")


def test_weights_that_one_device_can_not_hold_are_sharded_and_then_go_to_the_host() -> None:
    assert chosen(gpus(8, 12)).layout.zero_stage == 3
    assert not chosen(gpus(8, 12)).layout.offload
    assert chosen(gpus(1, 12)).layout.offload
    assert "since ZeRO 2, micro-batch 2, checkpointing full takes" in chosen(gpus(1, 12)).reason
    alone = chosen(gpus(1, 12)).applied_to(gpus(1, 12))
    assert (alone.zero_stage, alone.offload) == (3, True)


def test_what_the_recipe_fixes_stays() -> None:
    fixed = {"micro_batch": 2, "checkpointing": "none"}
    layout = chosen(gpus(8, 30), **fixed).layout
    assert (layout.micro_batch, layout.checkpointing, layout.zero_stage) == (2, "none", 3)
    assert chosen(gpus(8, 80, zero_stage=3)).layout.zero_stage == 3


def test_what_can_not_fit_is_refused_in_one_line() -> None:
    with pytest.raises(UserError, match=r"finetune: aya-expanse-8b does not fit in 4 GiB.* even under ZeRO 3 with the") as caught:
        chosen(gpus(8, 4))
    said = str(caught.value)
    assert "micro-batch 1, checkpointing full; use a smaller model, a shorter --set tokenize.context (now 1,024)" in said
    assert "\n" not in said


def test_sharding_counts_what_is_whole_at_once() -> None:
    """A worker's eighth, half a milliard parameters, and the embedding of 256,000 x 4,096."""
    shape = aya()
    found = device_memory(shape, LoraSettings(), Layout(3, False, 1, "full"), workers=8, context=1024, dtype="bfloat16")
    assert found.weights == 2 * (shape.parameters // 8 + 2**29 + 256_000 * 4096)


SMALL = ("cluster.profile=custom", "cluster.custom={memory_gib: 4}", "cluster.address=auto")


def test_a_run_refuses_before_it_starts() -> None:
    with pytest.raises(UserError, match="finetune: aya-expanse-8b does not fit"):
        step.check(load_recipe("paper", SMALL))


@pytest.mark.parametrize("command", ["run", "train"])
def test_a_dry_run_refuses_with_exit_code_two(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    changes = [argument for change in SMALL for argument in ("--set", change)]
    monkeypatch.setattr("sys.argv", ["gaokerena", command, "--recipe", "paper", "--out", str(tmp_path), "--dry-run", *changes])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "does not fit" in line


def test_the_plan_of_a_training_says_layout_memory_and_hours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["gaokerena", "train", "--recipe", "paper", "--out", str(tmp_path), "--dry-run"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    said = capsys.readouterr().out
    assert "finetune  ZeRO 2, micro-batch 2, checkpointing full, fits in 80 GiB; " in said
    assert "h at an assumed 35% of 312 TFLOP/s" in said
    assert "both stages in 19 h are 12.7% of 312 TFLOP/s" in said
    assert "sources" not in said
    assert not list(tmp_path.iterdir())
