"""Draws JavaScript pages in Chromium, which gets every byte from our own client and has no network of its own.

So robots.txt, the host's turn, address checks and size limits hold inside the browser as outside. A tab is reused
(8 pages/s; a new context each time would make it 3); its context is replaced every 50 pages, Chromium every 500.
A crash costs time and no page.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self

from pipelines.crawl.chromium import Chromium
from pipelines.crawl.fetch import Fetcher, FetchError, Response
from pipelines.crawl.gate import Gate
from pipelines.crawl.permission import Permission
from pipelines.crawl.source import Source
from pipelines.crawl.supply import Answer, Supply
from pipelines.crawl.tab import Tab

TABS = 3  # pages drawn at once; their requests still take the host's turn one by one
TRIES = 3  # a page that brings down its tab or Chromium is drawn again at once so often
SCRIPTS = 200  # kept in memory, since a site's pages share them


class Browser:
    """`async with Browser(path) as browser`; Chromium starts with the first page that needs it."""

    def __init__(self, chromium: str = "") -> None:
        self._path = chromium
        self._room = asyncio.Semaphore(TABS)
        self._scripts: dict[str, Answer] = {}
        self._current: asyncio.Task[Chromium] | None = None  # gives out tabs; those before it end with their last page
        self._endings: dict[Chromium, asyncio.Task[None]] = {}
        self._is_closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._is_closed = True
        if self._current is not None:
            await asyncio.wait({self._current})
        if chromium := _started(self._current):
            self._end(chromium)
        await asyncio.gather(*self._endings.values())

    async def draw(self, document: Response, source: Source, fetcher: Fetcher, gate: Gate, permission: Permission) -> str:
        """The page's HTML after its scripts ran. Raises FetchError, and UserError when Chromium does not start."""
        if len(self._scripts) > SCRIPTS:
            self._scripts.clear()
        supply = Supply(document, fetcher, gate, permission, self._scripts)
        try:
            async with self._room:
                return await self._draw(supply, source)
        finally:
            supply.end()

    async def _draw(self, supply: Supply, source: Source) -> str:
        from playwright.async_api import Error

        problem = ""
        for _ in range(TRIES):
            try:
                async with self._tab() as tab:
                    return await tab.draw(supply, source)
            except (Error, TimeoutError) as error:  # the page's process, Chromium or its driver is gone
                problem = str(error).partition("\n")[0]
        raise FetchError("browser", problem, passing=True)

    @asynccontextmanager
    async def _tab(self) -> AsyncIterator[Tab]:
        chromium = await self._usable()
        try:
            async with chromium.tab() as tab:
                yield tab
        finally:
            self._let_go(chromium)

    async def _usable(self) -> Chromium:
        """The Chromium that gives out tabs, a new one when it died or has drawn enough."""
        if self._is_closed:
            raise FetchError("browser", "it was closed", passing=True)
        if chromium := _started(self._current):
            if chromium.is_usable:
                return chromium
            self._let_go(chromium)  # it died between two pages
        if self._current is None or self._current.done():
            self._current = asyncio.create_task(Chromium.start(self._path))
        return await asyncio.shield(self._current)

    def _let_go(self, chromium: Chromium) -> None:
        """End one that gives out no more tabs, when the last page in it is done."""
        if not chromium.is_usable and not chromium.at_work:
            self._end(chromium)

    def _end(self, chromium: Chromium) -> None:
        if chromium not in self._endings:
            self._endings[chromium] = asyncio.create_task(chromium.end())


def _started(start: asyncio.Task[Chromium] | None) -> Chromium | None:
    """What came of a start that is done and did not fail."""
    if start is None or not start.done() or start.cancelled() or start.exception():
        return None
    return start.result()
