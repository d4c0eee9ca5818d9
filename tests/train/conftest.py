"""What several tests of training share: one worker in this process, a tiny model and sequences for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.storage import open_storage
from pipelines.artifact import Artifact
from tests.tiny_models import tiny_cohere
from tests.train.alone import process_group
from tests.train.sequences_of import tokens_artifact


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """This process as the only worker of a process group."""
    with process_group(tmp_path_factory.mktemp("group")):
        yield


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_cohere(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return tokens_artifact(open_storage(tmp_path_factory.mktemp("tokens")))
