"""A site of a few pages on loopback that a test can change while it is crawled."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from aiohttp import web

HOST = "small.test"


@dataclass
class Page:
    """An answer. Links of the body are its `links`."""

    text: str = ""
    links: list[str] = field(default_factory=list)
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)

    def html(self) -> str:
        anchors = "".join(f'<a href="{link}">{link}</a>' for link in self.links)
        return f"<!DOCTYPE html><html><body><p>{self.text}</p>{anchors}</body></html>"


class SmallSite:
    """`pages` by path with query; `requests`: path, status and time of each. A page with an ETag answers 304 to it.

    `on_request(path)` is called before each answer; a page may also be made by `make(path)` (endless sites).
    """

    def __init__(self, pages: dict[str, Page]) -> None:
        self.pages = {"/robots.txt": Page("", headers={"Content-Type": "text/plain"})} | pages
        self.requests: list[tuple[str, int, float]] = []
        self.make: Callable[[str], Page | None] = lambda _path: None
        self.on_request: Callable[[str], None] = lambda _path: None
        self.delay = 0.0
        self.port = 0

    @property
    def resolve(self) -> dict[str, str]:
        return {HOST: f"127.0.0.1:{self.port}"}

    def paths(self) -> list[str]:
        return [path for path, _, _ in self.requests]

    def start(self) -> None:
        """Listen, on the port of before if there was one."""
        started: Future[None] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(started)), daemon=True)
        self._thread.start()
        started.result(10)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._thread.is_alive():
            self.stop()

    async def _serve(self, started: Future[None]) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        runner = web.ServerRunner(web.Server(self._answer, access_log=None), shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", self.port, reuse_address=True)
        await site.start()
        self.port = runner.addresses[0][1]
        started.set_result(None)
        await self._stop.wait()
        await runner.cleanup()

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        path = request.raw_path
        self.on_request(path)
        if self.delay:
            await asyncio.sleep(self.delay)
        page = self.pages.get(path) or self.make(path) or Page("no such page", status=404)
        etag = page.headers.get("ETag")
        status = 304 if etag and request.headers.get("If-None-Match") == etag else page.status
        self.requests.append((path, status, time.time()))
        headers = {"Content-Type": "text/html; charset=utf-8"} | page.headers
        body = page.html() if headers["Content-Type"].startswith("text/html") else page.text
        return web.Response(status=status, body=b"" if status == 304 else body.encode(), headers=headers)
