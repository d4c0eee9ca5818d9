"""Sequences that do not belong to the model are refused in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cluster.errors import UserError
from pipelines.tables import CORPUS_TRAIN
from pipelines.train.fits import check_fits, check_has_labels
from serving.engines.models import load_model
from tests.tiny_models import CONTEXT, tiny_cohere
from tests.train.sequences_of import row


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return load_model(tiny_cohere(tmp_path_factory.mktemp("model")), "float32")


def refusal(model: Any, *rows: dict[str, Any]) -> str:
    with pytest.raises(UserError) as caught:
        check_fits(CORPUS_TRAIN.table(list(rows)), model, "tiny")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_sequences_that_fit(model: Any) -> None:
    check_fits(CORPUS_TRAIN.table([row(CONTEXT, seed=1), row(CONTEXT, 20, seed=2)]), model, "tiny")


def test_a_window_longer_than_the_models_positions(model: Any) -> None:
    said = refusal(model, row(30, seed=1), row(CONTEXT + 1, seed=2))
    assert f"a window has {CONTEXT + 1} tokens and tiny has {CONTEXT} positions; use --set tokenize.context={CONTEXT}" in said


def test_a_vocabulary_larger_than_the_embedding_wherever_it_is_used(model: Any) -> None:
    rows = [row(30, seed=seed) for seed in range(40)]
    rows[-1]["input_ids"][-1] = model.config.vocab_size
    assert f"token {model.config.vocab_size} is beyond the vocabulary of {model.config.vocab_size} of tiny" in refusal(
        model, *rows
    )


def test_sequences_without_a_label() -> None:
    check_has_labels(CORPUS_TRAIN.table([row(9, seed=1, prompt=9), row(9, seed=2, prompt=8)]))
    with pytest.raises(UserError, match="none of 2 sequences has a label"):
        check_has_labels(CORPUS_TRAIN.table([row(9, seed=1, prompt=9), row(9, seed=2, prompt=9)]))


def test_an_empty_table_has_no_label() -> None:
    with pytest.raises(UserError, match="none of 0 sequences"):
        check_has_labels(CORPUS_TRAIN.schema.empty_table())


def test_stored_padding_is_no_label(model: Path) -> None:
    padded = row(9, seed=1, prompt=9)
    padded["input_ids"] += [0] * 7
    padded["labels"] += [-100] * 7
    with pytest.raises(UserError, match="has a label"):
        check_has_labels(CORPUS_TRAIN.table([padded]))
