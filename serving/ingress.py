"""The HTTP face: OpenAI's API, keys, limits, errors and metrics, in front of whatever writes the answers.

Nothing of a prompt or an answer is logged.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, Protocol, TypeVar

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.exceptions import HTTPException

from serving.errors import ApiError, bad_body
from serving.metrics import Metrics
from serving.openai_format import Format
from serving.protocol import Body, ChatBody, CompletionBody, Piece, Refusal, Task

OPEN_ROUTES = ("/healthz", "/readyz", "/metrics")  # no key: probes and scrapers
AnyBody = TypeVar("AnyBody", bound=Body)


class IngressSettings(BaseModel):
    """What the HTTP face allows."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str  # of the model, as callers write it
    key_hashes: tuple[str, ...] = ()  # SHA-256, hex, of the bearer keys; none: anybody may ask
    max_body_bytes: int = 1_000_000
    timeout_s: float = 600.0  # for a whole answer


class Backend(Protocol):
    """What writes the answers."""

    def answer(self, task: Task) -> AsyncGenerator[Piece | Refusal, None]:
        """The answer as it is written; leaving the iteration early cancels it."""

    async def ready(self) -> bool:
        """Whether a request would be answered now."""


def create_api(backend: Backend, settings: IngressSettings) -> FastAPI:
    """The web application."""
    api = FastAPI(title="gaokerena", docs_url=None, redoc_url=None, openapi_url=None)
    metrics = Metrics()
    started = int(time.time())
    card = {"id": settings.name, "object": "model", "created": started, "owned_by": "gaokerena"}

    @api.middleware("http")
    async def guard(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        """Checks the key, counts the request, and gives every error OpenAI's shape."""
        route = request.url.path
        try:
            if route not in OPEN_ROUTES:
                _check_key(request, settings.key_hashes)
            response = await call_next(request)
        except ApiError as error:
            response = error.response()
        except Exception:
            metrics.request(route, 500)
            raise
        known = {r.path for r in api.routes}  # type: ignore[attr-defined]
        metrics.request(route if route in known else "other", response.status_code)
        return response

    @api.exception_handler(ApiError)
    async def api_error(_: Request, error: ApiError) -> JSONResponse:
        return error.response()

    @api.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> JSONResponse:
        return ApiError(error.status_code, f"{request.method} {request.url.path}: {error.detail}").response()

    @api.exception_handler(Exception)
    async def unexpected(_: Request, error: Exception) -> JSONResponse:
        return ApiError(500, "the server failed; its log says more", "internal_error").response()

    @api.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @api.get("/readyz")
    async def readyz() -> Response:
        if await backend.ready():
            return JSONResponse({"status": "ready"})
        return ApiError(503, "the model is not ready", "not_ready").response()

    @api.get("/metrics")
    async def metrics_text() -> Response:
        return Response(metrics.text(), media_type=CONTENT_TYPE_LATEST)

    @api.get("/v1/models")
    async def models() -> dict[str, Any]:
        return {"object": "list", "data": [card]}

    @api.get("/v1/models/{model:path}")
    async def model(model: str) -> dict[str, Any]:
        _check_model(model, settings)
        return card

    @api.post("/v1/chat/completions")
    async def chat(request: Request) -> Response:
        body = await _body(request, ChatBody, settings)
        identifier = f"chatcmpl-{uuid.uuid4().hex}"
        return await respond(body, body.task(identifier), Format(identifier, settings.name, True, body.logprobs))

    @api.post("/v1/completions")
    async def completions(request: Request) -> Response:
        body = await _body(request, CompletionBody, settings)
        identifier = f"cmpl-{uuid.uuid4().hex}"
        return await respond(body, body.task(identifier), Format(identifier, settings.name, False, body.logprobs is not None))

    async def respond(body: Body, task: Task, form: Format) -> Response:
        pieces = _measured(_in_time(backend.answer(task), settings.timeout_s), metrics)
        if not body.stream:
            async with aclosing(pieces):
                return JSONResponse(form.whole([piece async for piece in pieces]))
        first = await anext(pieces)  # an error before the first piece still has its HTTP status
        return StreamingResponse(_events(first, pieces, form, body.wants_usage()), media_type="text/event-stream")

    return api


async def _in_time(stream: AsyncGenerator[Piece | Refusal, None], seconds: float) -> AsyncGenerator[Piece, None]:
    """The pieces of an answer. Raises ApiError for a refusal, and when the whole takes too long."""
    end = asyncio.get_running_loop().time() + seconds
    async with aclosing(stream):
        while True:
            try:
                async with asyncio.timeout_at(end):
                    piece = await anext(stream, None)
            except TimeoutError:
                raise ApiError(408, f"the answer took longer than {seconds:g} s", "timeout") from None
            if piece is None:
                return
            if isinstance(piece, Refusal):
                raise ApiError(piece.status, piece.message, piece.code)
            yield piece


async def _measured(pieces: AsyncGenerator[Piece, None], metrics: Metrics) -> AsyncGenerator[Piece, None]:
    """The same pieces; counts tokens and takes the time."""
    started, first = time.perf_counter(), True
    with metrics.in_flight.track_inprogress(), metrics.duration.time():
        async with aclosing(pieces):
            async for piece in pieces:
                if first:
                    metrics.first_token.observe(time.perf_counter() - started)
                    first = False
                metrics.usage(piece.usage)
                yield piece


async def _events(
    first: Piece, pieces: AsyncGenerator[Piece, None], form: Format, wants_usage: bool
) -> AsyncGenerator[bytes, None]:
    """Server-sent events; an error in the middle is an event too, and then there is no [DONE]."""
    async with aclosing(pieces):
        yield _event(form.chunk(first, first=True))
        usage = first.usage
        try:
            async for piece in pieces:
                usage = piece.usage
                if piece.text or piece.logprobs or piece.finish_reason:
                    yield _event(form.chunk(piece, first=False))
        except ApiError as error:
            yield _event(error.body())
            return
        if wants_usage:
            yield _event(form.usage_chunk(usage))
        yield b"data: [DONE]\n\n"


def _event(value: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\n\n"


async def _body(request: Request, kind: type[AnyBody], settings: IngressSettings) -> AnyBody:
    """The request's body, read no further than the limit."""
    too_large = ApiError(413, f"the body is larger than {settings.max_body_bytes} bytes", "body_too_large")
    if int(request.headers.get("content-length", "0")) > settings.max_body_bytes:
        raise too_large
    data = bytearray()
    async for part in request.stream():
        data += part
        if len(data) > settings.max_body_bytes:
            raise too_large
    try:
        body = kind.model_validate_json(bytes(data))
    except ValidationError as error:
        raise bad_body(error) from None
    _check_model(body.model, settings)
    return body


def _check_model(name: str, settings: IngressSettings) -> None:
    if name != settings.name:
        raise ApiError(404, f"there is no model {name!r} here; GET /v1/models lists them", "model_not_found", "model")


def _check_key(request: Request, hashes: tuple[str, ...]) -> None:
    """Compares with every key in constant time; without keys everybody may ask."""
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    digest = hashlib.sha256(key.strip().encode()).hexdigest()
    known = [hmac.compare_digest(digest, expected.lower()) for expected in hashes]
    if hashes and not (scheme.lower() == "bearer" and any(known)):
        raise ApiError(401, "a valid key is needed: Authorization: Bearer KEY", "invalid_api_key")
