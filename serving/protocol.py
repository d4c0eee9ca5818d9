"""What travels between the HTTP face and the engines, and the OpenAI request bodies that are understood."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from serving.engines.base import FinishReason, Usage

MAX_STOPS = 4  # as OpenAI's API
MAX_LOGPROBS = 20


@dataclass(frozen=True)
class Task:
    """One answer that is asked for: a conversation, or a prompt as text or tokens."""

    id: str
    messages: tuple[dict[str, str], ...] = ()
    prompt: str | tuple[int, ...] = ""
    max_tokens: int | None = None  # None: as many as the cap and the context allow
    temperature: float = 1.0
    top_p: float = 1.0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    logprobs: int | None = None
    echo: bool = False  # the prompt comes first


@dataclass(frozen=True)
class TextLogprob:
    """A token as text, its log-probability (None for the first of a prompt), and the likeliest alternatives."""

    token: str
    logprob: float | None
    top: tuple[tuple[str, float], ...] = ()
    offset: int = 0  # of its first character in the whole answer


@dataclass(frozen=True)
class Piece:
    """The next characters of an answer; the last one has a finish reason and the usage."""

    text: str = ""
    logprobs: tuple[TextLogprob, ...] = ()
    finish_reason: FinishReason | None = None
    usage: Usage | None = None


@dataclass(frozen=True)
class Refusal:
    """Why there is no answer, or no more of it: an HTTP status and OpenAI's words for it."""

    status: int
    message: str
    code: str | None = None


class Body(BaseModel):
    """What both kinds of request have in common. What would change the answer and is not supported is refused."""

    model_config = ConfigDict(extra="forbid")

    model: str
    temperature: float = Field(1.0, ge=0, le=2)
    top_p: float = Field(1.0, gt=0, le=1)
    seed: int | None = None
    stop: str | list[str] | None = Field(None, max_length=1000)
    stream: bool = False
    stream_options: StreamOptions | None = None
    n: int = Field(1, ge=1, le=1)
    frequency_penalty: float = Field(0, ge=0, le=0)
    presence_penalty: float = Field(0, ge=0, le=0)
    user: str | None = None
    metadata: dict[str, Any] | None = None
    store: bool | None = None

    def stops(self) -> tuple[str, ...]:
        found = (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())
        return tuple(text for text in found if text)

    def wants_usage(self) -> bool:
        return self.stream_options is not None and self.stream_options.include_usage


class StreamOptions(BaseModel):
    include_usage: bool = False


class TextPart(BaseModel):
    type: Literal["text"]
    text: str


class Message(BaseModel):
    model_config = ConfigDict(extra="forbid")

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[TextPart]
    name: str | None = None

    def plain(self) -> dict[str, str]:
        """Role and text, as chat templates want them."""
        text = self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)
        return {"role": "system" if self.role == "developer" else self.role, "content": text}


class ChatBody(Body):
    """POST /v1/chat/completions."""

    messages: list[Message] = Field(min_length=1)
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    logprobs: bool = False
    top_logprobs: int = Field(0, ge=0, le=MAX_LOGPROBS)
    response_format: dict[Literal["type"], Literal["text"]] | None = None

    def task(self, identifier: str) -> Task:
        return Task(
            id=identifier,
            messages=tuple(message.plain() for message in self.messages),
            max_tokens=self.max_completion_tokens or self.max_tokens,
            temperature=self.temperature,
            top_p=self.top_p,
            seed=self.seed,
            stop=self.stops(),
            logprobs=self.top_logprobs if self.logprobs else None,
        )


class CompletionBody(Body):
    """POST /v1/completions; the prompt is a text or a list of token ids."""

    prompt: str | list[int]
    max_tokens: int = Field(16, ge=0)
    logprobs: int | None = Field(None, ge=0, le=MAX_LOGPROBS)
    echo: bool = False
    best_of: int = Field(1, ge=1, le=1)
    suffix: None = None

    def task(self, identifier: str) -> Task:
        return Task(
            id=identifier,
            prompt=self.prompt if isinstance(self.prompt, str) else tuple(self.prompt),
            max_tokens=self.max_tokens,
            temperature=self.temperature,
            top_p=self.top_p,
            seed=self.seed,
            stop=self.stops(),
            logprobs=self.logprobs,
            echo=self.echo,
        )
