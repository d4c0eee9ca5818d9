"""Draws JavaScript pages in Chromium, which gets every byte from our own client and has no network of its own.

So robots.txt, the host's turn, address checks and size limits hold inside the browser as outside. A tab is reused
(8 pages/s; a new context each time would make it 3), its context is replaced every 50 pages.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import TYPE_CHECKING, Self

from pipelines.crawl.chromium import chromium_path, flags
from pipelines.crawl.fetch import ANY_TYPE, Fetcher, FetchError, Response
from pipelines.crawl.gate import Gate
from pipelines.crawl.permission import Permission
from pipelines.crawl.source import Source
from pipelines.crawl.urls import canonical_url

if TYPE_CHECKING:
    from playwright.async_api import Browser as Chromium
    from playwright.async_api import BrowserContext, Page, Playwright, Route

TABS = 3  # pages drawn at once; their requests still take the host's turn one by one
PAGES_PER_CONTEXT = 50
NEEDED = frozenset({"document", "script", "xhr", "fetch"})  # not images, fonts, styles, media, sockets, beacons
NOT_PASSED_ON = frozenset({"host", "user-agent", "accept-encoding", "connection", "cookie", "if-none-match", "if-modified-since"})
NOT_GIVEN_BACK = frozenset({"content-encoding", "content-length", "transfer-encoding", "connection", "set-cookie"})
REQUESTS_PER_PAGE = 100
CLICKS_PER_PAGE = 500  # of a "more" button
QUIET_SECONDS = 3.0  # a page without a `ready` selector is drawn when it asked for nothing so long, at the latest


class Browser:
    """`async with Browser(path) as browser`; Chromium starts with the first page that needs it."""

    def __init__(self, chromium: str = "") -> None:
        self._path = chromium
        self._starting = asyncio.Lock()
        self._playwright: Playwright | None = None
        self._chromium: Chromium | None = None
        self._tabs: list[Tab] = []  # idle ones
        self._room = asyncio.Semaphore(TABS)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._chromium is not None:
            await self._chromium.close()
        if self._playwright is not None:
            await self._playwright.stop()

    async def draw(self, document: Response, source: Source, fetcher: Fetcher, gate: Gate, permission: Permission) -> str:
        """The page's HTML after its scripts ran. Raises FetchError."""
        from playwright.async_api import Error
        from playwright.async_api import TimeoutError as DrawTimeout

        supply = Supply(document, fetcher, gate, permission)
        async with self._room:
            tab = await self._tab()
            try:
                async with asyncio.timeout(_limit(fetcher.settings.timeout_seconds, gate.delay)):
                    html = await tab.draw(supply, source, fetcher.settings.timeout_seconds)
            except (DrawTimeout, TimeoutError) as error:
                await tab.close()
                raise FetchError("timeout", f"in the browser: {error}", passing=True) from error
            except Error as error:
                await tab.close()
                raise FetchError("browser", error.message, passing=True) from error
            if tab.pages < PAGES_PER_CONTEXT:
                self._tabs.append(tab)
            else:
                await tab.close()
        if len(html) > fetcher.settings.max_body_bytes:
            raise FetchError("too-large", f"{len(html)} characters after drawing")
        return html

    async def _tab(self) -> Tab:
        while self._tabs:
            tab = self._tabs.pop()
            if not tab.is_closed:
                return tab
        async with self._starting:
            if self._chromium is None or not self._chromium.is_connected():
                await self._start()
        assert self._chromium is not None
        context = await self._chromium.new_context(service_workers="block", accept_downloads=False, locale="fa-IR")
        await context.route_web_socket("**/*", lambda socket: socket.close())
        tab = Tab(context, await context.new_page())
        await context.route("**/*", tab.answer)
        return tab

    async def _start(self) -> None:
        from playwright.async_api import async_playwright

        if self._playwright is None:
            self._playwright = await async_playwright().start()
        path = chromium_path(self._path)
        self._chromium = await self._playwright.chromium.launch(executable_path=path, args=flags())


