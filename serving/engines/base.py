"""The engine interface: asynchronous, batched, token ids in, tokens and log-probabilities out.

An engine batches what is in flight by itself; callers just start many requests at once. Engines that speak
text only (a remote API, a translated pipeline) read `Request.messages` and answer in `Delta.text`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

FinishReason = Literal["stop", "length", "cancelled"]


class EngineError(RuntimeError):
    """The engine failed while it worked on a request; the request can be sent again."""


class InvalidRequest(ValueError):
    """The request asks for something that this engine or its model cannot do; the text says what."""


@dataclass(frozen=True)
class Capabilities:
    """What an engine can do; a request for anything else is refused with InvalidRequest."""

    max_context: int  # tokens of prompt and answer together
    vocabulary: int  # token ids are below this
    max_logprobs: int = 0  # most alternatives a position; 0: no log-probabilities
    streaming: bool = True  # tokens arrive one by one rather than all at the end
    score: bool = True  # log-probabilities of given tokens
    adapters: bool = False  # LoRA adapters chosen by request
    text_only: bool = False  # reads Request.messages and answers in Delta.text


@dataclass(frozen=True)
class Sampling:
    """How tokens are chosen. Greedy at temperature 0; the same seed gives the same tokens again."""

    max_tokens: int = 256
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
    stop_ids: tuple[int, ...] = ()  # beside the model's own end tokens
    logprobs: int | None = None  # None: none; n: of the chosen token and of the n most likely ones


@dataclass(frozen=True)
class Request:
    """One prompt to go on from."""

    id: str
    prompt_ids: tuple[int, ...]
    sampling: Sampling = Sampling()
    adapter: str | None = None
    messages: tuple[Mapping[str, str], ...] = ()  # the conversation behind the prompt, for engines that speak text


@dataclass(frozen=True)
class TokenLogprob:
    """Natural log-probability of one token under the model (before temperature and top_p), and of the likeliest ones."""

    token_id: int
    logprob: float
    top: tuple[tuple[int, float], ...] = ()  # (token id, log-probability), the likeliest first


@dataclass(frozen=True)
class Usage:
    """Tokens read and written; a token that ends the answer counts."""

    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True)
class Delta:
    """The next tokens of an answer. The last delta of a request has a finish reason and the usage.

    With finish reason "stop" the last token is the one that ended the answer and is not part of its text.
    """

    token_ids: tuple[int, ...] = ()
    logprobs: tuple[TokenLogprob, ...] = ()
    finish_reason: FinishReason | None = None
    usage: Usage | None = None
    text: str | None = None  # of engines that speak text only


@dataclass(frozen=True)
class ScoreRequest:
    """How likely is this continuation after this prompt? Requests with equal prompts share its computation."""

    prompt_ids: tuple[int, ...]  # at least one token
    continuation_ids: tuple[int, ...]  # at least one token
    top: int = 0  # likeliest alternatives to report at each position


@dataclass(frozen=True)
class Score:
    """Natural log-probability of each token of a continuation; whether greedy decoding would have written it."""

    tokens: tuple[TokenLogprob, ...]
    greedy_match: bool

    @property
    def token_logprobs(self) -> tuple[float, ...]:
        return tuple(token.logprob for token in self.tokens)

    @property
    def logprob(self) -> float:
        """Of the whole continuation."""
        return sum(self.token_logprobs)


class Engine(ABC):
    """A model that answers. `start` before anything else, `stop` at the end, both once."""

    tokenizer: PreTrainedTokenizerBase

    @property
    @abstractmethod
    def capabilities(self) -> Capabilities: ...

    @abstractmethod
    async def start(self) -> None:
        """Load the model. Raises UserError when that cannot work."""

    @abstractmethod
    async def stop(self) -> None:
        """Fail what is in flight with EngineError and give the memory back."""

    @abstractmethod
    def generate(self, request: Request) -> AsyncGenerator[Delta, None]:
        """The answer as it is written. Leaving the iteration early cancels the request.

        Raises InvalidRequest or EngineError at the first step of the iteration, EngineError later.
        """

    @abstractmethod
    async def score(self, requests: Sequence[ScoreRequest]) -> list[Score]:
        """One score per request, in their order. Raises InvalidRequest, EngineError."""

    @abstractmethod
    async def cancel(self, request_id: str) -> None:
        """End a request; its last delta says "cancelled". An unknown id (it may just have ended) is ignored."""

    async def __aenter__(self) -> Engine:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()
