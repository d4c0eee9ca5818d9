"""Settings of a publication."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pipelines.settings import Settings, execution

LICENSE = r"[a-z0-9][a-z0-9.-]*"  # an identifier of the Hub
REPOSITORY = r"^[\w.-]+/[\w.-]+$"  # owner/name on the Hub

Precision = Literal["int8", "int4"]  # of quantized weights
Form = Literal["merged", "adapter"] | Precision  # in which a model is published


class ModelPublishSettings(Settings):
    """What a model's card says beside what the run knows."""

    title: str = ""  # the recipe's name when empty
    license: str = Field("", pattern=rf"^({LICENSE})?$")  # the base model's when empty
    base_model: str = Field("", pattern=rf"{REPOSITORY}|^$")  # of the Hub; by default where the recipe's model comes from
    datasets: list[str] = []  # of the Hub, where the data was published


class PublishSettings(Settings):
    title: str = ""  # of the data set; the recipe's name when empty
    license: str = Field("other", pattern=rf"^{LICENSE}$")  # nothing is claimed by default
    include_url: bool = False  # a column with the page that each row is from
    tokenizer: str = ""  # a model whose tokens are counted; when empty the recipe's, if it is on this machine
    token_texts: int = Field(1_000, ge=0)  # of each kind, encoded to estimate the tokens; 0 counts none
    model: ModelPublishSettings = execution(ModelPublishSettings())  # a data publication does not depend on it
