"""The crawl: rounds of slices over the hosts, until no host has anything left to fetch.

A round is one Ray Data pipeline (a few seconds to start); a slice lasts about `crawl.slice_seconds`. Each worker
owns several hosts at once, since most of a polite crawl is waiting.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from cluster.dataflow import map_tasks
from cluster.errors import UserError
from pipelines.artifact import ArtifactFolder
from pipelines.crawl.addresses import Addresses
from pipelines.crawl.browser import Browser
from pipelines.crawl.chromium import chromium_path
from pipelines.crawl.fetch import Fetcher
from pipelines.crawl.owner import HostOwner, HostPlan, SliceReport
from pipelines.crawl.refresh import HISTORY, refresh_before
from pipelines.crawl.segments import PAGES_OF
from pipelines.crawl.settings import CrawlSettings
from pipelines.crawl.source import Source, load_sources
from pipelines.crawl.warc import FOLDER as WARC
from pipelines.crawl.watch import watching
from pipelines.forget.tombstones import NOTHING, Tombstones
from pipelines.recipe import Recipe
from pipelines.steps import Outcome, StepRun
from pipelines.tables import FAILURES, FRONTIER


def check(recipe: Recipe) -> None:
    """Raises UserError for what can be known to fail: no contact, no browser."""
    sources = load_sources(recipe.crawl.sources)
    if not recipe.crawl.contact and (away := [s.host for s in sources if _leaves(s, recipe)]):
        raise UserError(
            f"crawl.contact is empty, and {away[0]} is somebody else's site: say who crawls, with an address or a page "
            "of yours, for example --set crawl.contact=mailto:you@example.org"
        )
    if any(source.render != "http" for source in sources):
        chromium_path(recipe.crawl.chromium)


def crawl(run: StepRun) -> Outcome:
    """Fetch every source to its end, or to its limits."""
    sources = load_sources(run.recipe.crawl.sources)
    if not sources:
        return Outcome(notes=["no source is a site: there was nothing to crawl"])
    with (
        crawl_settings(run.recipe) as settings,
        watching(run.out, [source.host for source in sources], run.progress) as watch,
    ):
        folder = run.out.folder
        plans = {plan.host: plan for plan in plan_hosts(sources, refresh_before(folder), Tombstones.beside(folder))}
        while plans:
            wakes: list[float] = []
            groups = share_out(list(plans.values()), settings.workers)
            work = partial(crawl_slice, out=run.out, settings=settings)
            for reports in map_tasks(work, groups, concurrency=settings.workers):
                for report in reports:
                    if report.finished:
                        del plans[report.host]
                        watch.finished(report.host)
                    else:
                        wakes.append(report.wakes_at)
            if plans:
                time.sleep(max(0.0, min(wakes) - time.time()))
    kept = (FRONTIER.name, HISTORY, WARC)  # for a refresh and for archivists; no part of the content
    return Outcome(files=kept, volatile_files=kept, notes=_notes_on_empty(run.out, sources))


def plan_hosts(sources: list[Source], refresh_before: float = 0.0, forgotten: Tombstones = NOTHING) -> list[HostPlan]:
    """The sources of each host together, since a host has one owner."""
    by_host: dict[str, list[Source]] = {}
    for source in sources:
        by_host.setdefault(source.host, []).append(source)
    return [HostPlan(host, tuple(group), refresh_before, forgotten) for host, group in by_host.items()]


def share_out(plans: list[HostPlan], workers: int) -> list[list[HostPlan]]:
    """Hosts for each worker, those that need a browser spread evenly."""
    ordered = sorted(plans, key=lambda plan: not plan.needs_browser)
    return [group for i in range(workers) if (group := ordered[i::workers])]


def crawl_slice(plans: list[HostPlan], *, out: ArtifactFolder, settings: CrawlSettings) -> list[SliceReport]:
    """One slice of several hosts, each with its own owner, side by side in this process."""
    return asyncio.run(_crawl_slice(plans, out, settings))


async def _crawl_slice(plans: list[HostPlan], out: ArtifactFolder, settings: CrawlSettings) -> list[SliceReport]:
    async with Fetcher(settings) as fetcher, Browser(settings.chromium) as browser:
        owners = [HostOwner(out, plan, fetcher, browser) for plan in plans]
        return list(await asyncio.gather(*(owner.run(settings.slice_seconds) for owner in owners)))


@contextmanager
def crawl_settings(recipe: Recipe) -> Iterator[CrawlSettings]:
    """The recipe's crawl settings; with the demo web served and its names resolved, where the recipe says so."""
    if recipe.demo_web is None:
        yield recipe.crawl
        return
    from pipelines.demo.web import DemoWeb

    demo = recipe.demo_web
    with DemoWeb(demo.host, demo.port, demo.delay_ms / 1000) as web:
        yield recipe.crawl.model_copy(update={"resolve": {**recipe.crawl.resolve, **web.resolve}})


def _leaves(source: Source, recipe: Recipe) -> bool:
    name, _, port = source.host.partition(":")
    if name.endswith(".test"):  # reserved for tests (RFC 6761): no such site is on the internet
        return False
    return Addresses(recipe.crawl.allow_private, recipe.crawl.resolve).leaves_this_machine(name, int(port or 80))


def _notes_on_empty(out: ArtifactFolder, sources: list[Source]) -> list[str]:
    """A note for each source that gave nothing. When none gave anything, raises UserError and forgets the attempt."""
    records = out.sealed().values()
    stored = Counter[str]()
    for record in records:
        stored.update({name.removeprefix(PAGES_OF): int(n) for name, n in record.facts.items() if name.startswith(PAGES_OF)})
    empty = [source for source in sources if not stored[source.name]]
    if not empty:
        return []
    failures = [row for record in records for shard in record.shards if shard.table == FAILURES.name
                for row in out.read_shard(shard.path).to_pylist()]  # fmt: skip
    notes = [f"source {source.name}: no page could be fetched: {_first_reason(failures, source)}" for source in empty]
    if len(empty) < len(sources):
        return notes
    for path in out.folder.list():  # the next run starts anew instead of finding these failures again
        out.folder.delete(path)
    raise UserError(f"no page could be fetched: {_first_reason(failures, sources[0])}")


def _first_reason(failures: list[dict[str, str]], source: Source) -> str:
    for row in failures:
        if row["source"] == source.name:
            detail = f" ({row['detail']})" if row["detail"] else ""
            return f"{row['url']}: {row['reason']}{detail}"
    return "it links to nothing that may be followed"
