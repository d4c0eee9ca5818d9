"""robots.txt as RFC 9309 wants it; section numbers are that document's."""

from __future__ import annotations

import json
import time
from dataclasses import asdict

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from protego import Protego

from pipelines.crawl.robots import MAX_AGE, MAX_BYTES, Robots
from pipelines.crawl.urls import canonical_url

SITE = "http://example.ir"


def robots(text: str | bytes) -> Robots:
    return Robots.answered(text.encode() if isinstance(text, str) else text, 0.0)


def allows(text: str | bytes, path: str, agent: str = "gaokerena") -> bool:
    return robots(text).allows(SITE + path, agent)


def for_all(*rules: str) -> str:
    return "\n".join(["User-agent: *", *rules, ""])


PERSIAN = "/%D8%AC%D8%B3%D8%AA%D8%AC%D9%88"  # /جستجو


@pytest.mark.parametrize(
    ("rules", "path", "allowed"),
    [
        # 2.2.2: the longest match counts, and of two as long the one that allows
        (["Disallow: /private/", "Allow: /private/open.html"], "/private/1", False),
        (["Disallow: /private/", "Allow: /private/open.html"], "/private/open.html", True),
        (["Allow: /private/open.html", "Disallow: /private/"], "/private/open.html", True),
        (["Disallow: /page", "Allow: /page"], "/page", True),
        (["Allow: /page", "Disallow: /page"], "/page", True),
        (["Allow: /*.htm", "Disallow: /page"], "/page.htm", True),
        (["Allow: /a", "Disallow: /*.php$"], "/a.php", False),
        (["Allow: /ab$", "Disallow: /ab"], "/abc", False),
        (["Allow: /$", "Disallow: /"], "/", True),
        (["Allow: /$", "Disallow: /"], "/a", False),
        (["Disallow: /fish"], "/fishing", False),
        (["Disallow: /fish"], "/Fish", True),
        (["Disallow: /fish/"], "/fish", True),
        (["Disallow:"], "/a", True),
        (["Disallow: /", "Allow:"], "/a", False),
        (["Disallow: private/"], "/private/", True),  # a path begins with a slash
        (["Disallow: /"], "/robots.txt", True),
        (["Disallow: /"], "/robots.txt.bak", False),
        # 2.2.3: * and $
        (["Disallow: /*?replytocom="], "/post/1/?replytocom=7", False),
        (["Disallow: /*?replytocom="], "/post/1/?a=1", True),
        (["Disallow: /*.pdf$"], "/a.pdf", False),
        (["Disallow: /*.pdf$"], "/a.pdf?x=1", True),
        (["Disallow: /*.pdf$"], "/a.pdf.pdf", False),
        (["Disallow: /a*c*e"], "/abcde", False),
        (["Disallow: /a*c*e"], "/aec", True),
        (["Disallow: *.php"], "/index.php", False),
        (["Disallow: /a**b"], "/axb", False),
        (["Disallow: /fish*"], "/fish", False),
        (["Disallow: /a$b"], "/a", True),  # $ means the end only at the end
        (["Disallow: /a$b"], "/a$b", False),
        (["Disallow: /a%24"], "/a$b", False),
        (["Disallow: /a%2A"], "/a*b", False),
        (["Disallow: /a%2A"], "/axb", True),
        # 2.2.2: one spelling for the same octets
        (["Disallow: /جستجو"], f"{PERSIAN}?q=1", False),
        ([f"Disallow: {PERSIAN}"], f"{PERSIAN}/1", False),
        ([f"Disallow: {PERSIAN.lower()}"], PERSIAN, False),
        ([f"Disallow: {PERSIAN}"], "/جستجو", False),
        (["Disallow: /%D8%AC"], PERSIAN, False),
        (["Disallow: /foo/%62%61%7A"], "/foo/baz", False),
        (["Disallow: /foo/baz"], "/foo/%62%61%7a", False),
        (["Disallow: /a%2Fb"], "/a/b", True),
        (["Disallow: /a/b"], "/a%2fb", True),
        (["Disallow: /a%2fb"], "/a%2Fb", False),
        (["Disallow: /a b"], "/a%20b", False),
        (["Disallow: /%CC%D3"], "/%CC%D5", True),  # windows-1256: no UTF-8, and not the same letters
        (["Disallow: /%CC%D3"], "/%cc%d3", False),
        (["Disallow: /%"], "/%41", True),
        (["Disallow: /x?baz=https://foo.bar"], "/x?baz=https%3A%2F%2Ffoo.bar", False),
        (["Disallow: /x?baz=https%3A%2F%2Ffoo.bar"], "/x?baz=https://foo.bar", False),
        (["Disallow: /x?q=%26"], "/x?q=&", True),
        (["Disallow: /x%3Fq"], "/x?q", True),
        (["Disallow: /x?q=a b"], "/x?q=a+b", False),
    ],
)
def test_paths_are_matched(rules: list[str], path: str, allowed: bool) -> None:
    assert allows(for_all(*rules), path) is allowed


