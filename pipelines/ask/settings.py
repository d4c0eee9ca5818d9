"""Settings of the question that the served model is asked."""

from __future__ import annotations

from pydantic import Field

from pipelines.settings import Settings, execution


class AskSettings(Settings):
    question: str = "برای پیشگیری از فشار خون بالا چه کارهایی مفید است؟"
    max_tokens: int = Field(64, ge=1)
    port: int = execution(0, ge=0, le=65535)  # 0: a free one
