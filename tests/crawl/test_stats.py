"""`gaokerena crawl stats`: what was stored, and why the rest was not."""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from cluster.errors import UserError
from cluster.storage import LocalStorage, open_storage
from pipelines.artifact import ArtifactFolder
from pipelines.crawl.owner import PROGRESS
from pipelines.crawl.segments import HOSTS, unit_prefix
from pipelines.crawl.source import load_sources
from pipelines.crawl.stats import Crawled, Figures, summary, write_urls
from pipelines.crawl.step import crawl_slice, plan_hosts
from pipelines.recipe import Recipe, load_recipe
from pipelines.steps import step_named
from pipelines.tables import FAILURES, PAGES, Table

from .small_site import HOST, Page, SmallSite


def recipe(resolve: dict[str, str], *sources: str) -> Recipe:
    changes = [f"crawl.sources=[{', '.join(sources)}]", f"crawl.resolve={json.dumps(resolve)}", "crawl.retries=0"]
    return load_recipe("demo", changes)


def folder_of(recipe: Recipe, root: LocalStorage) -> ArtifactFolder:
    step = step_named("crawl")
    return ArtifactFolder(root.sub("crawl", step.fingerprint(recipe, step.external_inputs(recipe))))


def crawl(recipe: Recipe, out: ArtifactFolder) -> None:
    plans = plan_hosts(load_sources(recipe.crawl.sources))
    while not all(report.finished for report in crawl_slice(plans, out=out, settings=recipe.crawl)):
        pass


def shown(crawled: Crawled) -> str:
    text = io.StringIO()
    Console(file=text, width=200).print(summary(crawled))
    return text.getvalue()


@pytest.fixture
def root(tmp_path: Path) -> LocalStorage:
    return LocalStorage(str(tmp_path / "run"))


@pytest.fixture
def sources(tmp_path: Path) -> list[str]:
    """Two sources on one host, the second with list pages only at its start."""
    like = {"kind": "article", "delay": 0, "throttle": 0}
    paths = []
    for name, values in {"one": {"skip": ["^/b"]}, "two": {"follow": ["^/b"], "content": ["^/b/"]}}.items():
        path = tmp_path / f"{name}.yaml"
        start = {"name": name, "start": [f"http://{HOST}/{name}"]}
        path.write_text(yaml.safe_dump(start | like | values), encoding="utf-8")
        paths.append(str(path))
    return paths


@pytest.fixture
def site() -> Iterator[SmallSite]:
    robots = Page("User-agent: *\nDisallow: /a/closed", headers={"Content-Type": "text/plain"})
    pages = {f"/{letter}/{n}": Page(f"{letter}ext " * 100 * n) for letter in "ab" for n in range(1, 6)}
    starts = {"/one": Page("one", [*pages, "/a/gone", "/a/closed/1", "/a/closed/2"]), "/two": Page("two", [*pages, "/b/gone"])}
    with SmallSite({"/robots.txt": robots} | starts | pages) as small:
        yield small


def test_every_page_and_every_failure_is_counted_by_source(site: SmallSite, root: LocalStorage, sources: list[str]) -> None:
    chosen = recipe(site.resolve, *sources)
    out = folder_of(chosen, root)
    crawl(chosen, out)
    crawled = Crawled.open(chosen, root)
    figures, reasons = crawled.figures()

    tables: dict[Table, list[dict[str, Any]]] = {PAGES: [], FAILURES: []}
    for record in out.sealed().values():
        for table, rows in tables.items():
            rows += [
                row for shard in record.shards if shard.table == table.name for row in out.read_shard(shard.path).to_pylist()
            ]
    for source in figures:
        pages = [row for row in tables[PAGES] if row["source"] == source.source]
        content = [row for row in pages if crawled.sources[source.source].is_content(row["final_url"])]
        assert (source.content, source.lists) == (len(content), len(pages) - len(content))
        assert (source.first, source.last) == (min(r["fetched_at"] for r in pages), max(r["fetched_at"] for r in pages))
        assert source.failed == sum(row["source"] == source.source for row in tables[FAILURES])
    size = sum(len(row["body"].encode()) for row in tables[PAGES])
    assert sum(source.text_bytes for source in figures) == pytest.approx(size, rel=0.1)
    assert [(source.content, source.lists, source.failed) for source in figures] == [(5, 1, 3), (5, 1, 1)]
    assert reasons == Counter(row["reason"] for row in tables[FAILURES]) == {"http-404": 2, "robots": 2}
    assert {row["url"] for row in crawled.not_stored()} == {row["url"] for row in tables[FAILURES]}
    assert all(row["reason"] == "robots" for row in crawled.not_stored("robots"))
    assert len(list(crawled.not_stored("robots"))) == reasons["robots"]

    text = shown(crawled)
    assert "not finished: what is sealed so far" in text
    assert HOST in text and re.search("http-404 +2\n", text)
    out.finish(step="crawl", version=1, settings={}, inputs={}, tables=(PAGES, FAILURES), started=0.0)
    again = Crawled.open(chosen, root)
    assert again.figures() == (figures, reasons) and "\nfinished\n" in shown(again)


