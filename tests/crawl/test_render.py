"""`render: auto`: which pages have their content without a browser."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.errors import UserError
from pipelines.crawl.render import ENOUGH_WORDS, FEW_WORDS, needs_browser
from pipelines.crawl.settings import CrawlSettings
from pipelines.crawl.source import Source, load_source
from pipelines.crawl.step import check, plan_hosts
from pipelines.demo.web import DemoWeb
from pipelines.recipe import load_recipe

from .conftest import Crawl

URL = "http://site.test/page/1"
SCRIPTS = (
    '<script>window.dataLayer = []; function f() { return "واژه ".repeat(500) }</script><script src="/app.js" defer></script>'
    * 20
)
NAV = "<nav><ul>" + "<li><a href='/x'>بخش سلامت مادر و کودک</a></li>" * 20 + "</ul></nav>"
ARTICLE = "<p>" + "درمان سرماخوردگی با استراحت و نوشیدن مایعات آغاز می‌شود. " * 30 + "</p>"
QUESTION = "<h1>سردرد صبحگاهی</h1><p>چند روز است که صبح‌ها سردرد دارم.</p><p>فشار خون خود را اندازه بگیرید و نتیجه را بنویسید.</p>"


def html(body: str, head: str = "") -> str:
    return f"<!DOCTYPE html><html lang='fa'><head><title>عنوان صفحه</title>{head}</head><body>{body}{SCRIPTS}</body></html>"


def source(**values: object) -> Source:
    least = {"name": "site", "kind": "mixed", "start": ["http://site.test/"], "render": "auto", "content": ["^/page/"]}
    return Source.model_validate(least | values)


HAVE_CONTENT = {
    "an article with many scripts": html(NAV + f"<article>{ARTICLE}</article>"),
    "a question of 20 words": html(NAV + QUESTION),
    "a question of 20 words in an app": html(f"<div id='app'>{QUESTION}</div>"),
    "a Next.js page drawn by its server": html(
        f"<div id='__next'><main>{ARTICLE}</main></div><script id='__NEXT_DATA__' type='application/json'>{{}}</script>"
    ),
    "an article beside an app that is not the page": html(f"<article>{ARTICLE}</article><div id='root'></div>"),
    "a list of links": html("<ul>" + "<li><a href='/page/2'>نشانه‌های کمبود آهن</a></li>" * 10 + "</ul>"),
    "nothing, and no scripts": "<html><body><p>به‌زودی</p></body></html>",
}
HAVE_NONE = {
    "a shell with a noscript text": html(
        "<noscript>" + "برای دیدن این صفحه جاوااسکریپت را روشن کنید. " * 15 + "</noscript><div id='app'></div>"
    ),
    "a shell that says that it loads": html("<div id='root'>در حال بارگذاری…</div>"),
    "a shell with a menu": html(NAV + "<app-root></app-root><footer>" + "همه حقوق محفوظ است. " * 40 + "</footer>"),
    "a shell with some text around its app": html("<div>" + "سامانه پاسخ پزشکان " * 8 + "</div><div id='app'></div>"),
    "a Next.js page with its content in its data": html(
        f"<div id='__next'></div><script id='__NEXT_DATA__' type='application/json'>{{\"text\": \"{ARTICLE}\"}}</script>"
    ),
    "a list that a script fills": html(NAV + "<h1>پرسش‌ها</h1><ul id='list'></ul><button id='more'>نمایش بیشتر</button>"),
    "content that is hidden": html(f"<div hidden>{ARTICLE}</div><template>{ARTICLE}</template>"),
    "no body at all": "<script src='/app.js'></script>",
}


@pytest.mark.parametrize("page", HAVE_CONTENT)
def test_a_page_with_its_content_needs_no_browser(page: str) -> None:
    assert not needs_browser(HAVE_CONTENT[page], URL, source())


@pytest.mark.parametrize("page", HAVE_NONE)
def test_a_page_without_its_content_needs_the_browser(page: str) -> None:
    assert needs_browser(HAVE_NONE[page], URL, source())


def test_the_thresholds_are_where_they_say() -> None:
    for words, needed in ((FEW_WORDS - 1, True), (FEW_WORDS, False)):
        assert needs_browser(html(f"<p>{'واژه ' * words}</p>"), URL, source()) is needed
        assert needs_browser(html(f"<div id='app'>{'واژه ' * words}</div>"), URL, source()) is needed
    for words, needed in ((ENOUGH_WORDS - 1, True), (ENOUGH_WORDS, False)):
        assert needs_browser(html(f"<div id='app'></div><p>{'واژه ' * words}</p>"), URL, source()) is needed


def test_ready_decides_where_the_source_names_it() -> None:
    ready = source(ready="div.answer")
    assert not needs_browser(html("<div class='answer'>بله</div>"), URL, ready)
    assert needs_browser(html(f"<div class='question'>{ARTICLE}</div>"), URL, ready)


def test_lists_that_grow_need_the_browser() -> None:
    ten_links = "<ul>" + "<li><a href='/page/2'>نشانه‌های کمبود آهن در بدن</a></li>" * 10 + "</ul>"
    button = source(more="#more")
    assert needs_browser(html(f"{ten_links}<button id='more'>بیشتر</button>"), "http://site.test/", button)
    assert not needs_browser(html(ten_links), "http://site.test/", button)
    assert needs_browser(html(ten_links), "http://site.test/", source(scroll=True))
    assert not needs_browser(html(ARTICLE), URL, source(scroll=True))


def test_a_trap_for_parsers_is_not_parsed() -> None:
    assert not needs_browser("<script></script>" + "<div>" * 50_000, URL, source())


def test_pages_that_need_no_browser_are_stored_without_one(demo: DemoWeb, crawl_here: Crawl) -> None:
    """Drawing a single one would fail, since there is no such browser."""
    settings = CrawlSettings(sources=["x"], resolve=demo.resolve, chromium="/nonexistent")
    forum = load_source("demo-forum")
    auto = crawl_here([forum.model_copy(update={"render": "auto"})], settings, "auto")
    assert auto.digest == crawl_here([forum], settings, "http").digest


def test_a_source_that_says_auto_wants_a_chromium(tmp_path: Path) -> None:
    assert plan_hosts([source()])[0].needs_browser
    path = tmp_path / "site.yaml"
    path.write_text("name: site\nkind: mixed\nstart: [http://site.test/]\nrender: auto\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"crawl\.chromium = '/nonexistent'"):
        check(load_recipe("demo", [f"crawl.sources=[{path}]", "crawl.chromium=/nonexistent"]))
