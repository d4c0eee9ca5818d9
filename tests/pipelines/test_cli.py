"""The command's ends: a mistake is one line, and so is Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cluster.errors import UserError
from pipelines.clean.commands import clean_pairs
from pipelines.options import open_run
from tests.conftest import heeds_ctrl_c


def test_storage_below_a_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    for below in ("notes.txt", "notes.txt/run", "notes.txt/run/deeper"):
        with pytest.raises(UserError, match=r"notes\.txt is a file; name a folder"):
            open_run("demo", str(tmp_path / below), None)
        with pytest.raises(UserError, match=r"notes\.txt is a file; name a folder"):
            clean_pairs(tmp_path / "pairs.csv", tmp_path / below)


def test_ctrl_c_says_how_to_go_on(tmp_path: Path) -> None:
    """A command that reads from a pipe that nobody writes to is interrupted there."""
    pipe = tmp_path / "recipe.yaml"
    os.mkfifo(pipe)
    code = "import sys; from pipelines import recipe; recipe.recipe_path = __import__('pathlib').Path; from pipelines.cli import main; main()"
    command = [sys.executable, "-c", code, "status", "--recipe", str(pipe)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=heeds_ctrl_c)
    with pipe.open("w"):  # opens when the command does
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (130, "gaokerena: stopped; the same command goes on from here\n")
