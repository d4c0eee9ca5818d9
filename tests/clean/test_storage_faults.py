"""Storage that fails in the middle of the clean step costs no finished shard and changes no row."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from cluster import dataflow
from cluster.errors import StorageFull, UserError
from cluster.storage import open_storage
from pipelines.artifact import UNITS, Artifact
from tests.clean.test_step import ARTICLE_ROWS, PAIR_ROWS, extracted, run_clean
from tests.cluster.flaky import flaky


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataflow, "map_tasks", lambda work, items, **options: map(work, items))


@pytest.fixture
def extract(tmp_path: Path) -> Artifact:
    return extracted(tmp_path, [ARTICLE_ROWS], [PAIR_ROWS[:5], PAIR_ROWS[5:]])


def full_after(writes: int) -> Callable[[int], None]:
    """An fsync that finds no room after so many calls."""
    left = iter(range(writes))

    def fsync(descriptor: int) -> None:
        if next(left, None) is None:
            raise OSError(errno.ENOSPC, "No space left on device")

    return fsync


@pytest.mark.parametrize("writes", [1, 20, 40])  # an fsync for a file and one for its folder
def test_a_full_disk_loses_no_finished_shard(
    writes: int, extract: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "whole").mkdir()
    whole = run_clean(tmp_path / "whole", extract)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full_after(writes))
        with pytest.raises(StorageFull, match="no room left .* finished parts are kept"):
            run_clean(tmp_path, extract)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "clean" / "0" / UNITS).glob("*")}
    assert run_clean(tmp_path, extract).digest == whole.digest
    assert {path: path.stat().st_mtime_ns for path in before} == before  # done once


def test_a_store_that_answers_503_for_a_while_changes_nothing(
    extract: Artifact, tmp_path: Path, s3_endpoint: str, s3_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run_clean(tmp_path, extract)
    with flaky(s3_endpoint, lambda request: 10 <= request < 14 or request % 25 == 0) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        assert run_clean(tmp_path, extract, out=open_storage(s3_url)).digest == whole.digest


def test_a_corrupt_shard_is_one_clear_line(extract: Artifact, tmp_path: Path) -> None:
    shard = next((tmp_path / "extract" / "0" / "qa").glob("*.parquet"))
    shard.write_bytes(shard.read_bytes()[:-20])
    with pytest.raises(UserError, match=rf"{shard.name} is damaged .*; delete its step's folder and run again"):
        run_clean(tmp_path, extract)
