"""The request log of the replay's server: who was asked for what and when, and what of that was not polite."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote

from protego import Protego

USER_AGENT = "gaokerena"
PASSING = frozenset({429, 500, 502, 503, 504})  # worth another try, by status ...
FAULTS = frozenset({"/slow/1", "/drip/1", "/truncated", "/reset"})  # ... and by what happens to the answer
# The server goes on with these after its client has left: so many seconds, counted from the request or from the leaving.
SLEEPS_ON, DRIPS_ON = 90.0, 3.0
CLOCK_STEP = 0.0001  # seconds; the server rounds its times to this


@dataclass(frozen=True)
class Request:
    """One request as it arrived. `path` has its query; `in_flight` counts this one, too."""

    time: float  # unix seconds
    site: str
    path: str
    status: int
    in_flight: int

    @property
    def is_robots(self) -> bool:
        return self.path == "/robots.txt"

    @property
    def is_fault(self) -> bool:
        return self.status in PASSING or self.path in FAULTS

    @property
    def document(self) -> tuple[str, str]:
        """Which document was asked for: trackers in the query are not part of its name."""
        return self.site, unquote(re.sub(r"[?&]utm_[^&]*", "", self.path))


def read_log(file: Path) -> list[Request]:
    """The requests in the order in which they arrived."""
    rows = map(json.loads, file.read_text(encoding="utf-8").splitlines())
    return [Request(row["t"], row["site"], row["path"], row["status"], row["inflight"]) for row in rows]


def by_site(requests: Iterable[Request]) -> dict[str, list[Request]]:
    found = defaultdict(list)
    for request in requests:
        found[request.site].append(request)
    return found


def refused(requests: Iterable[Request], robots: Mapping[str, Protego]) -> list[Request]:
    """Requests that the site's robots.txt does not allow."""
    return [r for r in requests if not r.is_robots and not robots[r.site].can_fetch(f"http://site{r.path}", USER_AGENT)]


def before_robots(requests: Iterable[Request]) -> list[Request]:
    """Requests that arrived before the site's robots.txt had been answered."""
    early = []
    for asked in by_site(requests).values():
        answered = next((r.time for r in asked if r.is_robots and r.status < 500), float("inf"))
        pages = [r for r in asked if not r.is_robots]
        early += [r for r in pages if r.time <= answered]
        early += [r for r in pages[:1] if r.time > answered and r.in_flight > 1]  # it may have been on its way still
    return early


def too_many(requests: Iterable[Request], limits: Mapping[str, int], timeout: float) -> list[Request]:
    """Requests that came while as many as the site's limit were in flight.

    `timeout`: seconds after which the crawler gives an exchange up; the server does not notice at once.
    """
    over = []
    for site, asked in by_site(requests).items():
        endless = [r for r in asked if r.path in ("/slow/1", "/drip/1")]
        for request in asked:
            given_up = sum(_is_held(earlier, request.time, timeout) for earlier in endless)
            if request.in_flight - given_up > limits[site]:
                over.append(request)
    return over


def _is_held(earlier: Request, now: float, timeout: float) -> bool:
    """Whether the server still works on a request that the crawler has given up."""
    waited = now - earlier.time
    ends = SLEEPS_ON if earlier.path == "/slow/1" else timeout + DRIPS_ON
    return timeout <= waited < ends


def shortest_gaps(requests: Iterable[Request]) -> dict[str, float]:
    """Of each site, seconds between the two requests that are closest."""
    return {
        site: min((b.time - a.time for a, b in pairwise(asked)), default=float("inf"))
        for site, asked in by_site(requests).items()
    }


def fetched_again(requests: Iterable[Request]) -> list[Request]:
    """Requests for a document that had been answered well before; a try after a fault is none."""
    again, done = [], set()
    for request in requests:
        if request.document in done:
            again.append(request)
        elif not request.is_fault:
            done.add(request.document)
    return again
