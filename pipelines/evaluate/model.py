"""A synchronous face of a serving engine, for batch work in one actor: starts one event loop and loads one model."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from serving.engines.base import Engine, Request, Sampling, ScoreRequest

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Result = TypeVar("Result")


@dataclass(frozen=True)
class Written:
    """An answer that a model wrote."""

    text: str
    tokens: int


class Model:
    """A running engine: log-probabilities and answers for lists of requests, which it batches by itself."""

    def __init__(self, make_engine: Callable[[], Engine]) -> None:
        self._loop = asyncio.Runner()
        self._engine = self._run(_started(make_engine))

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        return self._engine.tokenizer

    def logprobs(self, requests: Sequence[ScoreRequest]) -> list[tuple[float, ...]]:
        """Natural log-probabilities of each request's continuation, one a token."""
        return [score.token_logprobs for score in self._run(self._engine.score(requests))]

    def generate(self, prompts: Sequence[Sequence[int]], samplings: Sequence[Sampling]) -> list[Written]:
        """One answer a prompt, without special tokens."""
        return self._run(self._generate(prompts, samplings))

    def close(self) -> None:
        """Give the memory back."""
        self._run(self._engine.stop())
        self._loop.close()

    async def _generate(self, prompts: Sequence[Sequence[int]], samplings: Sequence[Sampling]) -> list[Written]:
        requests = [
            Request(id=str(place), prompt_ids=tuple(prompt), sampling=sampling)
            for place, (prompt, sampling) in enumerate(zip(prompts, samplings, strict=True))
        ]
        return list(await asyncio.gather(*(self._write(request) for request in requests)))

    async def _write(self, request: Request) -> Written:
        ids: list[int] = []
        async for delta in self._engine.generate(request):
            ids += delta.token_ids
        text: str = self.tokenizer.decode(ids, skip_special_tokens=True)
        return Written(text.strip(), len(ids))

    def _run(self, work: Coroutine[Any, Any, Result]) -> Result:
        return self._loop.run(work)


async def _started(make_engine: Callable[[], Engine]) -> Engine:
    engine = make_engine()  # inside the loop: an engine may bind to it
    await engine.start()
    return engine
