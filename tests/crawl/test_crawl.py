"""Crawls of the demo web, without Ray around them: what is found, how politely, and after what accidents."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import textwrap
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from cluster.storage import LocalStorage
from pipelines.artifact import Artifact, ArtifactFolder
from pipelines.crawl.browser import Browser
from pipelines.crawl.fetch import Fetcher
from pipelines.crawl.owner import HostOwner
from pipelines.crawl.settings import CrawlSettings
from pipelines.crawl.source import Source, load_source
from pipelines.crawl.step import plan_hosts
from pipelines.crawl.urls import canonical_url
from pipelines.demo.web import DemoWeb
from pipelines.tables import FAILURES, PAGES

from .conftest import Crawl


def settings(demo: DemoWeb, **changes: object) -> CrawlSettings:
    return CrawlSettings.model_validate({"sources": ["x"], "resolve": demo.resolve, "retries": 1} | changes)


def pages(artifact: Artifact) -> list[str]:
    rows = artifact.read(PAGES, ["final_url"])
    return [str(url) for url in rows["final_url"].to_pylist()]


def reasons(artifact: Artifact) -> dict[str, str]:
    return {row["url"]: row["reason"] for row in artifact.read(FAILURES).to_pylist()}


def test_everything_is_found_once_and_politely(demo: DemoWeb, demo_sources: list[Source], crawl_here: Crawl) -> None:
    artifact = crawl_here(demo_sources, settings(demo))
    found, failed = pages(artifact), reasons(artifact)
    sites = {source.host for source in demo_sources}
    for expected in (row for row in demo.truth() if row.site in sites):
        url = canonical_url(expected.url)
        assert url
        if expected.kind in ("article", "qa"):
            assert url in found, url
        elif expected.kind == "error":
            assert url in failed, url
        elif expected.kind == "never":
            assert failed.get(url) in ("robots", None), url
    assert max(Counter(found).values()) == 1
    assert not set(found) & set(failed)

    log = [request for request in demo.log if request.site in sites]
    assert {request.in_flight for request in log} == {1}
    assert not [r.path for r in log if r.path.startswith(("/admin", "/search")) or "replytocom" in r.path]
    for site in sites:
        assert next(r.path for r in log if r.site == site) == "/robots.txt"
    retried = {"/post/server-error/"} | {r.path for r in log if r.status == 500}
    assert [p for p, n in Counter((r.site, r.path) for r in log).items() if n > 1 and p[1] not in retried] == []


def test_the_delay_is_kept_between_any_two_requests(demo: DemoWeb, crawl_here: Crawl) -> None:
    source = load_source("demo-forum").model_copy(update={"delay": 0.05, "max_pages": 6})
    crawl_here([source], settings(demo, slice_seconds=0.2))  # several slices: the delay holds between them, too
    times = [request.time for request in demo.log]
    assert len(times) > 6
    assert min(b - a for a, b in pairwise(times)) >= 0.05


def test_slices_of_any_length_give_the_same_content(demo: DemoWeb, demo_sources: list[Source], crawl_here: Crawl) -> None:
    forum = [source for source in demo_sources if source.name == "demo-forum"]
    whole = crawl_here(forum, settings(demo), "whole")
    sliced = crawl_here(forum, settings(demo, slice_seconds=0.1), "sliced")
    assert whole.digest == sliced.digest
    assert len(sliced.shards(PAGES)) > len(whole.shards(PAGES))


def test_a_limit_of_pages_holds_and_the_rest_is_counted(demo: DemoWeb, crawl_here: Crawl) -> None:
    source = load_source("demo-forum").model_copy(update={"max_pages": 10})
    first = crawl_here([source], settings(demo), "a")
    assert sum(source.is_content(url) for url in pages(first)) == 10
    assert Counter(reasons(first).values())["max-pages"] > 0
    assert first.digest == crawl_here([source], settings(demo, slice_seconds=0.1), "b").digest


def test_a_list_goes_on_although_its_pages_were_linked_before(demo: DemoWeb, crawl_here: Crawl) -> None:
    source = load_source("demo-forum").model_copy(update={"follow": [r"^/q/page-2$"], "content": ["^/none"]})
    found = pages(crawl_here([source], settings(demo)))
    assert [url for url in found if "page-" in url] == [f"http://forum.demo.test/q/page-{n}" for n in (1, 2, 3)]


def test_a_site_that_is_down_is_counted(crawl_here: Crawl, unused_port: int) -> None:
    config = CrawlSettings(sources=["x"], resolve={"forum.demo.test": f"127.0.0.1:{unused_port}"}, retries=0)
    artifact = crawl_here([load_source("demo-forum")], config)
    assert set(reasons(artifact).values()) == {"robots-unavailable"}


@pytest.fixture
def unused_port() -> int:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
    return port


KILLED = """
    import sys
    from cluster.storage import LocalStorage
    from pipelines.artifact import ArtifactFolder
    from pipelines.crawl import segments
    from pipelines.crawl.settings import CrawlSettings
    from pipelines.crawl.source import load_source
    from pipelines.crawl.step import crawl_slice, plan_hosts

    segments.MAX_PAGES = 20
    folder, address = sys.argv[1:]
    settings = CrawlSettings(sources=["x"], resolve={"forum.demo.test": address})
    crawl_slice(plan_hosts([load_source("demo-forum")]), out=ArtifactFolder(LocalStorage(folder)), settings=settings)
