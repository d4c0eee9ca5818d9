"""Chromium, its driver or a page's process is killed: no page is lost, and the site is asked for nothing twice."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import psutil
import pytest
from playwright.async_api import Request

from pipelines.crawl.browser import TRIES, Browser
from pipelines.crawl.fetch import FetchError, Response
from pipelines.crawl.settings import CrawlSettings
from pipelines.crawl.source import load_source
from pipelines.crawl.supply import Supply
from pipelines.demo.web import DemoWeb
from pipelines.tables import PAGES

from .app_site import AppSite
from .conftest import Crawl
from .family import processes

PAGE = """<!DOCTYPE html><html><body><script src="/own.js"></script><script>
Promise.all(["/early.json", "/late.json"].map(url => fetch(url).then(answer => answer.text())))
  .then(texts => { document.body.append(...texts); document.body.dataset.ready = "1" });
</script></body></html>"""
SITE = {"/": PAGE, "/own.js": "", "/early.json": "first", "/late.json": " second", "/other": "<p>other</p>"}
VICTIMS = ["chromium", "driver", "renderer"]


@pytest.fixture(autouse=True)
def _own_temporary_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A driver that is killed leaves Chromium's profile there."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))


async def kill(kind: str) -> None:
    """SIGKILL, and until they are gone."""
    victims = processes(kind)
    assert victims
    for victim in victims:
        victim.kill()
    _, alive = await asyncio.to_thread(psutil.wait_procs, victims, 30)
    assert alive == []


@pytest.mark.parametrize("victim", VICTIMS)
def test_a_crash_in_the_middle_of_a_page_costs_nothing(victim: str) -> None:
    async def draw() -> None:
        async with AppSite(SITE) as site, Browser() as browser:
            release = site.hold("/late.json")
            drawing = asyncio.create_task(site.draw(browser))
            await site.asked("/late.json")
            await kill(victim)
            release.set()
            assert "first second" in await drawing
            assert Counter(site.requests).most_common(1)[0][1] == 1
            assert "other" in await site.draw(browser, "/other")

    asyncio.run(draw())


@pytest.mark.parametrize("victim", VICTIMS)
def test_a_crash_between_two_pages_goes_unnoticed(victim: str) -> None:
    async def draw() -> None:
        async with AppSite(SITE) as site, Browser() as browser:
            assert "other" in await site.draw(browser, "/other")
            await kill(victim)
            assert "first second" in await site.draw(browser, ready="[data-ready]")

    asyncio.run(draw())


def test_a_page_that_always_crashes_ends_and_the_next_one_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    get, deaths = Supply.get, 0

    async def get_or_die(self: Supply, request: Request) -> Response:
        nonlocal deaths
        if request.url.endswith("/late.json"):
            deaths += 1
            await kill("renderer")
        return await get(self, request)

    async def draw() -> None:
        async with AppSite(SITE) as site, Browser() as browser:
            with pytest.raises(FetchError) as caught:
                await site.draw(browser, ready="[data-ready]")
            assert (caught.value.reason, caught.value.passing) == ("browser", True)
            assert "other" in await site.draw(browser, "/other")

    monkeypatch.setattr(Supply, "get", get_or_die)
    asyncio.run(draw())
    assert deaths == TRIES


@pytest.mark.slow
def test_a_crawl_with_crashes_ends_as_one_without(demo: DemoWeb, crawl_here: Crawl, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = CrawlSettings(sources=["x"], resolve=demo.resolve)
    quiet = crawl_here([load_source("demo-app")], settings, "quiet")
    asked_before, requests = len(demo.log), 0
    get = Supply.get

    async def get_or_die(self: Supply, request: Request) -> Response:
        nonlocal requests
        requests += 1
        if requests in (2, 11, 23):
            await kill(VICTIMS[requests % 3])
        return await get(self, request)

    monkeypatch.setattr(Supply, "get", get_or_die)
    shaken = crawl_here([load_source("demo-app")], settings, "shaken")
    assert requests > 23
    assert shaken.digest == quiet.digest
    assert shaken.rows(PAGES) == quiet.rows(PAGES)
    paths = Counter(request.path for request in demo.log[asked_before:])
    assert [path for path, count in paths.items() if count > 1] == []
