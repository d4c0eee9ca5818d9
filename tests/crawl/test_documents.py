"""Bodies, sitemaps, links and nesting: what is read from bytes alone."""

from __future__ import annotations

import asyncio
import gzip
import time
import zlib

import pytest
from aiohttp import web
from multidict import CIMultiDict

from pipelines.crawl.body import TooLarge, Unpacker, gunzip
from pipelines.crawl.fetch import Fetcher, Response
from pipelines.crawl.gate import Gate
from pipelines.crawl.links import read_links
from pipelines.crawl.nesting import is_too_nested
from pipelines.crawl.settings import CrawlSettings
from pipelines.crawl.sitemap import read_sitemap


def unpack(packed: bytes, encoding: str, limit: int = 1 << 20, piece: int = 7) -> bytes:
    unpacker = Unpacker(encoding, limit)
    for at in range(0, len(packed), piece):
        unpacker.add(packed[at : at + piece])
    return unpacker.body()


def test_bodies_are_unpacked_in_pieces() -> None:
    text = "سلام ".encode() * 500
    assert unpack(text, "") == text
    assert unpack(gzip.compress(text), "gzip") == text
    assert unpack(zlib.compress(text), "deflate") == text
    assert unpack(gzip.compress(text) + gzip.compress(text), "gzip") == text * 2


def test_a_bomb_ends_at_the_limit_and_a_cut_body_is_an_error() -> None:
    bomb = gzip.compress(bytes(64 << 20), 9)
    with pytest.raises(TooLarge):
        unpack(bomb, "gzip", limit=1 << 20, piece=1 << 16)
    with pytest.raises(zlib.error):
        unpack(gzip.compress(b"x" * 1000)[:-9], "gzip")
    with pytest.raises(ValueError, match="damaged"):
        gunzip(b"\x1f\x8b broken", 100)


URLSET = '<?xml version="1.0"?><urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"><url><loc> http://e.ir/1 </loc></url></urlset>'


def test_sitemaps_of_every_kind_are_read() -> None:
    assert read_sitemap(URLSET.encode()).pages == ("http://e.ir/1",)
    assert read_sitemap(gzip.compress(URLSET.encode())).pages == ("http://e.ir/1",)
    index = "<sitemapindex><sitemap><loc>http://e.ir/s.xml</loc></sitemap></sitemapindex>"
    assert read_sitemap(index.encode()).sitemaps == ("http://e.ir/s.xml",)
    assert read_sitemap(b"http://e.ir/1\nhttp://e.ir/2\n").pages == ("http://e.ir/1", "http://e.ir/2")


def test_entities_of_a_sitemap_are_not_followed() -> None:
    evil = '<!DOCTYPE u [<!ENTITY x SYSTEM "file:///etc/passwd">]><urlset><url><loc>http://e.ir/&x;</loc></url></urlset>'
    assert all("root:" not in page for page in read_sitemap(evil.encode()).pages)


def test_a_page_that_is_no_sitemap_is_an_error() -> None:
    with pytest.raises(ValueError, match="neither"):
        read_sitemap(b"<html><body>404</body></html>")


PAGE = """<html><head><base href="/blog/"><link rel="canonical" href="/blog/1"></head>
<body><a href="2?utm_source=x">a</a><a href="2">b</a><article><a href="http://e.ir/3">c</a></article><a href="mailto:x@y">d</a></body>"""


def test_links_are_absolute_canonical_and_once() -> None:
    said = read_links(PAGE, "http://e.ir/x", {})
    assert said.links == ("http://e.ir/blog/2", "http://e.ir/3")
    assert said.canonical == "http://e.ir/blog/1"
    assert read_links(PAGE, "http://e.ir/x", {}, ["article > a"]).links == ("http://e.ir/3",)


BODY = '<a href="/a">a</a>'


def test_robots_directives_come_from_page_and_header() -> None:
    page = '<meta name="ROBOTS" content="NoIndex, NoFollow">' + BODY
    said = read_links(page, "http://e.ir/", {})
    assert (said.noindex, said.nofollow, said.links) == (True, True, ())
    none = read_links(BODY, "http://e.ir/", {"x-robots-tag": "none"})
    assert (none.noindex, none.nofollow, none.links) == (True, True, ())
    plain = read_links('<meta name="robots" content="index, follow, max-image-preview:large">' + BODY, "http://e.ir/", {})
    assert (plain.noindex, plain.nofollow, plain.links) == (False, False, ("http://e.ir/a",))
    assert not read_links('<!-- <meta name="robots" content="noindex"> -->' + BODY, "http://e.ir/", {}).noindex


