"""A host's turn: how many requests may be in flight at it, and how far apart they are."""

from __future__ import annotations

import asyncio
import random
import time
from types import TracebackType

MAX_REST = 10.0  # seconds that the throttle adds at most: one endless answer says little about a host
MAX_BACKOFF = 60.0  # seconds of rest at most after faults in a row


class Gate:
    """`async with gate:` around every exchange with the host.

    The delay runs from the beginning and from the end of the exchange before, so that what the server sees is
    never closer, however long an answer took. A new gate waits once before its first request: another process
    may have used the host just now.

    `throttle`: the host rests so many times as long as its answers take (their moving average), so that a host that
    gets slow is asked less often; with 1 it works for us half of the time at most.
    """

    def __init__(self, delay: float, concurrency: int = 1, throttle: float = 0.0) -> None:
        self.delay, self.throttle = delay, throttle
        self._slots = asyncio.Semaphore(concurrency)
        self._order = asyncio.Lock()
        self._last = time.monotonic()  # end of the exchange before
        self._not_before = self._last + delay
        self._answer_seconds = 0.0
        self._backoff = 0.0

    def slow_down(self, delay: float) -> None:
        """The site asks for a longer delay; also since the exchange that said so."""
        if delay > self.delay:
            self.delay = delay
            self._not_before = max(self._not_before, self._last + delay)

    def pause(self, seconds: float) -> None:
        """No request for so long: the site said so."""
        self._not_before = max(self._not_before, time.monotonic() + seconds)

    def back_off(self) -> None:
        """The host did not cope: rest, twice as long each time, with jitter so that crawlers don't come back together."""
        self._backoff = min(max(1.0, 2 * self._backoff), MAX_BACKOFF)
        self.pause(self._backoff * random.uniform(0.5, 1.0))

    def recover(self) -> None:
        """The host answered: the next rest is half as long."""
        self._backoff = self._backoff / 2 if self._backoff > 1 else 0.0

    @property
    def rest(self) -> float:
        """Seconds between two exchanges."""
        return max(self.delay, min(self.throttle * self._answer_seconds, MAX_REST))

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
                self._not_before = time.monotonic() + self.rest
        except BaseException:
            self._slots.release()
            raise

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._last = time.monotonic()
        self._not_before = max(self._not_before, self._last + self.rest)
        self._slots.release()

    def answered_in(self, seconds: float) -> None:
        """How long an answer took to begin; the average forgets half of the past with each one."""
        self._answer_seconds = (self._answer_seconds + seconds) / 2 if self._answer_seconds else seconds
