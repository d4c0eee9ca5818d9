"""A tab of the browser: it draws one page after the other, each with what its supply gives it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Self

from pipelines.crawl.fetch import FetchError
from pipelines.crawl.growth import grow
from pipelines.crawl.source import Source
from pipelines.crawl.supply import Supply

if TYPE_CHECKING:
    from playwright.async_api import Browser, BrowserContext, Page, Route

# `refresh` and `content-disposition` would lead the page away or make a download of it.
NOT_GIVEN_BACK = frozenset(
    {"content-encoding", "content-length", "transfer-encoding", "connection", "set-cookie", "refresh", "content-disposition"}
)
QUIET_SECONDS = 0.5  # a page without a `ready` selector is drawn when it asked for nothing new so long
ANSWER_SECONDS = 5.0
MAX_ELEMENTS = 200_000

# A page can go nowhere: what the network would have to answer is refused, this stops the rest (about:blank, blob:). It
# opens no window and does not close its own.
STAY = """navigation.addEventListener("navigate", event => { if (!event.canIntercept) event.preventDefault(); });
window.open = () => null;
window.close = window.print = () => {};"""
PARSED = """() => document.readyState === "loading"
  && new Promise(done => addEventListener("DOMContentLoaded", () => done()))"""
IDLE = "() => new Promise(done => requestIdleCallback(() => done(), { timeout: 1000 }))"
# The HTML, or a number where it is too much.
TAKE = """([elements, characters]) => {
  const count = document.getElementsByTagName("*").length;
  if (count > elements) return count;
  const type = document.doctype ? new XMLSerializer().serializeToString(document.doctype) : "";
  const html = type + (document.documentElement?.outerHTML ?? "");
  return html.length > characters ? html.length : html;
}"""


class Tab:
    """One page in a context of its own."""

    def __init__(self, context: BrowserContext, page: Page) -> None:
        self.context, self.page = context, page
        self.pages = 0
        self._supply: Supply | None = None

    @classmethod
    async def open(cls, browser: Browser) -> Self:
        """Raises Playwright's Error."""
        context = await browser.new_context(service_workers="block", accept_downloads=False, locale="fa-IR")
        context.set_default_timeout(0)  # the page's patience is its limit
        await context.add_init_script(STAY)
        await context.route_web_socket("**/*", lambda socket: socket.close())
        tab = cls(context, await context.new_page())
        context.on("page", _close_popup)
        await context.route("**/*", tab.answer)
        return tab

    async def draw(self, supply: Supply, source: Source) -> str:
        """Load the page, wait until it is drawn, let it grow; its HTML.

        Raises FetchError, and Playwright's Error when the page's process or Chromium is gone.
        """
        self.pages += 1
        self._supply = supply
        supply.begin()
        try:
            async with supply.patience:
                # Playwright's own waiting hangs when the page tries to leave while it loads.
                await self.page.goto(supply.document.url, wait_until="commit")
                await self.page.evaluate(PARSED)
                supply.patience.renew()
                await self._until_drawn(supply, source.ready)
                if source.more or source.scroll:
                    await grow(self.page, source, supply)
                html = await self._take(supply.fetcher.settings.max_body_bytes)
        except TimeoutError as error:
            raise FetchError("browser-timeout", "the page shows nothing new", passing=True) from error
        finally:
            self._supply = None
        if supply.fault:
            raise supply.fault
        return html

    async def answer(self, route: Route) -> None:
        """Answer one request of the page from our own client, or refuse it."""
        from playwright.async_api import Error

        try:
            await self._fulfil(route)
        except Error:  # the page was closed while its request was on its way
            return

    async def answers(self) -> bool:
        """Whether it can draw another page: scripts of the one before may hang, or have crashed it (3 ms)."""
        return await _works(self.page.evaluate("0"))

    async def leave(self) -> bool:
        """Leave the page, so that nothing of it runs on; whether that worked (35 ms)."""
        return await _works(self.page.goto("about:blank"))

    async def close(self) -> None:
        from playwright.async_api import Error

        try:
            await self.context.close()
        except Error:  # Chromium is gone, and the context with it
            return

    async def _until_drawn(self, supply: Supply, ready: str) -> None:
        if ready:
            await self.page.wait_for_selector(f"css={ready}", state="attached")
            supply.patience.renew()
            supply.fault = None  # it was not needed; without `ready` nobody can say
            return
        while True:
            while (rest := QUIET_SECONDS - supply.quiet_seconds) > 0:
                await asyncio.sleep(rest)
            await self.page.evaluate(IDLE)
            if supply.quiet_seconds >= QUIET_SECONDS:
                return

    async def _take(self, characters: int) -> str:
        taken = await self.page.evaluate(TAKE, [MAX_ELEMENTS, characters])
        if not isinstance(taken, str):
            raise FetchError("too-large", f"{taken} elements or characters after drawing")
        return taken.encode("utf-8", "replace").decode()  # scripts can write half a character

    async def _fulfil(self, route: Route) -> None:
        try:
            if self._supply is None:  # left over from the page before
                raise FetchError("not-needed")
            response = await self._supply.get(route.request)
        except FetchError:
            # An aborted navigation leaves the document in its place; a failed one would show an error instead.
            await route.abort("aborted" if route.request.is_navigation_request() else "failed")
            return
        headers = {k: v for k, v in response.headers.items() if k not in NOT_GIVEN_BACK}
        await route.fulfill(status=response.status, headers=headers, body=response.body)


async def _works(action: Awaitable[object]) -> bool:
    from playwright.async_api import Error

    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            await action
    except (Error, TimeoutError):
        return False
    return True


async def _close_popup(page: Page) -> None:
    from playwright.async_api import Error

    try:
        await page.close()
    except Error:
        return
