"""The loss of labels only equals the model's own, whatever the batch, the padding and the packing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from cluster.errors import UserError
from pipelines.tables import CORPUS_TRAIN
from pipelines.train import loss as losses
from pipelines.train.attention import attend_by_document
from pipelines.train.lora import add_adapter
from pipelines.train.loss import check_against_model, train_on_labels_only
from pipelines.train.sequences import Sequences, collate, make_plan, sequence_lengths
from pipelines.train.settings import LoraSettings
from serving.engines.models import load_model
from tests.tiny_models import tiny_cohere, tiny_gemma3
from tests.train.sequences_of import row

ARCHITECTURES = {"cohere": tiny_cohere, "gemma3": tiny_gemma3}


@pytest.fixture(scope="module", params=ARCHITECTURES)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ARCHITECTURES[request.param](tmp_path_factory.mktemp(request.param))


def load(folder: Path) -> Any:
    """A tiny model whose logits are scaled (Cohere) or capped (Gemma), so that forgetting to is seen."""
    model = load_model(folder, "float32")
    if hasattr(model, "logit_scale"):
        model.logit_scale = model.config.logit_scale = 3.0
    else:
        model.config.final_logit_softcapping = 0.5
    return model


def items_of(*rows: dict[str, Any]) -> list[dict[str, Any]]:
    table = CORPUS_TRAIN.table(list(rows))
    plan = make_plan(sequence_lengths(table), seed=0, epochs=1, effective_batch=1, max_tokens=None)
    sequences = Sequences(table, plan)
    return [sequences.sequence(i) for i in range(len(rows))]


def gradients(model: Any, value: Tensor) -> dict[str, Tensor]:
    value.backward()
    found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    return found


def test_loss_and_gradients_equal_the_models_own(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(losses, "CHUNK_LOGITS", 5 * 700)  # several chunks, the last one shorter
    monkeypatch.setattr(losses, "CACHED_LOGITS", 2 * 900)  # and each of them in several parts
    model = load(folder)
    adapted = add_adapter(model, LoraSettings(dropout=0))
    torch.manual_seed(1)
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    batch = collate(items_of(row(30, seed=1), row(30, seed=2, prompt=9)))
    own = adapted(**batch).loss
    expected = gradients(adapted, own)

    train_on_labels_only(model)
    ours = adapted(**batch).loss
    assert ours.item() == pytest.approx(own.item(), rel=1e-6)
    found = gradients(adapted, ours)
    assert found.keys() == expected.keys()
    assert len(found) > 0
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-4, atol=1e-7)


def test_only_positions_with_a_label_reach_the_head(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load(folder)
    output, seen = model.get_output_embeddings(), []
    whole = output.forward

    def counted(hidden: Tensor) -> Tensor:
        seen.append(len(hidden))
        return whole(hidden)

    monkeypatch.setattr(output, "forward", counted)
    for parameter in model.parameters():
        parameter.requires_grad = False
    train_on_labels_only(model)
    model(**collate(items_of(row(40, seed=1, prompt=33), row(12, seed=2, prompt=8))))
    assert sum(seen) == (40 - 33) + (12 - 8)


def test_accumulated_micro_batches_equal_the_whole_batch(folder: Path) -> None:
    model = load(folder)
    adapted = add_adapter(model, LoraSettings(dropout=0))
    train_on_labels_only(model)
    items = items_of(row(50, seed=1, prompt=45), row(20, seed=2), row(33, seed=3), row(9, seed=4, prompt=5))
    labels = sum(int((item["labels"] != -100).sum()) for item in items)
    whole = adapted(**collate(items)).loss
    expected = gradients(adapted, whole)
    parts = [adapted(**collate(items[i : i + 2]), num_items_in_batch=labels).loss for i in (0, 2)]
    assert sum(part.item() for part in parts) == pytest.approx(whole.item(), rel=1e-6)
    for name, gradient in gradients(adapted, parts[0] + parts[1]).items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-4, atol=1e-7)


def test_a_batch_without_labels_costs_nothing_and_has_a_gradient_of_zero(folder: Path) -> None:
    model = load(folder)
    adapted = add_adapter(model, LoraSettings(dropout=0))
    train_on_labels_only(model)
    empty = collate(items_of(row(5, seed=1, prompt=5)))
    found = gradients(adapted, adapted(**empty, num_items_in_batch=10).loss)
    assert all(float(gradient.abs().max()) == 0 for gradient in found.values())


def hidden_states(model: Any, batch: dict[str, Tensor]) -> Tensor:
    with torch.no_grad():
        return model.get_decoder()(
            input_ids=batch["input_ids"], position_ids=batch["position_ids"], use_cache=False
        ).last_hidden_state


def test_padding_changes_nothing(folder: Path) -> None:
    model = load(folder)
    short, long = items_of(row(11, seed=1), row(45, seed=2))
    padded = hidden_states(model, collate([short, long]))
    torch.testing.assert_close(padded[:1, :11], hidden_states(model, collate([short])), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("flat", "by_document"), [(False, False), (True, False), (True, True)])
def test_packed_documents_do_not_see_each_other(folder: Path, flat: bool, by_document: bool) -> None:
    """Also where they are longer than Gemma's sliding window of 16, and beside a padded row."""
    model = load(folder)
    alone_model = load(folder)
    if by_document:
        attend_by_document(model)
    packed, other = items_of(row(25, 40, 7, seed=1), row(20, seed=2))
    together = hidden_states(model, collate([packed, other], flat=flat))[0]
    start = 0
    for length in (25, 40, 7):
        alone = {
            "input_ids": torch.from_numpy(packed["input_ids"][start : start + length])[None],
            "position_ids": torch.arange(length)[None],
        }
        expected = hidden_states(alone_model, alone)[0]
        torch.testing.assert_close(together[start : start + length], expected, rtol=1e-5, atol=1e-5)
        start += length


def test_a_documents_first_token_is_not_predicted_from_the_one_before() -> None:
    (packed,) = items_of(row(5, 4, 3, seed=1))
    assert [i for i, label in enumerate(packed["labels"]) if label == -100] == [0, 5, 9]
    assert packed["position_ids"].tolist() == [0, 1, 2, 3, 4, 0, 1, 2, 3, 0, 1, 2]


def test_a_head_that_does_something_unknown_is_refused(folder: Path) -> None:
    model = load(folder)
    ids = torch.from_numpy(items_of(row(30, seed=1))[0]["input_ids"])[None]
    check_against_model(model, ids)
    whole = model.forward
    model.forward = lambda **inputs: _scaled(whole(**inputs))
    with pytest.raises(UserError, match="by what is known of its head"):
        check_against_model(model, ids)


def _scaled(output: Any) -> Any:
    output.logits = output.logits * 40
    return output


def test_training_the_head_is_refused(folder: Path) -> None:
    model = load(folder)
    with pytest.raises(UserError, match="lm_head"):
        train_on_labels_only(model)
