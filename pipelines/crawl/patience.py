"""How long a page in the browser may take; the time that its requests take does not count."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType


class Patience:
    """`async with patience:` raises TimeoutError when the page shows nothing new for `seconds`, and after `at_most`.

    The shorter limit stands still while a request of the page is on its way: a request has limits of its own, and it
    waits for the host's turn behind those of other pages.
    """

    def __init__(self, seconds: float, at_most: float) -> None:
        self.seconds, self.at_most = seconds, at_most
        self._timeout = asyncio.timeout(None)
        self._is_on = False
        self._requests = 0
        self._left = seconds
        self._since = 0.0  # time.monotonic(), which event loops use too: since when so much is left

    async def __aenter__(self) -> None:
        await self._timeout.__aenter__()
        self._end = time.monotonic() + self.at_most
        self._is_on = True
        self.renew()

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._is_on = False
        await self._timeout.__aexit__(kind, error, trace)

    def renew(self) -> None:
        """The page has shown something new."""
        self._left, self._since = self.seconds, time.monotonic()
        self._reschedule()

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """A request of the page is on its way until the block ends."""
        now = time.monotonic()
        if not self._requests:
            self._left -= now - self._since
        self._requests += 1
        self._reschedule()
        try:
            yield
        finally:
            self._requests -= 1
            self._since = time.monotonic()
            self._reschedule()

    def _reschedule(self) -> None:
        if self._is_on and not self._timeout.expired():
            self._timeout.reschedule(self._end if self._requests else min(self._since + self._left, self._end))
