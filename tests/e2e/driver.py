"""A run of the command in a process of its own, which a test can watch and kill."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from cluster.storage import open_storage
from pipelines.steps import graph, latest

REPOSITORY = Path(__file__).resolve().parent.parent.parent
RECIPE = REPOSITORY / "tests" / "e2e" / "tiny.yaml"


class Driver:
    """`gaokerena ARGUMENTS` with its output collected line by line."""

    def __init__(self, arguments: list[str], *, environment: dict[str, str] | None = None) -> None:
        self.lines: list[str] = []
        self._changed = threading.Condition()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pipelines.cli", *arguments],
            cwd=REPOSITORY,
            env=os.environ | (environment or {}),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._changed:
                self.lines.append(line.rstrip())
                self._changed.notify_all()
        with self._changed:
            self._changed.notify_all()

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    def wait(self, timeout: float = 280) -> int:
        """The exit code."""
        code = self.process.wait(timeout)
        self._reader.join(timeout=10)
        return code

    def wait_for_line(self, pattern: str, timeout: float = 200) -> bool:
        """Whether a line matched before the process ended."""

        def seen() -> bool:
            return any(re.search(pattern, line) for line in self.lines)

        with self._changed:
            self._changed.wait_for(lambda: seen() or not self._reader.is_alive(), timeout)
            return seen()

    def wait_until(self, condition: Callable[[], bool], timeout: float = 200) -> bool:
        """Whether a condition outside the process came true while it ran."""
        ended = threading.Event()
        threading.Thread(target=lambda: (self.process.wait(), ended.set()), daemon=True).start()
        waited = 0.0
        while not condition():
            if ended.wait(0.05):
                return condition()
            waited += 0.05
            if waited > timeout:
                return False
        return True

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def digests(url: str | Path) -> dict[str, str]:
    """The content digest of every step's latest artifact."""
    root = open_storage(url)
    found = {step.name: latest(root, step.name) for step in graph()}
    return {name: artifact.digest for name, artifact in found.items() if artifact}
