"""Checkpoints on run storage: every rank uploads its own files, and a last small file makes the checkpoint complete.

`checkpoints/step-000020/` holds what transformers and DeepSpeed wrote (adapter, optimizer partitions, scheduler,
random states, trainer state) and a `rank-0.json` for each rank with the digests of its files; without `complete.json`
in it, it is not there. A complete one whose files are not what they were is damaged, and dropped before a run goes on.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from cluster.storage import Storage
from pipelines.artifact import file_digest

FOLDER = "checkpoints"
MARKER = "complete.json"


@dataclass(frozen=True)
class Checkpoint:
    """A complete checkpoint: its prefix on run storage, the optimizer steps done, by how many workers, and its files."""

    prefix: str
    step: int
    workers: int
    files: dict[str, str]  # path on run storage -> SHA-256


class DamagedCheckpoint(RuntimeError):
    """A file of a complete checkpoint is missing or is not what was written."""


def prefix_of(step: int) -> str:
    return f"{FOLDER}/step-{step:06d}"


def upload(storage: Storage, step: int, rank: int, folder: Path) -> None:
    """Copy a rank's files to run storage, with their digests last. Raises StorageFull."""
    prefix = prefix_of(step)
    paths = storage.upload(folder, prefix)
    digests = {path: file_digest(folder / path.removeprefix(f"{prefix}/")) for path in paths}
    storage.write(f"{prefix}/rank-{rank}.json", json.dumps(digests).encode())


def seal(storage: Storage, step: int, workers: int) -> None:
    """Say that every rank's files of a step are there. Raises StorageFull."""
    prefix = prefix_of(step)
    files: dict[str, str] = {}
    for rank in range(workers):
        files |= json.loads(storage.read(f"{prefix}/rank-{rank}.json"))
    storage.write(f"{prefix}/{MARKER}", json.dumps({"step": step, "workers": workers, "files": files}).encode())


def complete(storage: Storage) -> list[Checkpoint]:
    """Every complete checkpoint, oldest first."""
    found = (_marked(storage, path) for path in _markers(storage))
    return sorted((checkpoint for checkpoint in found if checkpoint), key=lambda checkpoint: checkpoint.step)


def newest(storage: Storage) -> Checkpoint | None:
    """The checkpoint that a run goes on from, if there is one."""
    found = complete(storage)
    return found[-1] if found else None


def download(storage: Storage, checkpoint: Checkpoint, folder: Path) -> Path:
    """A complete checkpoint's files in a local folder. Raises DamagedCheckpoint."""
    for path, digest in checkpoint.files.items():
        file = folder / path.removeprefix(f"{checkpoint.prefix}/")
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("wb") as out:
            out.writelines(_checked(storage, path, digest))
    return folder


def drop_damaged(storage: Storage) -> list[str]:
    """Delete the newest complete checkpoints down to the first that is sound; a line about each. Reads their files once."""
    said = []
    for marker in sorted(_markers(storage), reverse=True):
        checkpoint = _marked(storage, marker)
        try:
            if checkpoint is None:
                raise DamagedCheckpoint(f"{marker} is not readable")
            for path, digest in checkpoint.files.items():
                for _ in _checked(storage, path, digest):
                    pass
            break
        except DamagedCheckpoint as error:
            said.append(f"checkpoint {PurePosixPath(marker).parent} is damaged and was dropped: {error}")
            delete(storage, str(PurePosixPath(marker).parent))
    return said


def drop_after(storage: Storage, step: int) -> None:
    """Delete the checkpoints of later steps."""
    for checkpoint in complete(storage):
        if checkpoint.step > step:
            delete(storage, checkpoint.prefix)


def delete(storage: Storage, prefix: str) -> None:
    """Remove a checkpoint; its marker goes first, so that it is never half there."""
    storage.delete(f"{prefix}/{MARKER}")
    for path in storage.list(prefix):
        storage.delete(path)


def prune(storage: Storage, keep: int) -> None:
    """Delete all but the newest complete checkpoints, with what killed or failed savings left."""
    kept = {checkpoint.prefix for checkpoint in complete(storage)[-keep:]}
    for prefix in {"/".join(path.split("/")[:2]) for path in storage.list(FOLDER)} - kept:
        delete(storage, prefix)


def _markers(storage: Storage) -> list[str]:
    return [path for path in storage.list(FOLDER) if path.endswith(f"/{MARKER}")]


def _marked(storage: Storage, marker: str) -> Checkpoint | None:
    """What a marker says; None when it can't be read."""
    try:
        found = Checkpoint(prefix=str(PurePosixPath(marker).parent), **json.loads(storage.read(marker)))
    except (ValueError, TypeError):
        return None
    return found if isinstance(found.files, dict) else None


def _checked(storage: Storage, path: str, digest: str) -> Iterator[bytes]:
    """A file's bytes in pieces. Raises DamagedCheckpoint at its end."""
    found = hashlib.sha256()
    try:
        for piece in storage.chunks(path):
            found.update(piece)
            yield piece
    except FileNotFoundError:
        raise DamagedCheckpoint(f"{PurePosixPath(path).name} is missing") from None
    if found.hexdigest() != digest:
        raise DamagedCheckpoint(f"{PurePosixPath(path).name} is not what was written")
