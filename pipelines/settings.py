"""The base of every settings model, and what sets identity apart from execution.

*Identity* is what changes the data (sources, filters, model, seed) and enters a step's fingerprint.
*Execution* is where and how fast it runs (workers, devices, requests in flight) and does not.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Settings(BaseModel):
    """Settings are immutable and refuse unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    def identity(self) -> dict[str, Any]:
        """The settings that change the data, as plain values."""
        return {
            name: _plain(getattr(self, name))
            for name, field in type(self).model_fields.items()
            if not _is_execution(field.json_schema_extra)
        }


def execution(default: Any = ..., **options: Any) -> Any:
    """A field that says where or how fast, never what: left out of the fingerprint."""
    return Field(default, json_schema_extra={"execution": True}, **options)


def _is_execution(extra: Any) -> bool:
    return isinstance(extra, dict) and bool(extra.get("execution"))


def _plain(value: Any) -> Any:
    if isinstance(value, Settings):
        return value.identity()
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    return value if isinstance(value, str | int | float | bool | None) else str(value)
