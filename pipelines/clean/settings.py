"""Settings of the cleaning funnel; each threshold is one filter's."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from pipelines.settings import Settings


class CleanSettings(Settings):
    languages: list[str] = ["fa"]
    min_article_words: int = Field(50, ge=0)
    min_answer_words: int = Field(42, ge=0)  # the authors' own filter on one forum is, to 98.4%, this
    min_question_words: int = Field(3, ge=0)
    near_duplicate_jaccard: float = Field(0.8, gt=0, le=1)
    decontaminate: list[Path] = []  # test-set files beside those of `evaluate`
    valid_fraction: float = Field(0.05, ge=0, lt=1)
    split_by_source: dict[str, Literal["train", "valid", "test"]] = {}  # the paper splits by source; else by hash
