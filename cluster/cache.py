"""The node's cache folder: downloads and conversions that any node can make again."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder(*parts: str) -> Path:
    """A folder below `$GAOKERENA_CACHE`, or below `~/.cache/gaokerena` when that is not set; made if missing."""
    root = os.environ.get("GAOKERENA_CACHE") or "~/.cache/gaokerena"
    folder = Path(root).expanduser().absolute().joinpath(*parts)
    folder.mkdir(parents=True, exist_ok=True)
    return folder
