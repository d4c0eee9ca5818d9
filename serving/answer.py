"""From a task to pieces of text: encodes the prompt, asks an engine, decodes, stops at stop strings."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from itertools import accumulate
from typing import TYPE_CHECKING

from cluster.errors import UserError
from serving.engines.base import Engine, EngineError, InvalidRequest, Request, Sampling, ScoreRequest, TokenLogprob, Usage
from serving.engines.models import encode_chat, encode_prompt
from serving.protocol import Piece, Refusal, Task, TextLogprob
from serving.text import StopFilter, TextStream

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


async def answer(engine: Engine, task: Task, *, max_tokens: int) -> AsyncGenerator[Piece | Refusal, None]:
    """The answer as it is written; what cannot be answered ends with a Refusal. `max_tokens` caps every answer."""
    try:
        async with aclosing(_pieces(engine, task, max_tokens)) as pieces:
            async for piece in pieces:
                yield piece
    except (InvalidRequest, UserError) as error:
        yield Refusal(400, str(error), "invalid_request")
    except EngineError as error:
        yield Refusal(500, f"the engine failed: {error}", "engine_error")


async def _pieces(engine: Engine, task: Task, cap: int) -> AsyncGenerator[Piece, None]:
    ids = _encode(engine.tokenizer, task)
    if not ids:
        raise InvalidRequest("the prompt is empty")
    if (task.max_tokens or 0) > cap:
        raise InvalidRequest(f"max_tokens = {task.max_tokens}: this endpoint writes at most {cap} tokens an answer")
    offset = 0
    if task.echo:
        echo = await _echo(engine, task, ids)
        offset = len(echo.text)
        if task.max_tokens == 0:
            yield Piece(echo.text, echo.logprobs, "length", Usage(len(ids), 0))
            return
        yield echo
    room = engine.capabilities.max_context - len(ids)
    if room < 1:
        raise InvalidRequest(f"the prompt has {len(ids)} tokens; this model's context is {engine.capabilities.max_context}")
    limit = min(cap, room) if task.max_tokens is None else task.max_tokens
    sampling = Sampling(limit, task.temperature, task.top_p, task.seed, logprobs=task.logprobs)
    request = Request(task.id, tuple(ids), sampling, messages=task.messages)
    async for piece in _generate(engine, request, task.stop, offset):
        yield piece


async def _generate(engine: Engine, request: Request, stops: tuple[str, ...], offset: int) -> AsyncGenerator[Piece, None]:
    stream, shown, written = TextStream(engine.tokenizer, request.prompt_ids), StopFilter(stops), 0
    async with aclosing(engine.generate(request)) as deltas:
        async for delta in deltas:
            written += len(delta.token_ids)
            ids = delta.token_ids[:-1] if delta.finish_reason == "stop" else delta.token_ids
            text = shown.add(stream.add(ids))
            if delta.finish_reason and not shown.stopped:
                text += shown.add(stream.rest())
                text += "" if shown.stopped else shown.rest()
            logprobs = tuple(_as_text(engine.tokenizer, delta.logprobs, offset))
            offset += sum(_width(engine.tokenizer, token.token_id) for token in delta.logprobs)
            if shown.stopped:
                yield Piece(text, logprobs, "stop", Usage(len(request.prompt_ids), written))
                return  # leaving the iteration cancels the request
            yield Piece(text, logprobs, delta.finish_reason, delta.usage)


async def _echo(engine: Engine, task: Task, ids: list[int]) -> Piece:
    """The prompt as the first piece, with the log-probabilities of all its tokens but the first."""
    text = task.prompt if isinstance(task.prompt, str) else _decode(engine.tokenizer, ids)
    if task.logprobs is None:
        return Piece(text)
    first = TextLogprob(_decode(engine.tokenizer, ids[:1]), None)
    if len(ids) == 1:
        return Piece(text, (first,))
    [score] = await engine.score([ScoreRequest(tuple(ids[:1]), tuple(ids[1:]), task.logprobs)])
    return Piece(text, (first, *_as_text(engine.tokenizer, score.tokens, _width(engine.tokenizer, ids[0]))))


def _encode(tokenizer: PreTrainedTokenizerBase, task: Task) -> list[int]:
    if task.messages:
        return encode_chat(tokenizer, task.messages)
    return encode_prompt(tokenizer, task.prompt) if isinstance(task.prompt, str) else list(task.prompt)


def _as_text(tokenizer: PreTrainedTokenizerBase, tokens: Iterable[TokenLogprob], offset: int) -> list[TextLogprob]:
    tokens = list(tokens)
    offsets = accumulate((_width(tokenizer, token.token_id) for token in tokens), initial=offset)
    return [
        TextLogprob(
            _decode(tokenizer, [token.token_id]),
            token.logprob,
            tuple((_decode(tokenizer, [other]), value) for other, value in token.top),
            place,
        )
        for token, place in zip(tokens, offsets, strict=False)
    ]


def _width(tokenizer: PreTrainedTokenizerBase, token_id: int) -> int:
    """Characters that a token adds to the text: none for a special token."""
    return 0 if token_id in tokenizer.all_special_ids else len(_decode(tokenizer, [token_id]))


def _decode(tokenizer: PreTrainedTokenizerBase, ids: list[int]) -> str:
    return str(tokenizer.decode(ids, clean_up_tokenization_spaces=False))
