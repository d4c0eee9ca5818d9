"""Asks an OpenAI-compatible endpoint one question, reading the answer as it is written."""

from __future__ import annotations

import time

from pydantic import BaseModel, ConfigDict


class Transcript(BaseModel):
    """A question, its answer, and how fast it came."""

    model_config = ConfigDict(frozen=True)

    question: str
    answer: str
    chunks: int  # pieces that the answer arrived in
    ttft_seconds: float  # to the first piece with text
    seconds: float
    tokens: int  # of the answer


def ask_endpoint(base_url: str, model: str, question: str, max_tokens: int) -> Transcript:
    """Ask with streaming, greedily. Raises openai.APIError when the endpoint does not answer."""
    from openai import OpenAI

    pieces: list[str] = []
    first: float | None = None
    tokens = 0
    started = time.perf_counter()
    with OpenAI(base_url=base_url, api_key="none", max_retries=0) as client:
        stream = client.chat.completions.create(
            model=model,
            messages=[{"role": "user", "content": question}],
            max_tokens=max_tokens,
            temperature=0,
            stream=True,
            stream_options={"include_usage": True},
        )
        for chunk in stream:
            text = chunk.choices[0].delta.content if chunk.choices else None
            if text:
                first = first or time.perf_counter() - started
                pieces.append(text)
            if chunk.usage:
                tokens = chunk.usage.completion_tokens
    seconds = time.perf_counter() - started
    return Transcript(
        question=question,
        answer="".join(pieces).strip(),
        chunks=len(pieces),
        ttft_seconds=seconds if first is None else first,
        seconds=seconds,
        tokens=tokens,
    )
