"""The models known by name (`models.yaml`): licence, source, prompt format and checksum."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, model_validator


class Gguf(BaseModel):
    """A quantized file that installed Python packages carry."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sha256: str
    parts: tuple[str, ...]  # "package/path/in/package", joined in this order


class Entry(BaseModel):
    """What is known of a named model."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    license: str
    source: str
    license_id: str = "other"  # the licence by the Hub's identifier
    original: str = ""  # the repository of the Hub that the weights of a packaged model come from
    parameters: int
    config: dict[str, Any] | None = None  # its sizes as in config.json, for estimates without a download
    add_bos: bool = False  # every sequence has to start with BOS, and the source's tokenizer may not do it
    chat_template: str | None = None  # for a model whose tokenizer has none
    gguf: Gguf | None = None
    hub: str | None = None

    @model_validator(mode="after")
    def _has_one_source(self) -> Entry:
        if (self.gguf is None) == (self.hub is None):
            raise ValueError(f"{self.name}: give exactly one of gguf and hub")
        return self


@cache
def entries() -> dict[str, Entry]:
    """Every named model, by name."""
    text = Path(__file__).with_name("models.yaml").read_text(encoding="utf-8")
    return {name: Entry(name=name, **fields) for name, fields in yaml.safe_load(text).items()}
