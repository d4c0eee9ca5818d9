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


class Permission:
    """One site's rules. A host has one per slice; its robots.txt is kept between slices for a day at most."""

    def __init__(self, fetcher: Fetcher, gate: Gate, host: str, kept: dict[str, Robots]) -> None:
        self.fetcher, self.gate, self.host = fetcher, gate, host
        self.robots_of = kept  # by origin
        self._lock = asyncio.Lock()

    async def check(self, url: str) -> None:
        """Raises FetchError for a URL that must not be requested."""
        if not same_site(host_of(url), self.host):
            raise FetchError("redirect-forbidden", f"leaves the site: {host_of(url)}")
        robots = await self.robots(url)
        if robots.text is None:
            raise FetchError("robots-unavailable", f"{_origin(url)}/robots.txt does not answer")
        if not robots.allows(url, self.fetcher.settings.user_agent):
            raise FetchError("robots")

    async def robots(self, url: str) -> Robots:
        """The robots.txt of a URL's origin, fetched when there is none or it is a day old."""
        origin = _origin(url)
        async with self._lock:
            kept = self.robots_of.get(origin)
            if kept is None or kept.is_stale(time.time()):
                self.robots_of[origin] = kept = await self._fetch(origin)
                self.gate.slow_down(kept.delay(self.fetcher.settings.user_agent))
            return kept

    async def _fetch(self, origin: str) -> Robots:
        """Server and network errors are tried again, a little later each time; then nothing may be fetched."""
        get = partial(self.fetcher.get, types=ANY_TYPE, max_bytes=8 * MAX_BYTES, max_redirects=MAX_REDIRECTS)
        for attempt in range(self.fetcher.settings.retries + 1):
            if attempt:
                await asyncio.sleep(2 ** (attempt - 1) * random.uniform(0.5, 1.0))
            try:
                response = await get(f"{origin}/robots.txt", self.gate, _anywhere)
                response.raise_for_status()
            except FetchError as error:
                if error.reason.startswith("http-4") and not error.passing:
                    return Robots.answered(404, b"", time.time())
                self.gate.pause(error.retry_after)
                continue
            return Robots.answered(response.status, response.body, time.time())
        return Robots.unreachable(time.time())


async def _anywhere(_url: str) -> None:
    """robots.txt may redirect to another host (RFC 9309); where it may connect is still checked."""


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