@pytest.mark.parametrize(
    ("text", "agent", "allowed"),
    [
        # 2.2.1: the group that names the crawler, else the one for all
        ("User-agent: gaokerena\nDisallow: /\n\nUser-agent: *\nAllow: /\n", "gaokerena", False),
        ("User-agent: *\nDisallow: /\n\nUser-agent: gaokerena\nDisallow:\n", "gaokerena", True),
        ("User-agent: *\nDisallow: /\n\nUser-agent: gaokerena\n", "gaokerena", True),
        ("User-agent: GaoKerena\nDisallow: /\n", "gaokerena", False),
        ("User-agent: gaokerena/2.1\nDisallow: /\n", "gaokerena", False),
        ("User-agent: gaokerena\nDisallow: /\n", "Gaokerena/0.1 (+mailto:a@b.ir)", False),
        ("User-agent: gao\nDisallow: /\n", "gaokerena", True),
        ("User-agent: gaokerena-images\nDisallow: /\n", "gaokerena", True),
        ("User-agent: other\nDisallow: /\n", "gaokerena", True),
        ("Disallow: /\n", "gaokerena", True),  # belongs to nobody
        # groups of one crawler are one, wherever they stand
        (
            "User-agent: gaokerena\nDisallow: /a\n\nUser-agent: x\nAllow: /\n\nUser-agent: gaokerena\nDisallow: /p\n",
            "gaokerena",
            False,
        ),
        ("User-agent: *\nDisallow: /a\n\nUser-agent: *\nDisallow: /p\n", "gaokerena", False),
        # a group may name several
        ("User-agent: x\nUser-agent: gaokerena\nDisallow: /p\n", "gaokerena", False),
        ("User-agent: x\n\n# and\nUser-agent: gaokerena\nDisallow: /p\n", "gaokerena", False),
        ("User-agent: gaokerena\nDisallow: /a\nUser-agent: x\nDisallow: /p\n", "gaokerena", True),
        ("User-agent: gaokerena\nDisallow:\nUser-agent: x\nDisallow: /p\n", "gaokerena", True),
        # 2.2.4: other lines don't end it
        ("User-agent: gaokerena\nSitemap: http://e.ir/s.xml\nUser-agent: x\nDisallow: /p\n", "gaokerena", False),
        ("User-agent: gaokerena\nCrawl-delay: 1\nUser-agent: x\nDisallow: /p\n", "gaokerena", False),
        ("User-agent: gaokerena\nNoindex: /p\nUser-agent: x\nDisallow: /p\n", "gaokerena", False),
        ("User-agent: gaokerena\nDisallow: /a\nHost: e.ir\nDisallow: /p\n", "gaokerena", False),
        # lines
        ("User-agent: *\r\nDisallow: /p\r\n", "gaokerena", False),
        ("User-agent: *\rDisallow: /p\r", "gaokerena", False),
        ("\ufeffUser-agent: *\nDisallow: /p\n", "gaokerena", False),
        ("  user-AGENT :  *  # all\n\tDISALLOW:/p#c\n", "gaokerena", False),
        ("User-agent: *\n#Disallow: /p\n", "gaokerena", True),
        ("User-agent *\nDisalow /p\n", "gaokerena", False),
        ("User-agent: *\nDisallow: /x\u2028Disallow: /p\n", "gaokerena", True),  # U+2028 ends no line
        ("User-agent: *\nDisallowed: /p\n", "gaokerena", True),
        ("<html><body>404: not here</body></html>", "gaokerena", True),
        ("", "gaokerena", True),
    ],
)
def test_groups_are_chosen(text: str, agent: str, allowed: bool) -> None:
    assert allows(text, "/p", agent) is allowed


PATHS = st.text("/ab*$%2Fج?=.", max_size=8).map(lambda rest: f"/{rest}")


@given(
    st.lists(st.tuples(st.sampled_from(["Allow", "Disallow"]), st.text("ab/.*", max_size=6)), max_size=6),
    st.text("ab/.", max_size=8),
)
def test_plain_files_are_read_as_another_implementation_reads_them(rules: list[tuple[str, str]], path: str) -> None:
    text = for_all(*(f"{name}: /{pattern}" for name, pattern in rules))
    assert allows(text, f"/{path}") == Protego.parse(text).can_fetch(f"{SITE}/{path}", "gaokerena")


