"""The whole road on two Ray nodes that share no folder, with run storage on S3."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.storage import open_storage
from tests.e2e.driver import RECIPE, Driver, digests
from tests.tiny_models import tiny_cohere

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture
def nodes(tmp_path: Path, s3_endpoint: str) -> Iterator[str]:
    """A head with one processor and a second node that cannot see the first one's folders; the head's address.

    The second node has a mount namespace of its own, in which the test's folder and the caches are empty.
    """
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("hiding folders from the second node needs root and unshare(1)")
    ray = str(Path(sys.executable).with_name("ray"))
    common = ["--disable-usage-stats", "--block", "--object-store-memory", str(256 << 20)]
    head = subprocess.Popen(
        [ray, "start", "--head", "--port=0", "--num-cpus=1", "--include-dashboard=false", *common],
        stdout=subprocess.PIPE, text=True, env=os.environ | {"GAOKERENA_CACHE": str(tmp_path / "cache-1")},
    )  # fmt: skip
    assert head.stdout is not None
    address = ""
    for line in head.stdout:
        if "--address=" in line:
            address = line.split("--address=")[1].strip().strip("'\"")
            break
    assert address, "the head did not start"
    hidden = f'mount -t tmpfs none {tmp_path} && exec "$@"'
    second = subprocess.Popen(
        ["unshare", "--mount", "sh", "-c", hidden, "sh", ray, "start", f"--address={address}", "--num-cpus=3", *common],
        stdout=subprocess.DEVNULL, env=os.environ | {"GAOKERENA_CACHE": str(tmp_path / "cache-2")},
    )  # fmt: skip
    yield address
    for process in (second, head):
        process.terminate()
        process.wait(30)


def test_the_road_on_two_nodes_without_a_common_folder(nodes: str, s3_url: str, tmp_path: Path) -> None:
    open_storage(s3_url).upload(tiny_cohere(tmp_path / "model"), "model")
    model = f"{s3_url}/model"
    arguments = ["run", "--recipe", str(RECIPE), "--set", f"model={model}", "--set", f"evaluate.judge.model={model}"]
    driver = Driver(
        [*arguments, "--out", f"{s3_url}/run", "--set", f"cluster.address={nodes}", "--set", "cluster.workers=2"],
        environment={"GAOKERENA_CACHE": str(tmp_path / "cache-1")},
    )
    assert driver.wait(800) == 0, driver.output
    found = digests(f"{s3_url}/run")
    assert list(found)[-1] == "report"
    manifest = json.loads(
        open_storage(f"{s3_url}/run").read(f"evaluate/{open_storage(f'{s3_url}/run').pointed('evaluate/latest')}/artifact.json")
    )
    assert manifest["rows_out"] > 0
