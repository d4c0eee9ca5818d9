"""Whether a URL may be requested: on the site, allowed by its robots.txt, which is asked before anything else."""

from __future__ import annotations

import asyncio
import random
import time
from functools import partial
from urllib.parse import urlsplit

from pipelines.crawl.fetch import ANY_TYPE, Fetcher, FetchError
from pipelines.crawl.gate import Gate
from pipelines.crawl.robots import MAX_BYTES, MAX_REDIRECTS, Robots
from pipelines.crawl.urls import host_of, same_site
from pipelines.forget.tombstones import NOTHING, REASON, Tombstones

MAX_BACKOFF = 60.0  # seconds


class Permission:
    """One site's rules. A host has one per slice; its robots.txt is kept between slices for a day at most."""

    def __init__(self, fetcher: Fetcher, gate: Gate, host: str, kept: dict[str, Robots], forgotten: Tombstones = NOTHING) -> None:
        self.fetcher, self.gate, self.host, self.forgotten = fetcher, gate, host, forgotten
        self.robots_of = kept  # by origin
        self._lock = asyncio.Lock()
        self._faults = 0  # in a row

    async def check(self, url: str) -> None:
        """Raises FetchError for a URL that must not be requested; a passing one while robots.txt does not answer."""
        if self.forgotten.refuses(url):
            raise FetchError(REASON)
        if not same_site(host_of(url), self.host):
            raise FetchError("redirect-forbidden", f"leaves the site: {host_of(url)}")
        robots = await self.robots(url)
        if robots.text is None:
            wait = max(0.0, robots.retry_at - time.time())
            raise FetchError("robots-unavailable", robots.fault, passing=robots.is_passing, retry_after=wait)
        if not robots.allows(url, self.fetcher.settings.user_agent):
            raise FetchError("robots")

    async def robots(self, url: str) -> Robots:
        """The robots.txt of a URL's origin, fetched when there is none, it is a day old or did not answer a while ago."""
        origin = _origin(url)
        async with self._lock:
            kept = self.robots_of.get(origin)
            if kept is None or kept.is_stale(time.time()):
                self.robots_of[origin] = kept = await self._fetch(origin)
            self.gate.slow_down(kept.delay(self.fetcher.settings.user_agent))  # also one that an earlier slice fetched
            return kept

    async def answers(self, url: str) -> bool:
        """Whether the host answers at all, be it with an error that is its last word: asked with its robots.txt."""
        try:
            response = await self.fetcher.get(
                f"{_origin(url)}/robots.txt", self.gate, _anywhere, types=ANY_TYPE, max_redirects=MAX_REDIRECTS
            )
            response.raise_for_status()
        except FetchError as error:
            return not error.passing
        return True

    async def _fetch(self, origin: str) -> Robots:
        """Server and network errors are tried again, a little later each time; then nothing may be fetched for a while."""
        while True:
            robots = await self._ask(origin)
            if robots.text is not None or not robots.is_passing or self._faults > self.fetcher.settings.retries:
                return robots
            await asyncio.sleep(robots.retry_at - time.time())

    async def _ask(self, origin: str) -> Robots:
        get = partial(self.fetcher.get, types=ANY_TYPE, max_bytes=MAX_BYTES + 1, may_cut=True, max_redirects=MAX_REDIRECTS)
        try:
            response = await get(f"{origin}/robots.txt", self.gate, _anywhere)
            response.raise_for_status()
        except FetchError as error:
            if _says_there_is_none(error):
                self._faults = 0
                return Robots.unavailable(time.time())
            self.gate.pause(error.retry_after)
            wait = max(error.retry_after, min(2.0**self._faults, MAX_BACKOFF) * random.uniform(0.5, 1.0))
            self._faults += 1
            return Robots.unreachable(time.time() + wait, f"{origin}/robots.txt: {error}", error.passing)
        self._faults = 0
        return Robots.answered(response.body, time.time())


async def _anywhere(_url: str) -> None:
    """robots.txt may redirect to another host (RFC 9309); where it may connect is still checked."""


def _says_there_is_none(error: FetchError) -> bool:
    """4xx and too many redirects (RFC 9309, section 2.3.1); a 408, 425 or 429 may pass, so it does not say that."""
    return not error.passing and (error.reason.startswith("http-4") or error.reason in ("too-many-redirects", "redirect-loop"))


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