@pytest.mark.parametrize(
    ("tag", "noindex", "nofollow"),
    [
        ("noindex", True, False),
        ("NOINDEX , nofollow", True, True),
        ("googlebot: noindex", False, False),
        ("googlebot: noindex, nofollow", False, False),
        ("gaokerena: noindex", True, False),
        ("Gaokerena: nofollow, noindex", True, True),
        ("*: noindex", True, False),
        ("googlebot: nofollow, gaokerena: noindex", True, False),
        ("googlebot: noindex\nnofollow", False, True),  # two fields: the name is the first one's
        ("max-snippet: 20, noindex", True, False),
        ("unavailable_after: 25 Jun 2010 15:00:00 PST, nofollow", False, True),
        ("noindexed", False, False),
        ("", False, False),
    ],
)
def test_a_robots_tag_may_name_whom_it_is_for(tag: str, noindex: bool, nofollow: bool) -> None:
    said = read_links(BODY, "http://e.ir/", {"x-robots-tag": tag}, (), "gaokerena/0.1")
    assert (said.noindex, said.nofollow) == (noindex, nofollow)


@pytest.mark.parametrize(("name", "noindex"), [("robots", True), ("googlebot", False), ("Gaokerena", True), ("", False)])
def test_a_robots_meta_element_may_name_whom_it_is_for(name: str, noindex: bool) -> None:
    page = f'<meta name="{name}" content="noindex">{BODY}'
    assert read_links(page, "http://e.ir/", {}, (), "gaokerena").noindex == noindex


@pytest.mark.parametrize(
    ("head", "link", "canonical"),
    [
        ('<link rel="canonical" href="http://other.ir/1">', "", ""),
        ('<link rel="Canonical nofollow" href="/2?utm_source=x#top">', "", "http://e.ir/2"),
        ('<link rel="canonical" href="http://www.e.ir/2">', "", "http://www.e.ir/2"),
        ('<link rel="canonical" href="/2"><link rel="canonical" href="http://e.ir/2">', "", "http://e.ir/2"),
        ('<link rel="canonical" href="/2"><link rel="canonical" href="/3">', "", ""),  # which?
        ('<link rel="canonical">', "", ""),
        ('<link rel="canonical" href="">', "", ""),
        ("", '<http://e.ir/2>; rel="canonical"', "http://e.ir/2"),
        ("", "</style.css>; rel=preload, </2>; rel=canonical", "http://e.ir/2"),
        ("", '<http://e.ir/2>; rel="next"', ""),
        ('<link rel="canonical" href="/3">', '<http://e.ir/2>; rel="canonical"', ""),
    ],
)
def test_a_page_names_its_own_address(head: str, link: str, canonical: str) -> None:
    assert read_links(f"<head>{head}</head>{BODY}", "http://e.ir/1", {"link": link}).canonical == canonical


def test_each_robots_tag_of_an_answer_counts() -> None:
    async def talk() -> Response:
        async def handle(_request: web.Request) -> web.StreamResponse:
            headers = CIMultiDict([("X-Robots-Tag", "googlebot: noindex"), ("X-Robots-Tag", "nofollow")])
            return web.Response(text=BODY, content_type="text/html", headers=headers)

        async def anywhere(_url: str) -> None:
            return None

        app = web.Application()
        app.router.add_get("/", handle)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        settings = CrawlSettings(sources=["x"], resolve={"e.test": f"127.0.0.1:{runner.addresses[0][1]}"})
        try:
            async with Fetcher(settings) as fetcher:
                return await fetcher.get("http://e.test/", Gate(0), anywhere)
        finally:
            await runner.cleanup()

    response = asyncio.run(talk())
    said = read_links(response.body.decode(), response.url, response.headers)
    assert (said.noindex, said.nofollow) == (False, True)


MANY = 50_000


@pytest.mark.parametrize(
    "html",
    [
        "<div>" * MANY,
        "<div></x>" * MANY,  # an end tag that ends nothing
        '<div class="a"><table><tr><td></div>' * MANY,  # nor one outside of its table
        "<div><marquee></div>" * MANY,
        "<b><div></b>" * MANY,  # formatting ends, the block stays
        "<svg>" + "<td>" * MANY,
        "<p>" + "".join(f"<b id={n}>" for n in range(1_000)) + "<p>x" * MANY,  # each paragraph repeats a thousand
        "<p " + " ".join(f"a{n}=1" for n in range(MANY)) + ">",
        "<p a='>' " + " ".join(f"a{n}" for n in range(MANY)),
    ],
    ids=range(9),
)
def test_what_takes_a_parser_minutes_is_seen_before(html: str) -> None:
    started = time.process_time()
    assert is_too_nested(html)
    assert time.process_time() - started < 2


@pytest.mark.parametrize(
    "html",
    [
        "<p>x" * MANY,
        "<ul>" + "<li>x" * MANY + "</ul>",
        "<div><b>x</b></div>" * MANY,
        "<div><span><i>x</div>" * 100,
        "<table>" + "<tr><td><div>x</div>" * MANY + "</table>",
        ("<svg>" + '<path d="m0 0"/>' * 100 + "</svg>") * 100,
        "<script>x = '<div>'</script>" * MANY,
        "<p title='a > b'>x < y</p>" * MANY,
        "سلام " * 800_000,
    ],
    ids=range(9),
)
def test_long_pages_are_no_trouble(html: str) -> None:
    assert not is_too_nested(html)


def test_links_of_a_long_list_of_options_take_no_time() -> None:
    started = time.process_time()
    read_links("<select>" + "<option>x" * MANY + "</select><a href=/a>a</a>", "http://e.ir/", {})
    assert time.process_time() - started < 2
