"""Bodies, sitemaps, links and nesting: what is read from bytes alone."""

from __future__ import annotations

import gzip
import zlib

import pytest

from pipelines.crawl.body import TooLarge, Unpacker, gunzip
from pipelines.crawl.links import read_links
from pipelines.crawl.nesting import is_too_nested
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


def test_robots_directives_come_from_page_and_header() -> None:
    page = '<meta name="ROBOTS" content="NoIndex, NoFollow"><a href="/a">a</a>'
    said = read_links(page, "http://e.ir/", {})
    assert said.noindex
    assert said.links == ()
    assert read_links("<a href=/a>a</a>", "http://e.ir/", {"x-robots-tag": "googlebot: noindex"}).noindex
    assert not read_links("<a href=/a>a</a>", "http://e.ir/", {}).noindex


def test_a_canonical_link_to_another_site_does_not_count() -> None:
    assert read_links('<link rel="canonical" href="http://other.ir/1">', "http://e.ir/1", {}).canonical == ""


def test_endless_nesting_is_seen_before_parsing() -> None:
    assert is_too_nested("<div>" * 50_000)
    assert not is_too_nested("<p>" * 50_000)
    assert not is_too_nested("<div><b>x</b></div>" * 50_000)
