"""Settings of a publication."""

from __future__ import annotations

from pydantic import Field

from pipelines.settings import Settings


class PublishSettings(Settings):
    title: str = ""  # of the data set; the recipe's name when empty
    license: str = Field("other", pattern=r"^[a-z0-9][a-z0-9.-]*$")  # an identifier of the Hub; nothing is claimed by default
    include_url: bool = False  # a column with the page that each row is from
    tokenizer: str = ""  # a model whose tokens are counted; when empty the recipe's, if it is on this machine
    token_texts: int = Field(1_000, ge=0)  # of each kind, encoded to estimate the tokens; 0 counts none
