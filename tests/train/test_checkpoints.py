"""Checkpoints on run storage are complete or absent."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cluster.storage import Storage, open_storage
from pipelines.train import checkpoints

Damage = Callable[[Storage, str], None]


@pytest.fixture(params=["folder", "s3"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    return open_storage(tmp_path / "run" if request.param == "folder" else request.getfixturevalue("s3_url"))


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """Where the ranks write first."""
    return tmp_path / "disk"


def put(storage: Storage, disk: Path, step: int, *, sealed: bool = True) -> None:
    for rank in range(2):
        file = disk / str(step) / str(rank) / f"global_step{step}" / f"optimizer-{rank}.pt"
        file.parent.mkdir(parents=True)
        file.write_text(f"{step}/{rank}")
        checkpoints.upload(storage, step, rank, disk / str(step) / str(rank))
    if sealed:
        checkpoints.seal(storage, step, workers=2)


def test_a_checkpoint_without_its_marker_is_not_there(storage: Storage, disk: Path) -> None:
    put(storage, disk, 2)
    put(storage, disk, 4, sealed=False)
    (only,) = checkpoints.complete(storage)
    assert (only.step, only.workers) == (2, 2)


def test_a_checkpoint_comes_back_as_it_was(storage: Storage, disk: Path, tmp_path: Path) -> None:
    put(storage, disk, 12)
    (checkpoint,) = checkpoints.complete(storage)
    folder = checkpoints.download(storage, checkpoint, tmp_path / "copy")
    files = {p.relative_to(folder).as_posix(): p.read_text() for p in folder.rglob("*") if p.is_file()}
    assert files == {"global_step12/optimizer-0.pt": "12/0", "global_step12/optimizer-1.pt": "12/1"}


def test_only_the_newest_are_kept_and_nothing_of_unfinished_ones(storage: Storage, disk: Path) -> None:
    for step in (2, 4, 10):
        put(storage, disk, step)
    put(storage, disk, 6, sealed=False)
    checkpoints.prune(storage, 2)
    assert [checkpoint.step for checkpoint in checkpoints.complete(storage)] == [4, 10]
    assert not storage.list(checkpoints.prefix_of(2)) + storage.list(checkpoints.prefix_of(6))


def shorten(storage: Storage, path: str) -> None:
    storage.write(path, storage.read(path)[:2])


def delete(storage: Storage, path: str) -> None:
    storage.delete(path)


def change(storage: Storage, path: str) -> None:
    storage.write(path, b"9/9")


@pytest.mark.parametrize(
    ("damage", "said"),
    [(shorten, "is not what was written"), (change, "is not what was written"), (delete, "is missing")],
)
def test_a_damaged_file_drops_its_checkpoint(storage: Storage, disk: Path, damage: Damage, said: str) -> None:
    for step in (2, 4, 6):
        put(storage, disk, step)
    damage(storage, f"{checkpoints.prefix_of(6)}/global_step6/optimizer-1.pt")
    newest = checkpoints.newest(storage)
    assert newest is not None
    with pytest.raises(checkpoints.DamagedCheckpoint, match=f"optimizer-1.pt {said}"):
        checkpoints.download(storage, newest, disk / "copy")
    assert checkpoints.drop_damaged(storage) == [
        f"checkpoint checkpoints/step-000006 is damaged and was dropped: optimizer-1.pt {said}"
    ]
    assert [checkpoint.step for checkpoint in checkpoints.complete(storage)] == [2, 4]
    assert not storage.list(checkpoints.prefix_of(6))
    assert checkpoints.drop_damaged(storage) == []


def test_a_damaged_marker_drops_its_checkpoint(storage: Storage, disk: Path) -> None:
    put(storage, disk, 2)
    put(storage, disk, 4)
    shorten(storage, f"{checkpoints.prefix_of(4)}/{checkpoints.MARKER}")
    (said,) = checkpoints.drop_damaged(storage)
    assert "step-000004 is damaged" in said
    assert [checkpoint.step for checkpoint in checkpoints.complete(storage)] == [2]


def test_all_of_them_damaged_is_a_start_from_nothing(storage: Storage, disk: Path) -> None:
    for step in (2, 4):
        put(storage, disk, step)
        shorten(storage, f"{checkpoints.prefix_of(step)}/global_step{step}/optimizer-0.pt")
    assert len(checkpoints.drop_damaged(storage)) == 2
    assert checkpoints.newest(storage) is None


def test_going_back_drops_what_came_later(storage: Storage, disk: Path) -> None:
    for step in (2, 4, 10):
        put(storage, disk, step)
    checkpoints.drop_after(storage, 7)
    assert [checkpoint.step for checkpoint in checkpoints.complete(storage)] == [2, 4]