def page(url: str, fetched_at: str, source: str = "demo-forum") -> dict[str, Any]:
    values = {field.name: "" if field.type == "string" else 0 for field in PAGES.schema}
    flags = {"rendered": False, "noindex": False}
    return values | flags | {"url": url, "final_url": url, "source": source, "body": "x" * 100, "fetched_at": fetched_at}


def failure(url: str, reason: str, source: str = "demo-forum") -> dict[str, str]:
    return {"url": url, "source": source, "reason": reason, "detail": "why, exactly"}


@pytest.fixture
def refreshed(root: LocalStorage) -> Crawled:
    """Two visits: /q/1 changed, /q/2 is gone, /q/3 came back, /q/4 fails still."""
    chosen = recipe({}, "demo-forum")
    out, q = folder_of(chosen, root), "http://forum.demo.test/q/"
    visits = (
        (
            [page(f"{q}1", "2026-10-01T10:00:00"), page(f"{q}2", "2026-10-01T10:00:10")],
            [failure(f"{q}3", "http-500"), failure(f"{q}4", "timeout")],
        ),
        (
            [page(f"{q}1", "2026-11-01T10:00:00"), page(f"{q}3", "2026-11-01T10:00:10")],
            [failure(f"{q}2", "http-404"), failure(f"{q}4", "robots")],
        ),
    )
    for number, (pages, failures) in enumerate(visits, 1):
        dropped = Counter(row["reason"] for row in failures)
        out.seal(
            f"forum.demo.test-{number:06d}", {PAGES: PAGES.table(pages), FAILURES: FAILURES.table(failures)}, dropped=dropped
        )
    return Crawled.open(chosen, root)


def test_after_a_refresh_a_url_counts_as_it_was_at_the_last_visit(refreshed: Crawled) -> None:
    ((forum,), reasons) = refreshed.figures()
    assert (forum.content, forum.older, forum.failed) == (3, 1, 2)
    assert reasons == {"http-404": 1, "robots": 1}
    assert [row["url"][-1] for row in refreshed.not_stored()] == ["2", "4"]
    assert "1 older versions of pages are kept" in shown(refreshed)


def test_urls_are_written_as_the_file_is_called(refreshed: Crawled, tmp_path: Path) -> None:
    assert write_urls(refreshed.not_stored(), tmp_path / "a.csv") == 2
    assert write_urls(refreshed.not_stored("robots"), tmp_path / "b.jsonl") == 1
    expected = failure("http://forum.demo.test/q/4", "robots")
    with (tmp_path / "a.csv").open(encoding="utf-8") as file:
        assert list(csv.DictReader(file))[1] == expected
    assert [json.loads(line) for line in (tmp_path / "b.jsonl").read_text().splitlines()] == [expected]
    with pytest.raises(UserError, match=r"c\.txt: end its name in"):
        write_urls(refreshed.not_stored(), tmp_path / "c.txt")


def test_what_is_not_there_is_said_in_one_line(refreshed: Crawled, root: LocalStorage) -> None:
    with pytest.raises(UserError, match="no URL has the reason 'tired'; there are: http-404, http-500, robots, timeout"):
        refreshed.not_stored("tired")
    with pytest.raises(UserError, match="holds no crawl with these settings"):
        Crawled.open(recipe({}, "demo-forum", "demo-app"), root)


def test_the_rate_is_that_between_the_first_and_the_last_page() -> None:
    figures = Figures("a", "a.ir")
    assert figures.rate is None
    figures.add({"fetched_at": "2026-10-01T10:00:00+00:00"}, True, False)
    assert figures.rate is None
    for second in (10, 20):
        figures.add({"fetched_at": f"2026-10-01T10:00:{second}+00:00"}, False, False)
    assert figures.rate == 3 / 20


def test_it_reads_an_object_store_too(s3_url: str) -> None:
    chosen = recipe({}, "demo-forum")
    root = open_storage(s3_url)
    out = ArtifactFolder(root.sub("crawl", step_named("crawl").fingerprint(chosen, {})))
    pages = [page("http://forum.demo.test/q/1", "2026-10-01T10:00:00"), page("http://forum.demo.test/", "2026-10-01T10:00:05")]
    out.seal("forum.demo.test-000001", {PAGES: PAGES.table(pages)})
    ((forum,), reasons) = Crawled.open(chosen, root).figures()
    assert (forum.content, forum.lists, forum.rate, reasons) == (1, 1, 2 / 5, Counter())


def test_before_anything_is_sealed_it_shows_what_the_owners_noted(root: LocalStorage, sources: list[str]) -> None:
    chosen = recipe({}, *sources)
    out = folder_of(chosen, root)
    note = {"done": 1469, "failed": 3, "queued": 13304, "resumes_at": 0.0}
    out.folder.write(f"{HOSTS}/{unit_prefix(HOST)}/{PROGRESS}", json.dumps(note).encode())
    text = shown(Crawled.open(chosen, root))
    assert "not finished" in text
    assert f"{HOST}: 1,469 pages, 3 not stored, 13,304 queued" in text
