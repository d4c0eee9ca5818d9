"""A tiny model and a fabricated run that the evaluation's tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tiny_models import tiny_cohere


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random model: the base model and the judge."""
    return tiny_cohere(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="session")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same architecture with other weights: the trained model."""
    return tiny_cohere(tmp_path_factory.mktemp("trained"), seed=1)
