"""The frontier: first found first fetched, each once, and the same again from its journal."""

from __future__ import annotations

from pipelines.crawl.frontier import Entry, Frontier
from pipelines.tables import FRONTIER


def entry(name: str) -> Entry:
    return Entry(f"http://e.ir/{name}", "s")


def test_a_url_is_known_once() -> None:
    frontier = Frontier()
    assert frontier.add(entry("a"))
    assert not frontier.add(entry("a"))
    assert [frontier.next(0), frontier.next(0)] == [entry("a"), None]


def test_a_retry_waits_for_its_time() -> None:
    frontier = Frontier()
    frontier.add(entry("a"))
    first = frontier.next(0)
    assert first is not None
    frontier.retry(first, at=100)
    assert frontier.next(99) is None
    assert frontier.wakes_at == 100
    again = frontier.next(100)
    assert again is not None
    assert (again.url, again.attempts) == (first.url, 1)


def test_a_page_got_under_another_address_is_not_fetched_again() -> None:
    frontier = Frontier()
    frontier.add(entry("a"))
    frontier.settle(entry("a"), "alias")
    assert frontier.next(0) is None


def test_replaying_the_journals_gives_the_same_frontier() -> None:
    frontier = Frontier()
    for name in "abcde":
        frontier.add(entry(name))
    first = [frontier.next(0) for _ in range(3)]
    assert first[0]
    assert first[1]
    frontier.settle(first[0], "stored")
    part, frontier.journal = FRONTIER.table(frontier.journal), []
    frontier.retry(first[1], at=50)
    frontier.add(entry("f"))
    replayed = Frontier.replay([part, FRONTIER.table(frontier.journal)])
    assert replayed.stored == {"s": 1}
    urls = [found.url[-1] for _ in range(6) if (found := replayed.next(0))]
    assert urls == ["c", "d", "e", "f"]  # c was in flight and is not lost
    again = replayed.next(60)
    assert again is not None
    assert again.url[-1] == "b"
