"""The owner of a host: holds its lease and its turn, fetches for a while and seals what it got.

One request at a time by default, so that a host's politeness is exact however many workers there are. The next
document is on its way while the last one is parsed (about 1 ms); documents are settled in the order of the frontier,
so the same site gives the same result wherever a slice ends.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from contextlib import ExitStack
from dataclasses import dataclass

from cluster.lease import Lease, LeaseHeld, LeaseLost
from pipelines.artifact import AlreadySealed, ArtifactFolder
from pipelines.crawl.browser import TABS, Browser
from pipelines.crawl.fetch import Fetcher, FetchError
from pipelines.crawl.frontier import Entry, Frontier
from pipelines.crawl.gate import Gate
from pipelines.crawl.harvest import Fetched, Harvest
from pipelines.crawl.manners import Manners
from pipelines.crawl.permission import Permission
from pipelines.crawl.segments import Segment, journals, seal, sealed_segments, unit_prefix
from pipelines.crawl.source import Source
from pipelines.crawl.urls import canonical_url, host_of, same_site

REPORT_EVERY = 2.0  # seconds between two notes on progress
PROGRESS = "progress.json"

Task = asyncio.Task[Fetched | FetchError]


@dataclass(frozen=True)
class HostPlan:
    """A host and the sources on it."""

    host: str
    sources: tuple[Source, ...]

    @property
    def needs_browser(self) -> bool:
        return any(source.render == "browser" for source in self.sources)


@dataclass(frozen=True)
class SliceReport:
    """What a slice leaves to do. `wakes_at`: when there is something to do again (unix seconds)."""

    host: str
    finished: bool
    wakes_at: float = 0.0


class HostLease(Lease):
    """A lease that knows by its own clock when it is out, also after the process was paused."""

    def acquire(self) -> int:
        self._renewed = time.monotonic()
        return super().acquire()

    def renew(self) -> None:
        asked = time.monotonic()
        super().renew()
        self._renewed = asked

    @property
    def is_held(self) -> bool:
        return not self.lost and time.monotonic() - self._renewed < self.ttl


class HostOwner:
    """Works one host for one slice."""

    def __init__(self, out: ArtifactFolder, plan: HostPlan, fetcher: Fetcher, browser: Browser) -> None:
        self.out, self.plan, self.fetcher, self.browser = out, plan, fetcher, browser
        self.folder = out.folder.sub("hosts", unit_prefix(plan.host))
        self.sources = {source.name: source for source in plan.sources}
        self.lease = HostLease(self.folder, "lease", what=f"host {plan.host}")
        self._held: Entry | None = None
        self._before = (0, 0)  # pages and failures of earlier segments

    async def run(self, seconds: float) -> SliceReport:
        """Fetch for about so long, sealing a segment whenever one is full and at the end."""
        with ExitStack() as stack:
            await self._take_lease(stack)
            self._remember()
            if not self.number:
                await self._sow()
            reporter = asyncio.create_task(self._report())
            try:
                return await self._work(time.monotonic() + seconds)
            except (AlreadySealed, LeaseLost):  # somebody took over: what was sealed stands, the rest is theirs to fetch
                return SliceReport(self.plan.host, finished=False)
            finally:
                reporter.cancel()

    async def _take_lease(self, stack: ExitStack) -> None:
        """Wait as long as a dead owner's lease may last, and not longer. Raises LeaseHeld."""
        deadline = time.monotonic() + 2 * self.lease.ttl
        while True:
            try:
                stack.enter_context(self.lease)
                return
            except LeaseHeld:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(1.0)

    def _remember(self) -> None:
        """Everything that earlier slices knew, from their segments."""
        segments = sealed_segments(self.out, self.plan.host)
        self.number = len(segments)
        failed = sum(sum(record.dropped.values()) for record in segments)
        self._before = (sum(record.rows_in for record in segments) - failed, failed)
        self.frontier = Frontier.replay(journals(self.out, segments))
        self.manners = Manners.load(self.folder)
        self.gate = Gate(max(s.delay for s in self.plan.sources), max(s.concurrency for s in self.plan.sources))
        self.gate.pause(self.manners.resumes_at - time.time())
        self.permission = Permission(self.fetcher, self.gate, self.plan.host, self.manners.robots)
        self.harvest = Harvest(self.sources, self.frontier, self.fetcher, self.gate, self.permission, self.browser)

    async def _sow(self) -> None:
        """What the sources start from."""
        for source in self.plan.sources:
            for url in source.start:
                self.frontier.add(Entry(url, source.name))
            for url in source.sitemaps:
                self.frontier.add(Entry(url, source.name, "sitemap"))
            if source.robots_sitemaps:
                robots = await self.permission.robots(source.start[0])
                for url in filter(None, map(canonical_url, robots.sitemaps())):
                    if same_site(host_of(url), self.plan.host):
                        self.frontier.add(Entry(url, source.name, "sitemap", found_on="robots.txt"))
            for pages in source.pages:
                self.frontier.add(Entry(pages.page(pages.first), source.name))

    async def _work(self, deadline: float) -> SliceReport:
        while True:
            await self._fill(deadline)
            finished = not self.frontier.queued and self._held is None
            await self._seal()
            wakes_at = max(self.frontier.wakes_at, time.time() + self.gate.resumes_in)
            if finished or time.monotonic() + wakes_at - time.time() >= deadline:
                return SliceReport(self.plan.host, finished, wakes_at)
            await asyncio.sleep(max(0.0, wakes_at - time.time()))

    async def _fill(self, deadline: float) -> None:
        """Fetch until the segment is full, the time is over or nothing can be tried now."""
        ahead = TABS + 2 if self.plan.needs_browser else max(s.concurrency for s in self.plan.sources) + 1
        under_way: deque[tuple[Entry, Task]] = deque()
        try:
            while True:
                while len(under_way) < ahead and self._may_start(deadline) and (entry := self._next(under_way)):
                    under_way.append((entry, asyncio.create_task(self.harvest.fetch(entry))))
                if not under_way:
                    return
                entry, task = under_way.popleft()
                self.harvest.settle(entry, await task)
        finally:
            for _, task in under_way:
                task.cancel()

    def _may_start(self, deadline: float) -> bool:
        if not self.lease.is_held:
            raise LeaseLost(f"{self.plan.host}: the lease is out")
        now = time.monotonic()
        return now < deadline and now + self.gate.resumes_in <= deadline + self.gate.delay and not self.harvest.segment.is_full

    def _next(self, under_way: deque[tuple[Entry, Task]]) -> Entry | None:
        """The next URL to try; None when there is none now, or when it depends on what is under way (`max_pages`)."""
        while entry := self._held or self.frontier.next(time.time()):
            self._held = None
            source = self.sources[entry.source]
            if source.max_pages is None:
                return entry
            room = source.max_pages - self.frontier.stored[source.name]
            if room > sum(other.source == entry.source for other, _ in under_way):
                return entry
            if room > 0 and under_way:
                self._held = entry
                return None
            self.harvest.fail(entry, "max-pages")
        return None

    async def _seal(self) -> None:
        segment, journal = self.harvest.segment, self.frontier.journal
        self.manners.resumes_at = time.time() + self.gate.resumes_in
        await asyncio.to_thread(self.manners.save, self.folder)
        if not journal:
            return
        self.lease.renew()
        self.harvest.segment, self.frontier.journal = Segment(), []
        await asyncio.to_thread(seal, self.out, self.plan.host, self.number + 1, self.lease.epoch, segment, journal)
        self.number += 1
        self._before = (self._before[0] + len(segment.pages), self._before[1] + len(segment.failures))

    async def _report(self) -> None:
        """Note now and then how far it is, for whoever watches."""
        while True:
            await asyncio.sleep(REPORT_EVERY)
            segment = self.harvest.segment
            done, failed = self._before[0] + len(segment.pages), self._before[1] + len(segment.failures)
            note = {"done": done, "failed": failed, "queued": self.frontier.queued}
            await asyncio.to_thread(self.folder.write, PROGRESS, json.dumps(note).encode())