"""


def test_a_killed_crawl_goes_on_and_ends_the_same(demo: DemoWeb, crawl_here: Crawl, tmp_path: Path) -> None:
    forum = [load_source("demo-forum")]
    whole = crawl_here(forum, settings(demo), "whole")
    requests_before = len(demo.log)

    folder = tmp_path / "killed"
    command = [sys.executable, "-c", textwrap.dedent(KILLED), str(folder), demo.resolve["forum.demo.test"]]
    process = subprocess.Popen(command)
    while not list(folder.glob(".units/*-000002.json")):
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()

    resumed = crawl_here(forum, settings(demo), "killed")
    assert resumed.digest == whole.digest
    assert max(Counter(pages(resumed)).values()) == 1
    fetched = Counter(request.path for request in demo.log[requests_before:])
    assert (
        sum(count - 1 for count in fetched.values()) <= 40
    )  # what one unsealed segment of 20 pages held, and the next on its way


@pytest.mark.parametrize("has_just_renewed", [False, True])
def test_a_late_seal_of_an_owner_that_was_replaced_is_refused(demo: DemoWeb, tmp_path: Path, has_just_renewed: bool) -> None:
    """The first owner is paused with unsealed pages; another takes the host over; then the first goes on.

    `has_just_renewed`: it was paused between its last look at the lease and the seal.
    """
    out = ArtifactFolder(LocalStorage(str(tmp_path)))
    plan = plan_hosts([load_source("demo-forum").model_copy(update={"max_pages": 5})])[0]

    async def scenario() -> tuple[bool, bool]:
        async with Fetcher(settings(demo)) as fetcher, Browser() as browser:
            paused = HostOwner(out, plan, fetcher, browser)
            reached, go_on = asyncio.Event(), asyncio.Event()
            seal = paused._seal

            async def seal_late() -> None:
                reached.set()
                await go_on.wait()
                await seal()

            paused._seal = seal_late  # type: ignore[method-assign]
            late = asyncio.create_task(paused.run(60))
            await reached.wait()
            if has_just_renewed:
                paused.lease.renew = lambda: None  # type: ignore[method-assign]
            paused.lease.release()  # as if it had not renewed for long
            second = await HostOwner(out, plan, fetcher, browser).run(60)
            requests = len(demo.log)
            go_on.set()
            first = await late
            assert len(demo.log) == requests
            return first.finished, second.finished

    assert asyncio.run(scenario()) == (False, True)
    artifact = out.finish(step="crawl", version=1, settings={}, inputs={}, tables=(PAGES, FAILURES), started=0.0)
    assert max(Counter(pages(artifact)).values()) == 1