@given(PATHS, st.text("ab/%2Fج?=&. ", max_size=8))
@example("/%2b", "")
@example("/%28a%29", "b")
@example("/%24%7C%3b%2A", "")
def test_a_rule_for_an_address_forbids_our_spelling_of_it(start: str, rest: str) -> None:
    """The rule is written as the site links it, the request is made as we spell it."""
    start = start.replace("*", "").replace("$", "").replace("?", "")
    url = canonical_url(SITE + start + rest)
    ends_in_an_escape = "%" in start[-2:]
    if url and "?" not in rest and "/." not in start + rest and "//" not in start and not ends_in_an_escape:
        assert not robots(for_all(f"Disallow: {start}")).allows(url, "gaokerena")


def test_bytes_of_other_encodings_are_compared_as_they_are() -> None:
    text = b"User-agent: *\nDisallow: /" + "جستجو".encode("cp1256") + b"\n"
    assert not allows(text, "/%CC%D3%CA%CC%E6")
    assert allows(text, "/%CC%D3%CA%CC")
    assert allows(text, PERSIAN)


def test_none_allows_and_an_unreachable_one_forbids() -> None:
    assert Robots.unavailable(0.0).allows(f"{SITE}/a", "gaokerena")
    assert not Robots.unreachable(0.0, "http-503").allows(f"{SITE}/a", "gaokerena")
    assert not Robots.unreachable(0.0, "http-503").allows(f"{SITE}/robots.txt", "gaokerena")


def test_what_is_beyond_the_size_that_must_be_read_does_not_count_nor_does_half_a_line() -> None:
    assert allows(b"User-agent: *\n" + b"#" * MAX_BYTES + b"\nDisallow: /\n", "/a")
    start = b"User-agent: *\nDisallow: /\n"
    cut = start + b"#" * (MAX_BYTES - len(start) - len(b"\nAllow: /")) + b"\nAllow: /open.html\n"
    assert cut[:MAX_BYTES].endswith(b"\nAllow: /")
    assert not allows(cut, "/a")
    assert not allows(start + b"#" * 10, "/a")


def test_the_delay_is_that_of_the_crawlers_group_and_capped() -> None:
    text = "User-agent: *\nDisallow: /b\nCrawl-delay: 7\n\nUser-agent: gaokerena\nCrawl-delay: 2.5\nDisallow: /a\n"
    assert robots(text).delay("gaokerena") == 2.5
    assert robots(text).delay("other") == 7.0
    assert robots(for_all("Crawl-delay: 86400")).delay("gaokerena") == 30.0
    for nonsense in ("inf", "nan", "-1", "soon", "10s", ""):
        assert robots(for_all(f"Crawl-delay: {nonsense}")).delay("gaokerena") == 0.0
    assert Robots.unreachable(0.0, "dns").delay("gaokerena") == 0.0


def test_sitemaps_are_named_anywhere() -> None:
    text = "Sitemap: http://e.ir/a.xml\nUser-agent: x\nDisallow: /\nsitemap: http://e.ir/b.xml # new\n"
    assert robots(text).sitemaps() == ["http://e.ir/a.xml", "http://e.ir/b.xml"]


def test_it_is_asked_again_after_a_day_and_sooner_when_it_did_not_answer() -> None:
    assert not robots("").is_stale(MAX_AGE - 1)
    assert robots("").is_stale(MAX_AGE + 1)
    assert not Robots.unreachable(100.0, "dns").is_stale(99.0)
    assert Robots.unreachable(100.0, "dns").is_stale(100.0)


def test_it_outlives_being_written_down() -> None:
    kept = robots(b"User-agent: *\nDisallow: /\xcc\xd3\n")
    assert Robots(**json.loads(json.dumps(asdict(kept)).encode())) == kept


@pytest.mark.parametrize(
    "text",
    [
        for_all(*(f"Disallow: /{'*a' * 50}{n}" for n in range(200))),
        for_all("Disallow: /" + "*" * 100_000),
        "User-agent: a\n" * 30_000,
        "User-agent: *\nDisallow: /a\n" * 15_000,
        for_all(f"Disallow: /{'%' * 100_000}"),
    ],
)
def test_a_hostile_file_takes_no_time(text: str) -> None:
    started = time.process_time()
    allows(text, "/" + "a" * 2000)
    assert time.process_time() - started < 1.0
