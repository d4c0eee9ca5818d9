"""The newest figures of a training on run storage: one small file, written over at every step."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

from cluster.errors import StorageFull
from cluster.storage import Storage

FILE = "figures.json"


def write_figures(storage: Storage, attempt: str, figures: dict[str, Any]) -> None:
    """Where there is no room for them, the next step's figures come instead: they are only looked at."""
    with suppress(StorageFull):
        storage.write(FILE, json.dumps({"attempt": attempt, **figures}).encode())


def read_figures(storage: Storage, attempt: str) -> dict[str, Any] | None:
    """The figures of this attempt; those of an earlier, killed one are not shown."""
    try:
        figures: dict[str, Any] = json.loads(storage.read(FILE))
    except FileNotFoundError:
        return None
    return figures if figures.pop("attempt") == attempt else None
