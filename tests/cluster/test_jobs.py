"""Jobs: a clear line when nothing answers, and a real job on a real head node."""

from __future__ import annotations

import io
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.errors import UserError
from cluster.jobs import submit


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.mark.parametrize("scheme", ["http://", "ray://", ""])
def test_an_address_that_does_not_answer_is_said_in_one_line(scheme: str) -> None:
    address = f"{scheme}127.0.0.1:{free_port()}"
    with pytest.raises(UserError, match=re.escape(f"no Ray cluster answers at {address}")):
        submit(address, ["recipes"])


@pytest.mark.parametrize("address", ["nonsense", "ftp://head", "http://head:port"])
def test_what_is_no_address_is_said_in_one_line(address: str) -> None:
    with pytest.raises(UserError, match="is not the address of a Ray cluster"):
        submit(address, ["recipes"])


@pytest.fixture
def head() -> Iterator[str]:
    """The job address of a head node of its own, with a dashboard."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:  # short: it holds sockets
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", f"--port={free_port()}"]
        command += [f"--dashboard-port={port}", "--dashboard-host=127.0.0.1", "--node-ip-address=127.0.0.1", "--num-cpus=2"]
        command += [f"--dashboard-agent-listen-port={free_port()}", f"--ray-client-server-port={free_port()}"]
        command += [f"--temp-dir={folder}", "--object-store-memory=100000000"]
        environment = os.environ | {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "RAY_AUTH_MODE": "disabled",
            "PYTHONUNBUFFERED": "1",
        }
        process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
        )
        assert process.stdout
        said = ""
        while "Ray runtime started" not in said:
            line = process.stdout.readline()
            assert line, said  # it ended instead of starting
            said += line
        yield f"http://127.0.0.1:{port}"
        process.send_signal(signal.SIGTERM)  # with --block, ends every process that it started
        process.communicate(timeout=60)


@pytest.mark.slow
def test_a_job_runs_this_repository_and_its_log_is_followed(head: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    output = io.StringIO()
    job = submit(head, ["recipes"], output=output)
    assert job in output.getvalue()
    assert "paper" in output.getvalue()

    with pytest.raises(UserError, match="ended as FAILED"):
        submit(head, ["run", "--recipe", "no-such-recipe"], output=output)
    assert "no recipe 'no-such-recipe'" in output.getvalue()
