"""The frontier: first found first fetched, each once, and the same again from its file or its journals."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.crawl.frontier import AHEAD, Entry, Frontier, FrontierInUse


def entry(name: str, **values: object) -> Entry:
    return Entry(**{"url": f"http://e.ir/{name}", "source": "s"} | values)  # type: ignore[arg-type]


def urls(frontier: Frontier, now: float = 0) -> list[str]:
    """The last letters of everything that can be tried now, in order."""
    found = []
    while got := frontier.next(now):
        found.append(got.url.rsplit("/", 1)[1])
    return found


@pytest.fixture
def frontier(tmp_path: Path) -> Frontier:
    return Frontier(tmp_path / "f.sqlite")


def test_a_url_is_known_once(frontier: Frontier) -> None:
    assert frontier.add(entry("a"))
    assert not frontier.add(entry("a"))
    assert [frontier.next(0), frontier.next(0)] == [entry("a"), None]
    assert frontier.queued == 1  # it is under way


def test_the_unknown_ones_keep_their_order(frontier: Frontier) -> None:
    frontier.add(entry("b"))
    assert frontier.unknown([f"http://e.ir/{name}" for name in "cba"]) == ["http://e.ir/c", "http://e.ir/a"]
    assert frontier.unknown(["http://e.ir/'\"؟"]) == ["http://e.ir/'\"؟"]


def test_a_long_queue_comes_in_the_order_in_which_it_was_found(frontier: Frontier) -> None:
    names = [f"{n:05d}" for n in range(3 * AHEAD + 1)]
    for name in names:
        frontier.add(entry(name))
    got = [frontier.next(0) for _ in range(AHEAD + 5)]
    frontier.add(entry("late"))
    assert [e.url[-5:] for e in got if e] + urls(frontier) == [*names, "late"]


def test_a_retry_waits_for_its_time(frontier: Frontier) -> None:
    frontier.add(entry("a"))
    first = frontier.next(0)
    assert first is not None
    frontier.retry(first, at=100)
    assert frontier.next(99) is None
    assert frontier.wakes_at == 100
    again = frontier.next(100)
    assert again is not None
    assert (again.url, again.attempts) == (first.url, 1)
    assert frontier.next(100) is None
    frontier.retry(again, at=0, counts=False)
    assert [e.attempts for e in [frontier.next(0)] if e] == [1]


def test_a_page_got_under_another_address_is_not_fetched_again(frontier: Frontier) -> None:
    frontier.add(entry("a"))
    frontier.settle(entry("a", found_on="http://e.ir/b"), "alias", now=1)
    assert frontier.next(0) is None
    assert frontier.alias_of("http://e.ir/a") == "http://e.ir/b"


def test_what_was_kept_outlives_the_process(tmp_path: Path) -> None:
    first = Frontier(tmp_path / "f.sqlite")
    first.add(entry("a"))
    first.add(entry("b"))
    first.commit(1, "one")
    assert not first.is_ahead
    got = first.next(0)
    assert got
    first.settle(got, "stored", now=1)
    first.add(entry("c"))
    first.keep([("page", b"what was got")])
    first.add(entry("d"))
    first.close()  # as the end of a process does
    again = Frontier(tmp_path / "f.sqlite")
    assert again.sealed == (1, "one")
    assert again.is_ahead
    assert again.kept() == [("page", b"what was got")]
    assert [row["url"][-1] for row in again.journal().to_pylist()] == ["a", "c"]
    again.commit(2, "two")
    assert (again.is_ahead, again.kept()) == (False, [])
    assert urls(again) == ["b", "c"]


def test_a_refresh_that_was_not_sealed_is_in_the_journal(tmp_path: Path) -> None:
    first = Frontier(tmp_path / "f.sqlite")
    first.add(entry("a"))
    first.settle(entry("a"), "stored", now=1)
    first.commit(1, "one")
    first.reopen(before=2)
    first.keep([])
    first.close()
    again = Frontier(tmp_path / "f.sqlite")
    assert again.is_ahead
    assert [(row["url"][-1], row["state"]) for row in again.journal().to_pylist()] == [("a", "found")]


def test_a_retry_that_was_given_out_before_a_seal_is_not_lost(tmp_path: Path) -> None:
    first = Frontier(tmp_path / "f.sqlite")
    first.add(entry("a"))
    got = first.next(0)
    assert got
    first.retry(got, at=5)
    assert first.next(5)
    first.commit(1, "one")
    first.close()
    assert urls(Frontier(tmp_path / "f.sqlite"), now=5) == ["a"]


def test_a_file_is_one_owners_at_a_time(tmp_path: Path, frontier: Frontier) -> None:
    with pytest.raises(FrontierInUse):
        Frontier(tmp_path / "f.sqlite")


def test_a_damaged_file_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "f.sqlite"
    path.write_bytes(b"no database at all" * 100)
    assert Frontier(path).sealed == (0, "")


def test_a_file_of_another_version_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "f.sqlite"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE sealed (number INTEGER)")
    db.close()
    assert Frontier(path).sealed == (0, "")


def test_a_refresh_queues_what_is_older(frontier: Frontier) -> None:
    for name, at in (("old", 10), ("new", 30), ("failed", 10)):
        frontier.add(entry(name))
        frontier.settle(entry(name), "failed" if name == "failed" else "stored", now=at, etag=f"v-{name}")
    frontier.commit(1, "one")
    assert frontier.stored["s"] == 2
    assert frontier.reopen(before=20) == 2
    assert frontier.stored["s"] == 1
    got = frontier.next(0)
    assert got
    assert (got.url, got.etag) == ("http://e.ir/old", "v-old")
    assert urls(frontier) == ["failed"]
    assert {row["url"][-3:] for row in frontier.journal().to_pylist()} == {"old", "led"}


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["add", "next", "stored", "failed", "retry", "alias", "seal", "death"]), st.sampled_from("abcdefgh")
    ),
    max_size=60,
)


@given(events=EVENTS)
def test_journals_and_file_give_the_same_frontier(
    tmp_path_factory: pytest.TempPathFactory, events: list[tuple[str, str]]
) -> None:
    folder = tmp_path_factory.mktemp("frontier")
    frontier = Frontier(folder / "a.sqlite")
    journals: list[tuple[int, str, pa.Table]] = []
    under_way: list[Entry] = []

    def seal() -> None:
        number = len(journals) + 1
        journals.append((number, str(number), frontier.journal()))
        frontier.commit(number, str(number))

    for event, name in events:
        if event == "death":  # right after it was kept
            frontier.keep([])
            frontier.close()
            frontier, under_way = Frontier(folder / "a.sqlite"), []
        elif event == "add":
            frontier.add(entry(name))
        elif event == "next" and (got := frontier.next(5)):
            under_way.append(got)
        elif event in ("stored", "failed") and under_way:
            frontier.settle(under_way.pop(), event, now=1)  # type: ignore[arg-type]
        elif event == "retry" and under_way:
            frontier.retry(under_way.pop(), at=9)
        elif event == "alias" and frontier.state(entry(name).url) in (None, "found"):
            frontier.settle(entry(name, found_on="x"), "alias", now=1)
        elif event == "seal":
            seal()
    seal()
    frontier.close()
    of_journals, of_file = Frontier(folder / "b.sqlite"), Frontier(folder / "a.sqlite")
    of_journals.apply(journals)
    assert of_journals.counts == of_file.counts
    assert of_journals.stored == of_file.stored
    assert of_journals.sealed == of_file.sealed
    assert urls(of_journals, now=9) == urls(of_file, now=9)
    of_journals.close()
    of_file.close()
