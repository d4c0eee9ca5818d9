"""Settings of the tokenization: layout of the sequences and budgets."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pipelines.settings import Settings


class TokenizeSettings(Settings):
    context: int = Field(1024, ge=16)  # tokens a sequence
    layout: Literal["windows", "packed"] = "windows"  # the paper's: overflow into further windows
    corpus_fraction: float = Field(0.6, gt=0, le=1)  # the paper fine-tunes on 60% of its corpus, chosen by document
    corpus_tokens: int | None = Field(None, gt=0)  # at most so many, chosen by seed
    qa_tokens: int | None = Field(None, gt=0)
