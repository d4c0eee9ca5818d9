"""The endpoint of a run's model, in this program's Ray."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cluster.session import connect

if TYPE_CHECKING:
    from pipelines.recipe import Recipe

MODEL_NAME = "gaokerena"  # what callers write as "model"


@contextmanager
def served(recipe: Recipe, model: str, *, host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """The base URL of an endpoint that serves `model` until the block ends. Raises UserError as serving.app.start does."""
    from serving import app

    url = app.start(model, host=host, port=port, dtype=recipe.cluster.hardware().dtype)
    try:
        yield url
    finally:
        app.stop()


def serve_until_interrupted(recipe: Recipe, model: str, *, host: str, port: int, say: Callable[[str], None]) -> None:
    """Serve `model` until Ctrl-C or a polite kill. Raises UserError before Ray starts when the port is in use."""
    from serving.app import usable_port

    port = usable_port(host, port)
    with connect(recipe.cluster.address, cpus=recipe.cluster.cpus), served(recipe, model, host=host, port=port) as url:
        say(f"{model} answers at {url} as {MODEL_NAME!r}; Ctrl-C stops it")
        interrupted = threading.Event()
        before = {number: signal.signal(number, lambda *_: interrupted.set()) for number in (signal.SIGINT, signal.SIGTERM)}
        interrupted.wait()
        for number, handler in before.items():
            signal.signal(number, handler)
        say("stopping")
