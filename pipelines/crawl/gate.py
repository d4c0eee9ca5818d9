"""A host's turn: how many requests may be in flight at it, and how far apart they are."""

from __future__ import annotations

import asyncio
import time
from types import TracebackType


class Gate:
    """`async with gate:` around every exchange with the host.

    The delay runs from the beginning and from the end of the exchange before, so that what the server sees is
    never closer, however long an answer took. A new gate waits once before its first request: another process
    may have used the host just now.
    """

    def __init__(self, delay: float, concurrency: int = 1) -> None:
        self.delay = delay
        self._slots = asyncio.Semaphore(concurrency)
        self._order = asyncio.Lock()
        self._not_before = time.monotonic() + delay

    def slow_down(self, delay: float) -> None:
        """The site asks for a longer delay."""
        self.delay = max(self.delay, delay)

    def pause(self, seconds: float) -> None:
        """No request for so long: the site said so."""
        self._not_before = max(self._not_before, time.monotonic() + seconds)

    @property
    def resumes_in(self) -> float:
        """Seconds until the next request may begin."""
        return max(0.0, self._not_before - time.monotonic())

    async def __aenter__(self) -> None:
        await self._slots.acquire()
        try:
            async with self._order:
                while (wait := self._not_before - time.monotonic()) > 0:
                    await asyncio.sleep(wait)
                self._not_before = time.monotonic() + self.delay
        except BaseException:
            self._slots.release()
            raise

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._not_before = max(self._not_before, time.monotonic() + self.delay)
        self._slots.release()
