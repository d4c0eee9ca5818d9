"""Runs a module of tests as two workers that train together, without Ray."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
LONGEST = 250  # seconds


def run_two_workers(module: str, folder: Path, model: Path) -> None:
    """`python -m MODULE FOLDER MODEL RANK` for both ranks at once; with their output where one of them fails."""
    command = [sys.executable, "-m", module, str(folder), str(model)]
    workers = [
        subprocess.Popen([*command, str(rank)], cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for rank in range(2)
    ]
    outputs = [worker.communicate(timeout=LONGEST)[0] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], "\n".join(outputs)[-6000:]
