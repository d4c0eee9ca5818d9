"""robots.txt as RFC 9309 wants it."""

from __future__ import annotations

import pytest

from pipelines.crawl.robots import MAX_AGE, MAX_BYTES, Robots

SITE = "http://example.ir"


def robots(text: str | bytes, status: int = 200) -> Robots:
    return Robots.answered(status, text.encode() if isinstance(text, str) else text, 0.0)


@pytest.mark.parametrize(
    ("text", "path", "allowed"),
    [
        ("User-agent: *\nDisallow: /private/\nAllow: /private/open.html\n", "/private/1", False),
        ("User-agent: *\nDisallow: /private/\nAllow: /private/open.html\n", "/private/open.html", True),
        ("User-agent: *\nDisallow: /*?replytocom=\n", "/post/1/?replytocom=7", False),
        ("User-agent: *\nDisallow: /*.pdf$\n", "/a.pdf", False),
        ("User-agent: *\nDisallow: /*.pdf$\n", "/a.pdf?x=1", True),
        ("User-agent: *\nDisallow: /جستجو\n", "/%D8%AC%D8%B3%D8%AA%D8%AC%D9%88?q=1", False),
        ("User-agent: gaokerena\nDisallow: /\n\nUser-agent: *\nAllow: /\n", "/a", False),
        ("User-agent: other\nDisallow: /\n", "/a", True),
        ("\ufeffUser-agent: *\nDisallow: /a\n", "/a", False),
        ("", "/a", True),
    ],
)
def test_rules_decide(text: str, path: str, allowed: bool) -> None:
    assert robots(text).allows(SITE + path, "gaokerena") is allowed


def test_a_missing_file_allows_and_an_unreachable_one_forbids() -> None:
    assert robots("", status=404).allows(f"{SITE}/a", "gaokerena")
    assert robots("Disallow: /", status=403).allows(f"{SITE}/a", "gaokerena")
    assert not Robots.unreachable(0.0).allows(f"{SITE}/a", "gaokerena")


def test_rules_beyond_the_size_that_must_be_read_do_not_count() -> None:
    text = b"User-agent: *\n" + b"#" * MAX_BYTES + b"\nDisallow: /\n"
    assert robots(text).allows(f"{SITE}/a", "gaokerena")


def test_delay_is_read_and_capped() -> None:
    assert robots("User-agent: *\nCrawl-delay: 2.5\n").delay("gaokerena") == 2.5
    assert robots("User-agent: *\nCrawl-delay: 86400\n").delay("gaokerena") == 30.0


def test_it_is_asked_again_after_a_day() -> None:
    assert not robots("").is_stale(MAX_AGE - 1)
    assert robots("").is_stale(MAX_AGE + 1)
