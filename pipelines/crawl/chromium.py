"""Which Chromium draws JavaScript pages, and how it is started so that it goes nowhere on its own (1 s).

Nothing stays behind, however this process ends. The driver (Playwright's, a Node.js process) reads from a pipe whose
other end only this process holds: when that closes, be it by SIGKILL, it ends Chromium, after 30 s with SIGKILL, and
then itself. Chromium in turn ends when its pipe to the driver closes, so the driver may be killed as well.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from cluster.errors import UserError
from pipelines.crawl.tab import Tab

if TYPE_CHECKING:
    from playwright.async_api import Browser, Playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--disable-gpu",
    "--disable-quic",
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--js-flags=--max-old-space-size=512",  # MB; a script that wants more loses its page, not this machine its memory
    # Every request of a page is answered by our own client; whatever slips past it finds no address and no proxy.
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--no-proxy-server",
)
PAGES_PER_CONTEXT = 50
PAGES_PER_CHROMIUM = 500
STARTS = 3
REST_AFTER = 1.0  # seconds without a page to draw
TAB_SECONDS = 30.0  # to open a tab; a Chromium that needs longer is given up
END_SECONDS = 40.0  # more than the driver gives Chromium

log = logging.getLogger(__name__)


class Chromium:
    """A Chromium and the driver that steers it, started and ended together; either may die at any moment."""

    def __init__(self, playwright: Playwright, browser: Browser) -> None:
        self._playwright, self._browser = playwright, browser
        self._idle: list[Tab] = []
        self._chores: set[asyncio.Task[None]] = set()
        self._is_lost = False
        self.pages = 0
        self.at_work = 0  # tabs that draw a page now

    @classmethod
    async def start(cls, wanted: str) -> Self:
        """Raises UserError when there is none, or when it does not start."""
        path = chromium_path(wanted)
        problem = ""
        for _ in range(STARTS):
            try:
                return cls(*await _launch(path))
            except Exception as error:  # the driver says nothing more special when it is killed while it starts
                problem = str(error).strip().partition("\n")[0]
        raise UserError(f"{path} does not start ({problem}); name another one with --set crawl.chromium=/path/to/chromium")

    @property
    def is_usable(self) -> bool:
        """Whether it lives and has not drawn so many pages that a fresh one is due."""
        return not self._is_lost and self._browser.is_connected() and self.pages < PAGES_PER_CHROMIUM

    @asynccontextmanager
    async def tab(self) -> AsyncIterator[Tab]:
        """A tab for one page; it is kept for the next one unless something went wrong in it."""
        from playwright._impl._errors import TargetClosedError  # public in all but its place

        self.pages += 1
        self.at_work += 1
        try:
            tab = await self._idle_or_new()
            try:
                yield tab
            except BaseException:
                self._do(tab.close())
                raise
            if tab.pages < PAGES_PER_CONTEXT:
                self._idle.append(tab)
                self._do(self._rest(tab))
            else:
                self._do(tab.close())
        except (TargetClosedError, TimeoutError):
            self._is_lost = True
            raise
        finally:
            self.at_work -= 1

    async def end(self) -> None:
        """Returns when both processes are gone."""
        try:
            async with asyncio.timeout(END_SECONDS):
                await self._playwright.stop()
        except TimeoutError:
            log.warning("Chromium's driver does not end; it will when this process does")
        for chore in self._chores:
            chore.cancel()

    async def _idle_or_new(self) -> Tab:
        while self._idle:
            tab = self._idle.pop()
            if await tab.answers():
                return tab
            self._do(tab.close())
        async with asyncio.timeout(TAB_SECONDS):
            return await Tab.open(self._browser)

    async def _rest(self, tab: Tab) -> None:
        """A tab that waits for its next page runs nothing of the last one."""
        await asyncio.sleep(REST_AFTER)
        if tab not in self._idle:
            return
        self._idle.remove(tab)
        if await tab.leave():
            self._idle.append(tab)
        else:
            await tab.close()

    def _do(self, chore: Coroutine[None, None, None]) -> None:
        """Nobody waits for it: a page that hangs takes a while."""
        task = asyncio.create_task(chore)
        self._chores.add(task)
        task.add_done_callback(self._chores.discard)


async def _launch(path: str) -> tuple[Playwright, Browser]:
    """Root has no sandbox to enter, and some containers have none for anybody."""
    from playwright.async_api import Error, async_playwright

    playwright = await async_playwright().start()
    try:
        is_root = os.geteuid() == 0
        options: dict[str, Any] = {"executable_path": path, "args": FLAGS, "handle_sigint": False}
        try:
            return playwright, await playwright.chromium.launch(**options, chromium_sandbox=not is_root)
        except Error as error:
            if is_root or "sandbox" not in error.message:
                raise
            log.warning("Chromium has no sandbox here: pages are drawn without one")
            return playwright, await playwright.chromium.launch(**options, chromium_sandbox=False)
    except BaseException:
        await playwright.stop()
        raise


def chromium_path(wanted: str) -> str:
    """The path given, else the system's, else Playwright's own. Raises UserError."""
    if wanted:
        if not os.access(wanted, os.X_OK):
            raise UserError(f"crawl.chromium = {wanted!r}: there is no program; leave it empty to use the system's Chromium")
        return wanted
    for name in NAMES:
        if found := shutil.which(name):
            return found
    for found_path in _of_playwright():
        return str(found_path)
    raise UserError(
        "no Chromium was found, and a source renders its pages in the browser: install it (apt-get install chromium, "
        "or playwright install chromium), or name its path with --set crawl.chromium=/path/to/chromium"
    )


def _of_playwright() -> list[Path]:
    """What `playwright install chromium` left, on Linux or macOS."""
    named = os.environ.get("PLAYWRIGHT_BROWSERS_PATH")
    folders = [named] if named else ["~/.cache/ms-playwright", "~/Library/Caches/ms-playwright"]
    programs = ("chrome-linux*/chrome", "chrome-mac*/*.app/Contents/MacOS/*", "chrome-*/*headless*shell")
    found = (Path(folder).expanduser().glob(f"chromium*/{program}") for folder in folders for program in programs)
    return sorted(path for paths in found for path in paths if path.is_file())
