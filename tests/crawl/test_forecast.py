"""`gaokerena crawl plan`: pages times delay, host by host."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from pipelines.crawl.forecast import forecast, table
from pipelines.crawl.source import Source


def source(name: str, host: str = "", **values: object) -> Source:
    return Source.model_validate({"name": name, "kind": "qa", "start": [f"http://{host or name}.ir/"]} | values)


def shown(*sources: Source) -> str:
    console = Console(file=io.StringIO(), width=160)
    console.print(table(forecast(sources)))
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_the_forum_at_one_request_a_second_takes_two_days_and_eight_hours() -> None:
    forum = source("forum", expected_pages=200_000, pages=[{"url": "http://forum.ir/q/page-{n}", "last": 20}])
    (host,) = forecast([forum])
    assert (host.pages, host.others, host.seconds) == (200_000, 1 + 20, 200_021.0)
    assert "2.3 days" in shown(forum)


def test_list_pages_sitemaps_and_start_pages_count_once() -> None:
    pages = [{"url": "http://a.ir/x/{n}", "last": 10}, {"url": "http://a.ir/y/{n}", "first": 0, "last": 4}]
    both = source("a", start=["http://a.ir/", "http://a.ir/x/1"], sitemaps=["http://a.ir/s.xml"], pages=pages, expected_pages=7)
    (host,) = forecast([both])
    assert host.others == 1 + 1 + 10 + 5  # the start page, the sitemap, x/1 to x/10 and y/0 to y/4
    assert host.seconds == 7 + 17


@pytest.mark.parametrize(
    ("values", "pages"),
    [
        ({}, None),
        ({"expected_pages": 50}, 50),
        ({"max_pages": 40}, 40),
        ({"expected_pages": 50, "max_pages": 40}, 40),
        ({"expected_pages": 50, "max_pages": 60}, 50),
    ],
)
def test_what_is_expected_is_bounded_by_what_is_allowed(values: dict[str, int], pages: int | None) -> None:
    (host,) = forecast([source("a", **values)])
    assert host.pages == pages


def test_sources_of_one_host_take_turns_at_the_longest_delay() -> None:
    sources = [source("a", "one", expected_pages=10, delay=0.5), source("b", "one", expected_pages=20, delay=2)]
    (host,) = forecast(sources)
    assert host.seconds == (10 + 20 + 2) * 2
    assert forecast([*sources[:1], source("b", "one")])[0].seconds is None


def test_hosts_run_side_by_side_and_the_unknown_are_named() -> None:
    text = shown(source("short", expected_pages=59), source("long", expected_pages=7199), source("dark", delay=3))
    assert "hosts side by side: 2.0 hours or more, as long as long.ir takes" in text
    assert "1.0 minutes" in text
    assert text.count("unknown") == 3 and text.strip().endswith(": dark")
