"""The Ray Serve application with a tiny model, asked through the `openai` client."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
import torch

from cluster.errors import UserError
from cluster.session import connect
from pipelines.ask.client import ask_endpoint
from serving import app
from serving.engines.models import encode_chat, encode_prompt, load_model, load_tokenizer
from tests.tiny_models import SENTENCES

NAME = "tiny"
QUESTION = [{"role": "user", "content": SENTENCES[10]}]


@pytest.fixture(scope="module")
def url(gemma: Path) -> Iterator[str]:
    with connect():
        yield app.start(str(gemma), port=0, dtype="float32", name=NAME, max_batch=2, max_tokens=1000, max_context=1024)
        app.stop()


@pytest.fixture(scope="module")
def client(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=url, api_key="none", max_retries=0) as made:
        yield made


@pytest.fixture(scope="module")
def expected(gemma: Path) -> str:
    """What the model writes greedily by itself, in 20 tokens."""
    tokenizer, model = load_tokenizer(gemma), load_model(gemma, "float32")
    prompt = torch.tensor([encode_chat(tokenizer, QUESTION)])
    output = model.generate(prompt, max_new_tokens=20, do_sample=False)
    return str(tokenizer.decode(output[0, prompt.shape[1] :], skip_special_tokens=True))


def test_the_model_is_listed(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == [NAME]


def test_a_chat_answer_is_what_the_model_writes(client: openai.OpenAI, expected: str) -> None:
    answer = client.chat.completions.create(model=NAME, messages=QUESTION, max_tokens=20, temperature=0)  # type: ignore[arg-type]
    assert answer.choices[0].message.content == expected
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 20


def test_a_streamed_answer_is_the_same_in_pieces(url: str, expected: str) -> None:
    transcript = ask_endpoint(url, NAME, SENTENCES[10], 20)
    assert transcript.answer == expected.strip()
    assert transcript.tokens == 20
    assert 0 < transcript.ttft_seconds <= transcript.seconds
    assert transcript.chunks > 5


def test_a_completion_echoes_its_prompt_with_logprobs(client: openai.OpenAI, gemma: Path) -> None:
    tokenizer, model = load_tokenizer(gemma), load_model(gemma, "float32")
    answer = client.completions.create(model=NAME, prompt=SENTENCES[0], max_tokens=0, echo=True, logprobs=2)
    choice = answer.choices[0]
    ids = encode_prompt(tokenizer, SENTENCES[0])
    with torch.inference_mode():
        logits = model(torch.tensor([ids])).logits[0].log_softmax(-1)
    assert choice.text == SENTENCES[0]
    assert choice.logprobs is not None
    assert choice.logprobs.token_logprobs is not None
    assert choice.logprobs.token_logprobs[0] is None
    values = [float(logits[place, token]) for place, token in enumerate(ids[1:])]
    assert choice.logprobs.token_logprobs[1:] == pytest.approx(values, abs=1e-4)


def test_a_prompt_of_tokens_is_taken_as_it_is(client: openai.OpenAI, gemma: Path) -> None:
    ids = encode_prompt(load_tokenizer(gemma), SENTENCES[0])
    options: dict[str, Any] = {"model": NAME, "max_tokens": 10, "temperature": 0}
    assert client.completions.create(prompt=ids, **options).usage.prompt_tokens == len(ids)  # type: ignore[union-attr]
    texts = [client.completions.create(prompt=prompt, **options).choices[0].text for prompt in (ids, SENTENCES[0])]
    assert texts[0] == texts[1]


def test_a_stop_string_ends_the_answer(client: openai.OpenAI, expected: str) -> None:
    stop = expected[len(expected) // 2 :][:3]
    answer = client.chat.completions.create(model=NAME, messages=QUESTION, max_tokens=20, temperature=0, stop=stop)  # type: ignore[arg-type]
    assert answer.choices[0].message.content == expected[: expected.index(stop)]
    assert answer.choices[0].finish_reason == "stop"


def test_a_seed_repeats_an_answer(client: openai.OpenAI) -> None:
    def text(seed: int) -> str | None:
        answer = client.chat.completions.create(model=NAME, messages=QUESTION, max_tokens=20, temperature=1.5, seed=seed)  # type: ignore[arg-type]
        return answer.choices[0].message.content

    assert text(1) == text(1) != text(2)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"model": "other"}, openai.NotFoundError, "no model 'other'"),
        ({"max_tokens": 1001}, openai.BadRequestError, "at most 1000 tokens"),
        ({"prompt": "سلام " * 1100}, openai.BadRequestError, "context"),
        ({"prompt": [10**6]}, openai.BadRequestError, "token ids"),
    ],
)
def test_what_cannot_be_answered_is_an_error_of_the_client(
    client: openai.OpenAI, options: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        client.completions.create(**({"model": NAME, "prompt": "سلام"} | options))


def test_a_client_that_leaves_frees_its_place(client: openai.OpenAI) -> None:
    """Both places are taken by answers of 1,000 tokens (seconds each); after their callers left, a short one is quick."""
    options: dict[str, Any] = {"model": NAME, "prompt": "سلام", "max_tokens": 1000, "temperature": 0}
    started = time.perf_counter()
    client.completions.create(**options)
    whole = time.perf_counter() - started
    stream = client.completions.create(stream=True, **options)
    next(iter(stream))
    stream.close()  # type: ignore[attr-defined]
    with pytest.raises(openai.APITimeoutError):
        client.with_options(timeout=0.2).completions.create(**options)
    started = time.perf_counter()
    client.completions.create(**options | {"max_tokens": 1})
    client.completions.create(**options | {"max_tokens": 1})
    assert time.perf_counter() - started < whole / 2


def test_a_port_in_use_is_told_before_anything_starts(gemma: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(UserError, match=f"port {port} on 127.0.0.1 is in use"):
            app.start(str(gemma), port=port)


def test_a_missing_model_is_told_before_anything_starts() -> None:
    with pytest.raises(UserError, match="does not exist"):
        app.start("no-such-model", port=0)
