"""robots.txt as in RFC 9309: what may be fetched, how often, and which sitemaps a site names."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from protego import Protego

MAX_BYTES = 512 << 10  # RFC 9309, section 2.5: at least 500 KiB must be read
MAX_AGE = 24 * 3600.0  # RFC 9309, section 2.4
MAX_REDIRECTS = 5  # RFC 9309, section 2.3.1.2: at least five
MAX_CRAWL_DELAY = 30.0  # seconds; more would mean never


@dataclass(frozen=True)
class Robots:
    """One host's robots.txt. `text` None: it could not be read, so nothing may be fetched for now."""

    text: str | None
    fetched_at: float  # unix seconds

    @classmethod
    def answered(cls, status: int, body: bytes, now: float) -> Robots:
        """From an answer that is final: 4xx allows everything. A server's error is no answer."""
        if 400 <= status < 500:
            return cls("", now)
        return cls(body[:MAX_BYTES].decode("utf-8-sig", errors="replace"), now)  # a BOM would hide the first group

    @classmethod
    def unreachable(cls, now: float) -> Robots:
        return cls(None, now)

    def is_stale(self, now: float) -> bool:
        return now - self.fetched_at > MAX_AGE

    def allows(self, url: str, user_agent: str) -> bool:
        return self.text is not None and self._rules.can_fetch(url, user_agent)

    def delay(self, user_agent: str) -> float:
        """Seconds that the site asks for between two requests, within reason."""
        return min(float(self._rules.crawl_delay(user_agent) or 0), MAX_CRAWL_DELAY)

    def sitemaps(self) -> list[str]:
        return list(self._rules.sitemaps)

    @cached_property
    def _rules(self) -> Protego:
        return Protego.parse(self.text or "")
