"""A host's owner in bad times: traps, outages, a lost node, a refresh, and what went over the wire."""

from __future__ import annotations

import io
import multiprocessing
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from warcio.archiveiterator import ArchiveIterator

from cluster.storage import LocalStorage
from pipelines.artifact import Artifact, ArtifactFolder
from pipelines.crawl.refresh import FILE, refresh_before
from pipelines.crawl.settings import CrawlSettings
from pipelines.crawl.source import Source
from pipelines.crawl.step import crawl_slice, plan_hosts
from pipelines.tables import FAILURES, PAGES

from .small_site import HOST, Page, SmallSite


def source(**changes: object) -> Source:
    values = {"name": "small", "kind": "article", "start": [f"http://{HOST}/"], "delay": 0, "throttle": 0}
    return Source.model_validate(values | changes)


def settings(site: SmallSite, **changes: object) -> CrawlSettings:
    return CrawlSettings.model_validate({"sources": ["x"], "resolve": site.resolve, "retries": 1, "timeout_seconds": 2} | changes)


def crawl(out: ArtifactFolder, site: SmallSite, what: Source, **changes: object) -> Artifact:
    """To the end, a slice at a time."""
    plans = plan_hosts([what], refresh_before(out.folder))
    while not all(report.finished for report in crawl_slice(plans, out=out, settings=settings(site, **changes))):
        pass
    kept = ("frontier", "warc")
    return out.finish(
        step="crawl", version=1, settings={}, inputs={}, tables=(PAGES, FAILURES), started=0.0, files=kept, volatile_files=kept
    )


def rows(artifact: Artifact) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = artifact.read(PAGES).to_pylist()
    return found


def paths(artifact: Artifact) -> list[str]:
    return [row["url"].removeprefix(f"http://{HOST}") for row in rows(artifact)]


def reasons(artifact: Artifact) -> Counter[str]:
    return Counter(artifact.read(FAILURES)["reason"].to_pylist())


def exchanges(out: ArtifactFolder, artifact: Artifact) -> dict[str, tuple[str, bytes]]:
    """Status and body by URL, from the artifact's WARC files; each has its request beside it."""
    names = [path for path in artifact.manifest.files if path.startswith("warc/")]
    records = [
        (
            record.rec_type,
            record.rec_headers["WARC-Target-URI"],
            record.http_headers.get_statuscode(),
            record.content_stream().read(),
        )
        for name in names
        for record in ArchiveIterator(io.BytesIO(out.folder.read(name)))
        if record.rec_type in ("request", "response")
    ]
    asked = Counter(uri for kind, uri, *_ in records if kind == "request")
    assert asked == Counter(uri for kind, uri, *_ in records if kind == "response")
    return {uri: (status, body) for kind, uri, status, body in records if kind == "response"}


@pytest.fixture
def out(tmp_path: Path) -> ArtifactFolder:
    return ArtifactFolder(LocalStorage(str(tmp_path / "crawl" / "0123")))


@pytest.fixture
def site() -> Iterator[SmallSite]:
    pages = {"/": Page("home", [f"/a/{n}" for n in range(12)])}
    with SmallSite(pages | {f"/a/{n}": Page(f"page {n}") for n in range(12)}) as small:
        yield small


def test_a_calendar_without_end_ends(site: SmallSite, out: ArtifactFolder) -> None:
    site.pages["/"].links.append("/cal/2026-01")
    site.make = lambda path: Page("month", [f"/cal/{int(path[5:9]) + 1}-01"]) if path.startswith("/cal/") else None
    artifact = crawl(out, site, source(max_alike=30))
    assert sum(path.startswith("/cal/") for path in paths(artifact)) == 30
    assert reasons(artifact) == {"too-many-alike": 1}
    assert sum(path.startswith("/a/") for path in paths(artifact)) == 12


def test_pages_that_the_source_asks_for_are_no_trap(site: SmallSite, out: ArtifactFolder) -> None:
    artifact = crawl(out, site, source(max_alike=5, content=["^/a/"]))
    assert sum(path.startswith("/a/") for path in paths(artifact)) == 12


def test_a_site_that_makes_up_addresses_ends(site: SmallSite, out: ArtifactFolder) -> None:
    site.pages["/"].links.append("/made")
    site.make = lambda path: Page("more", [f"{path}x", f"{path}y"])
    artifact = crawl(out, site, source(max_urls=50))
    assert len(paths(artifact)) == 50
    assert set(reasons(artifact)) == {"too-many-urls"}


