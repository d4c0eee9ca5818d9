"""Settings of the extraction that are not a source's own."""

from __future__ import annotations

from pydantic import Field

from pipelines.settings import Settings


class ExtractSettings(Settings):
    min_article_words: int = Field(50, ge=0)  # shorter main text is not an article
