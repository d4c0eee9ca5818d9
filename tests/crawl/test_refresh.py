"""A refresh opens a finished crawl again, and only that."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.errors import UserError
from cluster.storage import Storage, open_storage
from pipelines.artifact import MANIFEST, Artifact, ArtifactFolder
from pipelines.crawl.refresh import refresh, refresh_before
from pipelines.recipe import Recipe, load_recipe
from pipelines.steps import step_named
from pipelines.tables import FAILURES, PAGES


@pytest.fixture
def recipe() -> Recipe:
    return load_recipe("demo", [])


@pytest.fixture
def crawled(tmp_path: Path, recipe: Recipe) -> Storage:
    """The folder of the demo's crawl, finished and empty."""
    step = step_named("crawl")
    folder = open_storage(tmp_path).sub("crawl", step.fingerprint(recipe, step.external_inputs(recipe)))
    finish(folder)
    return folder


def finish(folder: Storage) -> Artifact:
    return ArtifactFolder(folder).finish(
        step="crawl", version=1, settings={}, inputs={}, tables=(PAGES, FAILURES), started=0.0,
        files=("history",), volatile_files=("history",),
    )  # fmt: skip


def test_a_finished_crawl_is_opened_and_its_manifest_kept(tmp_path: Path, recipe: Recipe, crawled: Storage) -> None:
    before = crawled.read(MANIFEST)
    refresh(open_storage(tmp_path), recipe, 123.0)
    assert Artifact.load(crawled) is None
    assert refresh_before(crawled) == 123.0
    artifact = finish(crawled)
    assert crawled.read("history/artifact-000001.json") == before
    assert refresh_before(crawled) == 0.0
    refresh(open_storage(tmp_path), recipe, 456.0)
    assert finish(crawled).digest == artifact.digest
    assert crawled.list("history") == ["history/artifact-000001.json", "history/artifact-000002.json"]


def test_a_killed_refresh_goes_on_with_its_own_time(tmp_path: Path, recipe: Recipe, crawled: Storage) -> None:
    refresh(open_storage(tmp_path), recipe, 123.0)
    refresh(open_storage(tmp_path), recipe, 456.0)
    assert refresh_before(crawled) == 123.0


def test_without_a_finished_crawl_there_is_nothing_to_refresh(tmp_path: Path, recipe: Recipe) -> None:
    with pytest.raises(UserError, match="no finished crawl to refresh"):
        refresh(open_storage(tmp_path), recipe, 123.0)
