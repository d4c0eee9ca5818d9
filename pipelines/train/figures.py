"""The newest figures of a training on run storage: one small file, written over at every step."""

from __future__ import annotations

import json

from cluster.storage import Storage

FILE = "figures.json"


def write_figures(storage: Storage, attempt: str, figures: dict[str, float]) -> None:
    storage.write(FILE, json.dumps({"attempt": attempt, **figures}).encode())


def read_figures(storage: Storage, attempt: str) -> dict[str, float] | None:
    """The figures of this attempt; those of an earlier, killed one are not shown."""
    try:
        figures: dict[str, float] = json.loads(storage.read(FILE))
    except FileNotFoundError:
        return None
    return figures if figures.pop("attempt") == attempt else None
