"""The transformers engine writes what the model would write alone, whoever else is in the batch."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from serving.engines.base import Delta, EngineError, InvalidRequest, Request, Sampling, ScoreRequest
from serving.engines.batch import Batch
from serving.engines.models import encode_prompt, load_model, load_tokenizer
from serving.engines.transformers import TransformersEngine
from tests.tiny_models import CONTEXT, SENTENCES


@pytest.fixture(scope="module", params=["cohere", "gemma"])
def folder(request: pytest.FixtureRequest) -> Path:
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def model(folder: Path) -> Any:
    return load_model(folder, "float32")


@pytest.fixture(scope="module")
def prompts(folder: Path) -> list[tuple[int, ...]]:
    """Of different lengths, the longest beyond the sliding window of 16."""
    tokenizer = load_tokenizer(folder)
    return [tuple(encode_prompt(tokenizer, " ".join([text] * (1 + place % 3)))) for place, text in enumerate(SENTENCES[:9])]


def with_engine(folder: Path, work: Callable[[TransformersEngine], Awaitable[Any]], **options: Any) -> Any:
    """Run `work` with a started engine."""

    async def main() -> Any:
        async with TransformersEngine(str(folder), dtype="float32", **options) as engine:
            return await work(engine)  # type: ignore[arg-type]

    return asyncio.run(asyncio.wait_for(main(), 120))


async def written(engine: TransformersEngine, request: Request) -> list[Delta]:
    return [delta async for delta in engine.generate(request)]


def tokens(deltas: list[Delta]) -> list[int]:
    return [token for delta in deltas for token in delta.token_ids]


def alone(model: Any, prompt: tuple[int, ...], max_tokens: int) -> list[int]:
    with torch.inference_mode():
        output = model.generate(torch.tensor([prompt]), max_new_tokens=max_tokens, do_sample=False)
    return output[0, len(prompt) :].tolist()


def test_greedy_answers_equal_generate_while_requests_join_and_leave(
    folder: Path, model: Any, prompts: list[tuple[int, ...]]
) -> None:
    async def work(engine: TransformersEngine) -> list[list[Delta]]:
        requests = [Request(str(i), prompt, Sampling(max_tokens=20 + 5 * i)) for i, prompt in enumerate(prompts)]
        return await asyncio.gather(*(written(engine, request) for request in requests))

    answers = with_engine(folder, work, max_batch=3)
    for place, (prompt, deltas) in enumerate(zip(prompts, answers, strict=True)):
        expected = alone(model, prompt, 20 + 5 * place)
        assert tokens(deltas) == expected
        last = deltas[-1]
        assert last.usage is not None
        assert (last.usage.prompt_tokens, last.usage.completion_tokens) == (len(prompt), len(expected))
        assert last.finish_reason == ("length" if len(expected) == 20 + 5 * place else "stop")
        assert all(delta.finish_reason is None for delta in deltas[:-1])


def test_a_stop_token_ends_the_answer_and_is_its_last(folder: Path, model: Any, prompts: list[tuple[int, ...]]) -> None:
    expected = alone(model, prompts[0], 20)
    stop = expected[4]
    until = expected[: expected.index(stop) + 1]

    async def work(engine: TransformersEngine) -> list[Delta]:
        return await written(engine, Request("a", prompts[0], Sampling(max_tokens=20, stop_ids=(stop,))))

    deltas = with_engine(folder, work)
    assert tokens(deltas) == until
    assert deltas[-1].finish_reason == "stop"


def test_a_seed_gives_the_same_answer_in_any_company(cohere: Path, prompts: list[tuple[int, ...]]) -> None:
    sampling = Sampling(max_tokens=16, temperature=1.5, top_p=0.95, seed=7)

    async def work(engine: TransformersEngine) -> list[list[int]]:
        lonely = await written(engine, Request("a", prompts[1], sampling))
        others = [Request(f"o{i}", prompt, Sampling(max_tokens=30, temperature=1.0)) for i, prompt in enumerate(prompts[2:6])]
        again = Request("b", prompts[1], sampling)
        different = Request("c", prompts[1], Sampling(max_tokens=16, temperature=1.5, top_p=0.95, seed=8))
        *_, b, c = await asyncio.gather(*(written(engine, request) for request in (*others, again, different)))
        return [tokens(lonely), tokens(b), tokens(c)]

    lonely, again, different = with_engine(cohere, work)
    assert lonely == again
    assert different != lonely


def test_a_tiny_nucleus_is_greedy(cohere: Path, prompts: list[tuple[int, ...]]) -> None:
    async def work(engine: TransformersEngine) -> tuple[list[int], list[int]]:
        greedy = await written(engine, Request("a", prompts[0], Sampling(max_tokens=8)))
        nucleus = await written(engine, Request("b", prompts[0], Sampling(max_tokens=8, temperature=1.0, top_p=1e-6)))
        return tokens(greedy), tokens(nucleus)

    greedy, nucleus = with_engine(cohere, work)
    assert greedy == nucleus


def test_logprobs_are_those_of_a_plain_forward_pass(folder: Path, model: Any, prompts: list[tuple[int, ...]]) -> None:
    async def work(engine: TransformersEngine) -> list[list[Delta]]:
        requests = [Request(str(i), prompt, Sampling(max_tokens=6, logprobs=3)) for i, prompt in enumerate(prompts[:4])]
        return await asyncio.gather(*(written(engine, request) for request in requests))

    for prompt, deltas in zip(prompts, with_engine(folder, work), strict=False):
        answer = tokens(deltas)
        expected = forward_logprobs(model, prompt, answer)
        for row, delta in zip(expected, deltas, strict=True):
            [logprob] = delta.logprobs
            assert logprob.logprob == pytest.approx(float(row[logprob.token_id]), abs=1e-4)
            best = row.topk(3)
            assert [token for token, _ in logprob.top] == best.indices.tolist()
            assert [value for _, value in logprob.top] == pytest.approx(best.values.tolist(), abs=1e-4)


def test_scores_are_those_of_a_plain_forward_pass(folder: Path, model: Any, prompts: list[tuple[int, ...]]) -> None:
    requests = []
    for place, ids in enumerate(prompts):
        cut = 4 + place
        requests += [ScoreRequest(ids[:cut], ids[cut : cut + size]) for size in (1, 2, 7)]  # one prompt, several continuations
    requests.append(ScoreRequest(prompts[0][:1], prompts[2][1:]))
    greedy = tuple(alone(model, prompts[1], 5))
    requests.append(ScoreRequest(prompts[1], greedy))

    scores = with_engine(folder, lambda engine: engine.score(requests))
    for request, score in zip(requests, scores, strict=True):
        expected = forward_logprobs(model, request.prompt_ids, request.continuation_ids)
        values = [float(row[token]) for row, token in zip(expected, request.continuation_ids, strict=True)]
        assert score.token_logprobs == pytest.approx(values, abs=1e-4)
        assert score.greedy_match == (expected.argmax(-1).tolist() == list(request.continuation_ids))
    assert scores[-1].greedy_match


def forward_logprobs(model: Any, prompt: tuple[int, ...], answer: Any) -> torch.Tensor:
    """Log-softmax at each position that predicts a token of the answer, [tokens, vocabulary]."""
    with torch.inference_mode():
        logits = model(torch.tensor([[*prompt, *answer]])).logits[0]
    return logits.log_softmax(-1)[len(prompt) - 1 : -1]


def test_scoring_is_cut_into_batches_without_changing_the_scores(
    folder: Path, prompts: list[tuple[int, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = [ScoreRequest(ids[: 1 + cut], ids[1 + cut :]) for ids in prompts for cut in (0, 3, 8)]
    at_once = with_engine(folder, lambda engine: engine.score(requests))
    monkeypatch.setattr("serving.engines.scoring.BATCH_TOKENS", 90)
    monkeypatch.setattr("serving.engines.scoring.POSITIONS", 8)
    monkeypatch.setattr("serving.engines.batch.PREFILL_TOKENS", 5)
    in_parts = with_engine(folder, lambda engine: engine.score(requests))
    for one, other in zip(at_once, in_parts, strict=True):
        assert one.token_logprobs == pytest.approx(other.token_logprobs, abs=1e-4)


def test_a_cancelled_request_gives_its_place_to_the_next(cohere: Path, prompts: list[tuple[int, ...]]) -> None:
    async def work(engine: TransformersEngine) -> tuple[Delta, list[Delta]]:
        long = engine.generate(Request("long", prompts[0], Sampling(max_tokens=900)))
        await anext(long)
        short = asyncio.create_task(written(engine, Request("short", prompts[1], Sampling(max_tokens=2))))
        await engine.cancel("long")
        return [delta async for delta in long][-1], await short

    last, short = with_engine(cohere, work, max_batch=1)
    assert last.finish_reason == "cancelled"
    assert len(tokens(short)) == 2


def test_leaving_the_iteration_cancels_the_request(
    cohere: Path, prompts: list[tuple[int, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = []
    step = Batch.step
    monkeypatch.setattr(Batch, "step", lambda *arguments: steps.append(1) or step(*arguments))

    async def work(engine: TransformersEngine) -> None:
        stream = engine.generate(Request("long", prompts[0], Sampling(max_tokens=900)))
        await anext(stream)
        await stream.aclose()
        await written(engine, Request("short", prompts[1], Sampling(max_tokens=1)))

    with_engine(cohere, work, max_batch=1)
    assert len(steps) < 450  # the short one waits for the place of the long one, which would take 899


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (Request("a", ()), "empty"),
        (Request("a", (1, 10**6)), "token ids must be between"),
        (Request("a", (1,), Sampling(max_tokens=CONTEXT)), f"context of {CONTEXT}"),
        (Request("a", (1,), Sampling(logprobs=21)), "at most 20"),
        (Request("a", (1,), adapter="x"), "no adapters"),
    ],
)
def test_what_the_engine_cannot_do_is_refused(cohere: Path, request_: Request, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        with_engine(cohere, lambda engine: written(engine, request_))


def test_a_failure_of_the_model_ends_its_requests_and_not_the_engine(
    cohere: Path, prompts: list[tuple[int, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(engine: TransformersEngine) -> list[Delta]:
        assert engine._loaded is not None
        forward = engine._loaded.forward
        monkeypatch.setattr(engine._loaded, "forward", fail)
        with pytest.raises(EngineError, match="RuntimeError"):
            await written(engine, Request("a", prompts[0], Sampling(max_tokens=2)))
        monkeypatch.setattr(engine._loaded, "forward", forward)
        return await written(engine, Request("b", prompts[0], Sampling(max_tokens=2)))

    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("out of memory")

    assert len(tokens(with_engine(cohere, work))) == 2


def test_stopping_ends_what_is_in_flight(cohere: Path, prompts: list[tuple[int, ...]]) -> None:
    async def work(engine: TransformersEngine) -> None:
        stream = engine.generate(Request("a", prompts[0], Sampling(max_tokens=900)))
        await anext(stream)
        await engine.stop()
        with pytest.raises(EngineError, match="stopped"):
            async for _ in stream:
                pass
        with pytest.raises(EngineError, match="not running"):
            await written(engine, Request("b", prompts[0]))

    with_engine(cohere, work)
