"""Two Ray nodes that share no folder, on one machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from serving.app import usable_port


@dataclass(frozen=True)
class Nodes:
    """A head with one processor, at `address`, and a second node with three."""

    address: str
    second: subprocess.Popen[bytes]

    def kill_second(self) -> None:
        """As a power cut would: everything that runs on it ends at once."""
        start = psutil.Process(self.second.pid)
        family = [start, *start.children(recursive=True)]
        for process in family:
            process.suspend()  # nothing on it may notice the end of the others and act on it
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self.second.wait(60)


@contextmanager
def two_nodes(folder: Path) -> Iterator[Nodes]:
    """The nodes for the block. The second has another host name, and `folder` and the caches are empty there."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("hiding folders from the second node needs root and unshare(1)")
    ray = str(Path(sys.executable).with_name("ray"))
    common = ["--disable-usage-stats", "--block", f"--object-store-memory={256 << 20}"]
    address = f"127.0.0.1:{usable_port('127.0.0.1', 0)}"
    start = [ray, "start", "--head", f"--port={address.split(':')[1]}", "--node-ip-address=127.0.0.1", "--num-cpus=1"]
    head = subprocess.Popen(
        [*start, "--include-dashboard=false", *common],
        stdout=subprocess.PIPE, text=True, env=os.environ | {"GAOKERENA_CACHE": str(folder / "cache-1")},
    )  # fmt: skip
    assert head.stdout is not None
    assert any("Ray runtime started" in line for line in head.stdout), "the head did not start"
    threading.Thread(target=head.stdout.read, daemon=True).start()  # a full pipe would keep it from ending
    join = [ray, "start", f"--address={address}", "--node-ip-address=127.0.0.2", "--num-cpus=3"]
    apart = f'hostname second-node && mount -t tmpfs none {folder} && exec "$@"'
    second = subprocess.Popen(
        ["unshare", "--mount", "--uts", "sh", "-c", apart, "sh", *join, *common],
        stdout=subprocess.DEVNULL, env=os.environ | {"GAOKERENA_CACHE": str(folder / "cache-2")},
    )  # fmt: skip
    try:
        yield Nodes(address, second)
    finally:
        for process in (second, head):
            process.terminate()
            process.wait(60)
