"""Fixtures that several packages' tests share."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from cluster.session import prepare_environment

prepare_environment()  # before anything imports ray
hypothesis.settings.register_profile("project", deadline=None)  # a busy machine is slow, not wrong
hypothesis.settings.load_profile("project")

REPOSITORY = Path(__file__).resolve().parent.parent


def heeds_ctrl_c() -> None:
    """For a child process, before it starts: whoever runs the tests in the background has SIGINT ignored, and it inherits that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture(scope="session")
def published() -> Path:
    """The folder of the paper authors' published data (CC BY-NC-SA, not part of this project)."""
    folder = Path(os.environ.get("GAOKERENA_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("needs the authors' published data: set GAOKERENA_DATA to its folder")
    return folder


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """An S3-compatible server on loopback with one empty bucket, and the environment that points at it."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    settings = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    import boto3

    boto3.client("s3").create_bucket(Bucket="runs")
    yield settings["AWS_ENDPOINT_URL"]
    for name, value in before.items():
        os.environ.pop(name) if value is None else os.environ.update({name: value})
    server.stop()


@pytest.fixture
def s3_url(s3_endpoint: str, request: pytest.FixtureRequest) -> str:
    """A prefix of the bucket that is this test's own."""
    return f"s3://runs/{request.node.name.translate(str.maketrans('[]/ ', '----'))}"
