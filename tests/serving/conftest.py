"""Tiny models that the serving tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tiny_models import tiny_cohere, tiny_gemma3


@pytest.fixture(scope="session")
def cohere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_cohere(tmp_path_factory.mktemp("models") / "cohere")


@pytest.fixture(scope="session")
def gemma(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_gemma3(tmp_path_factory.mktemp("models") / "gemma")
