"""JavaScript pages: drawn in Chromium, which gets nothing but what our own client gives it."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from cluster.errors import UserError
from pipelines.crawl import chromium
from pipelines.crawl.browser import Browser
from pipelines.crawl.fetch import Fetcher, FetchError, Response
from pipelines.crawl.gate import Gate
from pipelines.crawl.permission import Permission
from pipelines.crawl.settings import CrawlSettings
from pipelines.crawl.source import load_source
from pipelines.demo.web import DemoWeb
from pipelines.tables import PAGES

from .conftest import Crawl

SHELL = """<!DOCTYPE html><html><body><div id="app"></div>
<img src="http://app.demo.test/pixel.png"><iframe src="http://app.demo.test/frame"></iframe>
<script>
const note = async (name, work) => { try { await work(); document.body.dataset[name] = "got" } catch { document.body.dataset[name] = "refused" } };
(async () => {
  await note("inside", () => fetch("http://127.0.0.1:PORT/robots.txt", {mode: "no-cors"}));
  await note("metadata", () => fetch("http://169.254.169.254/", {mode: "no-cors"}));
  await note("elsewhere", () => fetch("http://magazine.demo.test/", {mode: "no-cors"}));
  await note("post", () => fetch("/app.js", {method: "POST"}));
  await note("own", () => fetch("/app.js"));
  await note("socket", () => new Promise((good, bad) => { const s = new WebSocket("ws://127.0.0.1:PORT/"); s.onopen = good; s.onclose = bad }));
  document.body.dataset.ready = "1";
})();
</script></body></html>"""


def test_a_javascript_site_is_crawled_to_its_end(demo: DemoWeb, crawl_here: Crawl) -> None:
    artifact = crawl_here([load_source("demo-app")], CrawlSettings(sources=["x"], resolve=demo.resolve))
    bodies = {row["url"]: row["body"] for row in artifact.read(PAGES, ["url", "body"]).to_pylist()}
    expected = [row for row in demo.truth() if row.site == "app.demo.test"]
    assert expected
    for row in expected:
        assert row.answer.split()[0] in bodies[row.url]
    log = [request for request in demo.log if request.site == "app.demo.test"]
    assert log[0].path == "/robots.txt"
    assert {request.in_flight for request in log} == {1}
    assert [path for path, count in Counter(r.path for r in log).items() if count > 1 and path != "/app.js"] == []


def test_a_page_reaches_its_own_site_only(demo: DemoWeb) -> None:
    port = demo.resolve["magazine.demo.test"].rpartition(":")[2]
    document = Response("http://app.demo.test/", 200, {"content-type": "text/html"}, SHELL.replace("PORT", port).encode())
    source = load_source("demo-app").model_copy(update={"ready": "body[data-ready]", "more": ""})

    async def draw() -> str:
        gate = Gate(0)
        async with Fetcher(CrawlSettings(sources=["x"], resolve=demo.resolve)) as fetcher, Browser() as browser:
            return await browser.draw(document, source, fetcher, gate, Permission(fetcher, gate, "app.demo.test", {}))

    html = asyncio.run(draw())
    for name in ("inside", "metadata", "elsewhere", "post", "socket"):
        assert f'data-{name}="refused"' in html, name
    assert 'data-own="got"' in html
    assert {(request.site, request.path) for request in demo.log} == {
        ("app.demo.test", "/robots.txt"),
        ("app.demo.test", "/app.js"),
    }


def test_a_page_that_is_never_ready_ends_as_a_timeout(demo: DemoWeb) -> None:
    document = Response("http://app.demo.test/", 200, {"content-type": "text/html"}, b"<p>waiting</p>")
    source = load_source("demo-app")

    async def draw() -> None:
        gate = Gate(0)
        settings = CrawlSettings(sources=["x"], resolve=demo.resolve, timeout_seconds=0.5)
        async with Fetcher(settings) as fetcher, Browser() as browser:
            await browser.draw(document, source, fetcher, gate, Permission(fetcher, gate, "app.demo.test", {}))

    with pytest.raises(FetchError) as caught:
        asyncio.run(draw())
    assert (caught.value.reason, caught.value.passing) == ("timeout", True)


def test_without_chromium_the_user_learns_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chromium, "NAMES", ("no-such-browser",))
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", "/nonexistent")
    with pytest.raises(UserError, match=r"install chromium.*crawl\.chromium="):
        chromium.chromium_path("")
    with pytest.raises(UserError, match="there is no program"):
        chromium.chromium_path("/nonexistent/chrome")
