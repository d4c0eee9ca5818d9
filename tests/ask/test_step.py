"""The ask step says that its port is taken before any other step has worked."""

from __future__ import annotations

import socket

import pytest

from cluster.errors import UserError
from pipelines.ask.step import check
from pipelines.recipe import load_recipe


def test_a_port_in_use_is_told_beforehand() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(UserError, match=f"port {port} on 127.0.0.1 is in use"):
            check(load_recipe("demo", [f"ask.port={port}"]))
    check(load_recipe("demo", [f"ask.port={port}"]))
    check(load_recipe("demo"))
