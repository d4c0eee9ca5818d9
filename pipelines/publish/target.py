"""A folder that holds one publication and nothing else: its record is the first file that is written, its card the last."""

from __future__ import annotations

import json
from pathlib import Path

from cluster.errors import UserError
from cluster.storage import Storage, open_storage

RECORD, CARD = "publication.json", "README.md"


def open_target(to: str, default: Storage) -> Storage:
    """The folder `to`, or the default where none is named. Raises UserError."""
    if to and "://" not in to and Path(to).is_file():
        raise UserError(f"--to {to} is a file; name a folder")
    return open_storage(to) if to else default


def is_finished(folder: Storage, fingerprint: str) -> bool:
    """Whether the folder holds this publication whole. Raises UserError when it holds something else."""
    files = folder.list()
    if not files:
        return False
    if RECORD not in files:
        raise UserError(f"{folder.url} holds other files ({files[0]}): name a new or an empty folder with --to")
    if json.loads(folder.read(RECORD)).get("fingerprint") != fingerprint:
        raise UserError(
            f"{folder.url} holds a publication of other data or settings: delete it, or name another folder with --to"
        )
    return CARD in files


def claim(folder: Storage, fingerprint: str, version: int, **made_of: str) -> None:
    """Mark the folder as this publication's. `made_of`: what else its record says."""
    folder.write(RECORD, json.dumps({"fingerprint": fingerprint, "version": version, **made_of}).encode())
