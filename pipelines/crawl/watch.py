"""Shows how far the hosts are while their slices run, from the notes that their owners leave on run storage."""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.table import Table

from cluster.storage import Storage
from pipelines.artifact import ArtifactFolder
from pipelines.crawl.owner import PROGRESS, REPORT_EVERY
from pipelines.crawl.segments import HOSTS, unit_prefix
from pipelines.progress import Progress

NOTES_OF_A_RATE = 16  # the last half minute of notes


@contextmanager
def watching(out: ArtifactFolder, hosts: Sequence[str], progress: Progress) -> Iterator[Watch]:
    """Shows progress from a thread until the block ends."""
    watch = Watch(out, hosts, progress)
    stop = threading.Event()

    def look_now_and_then() -> None:
        while not stop.wait(REPORT_EVERY):
            watch.look()

    thread = threading.Thread(target=look_now_and_then, name="crawl-progress", daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        stop.set()
        thread.join()


class HostView:
    """One host as its notes show it. Counts are URLs; `resumes_at`: when it may be asked again (unix seconds)."""

    def __init__(self, host: str) -> None:
        self.host = host
        self.done = self.failed = self.queued = 0
        self.resumes_at = 0.0
        self.is_finished = False
        self._seen: deque[tuple[float, int]] = deque(maxlen=NOTES_OF_A_RATE)

    def look(self, folder: Storage, now: float) -> None:
        """Read its owner's last note; there is none before its first slice."""
        try:
            note = json.loads(folder.read(f"{HOSTS}/{unit_prefix(self.host)}/{PROGRESS}"))
        except FileNotFoundError:
            return
        self.done, self.failed, self.queued = note["done"], note["failed"], note["queued"]
        self.resumes_at = note["resumes_at"]
        self._seen.append((now, self.done))

    def __str__(self) -> str:
        return f"{self.host}: {self.done:,} pages, {self.failed:,} not stored, {self.queued:,} queued"

    @property
    def rate(self) -> float:
        """Pages a second over the last notes."""
        if len(self._seen) < 2:
            return 0.0
        (began, before), (ended, after) = self._seen[0], self._seen[-1]
        return (after - before) / (ended - began)

    def next_request(self, now: float) -> str:
        """When the host may be asked again."""
        wait = self.resumes_at - now
        return f"in {wait:.0f} s" if wait >= 1 else "now"


class Watch:
    """All hosts of a crawl."""

    def __init__(self, out: ArtifactFolder, hosts: Sequence[str], progress: Progress) -> None:
        self.folder, self.progress = out.folder, progress
        self.hosts = {host: HostView(host) for host in hosts}
        self._shown = 0

    def finished(self, host: str) -> None:
        """Nothing of this host is left."""
        self.hosts[host].is_finished = True

    def look(self) -> None:
        """Read the notes and show them."""
        now, views = time.time(), list(self.hosts.values())
        for view in views:
            view.look(self.folder, now)
        done, failed, queued = (sum(getattr(view, count) for view in views) for count in ("done", "failed", "queued"))
        if done != self._shown:
            self.progress.advance(done - self._shown, f"{failed:,} not stored", done + queued)
            self._shown = done
        self.progress.parts(_table(views, now), [_line(view, now) for view in views])


def _table(views: list[HostView], now: float) -> Table:
    table = Table("host", box=None, header_style="dim")
    for title in ("done", "queued", "failed", "pages/s", "next request"):
        table.add_column(title, justify="right")
    for view in views:
        counts = (f"{count:,}" for count in (view.done, view.queued, view.failed))
        rate, next_request = ("", "done") if view.is_finished else (f"{view.rate:.1f}", view.next_request(now))
        table.add_row(view.host, *counts, rate, next_request, style="dim" if view.is_finished else "")
    return table


def _line(view: HostView, now: float) -> str:
    if view.is_finished:
        return f"{view}, done"
    return f"{view}, {view.rate:.1f} pages/s, next request {view.next_request(now)}"
