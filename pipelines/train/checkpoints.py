"""Checkpoints on run storage: every rank uploads its own files, and a last small file makes the checkpoint complete.

`checkpoints/step-000020/` holds what transformers and DeepSpeed wrote (adapter, optimizer partitions, scheduler,
random states, trainer state); without `complete.json` in it, it is not there.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from cluster.storage import Storage

FOLDER = "checkpoints"
MARKER = "complete.json"


@dataclass(frozen=True)
class Checkpoint:
    """A complete checkpoint: its prefix on run storage, the optimizer steps done and by how many workers."""

    prefix: str
    step: int
    workers: int


def prefix_of(step: int) -> str:
    return f"{FOLDER}/step-{step:06d}"


def seal(storage: Storage, step: int, workers: int) -> None:
    """Say that every rank's files of a step are there."""
    prefix = prefix_of(step)
    files = [path for path in storage.list(prefix) if not path.endswith(MARKER)]
    storage.write(f"{prefix}/{MARKER}", json.dumps({"step": step, "workers": workers, "files": files}).encode())


def complete(storage: Storage) -> list[Checkpoint]:
    """Every complete checkpoint, oldest first."""
    found = []
    for path in storage.list(FOLDER):
        if path.endswith(f"/{MARKER}"):
            record = json.loads(storage.read(path))
            found.append(Checkpoint(path.removesuffix(f"/{MARKER}"), record["step"], record["workers"]))
    return sorted(found, key=lambda checkpoint: checkpoint.step)


def newest(storage: Storage) -> Checkpoint | None:
    """The checkpoint that a run goes on from, if there is one."""
    found = complete(storage)
    return found[-1] if found else None


def download(storage: Storage, checkpoint: Checkpoint, folder: Path) -> Path:
    """A complete checkpoint's files in a local folder. Raises FileNotFoundError when one is missing."""
    for path in json.loads(storage.read(f"{checkpoint.prefix}/{MARKER}"))["files"]:
        file = folder / path.removeprefix(f"{checkpoint.prefix}/")
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("wb") as out:
            out.writelines(storage.chunks(path))
    return folder


def prune(storage: Storage, keep: int) -> None:
    """Delete all but the newest complete checkpoints; a marker goes first, so none is ever half there."""
    for old in complete(storage)[:-keep]:
        storage.delete(f"{old.prefix}/{MARKER}")
        for path in storage.list(old.prefix):
            storage.delete(path)
