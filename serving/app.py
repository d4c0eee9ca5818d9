"""The Ray Serve application: an ingress (HTTP, no model) in front of engine replicas.

`serveConfigV2` names it as `serving.app:build`; `start` and `stop` run it from a program that is connected to Ray.
Starting takes about 10 s beside loading the model.
"""

from __future__ import annotations

import errno
import logging
import os
import socket
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any

import ray
from pydantic import BaseModel, ConfigDict, Field
from ray import serve
from ray.exceptions import RayActorError, RayError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError
from ray.serve.handle import DeploymentHandle

from cluster.errors import UserError
from serving.protocol import Piece, Refusal, Task

if TYPE_CHECKING:
    from fastapi import FastAPI
    from ray.serve import Application

    from serving.ingress import IngressSettings

log = logging.getLogger(__name__)
APPLICATION = "gaokerena"
KEYS_VARIABLE = "GAOKERENA_API_KEY_SHA256"  # hashes of bearer keys, separated by commas
READY_SECONDS = 5.0
STOP_SECONDS = 30.0


class ServeSettings(BaseModel):
    """The arguments of the application (`args` in serveConfigV2)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str  # a spec as in serving/engines/models.py; a run-storage URL is fetched by each replica's node
    name: str = APPLICATION  # what callers write as "model"
    dtype: str = "bfloat16"
    replicas: int = Field(1, ge=0)
    max_batch: int = Field(8, ge=1)  # answers that one replica writes at once
    max_queued: int = Field(64, ge=1)  # answers that may wait at the ingress; more get 503
    max_context: int = Field(4096, ge=16)
    max_tokens: int = Field(2048, ge=1)  # of one answer
    max_body_bytes: int = Field(1_000_000, ge=1)
    timeout_s: float = Field(600.0, gt=0)
    key_hashes: tuple[str, ...] = ()  # and those of the environment variable above

    def ingress(self) -> IngressSettings:
        from serving.ingress import IngressSettings

        found = [text.strip() for text in os.environ.get(KEYS_VARIABLE, "").split(",")]
        keys = (*self.key_hashes, *(text for text in found if text))
        return IngressSettings(name=self.name, key_hashes=keys, max_body_bytes=self.max_body_bytes, timeout_s=self.timeout_s)


class Engine:
    """An engine replica: loads the model and answers tasks."""

    async def __init__(self, settings: ServeSettings) -> None:  # type: ignore[misc]  # Serve awaits it
        from serving.engines.transformers import TransformersEngine

        self.settings = settings
        self.engine = TransformersEngine(
            settings.model,
            dtype=settings.dtype,
            max_batch=settings.max_batch,
            max_context=settings.max_context,
            threads=len(os.sched_getaffinity(0)),  # Ray gives an actor one thread for each CPU that it asked for
        )
        await self.engine.start()

    async def answer(self, task: Task) -> AsyncGenerator[Piece | Refusal, None]:
        from serving.answer import answer

        async with aclosing(answer(self.engine, task, max_tokens=self.settings.max_tokens)) as pieces:
            async for piece in pieces:
                yield piece

    async def ready(self) -> bool:
        return True


class Ingress:
    """The HTTP face as a deployment."""

    def __init__(self, settings: ServeSettings, engine: DeploymentHandle) -> None:
        self.settings, self.backend = settings, ServeBackend(engine)

    def __serve_build_asgi_app__(self) -> FastAPI:
        from serving.ingress import create_api

        return create_api(self.backend, self.settings.ingress())


class ServeBackend:
    """Engine replicas behind a Ray Serve handle."""

    def __init__(self, engine: DeploymentHandle) -> None:
        self.engine = engine

    async def answer(self, task: Task) -> AsyncGenerator[Piece | Refusal, None]:
        stream = self.engine.options(stream=True).answer.remote(task)
        try:
            async for piece in stream:
                yield piece
        except (BackPressureError, DeploymentUnavailableError):
            yield Refusal(503, "too many requests are waiting; try again in a moment", "overloaded")
        except RayError as error:  # the replica died, or something in it failed: its log has the trace
            log.error("an engine replica failed: %s", type(error).__name__)
            yield Refusal(503, "the engine failed or is restarting; try again in a moment", "engine_unavailable")
        finally:
            stream.cancel()  # a caller that leaves early frees its place in the batch

    async def ready(self) -> bool:
        import asyncio

        try:
            async with asyncio.timeout(READY_SECONDS):
                return bool(await self.engine.ready.remote())
        except (TimeoutError, RayError, DeploymentUnavailableError):
            return False


def build(args: dict[str, Any]) -> Application:
    """The application from its arguments. Raises pydantic.ValidationError."""
    settings = ServeSettings.model_validate(args)
    engine = serve.deployment(
        Engine,
        num_replicas=settings.replicas,
        max_ongoing_requests=4 * settings.max_batch,
        max_queued_requests=settings.max_queued,
        health_check_period_s=5,
        graceful_shutdown_timeout_s=2,
        graceful_shutdown_wait_loop_s=0.2,
        ray_actor_options={"num_cpus": 1},
    )
    ingress = serve.deployment(
        serve.ingress()(Ingress),
        max_ongoing_requests=1000,
        graceful_shutdown_timeout_s=2,
        graceful_shutdown_wait_loop_s=0.2,
        ray_actor_options={"num_cpus": 0},
    )
    return ingress.bind(settings, engine.bind(settings))


def start(
    model: str, *, host: str = "127.0.0.1", port: int = 8000, dtype: str = "bfloat16", name: str = APPLICATION, **more: Any
) -> str:
    """Serve a model from this program's Ray; returns the base URL for an OpenAI client (http://host:port/v1).

    Returns when requests are answered. `port` 0 means a free one. `more`: other ServeSettings.
    Raises UserError when the port is in use, or the model is missing or too large, before anything starts.
    """
    from serving.engines.models import check_model

    port = usable_port(host, port)
    check_model(model, dtype=dtype)
    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    serve.start(proxy_location="HeadOnly", http_options={"host": host, "port": port}, logging_config={"log_level": "WARNING"})
    application = build({"model": model, "dtype": dtype, "name": name, **more})
    serve.run(application, name=APPLICATION, route_prefix="/", logging_config={"log_level": "WARNING"})
    return f"http://{host}:{port}/v1"


def stop() -> None:
    """End the application, and Ray Serve with it."""
    # The controller ends itself while it answers; with Ray's default of retrying, its death is reported as a failure.
    controller = ray.get_actor("SERVE_CONTROLLER_ACTOR", namespace="serve")
    with suppress(RayActorError):
        ray.get(controller.graceful_shutdown.options(max_task_retries=0).remote(), timeout=STOP_SECONDS)
    serve.shutdown()


def usable_port(host: str, port: int) -> int:
    """The port itself when nobody listens on it, or a free one for 0. Raises UserError."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            reason = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be used ({error.strerror})"
            raise UserError(f"port {port} on {host} {reason}: choose another one") from error
        return int(probe.getsockname()[1])
