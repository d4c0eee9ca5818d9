"""Settings of the report."""

from __future__ import annotations

from pydantic import Field

from pipelines.settings import Settings


class ReportSettings(Settings):
    samples: int = Field(5, ge=0)  # redacted rows shown of each kind
