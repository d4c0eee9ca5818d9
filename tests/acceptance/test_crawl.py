"""All five replay sites, crawled to the end: what was found, how politely, how exact it is, and what became of the faults."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import mean
from typing import Any
from urllib.parse import unquote
from urllib.request import urlopen

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from protego import Protego

from cluster.storage import open_storage
from pipelines import tables
from pipelines.artifact import Artifact
from pipelines.crawl.source import load_sources
from pipelines.recipe import load_recipe
from pipelines.steps import latest
from tests.acceptance.conftest import serving
from tests.acceptance.request_log import (
    CLOCK_STEP,
    FAULTS,
    USER_AGENT,
    Request,
    before_robots,
    by_site,
    fetched_again,
    read_log,
    refused,
    shortest_gaps,
    too_many,
)
from tests.e2e.driver import REPOSITORY, Driver

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(7200)]

RECIPE = REPOSITORY / "tests" / "replay" / "full.yaml"
CRAWL = load_recipe(str(RECIPE)).crawl
SOURCES = {source.name: source for source in load_sources(CRAWL.sources)}  # a site's source is called like the site
QUESTIONS = {"forum": 14_821, "family": 9_728, "app": 240}
MAGAZINE_ARTICLES = 1_816
# In the pages around every article: comments, advertisements, navigation, the small print.
FOREIGN = (
    "دیدگاه‌ها",
    "شماره من",
    "تخفیف ویژه",
    "اشتراک‌گذاری",
    "مطالب مرتبط",
    "کلیه حقوق مادی",
    "قوانین و مقررات",
    "لطفا راهنمایی کنید شماره",
)

Row = dict[str, Any]


@dataclass(frozen=True)
class Replayed:
    """A finished crawl and extraction, what it should have found, and what the server saw."""

    crawl: Artifact
    articles: dict[str, Row]  # by decoded URL
    pairs: dict[str, Row]
    rows: list[Row]
    truth: list[Row]
    requests: list[Request]
    robots: dict[str, Protego]
    seconds: float

    def expected(self, kind: str, site: str | None = None) -> list[Row]:
        return [row for row in self.truth if row["kind"] == kind and site in (None, row["site"])]


@pytest.fixture(scope="module")
def replayed(replay_server: Path, truth: list[Row], tmp_path_factory: pytest.TempPathFactory) -> Replayed:
    """`gaokerena run --until extract`, once for the tests of this file."""
    folder = tmp_path_factory.mktemp("full")
    out, started = folder / "run", time.monotonic()
    with serving(replay_server, folder / "requests.jsonl") as log:
        driver = Driver(["run", "--recipe", str(RECIPE), "--until", "extract", "--out", str(out)])
        assert driver.wait(7000) == 0, driver.output
        seconds = time.monotonic() - started
        requests = read_log(log)
        robots = {site: Protego.parse(urlopen(f"{_origin(site)}/robots.txt").read().decode()) for site in SOURCES}
    crawl = latest(open_storage(out), "crawl")
    assert crawl is not None
    articles = _read(out / "extract" / "latest" / "articles", ["url", "source", "title", "text"])
    pairs = _read(out / "extract" / "latest" / "qa", ["url", "source", "question", "answer"])
    return Replayed(crawl, _by_url(articles), _by_url(pairs), articles + pairs, truth, requests, robots, seconds)


def test_everything_that_there_is_is_found_once(replayed: Replayed, figures: list[str]) -> None:
    figures.append(f"{replayed.seconds:.0f} s, {len(replayed.requests)} requests")
    expected = {(kind, site): replayed.expected(kind, site) for kind in ("qa", "article") for site in SOURCES}
    assert {site: len(expected["qa", site]) for site in QUESTIONS} == QUESTIONS
    assert len(expected["article", "magazine"]) == MAGAZINE_ARTICLES
    missing = {}
    for (kind, site), rows in expected.items():
        found = replayed.pairs if kind == "qa" else replayed.articles
        missing[kind, site] = [url for url in map(_url, rows) if url not in found]
        if rows:
            figures.append(f"{site} {kind} {len(rows) - len(missing[kind, site])} of {len(rows)}")
    assert not any(missing.values()), {key: urls[:5] for key, urls in missing.items() if urls}
    assert [url for url, n in Counter(row["url"] for row in replayed.rows).items() if n > 1] == []


def test_no_request_is_impolite(replayed: Replayed, figures: list[str]) -> None:
    requests = replayed.requests
    forbidden = refused(requests, replayed.robots)
    never = {(row["site"], row["path"]) for row in replayed.expected("never")}
    forbidden += [r for r in requests if (r.site, unquote(r.path.partition("?")[0])) in never]
    early = before_robots(requests)
    over = too_many(requests, {site: source.concurrency for site, source in SOURCES.items()}, CRAWL.timeout_seconds)
    figures.append(f"disallowed {len(forbidden)}, before robots.txt {len(early)}, above the limit {len(over)}")
    gaps = shortest_gaps(requests)
    delays = {site: max(SOURCES[site].delay, replayed.robots[site].crawl_delay(USER_AGENT) or 0.0) for site in SOURCES}
    figures.append("shortest gap " + ", ".join(f"{site} {gaps[site]:.4f} s (delay {delays[site]:g})" for site in SOURCES))
    assert (forbidden, early, over) == ([], [], [])
    assert {site for site in SOURCES if delays[site] and gaps[site] < delays[site] - CLOCK_STEP} == set()


def test_each_url_is_fetched_once(replayed: Replayed, figures: list[str]) -> None:
    again = fetched_again(replayed.requests)
    scripts = sum(r.path == "/app.js" for r in again)  # a browser asks for it once in each of its contexts
    probes = Counter(r.site for r in again if r.is_robots)  # after a fault: does the host answer at all?
    pages = [r.document for r in again if not r.is_robots and r.path != "/app.js"]
    figures.append(
        f"{len(pages)} fetched again; robots.txt {probes.total()} times more, the application's script {scripts} times"
    )
    assert pages == []
    faults = Counter(r.site for r in replayed.requests if r.is_fault)
    assert {site: n for site, n in probes.items() if n > faults[site]} == {}


def test_a_site_that_asks_for_time_gets_it(replayed: Replayed) -> None:
    asked = by_site(replayed.requests)["hostile"]
    waits = [later.time - r.time for r, later in pairwise(asked) if r.status in (429, 503)]
    assert len(waits) >= 3  # robots.txt once, /429/1 twice; each says: one second
    assert min(waits) >= 1.0 - CLOCK_STEP


def test_texts_are_what_the_site_shows(replayed: Replayed, figures: list[str]) -> None:
    for site in QUESTIONS:
        rows = replayed.expected("qa", site)
        exact = mean(_is_exact(row, replayed.pairs.get(_url(row))) for row in rows)
        figures.append(f"{site} exact {exact:.2%}")
        assert exact >= 0.999, site
    scores: dict[str, list[float]] = {}
    foreign = []
    for row in replayed.expected("article"):
        text = replayed.articles.get(_url(row), {"text": ""})["text"]
        scores.setdefault(row["site"], []).append(token_f1(_folded(text), _folded(row["text"])))
        foreign += [(_url(row), words) for words in FOREIGN if text.count(words) > row["text"].count(words)]
    figures += [f"{site} token F1 {mean(found):.4f} (lowest {min(found):.3f})" for site, found in scores.items()]
    assert foreign == []
    assert {site for site, found in scores.items() if mean(found) < 0.98} == set()


def test_every_fault_ends_as_a_counted_failure(replayed: Replayed, figures: list[str]) -> None:
    failures = {unquote(row["url"]): row["reason"] for row in replayed.crawl.read(tables.FAILURES).to_pylist()}
    found = {row["path"]: failures.get(_url(row), "") for row in replayed.expected("error")}
    figures.append(", ".join(f"{path} {reason or 'MISSING'}" for path, reason in found.items()))
    assert found and all(found.values())
    reasons = replayed.crawl.read(tables.FAILURES)["reason"].to_pylist()
    assert replayed.crawl.manifest.dropped == dict(Counter(reasons))
    for path in FAULTS:  # tried again as often as the recipe says, and no more
        assert sum(r.path == path for r in replayed.requests) == CRAWL.retries + 1, path


def token_f1(one: str, other: str) -> float:
    """F1 of two texts as bags of words."""
    a, b = Counter(one.split()), Counter(other.split())
    return 2 * (a & b).total() / max(1, a.total() + b.total())


def _is_exact(row: Row, found: Row | None) -> bool:
    return found is not None and all(found[key].split() == row[key].split() for key in ("question", "answer"))


def _folded(text: str) -> str:
    """windows-1256 has no Persian yeh, so that a page in it has the Arabic one."""
    return text.replace("ي", "ی")


def _origin(site: str) -> str:
    return SOURCES[site].start[0].rstrip("/")


def _url(row: Row) -> str:
    """The decoded canonical URL of a page in truth."""
    return f"{_origin(row['site'])}{row['path']}"


def _read(folder: Path, columns: list[str]) -> list[Row]:
    rows: list[Row] = pa.concat_tables(pq.read_table(file, columns=columns) for file in folder.glob("*.parquet")).to_pylist()
    return rows


def _by_url(rows: list[Row]) -> dict[str, Row]:
    return {unquote(row["url"]): row for row in rows}
