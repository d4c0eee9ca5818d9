"""The HTTP face: keys, limits, errors in OpenAI's shape, and what a failing or slow engine looks like to a caller."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from starlette.testclient import TestClient

from serving.engines.base import Usage
from serving.ingress import IngressSettings, create_api
from serving.protocol import Piece, Refusal, Task

KEY = "a secret key"
CHAT = {"model": "m", "messages": [{"role": "user", "content": "سلام"}]}
ANSWER = (Piece("سلام"), Piece(" دنیا"), Piece("", (), "stop", Usage(5, 3)))


class FakeEngine:
    """Answers with given pieces; an exception among them is raised."""

    def __init__(self, pieces: tuple[Any, ...] = ANSWER, *, wait: float = 0, ready: bool = True) -> None:
        self.pieces, self.wait, self.is_ready = pieces, wait, ready
        self.tasks: list[Task] = []
        self.ended = 0

    async def answer(self, task: Task) -> AsyncGenerator[Piece | Refusal, None]:
        self.tasks.append(task)
        try:
            for piece in self.pieces:
                await asyncio.sleep(self.wait)
                if isinstance(piece, Exception):
                    raise piece
                yield piece
        finally:
            self.ended += 1

    async def ready(self) -> bool:
        return self.is_ready


def client(engine: FakeEngine, **settings: Any) -> TestClient:
    return TestClient(create_api(engine, IngressSettings(name="m", **settings)), raise_server_exceptions=False)


def events(text: str) -> list[Any]:
    lines = [line.removeprefix("data: ") for line in text.split("\n\n") if line]
    return [line if line == "[DONE]" else json.loads(line) for line in lines]


def test_an_answer_is_whole_with_its_usage() -> None:
    answer = client(FakeEngine()).post("/v1/chat/completions", json=CHAT).json()
    assert answer["choices"][0]["message"] == {"role": "assistant", "content": "سلام دنیا"}
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert answer["usage"] == {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}


def test_a_stream_is_events_and_ends_with_usage_and_done() -> None:
    body = CHAT | {"stream": True, "stream_options": {"include_usage": True}}
    response = client(FakeEngine()).post("/v1/chat/completions", json=body)
    assert response.headers["content-type"].startswith("text/event-stream")
    *chunks, usage, done = events(response.text)
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks) == "سلام دنیا"
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    assert (usage["choices"], usage["usage"]["completion_tokens"], done) == ([], 3, "[DONE]")


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({"model": "other"}, 404, "no model 'other'"),
        ({"messages": []}, 400, "messages"),
        ({"messages": [{"role": "robot", "content": "x"}]}, 400, "messages.0.role"),
        ({"temperature": 3}, 400, "temperature"),
        ({"max_tokens": 0}, 400, "max_tokens"),
        ({"n": 2}, 400, "n: "),
        ({"tools": []}, 400, "tools: Extra inputs are not permitted"),
        ({"temprature": 1}, 400, "temprature"),
    ],
)
def test_mistakes_are_told_in_openais_shape(change: dict[str, Any], status: int, words: str) -> None:
    response = client(FakeEngine()).post("/v1/chat/completions", json=CHAT | change)
    assert response.status_code == status
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert words in error["message"]


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[]", b"null"])
def test_a_body_that_is_no_json_object_is_a_bad_request(body: bytes) -> None:
    response = client(FakeEngine()).post("/v1/chat/completions", content=body)
    assert response.status_code == 400
    assert response.json()["error"]["type"] == "invalid_request_error"


def test_unknown_paths_and_methods_have_openais_shape() -> None:
    asked = client(FakeEngine())
    assert asked.get("/v1/nothing").json()["error"]["type"] == "not_found_error"
    response = asked.get("/v1/completions")
    assert response.status_code == 405
    assert "error" in response.json()


def test_a_body_that_is_too_large_is_refused_whatever_its_header_says() -> None:
    engine = FakeEngine()
    asked = client(engine, max_body_bytes=1000)
    declared = asked.post("/v1/completions", json={"model": "m", "prompt": "x" * 2000})
    streamed = asked.post("/v1/completions", content=(b"x" * 500 for _ in range(4)))  # chunked: no length is declared
    assert (declared.status_code, streamed.status_code) == (413, 413)
    assert declared.json()["error"]["code"] == "body_too_large"
    assert engine.tasks == []


def test_a_key_is_asked_for_except_by_probes() -> None:
    asked = client(FakeEngine(), key_hashes=(hashlib.sha256(KEY.encode()).hexdigest(),))
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": KEY}):
        response = asked.get("/v1/models", headers=headers)
        assert (response.status_code, response.json()["error"]["code"]) == (401, "invalid_api_key")
    assert asked.get("/v1/models", headers={"Authorization": f"Bearer {KEY}"}).status_code == 200
    assert [asked.get(path).status_code for path in ("/healthz", "/readyz", "/metrics")] == [200, 200, 200]


def test_a_refusal_of_the_engine_has_its_status() -> None:
    response = client(FakeEngine((Refusal(503, "busy", "overloaded"),))).post("/v1/chat/completions", json=CHAT)
    assert response.status_code == 503
    assert response.headers["retry-after"] == "1"
    assert response.json()["error"]["type"] == "server_error"


def test_a_refusal_before_a_streams_first_piece_is_no_stream() -> None:
    response = client(FakeEngine((Refusal(400, "too long"),))).post("/v1/chat/completions", json=CHAT | {"stream": True})
    assert response.status_code == 400


def test_a_refusal_within_a_stream_is_its_last_event() -> None:
    engine = FakeEngine((Piece("سلام"), Refusal(500, "the engine failed")))
    response = client(engine).post("/v1/chat/completions", json=CHAT | {"stream": True})
    *_, last = events(response.text)
    assert last["error"]["message"] == "the engine failed"


def test_an_exception_is_an_error_without_details() -> None:
    response = client(FakeEngine((RuntimeError("secret detail"),))).post("/v1/chat/completions", json=CHAT)
    assert response.status_code == 500
    assert response.json()["error"]["type"] == "server_error"
    assert "secret" not in response.text


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_takes_too_long_times_out_and_is_ended(stream: bool) -> None:
    engine = FakeEngine((Piece("x"),), wait=30)
    response = client(engine, timeout_s=0.05).post("/v1/chat/completions", json=CHAT | {"stream": stream})
    assert (response.status_code, response.json()["error"]["type"]) == (408, "timeout_error")
    assert engine.ended == 1


def test_readiness_is_that_of_the_engine() -> None:
    assert client(FakeEngine(ready=False)).get("/readyz").status_code == 503


def test_requests_and_tokens_are_counted() -> None:
    asked = client(FakeEngine())
    asked.post("/v1/chat/completions", json=CHAT)
    asked.post("/v1/chat/completions", json=CHAT | {"model": "other"})
    lines = asked.get("/metrics").text.splitlines()
    assert 'gaokerena_requests_total{route="/v1/chat/completions",status="200"} 1.0' in lines
    assert 'gaokerena_requests_total{route="/v1/chat/completions",status="404"} 1.0' in lines
    assert 'gaokerena_tokens_total{kind="completion"} 3.0' in lines
    assert "gaokerena_time_to_first_token_seconds_count 1.0" in lines
    assert "gaokerena_requests_in_flight 0.0" in lines


def test_nothing_of_a_prompt_or_an_answer_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    body = {"model": "m", "messages": [{"role": "user", "content": "یک راز پزشکی"}], "stream": True}
    for engine in (FakeEngine(), FakeEngine((RuntimeError("boom"),)), FakeEngine((Refusal(500, "no"),))):
        client(engine).post("/v1/chat/completions", json=body)
    client(FakeEngine()).post("/v1/chat/completions", json=body | {"temperature": 9})
    assert "راز" not in caplog.text
    assert "دنیا" not in caplog.text
