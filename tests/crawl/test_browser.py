"""JavaScript pages: drawn in Chromium, which gets nothing but what our own client gives it, within limits."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from cluster.errors import UserError
from pipelines.crawl import chromium, tab
from pipelines.crawl.browser import Browser
from pipelines.crawl.fetch import FetchError
from pipelines.crawl.settings import CrawlSettings
from pipelines.crawl.source import Source, load_source
from pipelines.crawl.supply import Supply
from pipelines.crawl.tab import Tab
from pipelines.demo.web import DemoWeb
from pipelines.tables import PAGES

from .app_site import AppSite, drawn
from .conftest import Crawl
from .family import processes


def page(script: str, body: str = "<p>kept</p>") -> str:
    return f"<!DOCTYPE html><html><body>{body}<script>{script}</script></body></html>"


def noting(**works: str) -> str:
    """A page that tries several things and notes what came of each on its body; then it is ready."""
    notes = "".join(f'await note("{name}", async () => {{ {work} }});' for name, work in works.items())
    return page(
        "const note = async (name, work) => { const to = document.body.dataset;"
        "  try { const said = await work(); to[name] = said === undefined ? 'got' : said } catch { to[name] = 'refused' } };"
        f"(async () => {{ {notes} document.body.dataset.ready = '1' }})();"
    )


@pytest.mark.parametrize("render", ["browser", "auto"])
def test_a_javascript_site_is_crawled_to_its_end(render: str, demo: DemoWeb, crawl_here: Crawl) -> None:
    source = load_source("demo-app").model_copy(update={"render": render})
    artifact = crawl_here([source], CrawlSettings(sources=["x"], resolve=demo.resolve))
    bodies = {row["url"]: row["body"] for row in artifact.read(PAGES, ["url", "body"]).to_pylist()}
    expected = [row for row in demo.truth() if row.site == "app.demo.test"]
    assert expected
    for row in expected:
        assert row.answer.split()[0] in bodies[row.url]
    log = [request for request in demo.log if request.site == "app.demo.test"]
    assert log[0].path == "/robots.txt"
    assert {request.in_flight for request in log} == {1}
    assert [path for path, count in Counter(r.path for r in log).items() if count > 1] == []


def test_a_page_reaches_its_own_site_only() -> None:
    other = "http://127.0.0.1:OTHER/other.json"
    works = {
        "inside": f"await fetch('{other}', {{mode: 'no-cors'}})",
        "metadata": "await fetch('http://169.254.169.254/', {mode: 'no-cors'})",
        "elsewhere": "await fetch('http://example.org/', {mode: 'no-cors'})",
        "post": "await fetch('/own.json', {method: 'POST'})",
        "own": "await fetch('/own.json')",
        "socket": "await new Promise((good, bad) => { const s = new WebSocket('ws://' + location.host + '/socket');"
        " s.onopen = good; s.onclose = bad })",
        "events": "await new Promise((good, bad) => { const s = new EventSource('/events'); s.onopen = good; s.onerror = bad })",
        "shared": "new SharedWorker('/shared.js')",
        "beacon": "navigator.sendBeacon('/beacon', 'x'); fetch('/kept', {keepalive: true, method: 'POST'})",
        "service": "await navigator.serviceWorker.register('/service.js');"
        " return String((await navigator.serviceWorker.getRegistrations()).length)",
    }

    async def draw() -> tuple[str, AppSite, AppSite]:
        async with AppSite({"/other.json": "{}"}) as neighbour, AppSite({"/own.json": "{}", "/shared.js": ""}) as site:
            site.pages["/"] = noting(**works).replace("127.0.0.1:OTHER", neighbour.host)
            site.pages["/"] += '<img src="/pixel.png"><iframe src="/frame"></iframe><link rel="stylesheet" href="/style.css">'
            async with Browser() as browser:
                html = await site.draw(browser, ready="body[data-ready]")
            return html, site, neighbour

    html, site, neighbour = asyncio.run(draw())
    for name in ("inside", "metadata", "elsewhere", "post", "socket", "events"):
        assert f'data-{name}="refused"' in html, name
    assert 'data-own="got"' in html
    assert 'data-service="0"' in html
    assert neighbour.requests == []
    assert site.strangers == []
    assert set(site.requests) <= {"/robots.txt", "/", "/own.json", "/shared.js"}


WAYS_OUT = {
    "location": "location = 'http://example.org/'",
    "of-the-site": "location = '/elsewhere'",
    "later": "setTimeout(() => location.replace('/elsewhere'), 100)",
    "reload": "location.reload()",
    "pushed": "history.pushState({}, '', '/pushed'); location.reload()",
    "form": "document.body.insertAdjacentHTML('beforeend', '<form action=/sent></form>'); document.forms[0].submit()",
    "blank": "location = 'about:blank'",
    "blob": "location = URL.createObjectURL(new Blob(['<p>other</p>'], {type: 'text/html'}))",
    "window": "window.open('/window')",
    "window-of-a-frame": "document.body.appendChild(document.createElement('iframe')).contentWindow.open('/window')",
    "closing": "window.close()",
    "saving": "Object.assign(document.createElement('a'), {href: URL.createObjectURL(new Blob(['x'])), download: 'x'}).click()",
    "dialogs": "document.body.dataset.said = [alert('a'), confirm('b'), prompt('c')]; print();"
    " addEventListener('beforeunload', event => event.preventDefault())",
}


def test_a_page_cannot_leave_its_document() -> None:
    pages = {f"/{name}": page(script) for name, script in WAYS_OUT.items()}
    pages["/refresh"] = '<html><head><meta http-equiv="refresh" content="0;url=/elsewhere"></head><body><p>kept</p></body></html>'

    async def draw() -> tuple[dict[str, str], AppSite]:
        async with AppSite(pages) as site, Browser() as browser:
            return dict(zip(pages, await asyncio.gather(*(site.draw(browser, path) for path in pages)), strict=True)), site

    htmls, site = asyncio.run(draw())
    assert [path for path, html in htmls.items() if "<p>kept</p>" not in html] == []
    assert 'data-said=",false,"' in htmls["/dialogs"]
    assert sorted(site.requests) == sorted(["/robots.txt", *pages])
    assert site.strangers == []


def test_popups_are_closed_and_downloads_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    script = """for (const properties of [{href: "about:blank", target: "_blank"}, {href: "/file", download: "file"}])
      document.body.appendChild(Object.assign(document.createElement("a"), properties)).click();"""
    draw = Tab.draw

    async def draw_watched(self: Tab, supply: Supply, source: Source) -> str:
        events = self.context.wait_for_event("page", timeout=30_000), self.page.wait_for_event("download", timeout=30_000)
        html, popup, download = await asyncio.gather(draw(self, supply, source), *events)
        assert await download.failure()
        if not popup.is_closed():
            await popup.wait_for_event("close", timeout=30_000)
        return html

    monkeypatch.setattr(Tab, "draw", draw_watched)
    assert "kept" in drawn(AppSite({"/": page(script)}))


def tabs_used(monkeypatch: pytest.MonkeyPatch) -> list[Tab]:
    """The tabs that pages are drawn in from now on."""
    tabs: list[Tab] = []
    draw = Tab.draw

    async def draw_noted(self: Tab, supply: Supply, source: Source) -> str:
        tabs.append(self)
        return await draw(self, supply, source)

    monkeypatch.setattr(Tab, "draw", draw_noted)
    return tabs


@pytest.mark.parametrize(
    ("script", "ready"),
    [("", "#never"), ("while (true) {}", ""), ("setTimeout(() => { while (true) {} })", "")],
    ids=["never ready", "hangs while it loads", "hangs later"],
)
def test_a_page_that_is_never_done_ends_and_the_next_one_is_drawn(script: str, ready: str) -> None:
    async def draw() -> FetchError:
        pages = {"/": page(script), "/next": page("document.body.dataset.done = 'yes'")}
        async with AppSite(pages, timeout_seconds=1) as site, Browser() as browser:
            with pytest.raises(FetchError) as caught:
                await site.draw(browser, ready=ready)
            assert 'data-done="yes"' in await site.draw(browser, "/next?a&b=ب")
            return caught.value

    error = asyncio.run(draw())
    assert (error.reason, error.passing) == ("browser-timeout", True)


def test_a_page_that_hangs_after_it_was_drawn_does_not_harm_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """It hangs as soon as its HTML was read, which asks for its doctype."""
    hang = "Object.defineProperty(document, 'doctype', {get() { setTimeout(() => { while (true) {} }) }})"
    tabs = tabs_used(monkeypatch)
    monkeypatch.setattr(tab, "ANSWER_SECONDS", 0.5)

    async def draw() -> None:
        async with AppSite({"/": page(hang), "/next": page("")}) as site, Browser() as browser:
            assert "kept" in await site.draw(browser)
            assert "kept" in await site.draw(browser, "/next")
        assert len(set(tabs)) == 2

    asyncio.run(draw())


def test_nothing_of_a_page_runs_on_while_its_tab_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chromium, "REST_AFTER", 0)
    tabs = tabs_used(monkeypatch)

    async def draw() -> None:
        async with AppSite({"/": page("setInterval(() => fetch('/poll'), 10)")}) as site, Browser() as browser:
            await site.draw(browser)
            await tabs[0].page.wait_for_url("about:blank")
            assert "kept" in await site.draw(browser)

    asyncio.run(draw())


def test_the_hosts_turn_does_not_count_against_a_page() -> None:
    """Six requests, 0.3 s apart, take longer than the 1 s that a page may take by itself."""
    parts = [f"/{n}.json" for n in range(6)]
    load = f"Promise.all({parts}.map(part => fetch(part))).then(() => document.body.dataset.parts = 'all')"
    site = AppSite({"/": page(load)} | dict.fromkeys(parts, "{}"), delay=0.3, timeout_seconds=1)
    assert 'data-parts="all"' in drawn(site)


@pytest.mark.parametrize(
    "grow",
    ["document.body.innerHTML = '<i></i>'.repeat(250_000)", "document.body.append('x'.repeat(3_000_000))"],
    ids=["elements", "characters"],
)
def test_a_page_that_grows_too_large_is_refused(grow: str) -> None:
    with pytest.raises(FetchError) as caught:
        drawn(AppSite({"/": page(grow)}, max_body_bytes=2_000_000))
    assert (caught.value.reason, caught.value.passing) == ("too-large", False)


def test_half_a_character_does_no_harm() -> None:
    html = drawn(AppSite({"/": page("document.body.append('a\\ud83d' + 'b')")}))
    assert "a?b" in html
    html.encode()


def test_a_script_gets_its_data_although_the_site_stumbles() -> None:
    load = "fetch('/data.json').then(answer => answer.text()).then(text => document.body.append(text))"
    site = AppSite({"/": page(load), "/data.json": "the data"})
    site.statuses["/data.json"] = [503]
    assert "the data</body>" in drawn(site)
    assert Counter(site.requests)["/data.json"] == 2


def test_a_page_without_its_data_is_no_page_unless_it_is_ready() -> None:
    load = "fetch('/data.json').finally(() => document.body.dataset.ready = '1')"

    def broken_site() -> AppSite:
        site = AppSite({"/": page(load)})
        site.statuses["/data.json"] = [500] * 3
        return site

    with pytest.raises(FetchError) as caught:
        drawn(broken_site())
    assert (caught.value.reason, caught.value.passing) == ("http-500", True)
    assert "data-ready" in drawn(broken_site(), ready="body[data-ready]")


def test_a_script_says_what_it_wants_and_our_client_who_it_is() -> None:
    load = "document.cookie = 'a=1'; fetch('/data.json', {headers: {'X-Token': 'abc', 'User-Agent': 'somebody'}})"
    site = AppSite({"/": page(load), "/data.json": "{}"})
    drawn(site)
    headers = site.headers["/data.json"]
    assert (headers["X-Token"], headers.getall("Accept")) == ("abc", ["*/*"])
    assert headers["User-Agent"].startswith("ours/")
    assert "Cookie" not in headers


def test_a_page_that_polls_is_drawn_when_it_asks_for_nothing_new() -> None:
    poll = "const poll = () => fetch('/poll.json').then(() => setTimeout(poll, 20)); poll()"
    site = AppSite({"/": page(poll), "/poll.json": "{}"})
    assert "kept" in drawn(site)
    assert 1 < Counter(site.requests)["/poll.json"] < 100


def test_a_page_may_not_ask_for_more_and_more() -> None:
    flood = "for (let n = 0; n < 150; n++) fetch(`/data.json?n=${n}`)"
    site = AppSite({"/": page(flood), "/data.json": "{}"})
    drawn(site)
    assert sum("data.json" in path for path in site.requests) == 100


@pytest.mark.slow
def test_contexts_and_chromium_are_replaced_without_disturbing_who_is_at_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chromium, "PAGES_PER_CONTEXT", 2)
    monkeypatch.setattr(chromium, "PAGES_PER_CHROMIUM", 4)
    count = "localStorage.count = 1 + Number(localStorage.count ?? 0); document.body.dataset.nth = localStorage.count"
    slow = "fetch('/slow.json').then(() => document.body.dataset.done = 'yes')"

    async def draw() -> None:
        async with AppSite({"/": page(count), "/slow": page(slow), "/slow.json": "{}"}) as site, Browser() as browser:
            release = site.hold("/slow.json")
            at_work = asyncio.create_task(site.draw(browser, "/slow", ready="[data-done]"))
            await site.asked("/slow.json")
            (first,) = processes("chromium")
            nths = [(await site.draw(browser)).partition('data-nth="')[2][0] for _ in range(9)]
            assert nths == ["1", "2", "1", "1", "2", "1", "2", "1", "2"]  # 3 pages of the first, 4 of the second, 2 of the third
            assert first in processes("chromium")
            assert len(processes("chromium")) <= 3
            release.set()
            assert 'data-done="yes"' in await at_work
            await asyncio.to_thread(first.wait, 30)
        assert processes("chromium") == []

    asyncio.run(draw())


def test_without_chromium_the_user_learns_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chromium, "NAMES", ("no-such-browser",))
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", "/nonexistent")
    with pytest.raises(UserError, match=r"install chromium.*crawl\.chromium="):
        chromium.chromium_path("")
    with pytest.raises(UserError, match="there is no program"):
        chromium.chromium_path("/nonexistent/chrome")


def test_a_chromium_that_does_not_start_is_a_mistake_to_mend() -> None:
    async def draw() -> None:
        async with AppSite({"/": page("")}) as site, Browser("/bin/false") as browser:
            await site.draw(browser)

    with pytest.raises(UserError, match=r"/bin/false does not start.*crawl\.chromium="):
        asyncio.run(draw())
