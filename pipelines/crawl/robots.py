"""A host's robots.txt as in RFC 9309: what an answer means, how long it is kept, what it allows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from pipelines.crawl.robots_rules import Group, RobotsFile, path_to_match

MAX_BYTES = 512 << 10  # section 2.5: at least 500 KiB must be read
MAX_AGE = 24 * 3600.0  # section 2.4, in seconds
MAX_REDIRECTS = 5  # section 2.3.1.2: at least five
MAX_CRAWL_DELAY = 30.0  # seconds; more would mean never


@dataclass(frozen=True)
class Robots:
    """One origin's robots.txt. `text` None: it could not be read, so nothing may be fetched for now."""

    text: str | None
    fetched_at: float  # unix seconds
    retry_at: float = 0.0  # when one that did not answer is asked for again, unix seconds
    fault: str = ""  # why it could not be read
    is_passing: bool = True  # whether it may answer later

    @classmethod
    def answered(cls, body: bytes, now: float) -> Robots:
        """A file. Lines beyond the size that is read do not count, nor does the half of one."""
        if len(body) > MAX_BYTES:
            body = body[: max(body.rfind(b"\n", 0, MAX_BYTES), body.rfind(b"\r", 0, MAX_BYTES)) + 1]
        text = body.decode("utf-8", errors="surrogateescape")  # rules are compared by octets, whatever these mean
        return cls(text.removeprefix("\ufeff"), now)  # a byte order mark would hide the first group

    @classmethod
    def unavailable(cls, now: float) -> Robots:
        """The site has none (4xx, or more redirects than one follows): everything is allowed (2.3.1.2, 2.3.1.3)."""
        return cls("", now)

    @classmethod
    def unreachable(cls, retry_at: float, fault: str, is_passing: bool = True) -> Robots:
        """Server or network error: nothing is allowed until it is asked for again (2.3.1.4)."""
        return cls(None, 0.0, retry_at, fault, is_passing)

    def is_stale(self, now: float) -> bool:
        return now - self.fetched_at > MAX_AGE if self.text is not None else now >= self.retry_at

    def allows(self, url: str, user_agent: str) -> bool:
        """`user_agent` begins with the product token."""
        if self.text is None:
            return False
        path = path_to_match(url)
        return path.startswith("/robots.txt\n") or self._group(user_agent).allows(path)

    def delay(self, user_agent: str) -> float:
        """Seconds that the site asks for between two requests, within reason."""
        return min(self._group(user_agent).delay, MAX_CRAWL_DELAY)

    def sitemaps(self) -> list[str]:
        return list(self._file.sitemaps)

    def _group(self, user_agent: str) -> Group:
        if user_agent not in self._groups:
            self._groups[user_agent] = self._file.group_of(user_agent)
        return self._groups[user_agent]

    @cached_property
    def _file(self) -> RobotsFile:
        return RobotsFile(self.text or "")

    @cached_property
    def _groups(self) -> dict[str, Group]:
        return {}
