"""A host's frontier: every URL it knows and what became of it, first found first fetched.

It lives in memory (about 0.3 KB a URL) and writes a journal, which its owner seals with every segment; replaying the
journals of the sealed segments gives the same frontier again, on any node.
"""

from __future__ import annotations

import heapq
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

import pyarrow as pa

# stored: a content page; read: a list page or sitemap; alias: another URL led to the same page
State = Literal["found", "retry", "stored", "read", "failed", "alias"]
PENDING = frozenset({"found", "retry"})


@dataclass(frozen=True)
class Entry:
    """One URL to fetch. `kind`: page or sitemap."""

    url: str
    source: str
    kind: str = "page"
    depth: int = 0
    found_on: str = ""
    attempts: int = 0
    retry_at: float = 0.0  # unix seconds


class Frontier:
    """`journal`: what happened since it was last sealed."""

    def __init__(self) -> None:
        self.states: dict[str, State] = {}
        self.stored: Counter[str] = Counter()  # content pages of each source
        self.journal: list[dict[str, Any]] = []
        self._queue: deque[Entry] = deque()
        self._waiting: list[tuple[float, int, Entry]] = []
        self._ticket = 0

    @classmethod
    def replay(cls, journals: Iterable[pa.Table]) -> Frontier:
        """The frontier as it was when the last of these journals was sealed."""
        frontier = cls()
        found: dict[str, Entry] = {}
        for journal in journals:
            for row in journal.to_pylist():
                state = row.pop("state")
                frontier.states[row["url"]] = state
                frontier.stored[row["source"]] += state == "stored"
                if state in PENDING:
                    found[row["url"]] = Entry(**row)
        for url, entry in found.items():
            if frontier.states[url] in PENDING:
                frontier._put(entry)
        return frontier

    def add(self, entry: Entry) -> bool:
        """A URL was found; False when it is known already."""
        if entry.url in self.states:
            return False
        self._note(entry, "found")
        self._put(entry)
        return True

    def next(self, now: float) -> Entry | None:
        """The next URL that may be tried now."""
        while self._waiting and self._waiting[0][0] <= now:
            entry = heapq.heappop(self._waiting)[2]
            if self.states[entry.url] in PENDING:
                return entry
        while self._queue:
            entry = self._queue.popleft()
            if self.states[entry.url] in PENDING:  # else another URL led to it meanwhile
                return entry
        return None

    def retry(self, entry: Entry, at: float) -> None:
        """Try again, not before `at` (unix seconds)."""
        entry = replace(entry, attempts=entry.attempts + 1, retry_at=at)
        self._note(entry, "retry")
        self._put(entry)

    def settle(self, entry: Entry, state: State) -> None:
        """What became of a URL."""
        self.stored[entry.source] += state == "stored"
        self._note(entry, state)

    def is_pending(self, url: str) -> bool:
        return self.states.get(url) in PENDING

    @property
    def queued(self) -> int:
        return len(self._queue) + len(self._waiting)

    @property
    def wakes_at(self) -> float:
        """When there is a URL to try: 0 for now, else the first retry's time (unix seconds)."""
        return self._waiting[0][0] if self._waiting and not self._queue else 0.0

    def _put(self, entry: Entry) -> None:
        if not entry.retry_at:
            self._queue.append(entry)
            return
        self._ticket += 1
        heapq.heappush(self._waiting, (entry.retry_at, self._ticket, entry))

    def _note(self, entry: Entry, state: State) -> None:
        self.states[entry.url] = state
        self.journal.append({**vars(entry), "state": state})