class Supply:
    """What one page gets when it asks: its document, and what its scripts fetch from the same site."""

    def __init__(self, document: Response, fetcher: Fetcher, gate: Gate, permission: Permission) -> None:
        self.document, self.fetcher, self.gate, self.permission = document, fetcher, gate, permission
        self.requests = 0

    async def get(self, route: Route, scripts: dict[str, Response]) -> Response:
        """Raises FetchError for what a page may not have."""
        request = route.request
        url = canonical_url(request.url)
        if url is None or request.method != "GET" or request.resource_type not in NEEDED:
            raise FetchError("not-needed")
        if request.resource_type == "document":
            if url != self.document.url or request.frame.parent_frame is not None:
                raise FetchError("not-needed")
            return self.document
        if url in scripts:
            return scripts[url]
        self.requests += 1
        if self.requests > REQUESTS_PER_PAGE:
            raise FetchError("too-many-requests")
        headers = {k: v for k, v in request.headers.items() if k not in NOT_PASSED_ON and not k.startswith((":", "sec-"))}
        response = await self.fetcher.get(url, self.gate, self.permission.check, types=ANY_TYPE, headers=headers)
        if request.resource_type == "script" and response.status == 200:
            scripts[url] = response
        return response


class Tab:
    """One page in a context of its own."""

    def __init__(self, context: BrowserContext, page: Page) -> None:
        self.context, self.page = context, page
        self.pages = 0
        self._supply: Supply | None = None
        self._scripts: dict[str, Response] = {}  # asked for once a context, not once a page

    @property
    def is_closed(self) -> bool:
        return self.page.is_closed()

    async def draw(self, supply: Supply, source: Source, seconds: float) -> str:
        """Load, wait until it is drawn, press `more` as long as there is one."""
        self._supply, self.pages = supply, self.pages + 1
        milliseconds = seconds * 1000
        try:
            await self.page.goto(supply.document.url, wait_until="domcontentloaded", timeout=milliseconds)
            if source.ready:
                await self.page.wait_for_selector(source.ready, state="attached", timeout=milliseconds)
            else:
                await self._until_quiet()
            if source.more:
                await self._press_more(source.more, milliseconds)
            return await self.page.content()
        finally:
            self._supply = None

    async def answer(self, route: Route) -> None:
        """Answer one request of the page from our own client, or refuse it."""
        from playwright.async_api import Error

        try:
            await self._fulfil(route)
        except Error:  # the page was closed while its request was on its way
            return

    async def _fulfil(self, route: Route) -> None:
        try:
            if self._supply is None:  # left over from the page before
                raise FetchError("not-needed")
            response = await self._supply.get(route, self._scripts)
        except FetchError:
            await route.abort()
            return
        headers = {k: v for k, v in response.headers.items() if k not in NOT_GIVEN_BACK}
        await route.fulfill(status=response.status, headers=headers, body=response.body)

    async def close(self) -> None:
        from playwright.async_api import Error

        try:
            await self.context.close()
        except Error:  # Chromium is gone, and the context with it
            return

    async def _until_quiet(self) -> None:
        from playwright.async_api import TimeoutError as DrawTimeout

        try:
            await self.page.wait_for_load_state("networkidle", timeout=QUIET_SECONDS * 1000)
        except DrawTimeout:  # it polls: what is there now is what there is
            return

    async def _press_more(self, button: str, milliseconds: float) -> None:
        """A press has worked when there are more links, or no button."""
        for _ in range(CLICKS_PER_PAGE):
            if await self.page.locator(button).count() == 0:
                return
            links = await self.page.locator("a[href]").count()
            await self.page.locator(button).first.click(timeout=milliseconds)
            await self.page.wait_for_function(
                "([button, links]) => document.querySelectorAll('a[href]').length > links || !document.querySelector(button)",
                arg=[button, links],
                timeout=milliseconds,
            )


def _limit(seconds: float, delay: float) -> float:
    """The hard limit of a page: a page makes a few requests, and a list may have many parts."""
    return 6 * seconds + 10 * delay
