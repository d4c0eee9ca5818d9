"""Checkpoints on run storage are complete or absent."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.storage import Storage, open_storage
from pipelines.train import checkpoints


@pytest.fixture(params=["folder", "s3"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    return open_storage(tmp_path / "run" if request.param == "folder" else request.getfixturevalue("s3_url"))


def put(storage: Storage, step: int, *, sealed: bool = True) -> None:
    for rank in range(2):
        storage.write(f"{checkpoints.prefix_of(step)}/global_step{step}/optimizer-{rank}.pt", f"{step}/{rank}".encode())
    if sealed:
        checkpoints.seal(storage, step, workers=2)


def test_a_checkpoint_without_its_marker_is_not_there(storage: Storage) -> None:
    put(storage, 2)
    put(storage, 4, sealed=False)
    (only,) = checkpoints.complete(storage)
    assert (only.step, only.workers) == (2, 2)


def test_a_checkpoint_comes_back_as_it_was(storage: Storage, tmp_path: Path) -> None:
    put(storage, 12)
    (checkpoint,) = checkpoints.complete(storage)
    folder = checkpoints.download(storage, checkpoint, tmp_path / "copy")
    files = {p.relative_to(folder).as_posix(): p.read_text() for p in folder.rglob("*") if p.is_file()}
    assert files == {"global_step12/optimizer-0.pt": "12/0", "global_step12/optimizer-1.pt": "12/1"}


def test_only_the_newest_are_kept(storage: Storage) -> None:
    for step in (2, 4, 10):
        put(storage, step)
    checkpoints.prune(storage, 2)
    assert [checkpoint.step for checkpoint in checkpoints.complete(storage)] == [4, 10]
    assert not storage.list(checkpoints.prefix_of(2))
