"""Settings of the evaluation: which tests, which models, which judge."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from pipelines.settings import Settings, execution


class JudgeSettings(Settings):
    model: str = "gemma3-270m"
    pairs: str = "judge-check"  # the task with known winners that the judge itself is tested on
    min_position_consistency: float = Field(0.7, ge=0, le=1)  # below it the report says "mechanics only"


class EvaluateSettings(Settings):
    tasks: list[str] = ["demo-mcq", "demo-free-form", "held-out-answers"]  # names or paths of task files
    data: Path | None = None  # the folder that task files name their files in, where these do not ship with us
    likelihood_items: int | None = None  # of every multiple-choice task; None: all
    generate_items: int = Field(20, ge=0)
    generate_tokens: int = Field(24, ge=1)
    perplexity_items: int = Field(40, ge=0)
    free_form_items: int = Field(4, ge=0)
    free_form_tokens: int = Field(64, ge=1)
    judge: JudgeSettings | None = JudgeSettings()
    bootstrap: int = Field(1000, ge=100)
    batch: int = execution(8, ge=1)
