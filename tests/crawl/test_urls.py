"""One spelling for every address."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.crawl import urls
from pipelines.crawl.urls import absolute_url, canonical_url, path_of, same_site


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("HTTP://Example.IR:80/A/../b#part", "http://example.ir/b"),
        ("https://example.ir:443", "https://example.ir/"),
        ("https://example.ir:8443/a", "https://example.ir:8443/a"),
        ("http://example.ir/ok/1?utm_source=x&utm_medium=y", "http://example.ir/ok/1"),
        ("http://example.ir/?b=2&a=1&fbclid=z", "http://example.ir/?a=1&b=2"),
        ("http://example.ir/بخش-زنان?page=2", "http://example.ir/%D8%A8%D8%AE%D8%B4-%D8%B2%D9%86%D8%A7%D9%86?page=2"),
        ("http://example.ir/a/./b/../c/", "http://example.ir/a/c/"),
        ("http://example.ir/%2e%2e/a", "http://example.ir/a"),
        ("http://example.ir./a", "http://example.ir/a"),
    ],
)
def test_an_address_has_one_spelling(written: str, canonical: str) -> None:
    assert canonical_url(written) == canonical
    assert canonical_url(canonical) == canonical


@pytest.mark.parametrize(
    "written",
    [
        "file:///etc/passwd",
        "javascript:alert(1)",
        "mailto:a@b.ir",
        "ftp://x/",
        "http://",
        "http://user:secret@x.ir/",
        "http://[::1",
        "x",
    ],
)
def test_what_cannot_be_fetched_has_no_address(written: str) -> None:
    assert canonical_url(written) is None


@given(
    st.sampled_from(["http", "https"]),
    st.sampled_from(["example.ir", "www.drhast.com", "127.0.1.1", "a-b.c"]),
    st.sampled_from(["", ":8800", ":80", ":443"]),
    st.lists(st.text(string.ascii_letters + string.digits + "._~-", max_size=6), max_size=4),
)
def test_the_short_way_agrees_with_the_long_way(scheme: str, host: str, port: str, segments: list[str]) -> None:
    url = f"{scheme}://{host}{port}/{'/'.join(segments)}"
    short = canonical_url.__wrapped__(url)
    plain, urls.PLAIN = urls.PLAIN, urls.re.compile("never")
    try:
        assert short == canonical_url.__wrapped__(url)
    finally:
        urls.PLAIN = plain


@given(st.text(max_size=40))
def test_any_link_gives_an_address_or_none(link: str) -> None:
    found = absolute_url("http://example.ir/a/", link)
    assert found is None or canonical_url(found) == found


def test_a_link_is_read_from_its_page() -> None:
    assert absolute_url("http://example.ir/a/b", "../c?x=1#y") == "http://example.ir/c?x=1"
    assert absolute_url("http://example.ir/a/b", "//other.ir/c") == "http://other.ir/c"
    assert absolute_url("http://example.ir/a/b", "#top") is None


def test_patterns_see_the_decoded_path() -> None:
    assert path_of("http://example.ir/%D8%AE%D8%A8%D8%B1-1?page=2") == "/خبر-1?page=2"


def test_www_is_the_same_site() -> None:
    assert same_site("www.hidoctor.ir", "hidoctor.ir")
    assert not same_site("blog.hidoctor.ir", "hidoctor.ir")
