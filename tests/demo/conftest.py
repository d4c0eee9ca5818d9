"""One running demo web for the tests of a file, and a client that sees redirects as they are."""

from __future__ import annotations

import gzip
import http.client
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from urllib.parse import quote, urlsplit

import pytest

from pipelines.demo.web import DemoWeb


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


Get = Callable[..., Answer]


@pytest.fixture(scope="module")
def web() -> Iterator[DemoWeb]:
    with DemoWeb() as running:
        yield running


@pytest.fixture(scope="session")
def ask() -> Get:
    """ask(web, url, **headers) asks the site behind the URL's name once, without following redirects."""
    return lambda web, url, **headers: _ask(web, url, headers)


@pytest.fixture(scope="module")
def get(web: DemoWeb, ask: Get) -> Get:
    """get(url, **headers): the same, of the file's own demo web."""
    return partial(ask, web)


def _ask(web: DemoWeb, url: str, headers: dict[str, str]) -> Answer:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(web.resolve[parts.netloc], timeout=10)
    try:
        target = quote(parts.path) + (f"?{quote(parts.query, safe='=&%')}" if parts.query else "")
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request("GET", target, headers={"User-Agent": "test", **named})
        response = connection.getresponse()
        fields = {name.lower(): value for name, value in response.getheaders()}
        body = response.read()
    finally:
        connection.close()
    return Answer(response.status, fields, gzip.decompress(body) if fields.get("content-encoding") == "gzip" else body)
