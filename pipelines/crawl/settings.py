"""Settings of the crawl: who we say we are, which hosts are allowed, and the limits on every page."""

from __future__ import annotations

import re

from pydantic import Field, field_validator

from pipelines.settings import Settings, execution


class CrawlSettings(Settings):
    """`sources` are names of built-in source files or paths to one's own."""

    sources: list[str] = Field(min_length=1)
    user_agent: str = "gaokerena"
    contact: str = ""  # an e-mail address or URL of yours; must be set before a crawl that leaves this machine
    allow_private: list[str] = []  # hosts (name or name:port) on private or loopback addresses that may be fetched
    resolve: dict[str, str] = execution({})  # name -> address:port, like curl's --connect-to; allows that address
    max_body_bytes: int = Field(4 << 20, gt=0)  # after decompression
    max_redirects: int = Field(5, ge=0)
    max_url_length: int = Field(2048, gt=0)
    timeout_seconds: float = execution(20.0, gt=0)  # a whole exchange
    retries: int = execution(3, ge=0)
    patience_seconds: float = execution(6 * 3600.0, ge=0)  # wait so long for a host that stopped answering
    warc: bool = execution(False)  # keep every exchange in warc/*.warc.gz beside the pages
    slice_seconds: float = execution(60.0, gt=0)  # at most this long until a slice of a host is sealed
    workers: int = execution(1, ge=1)
    chromium: str = execution("")  # path of a browser; empty: the system's, else Playwright's own

    @field_validator("contact")
    @classmethod
    def _can_be_reached(cls, contact: str) -> str:
        if contact and not re.fullmatch(r"\S+@\S+\.\S+|https?://\S+\.\S+", contact):
            raise ValueError("write an e-mail address or a page where you can be reached, such as mailto:you@example.org")
        return contact
