"""Settings of the cleaning funnel: every filter's threshold, and presets that set many at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from pipelines.settings import Settings, execution

# What each preset sets; a recipe's own keys count more.
# `paper`: the authors' filter on one forum is the length of the answer, and nothing else is seen in what they kept: of the
# 2,000 answers that they published for development 281 are copies of others.
PRESETS: dict[str, dict[str, Any]] = {
    "default": {},
    "paper": {
        "languages": [],
        "pairs": {
            "min_question_words": 0,
            "min_own_words": 0,
            "max_link_share": 1.0,
            "max_foreign_letters": 1.0,
            "max_boilerplate": 1.0,
        },
        "duplicates": {"answers": False, "jaccard": None},
    },
}


class DocumentRules(Settings):
    """Articles. Thresholds of FineWeb-2 for Persian (huggingface/fineweb-2 `configs/fas_Arab.yml`) but for the first."""

    min_words: int = Field(50, ge=0)
    average_word_length: tuple[float, float] = (2, 9)
    min_stopwords: int = Field(2, ge=0)
    min_alphabetic_words: float = Field(0.812, ge=0, le=1)
    max_duplicate_lines: float = Field(0.246, ge=0, le=1)
    min_lines_with_punctuation: float = Field(0.2, ge=0, le=1)
    max_new_lines_per_word: float = Field(0.15, ge=0)
    max_top_ngram: dict[int, float] = {2: 0.189, 3: 0.164, 4: 0.143}
    max_duplicate_ngrams: dict[int, float] = {5: 0.157, 6: 0.147, 7: 0.137, 8: 0.127, 9: 0.117, 10: 0.107}


class PairRules(Settings):
    """Questions and answers: a profile of their own, measured on two forums (docs/cleaning.md)."""

    min_question_words: int = Field(3, ge=0)
    min_answer_words: int = Field(45, ge=0)  # the authors' own filter; words and marks, see `paper_words.py`
    min_own_words: int = Field(5, ge=0)  # beside greetings, thanks and "see a doctor"
    max_link_share: float = Field(0.2, ge=0, le=1)  # of an answer's characters
    max_foreign_letters: float = Field(0.5, ge=0, le=1)  # of an answer's letters, in any script but Arabic
    max_boilerplate: float = Field(0.5, ge=0, le=1)  # of an answer's words, in sentences that many answers share
    boilerplate_answers: int = Field(20, ge=2)  # so many


class DuplicateRules(Settings):
    """Which fields are compared. `jaccard`: of shingles, from which two texts are near-duplicates; None: only equal ones."""

    questions: bool = True
    answers: bool = True
    articles: bool = True
    jaccard: float | None = Field(0.8, gt=0, le=1)
    max_cluster_share: float = Field(0.01, gt=0, le=1)  # of the different texts; a larger cluster (of over 500) stops the step


class CleanSettings(Settings):
    preset: Literal["default", "paper"] = execution("default")  # what it sets is identity
    languages: list[str] = ["fa"]  # empty: any
    documents: DocumentRules = DocumentRules()
    pairs: PairRules = PairRules()
    duplicates: DuplicateRules = DuplicateRules()
    decontaminate: list[Path] = []  # test-set files beside those of `evaluate`
    decisions: list[Path] = []  # review sheets that people filled in (docs/review.md): one file or several
    valid_fraction: float = Field(0.05, ge=0, lt=1)
    split_by_source: dict[str, Literal["train", "valid", "test"]] = {}  # the paper splits by source; else by hash

    @field_validator("decisions", mode="before")
    @classmethod
    def _several(cls, value: Any) -> Any:
        return [value] if isinstance(value, str | Path) else value

    @model_validator(mode="before")
    @classmethod
    def _apply_preset(cls, values: Any) -> Any:
        preset = PRESETS.get(values.get("preset", "default")) if isinstance(values, dict) else None
        return _merged(preset, values) if preset else values


def _merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Both, key by key down to the leaves; where both say something, what is above."""
    both = {key: _merged(below[key], above[key]) for key in below.keys() & above.keys() if isinstance(above[key], dict)}
    return {**below, **above, **both}
