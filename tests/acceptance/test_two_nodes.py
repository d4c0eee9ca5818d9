"""The whole road on two Ray nodes that share no folder, with run storage on S3."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.storage import open_storage
from serving.app import usable_port
from tests.e2e.driver import RECIPE, Driver, digests
from tests.tiny_models import tiny_cohere

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(900)]


@pytest.fixture
def nodes(tmp_path: Path, s3_endpoint: str) -> Iterator[str]:
    """A head with one processor and a second node that cannot see the first one's folders; the head's address.

    The second node has a mount namespace of its own, in which the test's folder and the caches are empty.
    """
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("hiding folders from the second node needs root and unshare(1)")
    ray = str(Path(sys.executable).with_name("ray"))
    common = ["--disable-usage-stats", "--block", f"--object-store-memory={256 << 20}"]
    address = f"127.0.0.1:{usable_port('127.0.0.1', 0)}"
    start = [ray, "start", "--head", f"--port={address.split(':')[1]}", "--node-ip-address=127.0.0.1", "--num-cpus=1"]
    head = subprocess.Popen(
        [*start, "--include-dashboard=false", *common],
        stdout=subprocess.PIPE, text=True, env=os.environ | {"GAOKERENA_CACHE": str(tmp_path / "cache-1")},
    )  # fmt: skip
    assert head.stdout is not None
    assert any("Ray runtime started" in line for line in head.stdout), "the head did not start"
    threading.Thread(target=head.stdout.read, daemon=True).start()  # a full pipe would keep it from ending
    join = [ray, "start", f"--address={address}", "--node-ip-address=127.0.0.2", "--num-cpus=3"]
    second = subprocess.Popen(
        ["unshare", "--mount", "sh", "-c", f'mount -t tmpfs none {tmp_path} && exec "$@"', "sh", *join, *common],
        stdout=subprocess.DEVNULL, env=os.environ | {"GAOKERENA_CACHE": str(tmp_path / "cache-2")},
    )  # fmt: skip
    yield address
    for process in (second, head):
        process.terminate()
        process.wait(60)


def test_the_road_on_two_nodes_without_a_common_folder(nodes: str, s3_url: str, tmp_path: Path) -> None:
    open_storage(s3_url).upload(tiny_cohere(tmp_path / "model"), "model")
    model = f"{s3_url}/model"
    arguments = ["run", "--recipe", str(RECIPE), "--set", f"model={model}", "--set", f"evaluate.judge.model={model}"]
    driver = Driver(
        [*arguments, "--out", f"{s3_url}/run", "--set", f"cluster.address={nodes}", "--set", "cluster.workers=2"],
        environment={"GAOKERENA_CACHE": str(tmp_path / "cache-1")},
    )
    assert driver.wait(800) == 0, driver.output
    assert list(digests(f"{s3_url}/run"))[-1] == "report"
