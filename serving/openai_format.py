"""Pieces of an answer as the objects of OpenAI's API, whole and as chunks of a stream."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from serving.engines.base import Usage
from serving.protocol import Piece, TextLogprob


@dataclass(frozen=True)
class Format:
    """How one kind of answer is written down; `chat` or plain completion."""

    id: str
    model: str
    chat: bool
    logprobs: bool
    created: int = field(default_factory=lambda: int(time.time()))

    def whole(self, pieces: Sequence[Piece]) -> dict[str, Any]:
        """The answer as one object."""
        text = "".join(piece.text for piece in pieces)
        logprobs = [logprob for piece in pieces for logprob in piece.logprobs]
        content: dict[str, Any] = {"message": {"role": "assistant", "content": text}} if self.chat else {"text": text}
        choice = {"index": 0, **content, "logprobs": self._logprobs(logprobs), "finish_reason": pieces[-1].finish_reason}
        kind = "chat.completion" if self.chat else "text_completion"
        return self._object(kind, [choice]) | {"usage": usage_body(pieces[-1].usage)}

    def chunk(self, piece: Piece, *, first: bool) -> dict[str, Any]:
        """One piece of a stream."""
        content: dict[str, Any] = {"text": piece.text}
        if self.chat:
            delta = {"role": "assistant"} if first else {}
            content = {"delta": delta | ({"content": piece.text} if piece.text or first else {})}
        choice = {"index": 0, **content, "logprobs": self._logprobs(piece.logprobs), "finish_reason": piece.finish_reason}
        return self._object("chat.completion.chunk" if self.chat else "text_completion", [choice])

    def usage_chunk(self, usage: Usage | None) -> dict[str, Any]:
        """The last chunk of a stream whose caller asked for the usage."""
        kind = "chat.completion.chunk" if self.chat else "text_completion"
        return self._object(kind, []) | {"usage": usage_body(usage)}

    def _object(self, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model, "choices": choices}

    def _logprobs(self, logprobs: Sequence[TextLogprob]) -> dict[str, Any] | None:
        if not self.logprobs:
            return None
        if self.chat:
            return {"content": [_chat_logprob(item) for item in logprobs], "refusal": None}
        return {
            "tokens": [item.token for item in logprobs],
            "token_logprobs": [item.logprob for item in logprobs],
            "top_logprobs": [dict(item.top) if item.logprob is not None else None for item in logprobs],
            "text_offset": [item.offset for item in logprobs],
        }


def usage_body(usage: Usage | None) -> dict[str, int] | None:
    if usage is None:
        return None
    total = usage.prompt_tokens + usage.completion_tokens
    return {"prompt_tokens": usage.prompt_tokens, "completion_tokens": usage.completion_tokens, "total_tokens": total}


def _chat_logprob(item: TextLogprob) -> dict[str, Any]:
    top = [_token(token, logprob) for token, logprob in item.top]
    return _token(item.token, item.logprob) | {"top_logprobs": top}


def _token(token: str, logprob: float | None) -> dict[str, Any]:
    return {"token": token, "logprob": logprob, "bytes": list(token.encode("utf-8"))}
