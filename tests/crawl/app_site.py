"""A site of hand-written pages in the test's own event loop, and what it takes to draw them in the browser."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from aiohttp import web
from multidict import CIMultiDictProxy

from pipelines.crawl.browser import Browser
from pipelines.crawl.fetch import Fetcher
from pipelines.crawl.gate import Gate
from pipelines.crawl.permission import Permission
from pipelines.crawl.settings import CrawlSettings
from pipelines.crawl.source import Source
from pipelines.crawl.urls import canonical_url

TYPES = {".js": "application/javascript", ".json": "application/json"}


class AppSite:
    """`pages` by path without query. A path in `held` is answered when its event is set.

    `statuses`: what a path answers first, before it answers 200. `strangers`: paths that somebody else than our client
    asked for. `headers`: of the last request for a path.
    """

    def __init__(self, pages: dict[str, str], delay: float = 0.0, concurrency: int = 8, **settings: object) -> None:
        self.pages = pages
        self.held: dict[str, asyncio.Event] = {}
        self.statuses: dict[str, list[int]] = {}
        self.requests: list[str] = []
        self.strangers: list[str] = []
        self.headers: dict[str, CIMultiDictProxy[str]] = {}
        self.gate = Gate(delay, concurrency)  # by default a request that is held does not hold up the others
        self._settings = settings
        self._news = asyncio.Condition()

    async def __aenter__(self) -> Self:
        self._runner = web.ServerRunner(web.Server(self._answer, access_log=None), shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.host = f"127.0.0.1:{self._runner.addresses[0][1]}"
        settings = {"sources": ["x"], "allow_private": [self.host], "timeout_seconds": 60, "user_agent": "ours"}
        self.fetcher = Fetcher(CrawlSettings.model_validate(settings | self._settings))
        await self.fetcher.__aenter__()
        self.permission = Permission(self.fetcher, self.gate, self.host, {})
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for event in self.held.values():
            event.set()
        await self.fetcher.__aexit__(kind, error, trace)
        await self._runner.cleanup()

    async def draw(self, browser: Browser, path: str = "/", **source: object) -> str:
        """Fetch a page and draw it, as the crawl does."""
        url = canonical_url(f"http://{self.host}{path}")
        assert url
        document = await self.fetcher.get(url, self.gate, self.permission.check)
        values = {"name": "app", "kind": "article", "start": [f"http://{self.host}/"], "render": "browser"}
        return await browser.draw(document, Source.model_validate(values | source), self.fetcher, self.gate, self.permission)

    async def asked(self, path: str, times: int = 1) -> None:
        """Wait until a path was asked for."""
        async with self._news:
            await self._news.wait_for(lambda: Counter(self.requests)[path] >= times)

    def hold(self, path: str) -> asyncio.Event:
        """Answer a path only when the event is set."""
        self.held[path] = asyncio.Event()
        return self.held[path]

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        if not request.headers.get("User-Agent", "").startswith("ours/"):
            self.strangers.append(request.path)
        self.headers[request.path] = request.headers
        async with self._news:
            self.requests.append(request.raw_path)
            self._news.notify_all()
        if held := self.held.get(request.path):
            await held.wait()
        if first := self.statuses.get(request.path):
            return web.Response(status=first.pop(0))
        if request.path not in self.pages:
            return web.Response(status=404, content_type="text/html", text="no such page")
        ending = "." + request.path.rpartition(".")[2]
        return web.Response(text=self.pages[request.path], content_type=TYPES.get(ending, "text/html"))


def drawn(site: AppSite, **source: object) -> str:
    """The front page of a site, drawn in a browser of its own. Raises FetchError."""
    return drawn_all(site, **source)[0]


def drawn_all(*sites: AppSite, **source: object) -> list[str]:
    """The front page of each site, drawn in one browser. Raises FetchError."""

    async def draw() -> list[str]:
        async with AsyncExitStack() as stack:
            for site in sites:
                await stack.enter_async_context(site)
            browser = await stack.enter_async_context(Browser())
            return await asyncio.gather(*(site.draw(browser, **source) for site in sites))

    return asyncio.run(draw())
