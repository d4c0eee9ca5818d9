"""The live table: what the notes of the hosts' owners come to."""

from __future__ import annotations

import io
import json
import time
from pathlib import Path

import pytest
from rich.console import Console

from cluster.storage import LocalStorage
from pipelines import progress as progress_module
from pipelines.artifact import ArtifactFolder
from pipelines.crawl import owner
from pipelines.crawl.owner import PROGRESS
from pipelines.crawl.segments import unit_prefix
from pipelines.crawl.settings import CrawlSettings
from pipelines.crawl.source import load_source
from pipelines.crawl.step import crawl_slice, plan_hosts
from pipelines.crawl.watch import HostView, Watch
from pipelines.demo.web import DemoWeb
from pipelines.progress import Progress


def note(out: ArtifactFolder, host: str, **values: float) -> None:
    text = {"done": 0, "failed": 0, "queued": 0, "resumes_at": 0.0} | values
    out.folder.write(f"hosts/{unit_prefix(host)}/{PROGRESS}", json.dumps(text).encode())


@pytest.fixture
def out(tmp_path: Path) -> ArtifactFolder:
    return ArtifactFolder(LocalStorage(str(tmp_path)))


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    monkeypatch.setattr(progress_module, "LINE_EVERY", -1.0)
    return io.StringIO()


def plain(lines: io.StringIO) -> Progress:
    return Progress(Console(file=lines, width=200))


def test_the_rate_comes_from_successive_notes(out: ArtifactFolder) -> None:
    view = HostView("a.ir:8080")
    view.look(out.folder, 1000.0)
    assert view.rate == 0.0
    for now, done in ((1000.0, 10), (1002.0, 20), (1004.0, 18 + 10)):
        note(out, "a.ir:8080", done=done)
        view.look(out.folder, now)
    assert view.rate == (28 - 10) / 4
    note(out, "a.ir:8080", done=28)
    for now in range(1006, 1006 + 2 * 16, 2):  # nothing new for half a minute
        view.look(out.folder, float(now))
    assert view.rate == 0.0


def test_a_host_says_when_it_may_be_asked_again() -> None:
    view = HostView("a.ir")
    view.resumes_at = 1090.0
    assert view.next_request(1000.0) == "in 90 s"
    assert view.next_request(1089.5) == view.next_request(1200.0) == "now"


def test_each_host_has_a_line_and_a_finished_one_says_done_once(out: ArtifactFolder, lines: io.StringIO) -> None:
    watch = Watch(out, ["a.ir", "b.ir"], plain(lines))
    note(out, "a.ir", done=3, queued=4, failed=1, resumes_at=time.time() + 300)
    note(out, "b.ir", done=1200, failed=2)
    watch.finished("b.ir")
    with watch.progress.step("crawl"):
        watch.look()
        first = lines.getvalue()
        note(out, "a.ir", done=5, queued=2, failed=1, resumes_at=time.time() + 300)
        watch.look()
    second = lines.getvalue().removeprefix(first)
    assert "  crawl: 1,203 of 1,207, 3 not stored\n" in first
    assert "    a.ir: 3 pages, 1 not stored, 4 queued, 0.0 pages/s, next request in 300 s\n" in first
    assert "    b.ir: 1,200 pages, 2 not stored, 0 queued, done\n" in first
    assert "    a.ir: 5 pages" in second and "b.ir" not in second


def test_on_a_terminal_the_table_stands_below_the_bar(out: ArtifactFolder) -> None:
    screen = io.StringIO()
    watch = Watch(out, ["a.ir", "b.ir"], Progress(Console(file=screen, force_terminal=True, width=100)))
    note(out, "a.ir", done=3, queued=4)
    watch.finished("b.ir")
    with watch.progress.step("crawl"):
        watch.look()
    text = screen.getvalue()
    assert "next request" in text and text.index("crawl") < text.index("a.ir") < text.index("b.ir") < text.rindex("done")


def test_an_owner_leaves_the_last_word_on_its_host(demo: DemoWeb, out: ArtifactFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owner, "REPORT_EVERY", 3600.0)
    source = load_source("demo-forum").model_copy(update={"max_pages": 3})
    crawl_slice(plan_hosts([source]), out=out, settings=CrawlSettings(sources=["x"], resolve=demo.resolve))
    view = HostView(source.host)
    view.look(out.folder, 0.0)
    assert (view.done, view.queued) == (len(demo.log) - 1, 0)  # all but robots.txt was stored
    assert view.failed > 0
