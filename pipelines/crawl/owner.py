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

from cluster.cache import cache_folder
from cluster.lease import Lease, LeaseHeld, LeaseLost
from pipelines.artifact import AlreadySealed, ArtifactFolder, fingerprint
from pipelines.crawl.browser import TABS, Browser
from pipelines.crawl.fetch import Fetcher, FetchError
from pipelines.crawl.frontier import Entry, Frontier, FrontierInUse
from pipelines.crawl.gate import Gate
from pipelines.crawl.harvest import Fetched, Harvest
from pipelines.crawl.manners import Manners
from pipelines.crawl.permission import Permission
from pipelines.crawl.segments import HOSTS, Segment, is_sealed_as, journal_of, number_sealed, seal, unit_prefix
from pipelines.crawl.source import Source
from pipelines.crawl.urls import canonical_url, host_of, same_site
from pipelines.crawl.warc import Tape, name_of, warc_file
from pipelines.forget.tombstones import NOTHING, Tombstones

REPORT_EVERY = 2.0  # seconds between two notes on progress
PROGRESS = "progress.json"

Task = asyncio.Task[Fetched | FetchError]


@dataclass(frozen=True)
class HostPlan:
    """A host and the sources on it. `refresh_before`: fetch again what was last looked at before then (unix seconds)."""

    host: str
    sources: tuple[Source, ...]
    refresh_before: float = 0.0
    forgotten: Tombstones = NOTHING

    @property
    def needs_browser(self) -> bool:
        return any(source.render != "http" for source in self.sources)


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
        self.folder = out.folder.sub(HOSTS, unit_prefix(plan.host))
        self.sources = {source.name: source for source in plan.sources}
        self.lease = HostLease(self.folder, "lease", what=f"host {plan.host}")
        self._held: Entry | None = None

    async def run(self, seconds: float) -> SliceReport:
        """Fetch for about so long, sealing a segment whenever one is full and at the end."""
        with ExitStack() as stack:
            await self._take_lease(stack)
            self._remember(stack)
            if not self.frontier.counts:
                self._sow()
            if self.plan.refresh_before:
                self.frontier.reopen(self.plan.refresh_before)
            reporter = asyncio.create_task(self._report())
            try:
                report = await self._work(time.monotonic() + seconds)
                await self._note_progress()
                return report
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

    def _remember(self, stack: ExitStack) -> None:
        """Everything that earlier slices knew."""
        self.number = number_sealed(self.out, self.plan.host)
        self.frontier = self._open_frontier(stack)
        self.manners = Manners.load(self.folder)
        sources = self.plan.sources
        self.gate = Gate(max(s.delay for s in sources), max(s.concurrency for s in sources), max(s.throttle for s in sources))
        self.gate.pause(self.manners.resumes_at - time.time())
        self.permission = Permission(self.fetcher, self.gate, self.plan.host, self.manners.robots, self.plan.forgotten)
        self.harvest = Harvest(
            self.sources,
            self.frontier,
            self.fetcher,
            self.gate,
            self.permission,
            self.manners,
            self.browser,
            Segment(self.frontier.kept()),
        )
        self.tape = Tape()
        if self.fetcher.settings.warc:
            self.fetcher.tapes[self.plan.host] = self.tape

    def _open_frontier(self, stack: ExitStack) -> Frontier:
        """This node's file, with what a killed owner got since the last seal; without that where somebody sealed meanwhile."""
        folder, prefix = cache_folder("crawl", fingerprint(self.out.folder.url)), unit_prefix(self.plan.host)
        try:
            frontier = Frontier(folder / f"{prefix}.sqlite")
            stack.callback(frontier.close)
        except FrontierInUse:  # by an owner that does not know yet that it was replaced
            frontier = Frontier(folder / f"{prefix}.e{self.lease.epoch:06d}.sqlite")
            stack.callback(frontier.close, delete=True)
        was_overtaken = frontier.is_ahead and frontier.sealed[0] < self.number
        if was_overtaken or not is_sealed_as(self.out, self.plan.host, *frontier.sealed):
            frontier.clear()
        known, _ = frontier.sealed
        frontier.apply(journal_of(self.out, self.plan.host, number) for number in range(known + 1, self.number + 1))
        return frontier

    def _sow(self) -> None:
        """What the sources start from."""
        for source in self.plan.sources:
            for url in source.start:
                self.frontier.add(Entry(url, source.name))
            for url in source.sitemaps:
                self.frontier.add(Entry(url, source.name, "sitemap"))
            for pages in source.pages:
                self.frontier.add(Entry(pages.page(pages.first), source.name))

    async def _sow_sitemaps(self) -> bool:
        """What robots.txt names, as soon as it answers; whether there was something new."""
        found = []
        for source in (source for source in self.plan.sources if source.robots_sitemaps):
            robots = await self.permission.robots(source.start[0])
            urls = [url for url in map(canonical_url, robots.sitemaps()) if url and same_site(host_of(url), self.plan.host)]
            found += [self.frontier.add(Entry(url, source.name, "sitemap", found_on="robots.txt")) for url in urls]
        return any(found)

    async def _work(self, deadline: float) -> SliceReport:
        while True:
            await self._sow_sitemaps()
            await self._fill(deadline)
            await self._seal()
            if not self.frontier.queued and not await self._sow_sitemaps():
                self.frontier.close(delete=True)
                return SliceReport(self.plan.host, finished=True)
            wakes_at = max(self.frontier.wakes_at, time.time() + self.gate.resumes_in)
            if time.monotonic() + wakes_at - time.time() >= deadline:
                return SliceReport(self.plan.host, finished=False, wakes_at=wakes_at)
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
                self._keep()
        finally:
            for _, task in under_way:
                task.cancel()

    def _may_start(self, deadline: float) -> bool:
        if not self.lease.is_held:
            raise LeaseLost(f"{self.plan.host}: the lease is out")
        now = time.monotonic()
        return now < deadline and now + self.gate.resumes_in <= deadline + self.gate.rest and not self.harvest.segment.is_full

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

    def _keep(self) -> None:
        """What was got so far outlives this process."""
        if exchange := self.tape.take():
            self.harvest.segment.record(exchange)
        self.frontier.keep(self.harvest.segment.fresh())

    async def _seal(self) -> None:
        self._keep()
        segment, journal = self.harvest.segment, self.frontier.journal()
        await self._note_manners()
        if not journal.num_rows:
            return
        self.lease.renew()
        number, epoch = self.number + 1, self.lease.epoch
        if segment.exchanges:
            name = name_of(unit_prefix(self.plan.host), number, epoch)
            await asyncio.to_thread(self.out.folder.write, name, warc_file(segment.exchanges))
        self.harvest.segment = Segment()
        digest = await asyncio.to_thread(seal, self.out, self.plan.host, number, epoch, segment, journal)
        self.frontier.commit(number, digest)
        self.number = number

    async def _report(self) -> None:
        """Note now and then how far it is, for whoever watches."""
        while True:
            await asyncio.sleep(REPORT_EVERY)
            await self._note_progress()
            if self.gate.resumes_in > REPORT_EVERY:  # asked to wait: whoever comes next has to know
                await self._note_manners()

    async def _note_manners(self) -> None:
        self.manners.resumes_at = time.time() + self.gate.resumes_in
        await asyncio.to_thread(self.manners.save, self.folder)

    async def _note_progress(self) -> None:
        counts = self.frontier.counts
        note = {
            "done": counts["stored"] + counts["read"],
            "failed": counts["failed"],
            "queued": self.frontier.queued,
            "resumes_at": time.time() + self.gate.resumes_in,
        }
        await asyncio.to_thread(self.folder.write, PROGRESS, json.dumps(note).encode())