def test_a_host_that_goes_away_for_a_while_loses_no_page(
    site: SmallSite, out: ArtifactFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.crawl.gate.MAX_BACKOFF", 0.02)
    went, probes = threading.Event(), 0

    def overloaded(path: str) -> None:
        nonlocal probes
        probes += went.is_set()
        if path == "/a/5":
            went.set()
        if probes == 25:  # many more than all tries that its pages have
            went.clear()
            site.make, site.pages = (lambda _path: None), whole

    whole = site.pages
    down = Page("down", status=503)

    def go_down(path: str) -> None:
        overloaded(path)
        if went.is_set():
            site.pages, site.make = {}, lambda _path: down

    site.on_request = go_down
    artifact = crawl(out, site, source(), retries=1)
    assert sorted(paths(artifact)) == sorted(["/", *(f"/a/{n}" for n in range(12))])
    assert reasons(artifact) == {}


def test_pages_that_never_answer_do_not_keep_the_crawl(
    site: SmallSite, out: ArtifactFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.crawl.gate.MAX_BACKOFF", 0.02)
    for n in range(6):
        site.pages[f"/a/{n}"].status = 503
    artifact = crawl(out, site, source())
    assert reasons(artifact) == {"http-503": 6}
    assert len(paths(artifact)) == 7


def test_another_node_goes_on_from_the_journals(
    site: SmallSite, out: ArtifactFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.crawl.segments.MAX_PAGES", 3)
    plans, config = plan_hosts([source()]), settings(site, slice_seconds=0.01)
    finished, nodes = False, 0
    while not finished:
        nodes += 1
        monkeypatch.setenv("GAOKERENA_CACHE", str(tmp_path / f"node-{nodes % 2}"))  # every second slice has an old file
        (report,) = crawl_slice(plans, out=out, settings=config)
        finished = report.finished
    assert nodes > 3
    artifact = out.finish(step="crawl", version=1, settings={}, inputs={}, tables=(PAGES, FAILURES), started=0.0)
    assert Counter(paths(artifact)) == Counter(["/", *(f"/a/{n}" for n in range(12))])
    assert max(Counter(site.paths()).values()) == 1


def test_a_killed_owner_loses_only_what_was_on_the_wire(site: SmallSite, out: ArtifactFolder) -> None:
    plans = plan_hosts([source(max_urls=12)])  # /a/11 is a counted failure
    work = partial(crawl_slice, plans, out=out, settings=settings(site, warc=True))
    for last in ("/a/2", "/a/7"):
        owner = multiprocessing.get_context("spawn").Process(target=work)
        site.on_request = lambda path, last=last, owner=owner: owner.kill() if path == last else None
        owner.start()
        owner.join(60)
        assert owner.exitcode == -signal.SIGKILL
    site.on_request = lambda _path: None
    assert out.sealed() == {}
    artifact = crawl(out, site, source(max_urls=12), warc=True)
    assert sorted(paths(artifact)) == sorted(["/", *(f"/a/{n}" for n in range(11))])
    assert reasons(artifact) == {"too-many-urls": 1}
    again = {path: n - 1 for path, n in Counter(site.paths()).items() if n > 1 and path != "/robots.txt"}
    assert set(again) <= {"/a/1", "/a/2", "/a/6", "/a/7"}
    assert {"/", "/a/0", "/a/3"} <= {urlsplit(uri).path for uri in exchanges(out, artifact)}


def test_what_a_killed_owner_had_is_not_believed_when_another_node_went_on(
    site: SmallSite, out: ArtifactFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GAOKERENA_CACHE", str(tmp_path / "this-node"))
    work = partial(crawl_slice, plan_hosts([source()]), out=out, settings=settings(site))
    owner = multiprocessing.get_context("spawn").Process(target=work)
    site.on_request = lambda path: owner.kill() if path == "/a/4" else None
    owner.start()
    owner.join(60)
    site.on_request = lambda _path: None
    monkeypatch.setattr("pipelines.crawl.segments.MAX_PAGES", 3)
    monkeypatch.setenv("GAOKERENA_CACHE", str(tmp_path / "another-node"))
    crawl_slice(plan_hosts([source()]), out=out, settings=settings(site, slice_seconds=0.01))
    assert out.sealed()
    monkeypatch.setenv("GAOKERENA_CACHE", str(tmp_path / "this-node"))
    artifact = crawl(out, site, source())
    assert Counter(paths(artifact)) == Counter(["/", *(f"/a/{n}" for n in range(12))])


def test_sitemaps_of_a_late_robots_txt_are_read(site: SmallSite, out: ArtifactFolder) -> None:
    sitemap = f"<urlset><url><loc>http://{HOST}/only-here</loc></url></urlset>"
    site.pages["/only-here"] = Page("found")
    site.pages["/map.xml"] = Page(sitemap, headers={"Content-Type": "application/xml"})
    robots = Page(f"Sitemap: http://{HOST}/map.xml", headers={"Content-Type": "text/plain"})
    site.pages["/robots.txt"] = Page(status=503)

    def recover(path: str) -> None:
        if path == "/robots.txt" and site.paths().count(path) == 2:
            site.pages["/robots.txt"] = robots

    site.on_request = recover
    artifact = crawl(out, site, source(robots_sitemaps=True), retries=1)
    assert "/only-here" in paths(artifact)


def test_a_file_of_another_run_is_not_believed(site: SmallSite, out: ArtifactFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.crawl.segments.MAX_PAGES", 3)
    (report,) = crawl_slice(plan_hosts([source()]), out=out, settings=settings(site, slice_seconds=0.01))
    assert not report.finished
    for path in out.folder.list():
        out.folder.delete(path)  # as `--from crawl` does
    assert len(paths(crawl(out, site, source()))) == 13


def test_a_refresh_fetches_what_changed_and_keeps_the_versions(site: SmallSite, out: ArtifactFolder) -> None:
    for path in ("/", "/a/1", "/a/2", "/a/3"):
        site.pages[path].headers["ETag"] = '"1"'
    first = crawl(out, site, source())
    site.pages["/a/1"] = Page("a new text", ["/a/new"], headers={"ETag": '"2"'})
    site.pages["/a/new"] = Page("new")
    site.pages["/a/3"] = Page("gone", status=404)
    out.folder.write(FILE, b'{"before": 9e9}')
    out.folder.delete("artifact.json")
    before = len(site.requests)
    second = crawl(out, site, source())

    asked = {path: status for path, status, _ in site.requests[before:]}
    assert asked["/"] == asked["/a/2"] == 304
    assert asked["/a/1"] == 200
    assert asked["/a/3"] == 404
    assert max(Counter(path for path, _, _ in site.requests[before:]).values()) == 1
    versions = Counter(paths(second))
    assert versions["/a/1"] == versions["/a/4"] == 2  # what sends no ETag is stored again
    assert versions["/"] == versions["/a/2"] == versions["/a/3"] == versions["/a/new"] == 1
    assert reasons(second) == {"http-404": 1}
    assert second.digest != first.digest
    assert not out.folder.exists(FILE)


def test_a_page_that_was_checked_since_is_not_asked_again(site: SmallSite, out: ArtifactFolder) -> None:
    first = crawl(out, site, source())
    out.folder.write(FILE, b'{"before": 1.0}')
    out.folder.delete("artifact.json")
    before = len(site.requests)
    assert crawl(out, site, source()).digest == first.digest
    assert set(site.paths()[before:]) <= {"/robots.txt"}


def test_a_redirect_is_followed_again_at_a_refresh(site: SmallSite, out: ArtifactFolder) -> None:
    site.pages["/"].links.append("/moved")
    site.pages["/moved"] = Page(status=301, headers={"Location": "/new-home"})
    site.pages["/new-home"] = Page("first")
    crawl(out, site, source())
    site.pages["/new-home"] = Page("second")
    out.folder.write(FILE, b'{"before": 9e9}')
    out.folder.delete("artifact.json")
    artifact = crawl(out, site, source())
    assert sorted("second" in row["body"] for row in rows(artifact) if row["url"].endswith("/moved")) == [False, True]
    assert reasons(artifact) == {}


def test_a_standard_reader_opens_what_went_over_the_wire(site: SmallSite, out: ArtifactFolder) -> None:
    site.pages["/a/1"].status = 500
    artifact = crawl(out, site, source(), warc=True, retries=0)
    answers = exchanges(out, artifact)
    assert len(answers) == len(site.requests)
    assert answers[f"http://{HOST}/a/1"][0] == "500"
    assert b"page 2" in answers[f"http://{HOST}/a/2"][1]
    assert f"http://{HOST}/robots.txt" in answers
