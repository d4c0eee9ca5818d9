"""Memory and time of a host's frontier with many URLs queued, on synthetic URLs and no network.

    python -m tests.benchmarks.frontier [--sizes 2000,20000,200000,1000000]      # prints a Markdown table

Each size has a process of its own, with everything imported that an owner of a host imports. It fills the frontier as a
crawl does (pages of 100 new links, sealed every 1,000 pages), then works off 2,000 pages, each of which links 99 known
URLs and a new one, so that the queue keeps its size. Memory is the process's resident set after that, and its peak.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import psutil

import pipelines.crawl.step  # noqa: F401 - an owner's process has it in memory
from cluster.storage import LocalStorage
from pipelines.artifact import ArtifactFolder
from pipelines.crawl.frontier import Entry, Frontier
from pipelines.crawl.segments import MAX_PAGES, Segment, seal
from tests.benchmarks.road import machine

LINKS, PAGES = 100, 2_000


class Clock:
    """Seconds and number of calls by operation."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.calls: dict[str, int] = defaultdict(int)

    def time(self, name: str, work: Callable[[], Any], calls: int = 1) -> Any:
        started = time.perf_counter()
        found = work()
        self.seconds[name] += time.perf_counter() - started
        self.calls[name] += calls
        return found

    def each(self, name: str) -> float:
        """Microseconds a call."""
        return 1e6 * self.seconds[name] / self.calls[name]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="2000,20000,200000,1000000")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one)))
        return
    sizes = [int(size) for size in options.sizes.split(",")]
    command = [sys.executable, "-m", "tests.benchmarks.frontier", "--one"]
    found = [json.loads(subprocess.run([*command, str(n)], check=True, stdout=subprocess.PIPE).stdout) for n in sizes]
    print(f"{date.today()}, {machine()}; an owner with an empty frontier: {found[0]['empty_mb']:.0f} MB\n")
    names = [name for name in found[0] if name != "empty_mb"]
    print(f"| {' | '.join(['URLs queued', *names])} |\n|{'---:|' * (1 + len(names))}")
    for size, row in zip(sizes, found, strict=True):
        print(f"| {size:,} | {' | '.join(f'{row[name]:.1f}' for name in names)} |")


def measure(size: int) -> dict[str, float]:
    """One size, in this process."""
    with tempfile.TemporaryDirectory() as folder:
        path, clock = Path(folder) / "frontier.sqlite", Clock()
        frontier, out = Frontier(path), ArtifactFolder(LocalStorage(f"{folder}/run"))
        empty = _resident()
        fill(frontier, size, out)
        work_off(frontier, size, out, clock)
        resident, peak = _resident(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        on_disk = sum(file.stat().st_size for file in Path(folder).glob("frontier.sqlite*"))
        frontier.close()
        frontier = clock.time("open", lambda: Frontier(path))
        assert frontier.queued == size
        frontier.close()
    return {
        "empty_mb": empty,
        "resident, MB": resident,
        "peak, MB": peak,
        "on disk, bytes a URL": on_disk / size,
        "look up, µs a link": clock.each("unknown"),
        "add, µs": clock.each("add"),
        "next, µs": clock.each("next"),
        "settle, µs": clock.each("settle"),
        "seal 1,000 pages, ms": clock.each("seal") / 1000,
        "open, ms": clock.each("open") / 1000,
    }


def fill(frontier: Frontier, size: int, out: ArtifactFolder) -> None:
    """Queue so many URLs, as so many pages would that link nothing known."""
    for page, first in enumerate(range(0, size, LINKS), 1):
        for url in frontier.unknown([_url(i) for i in range(first, min(first + LINKS, size))]):
            frontier.add(_entry(url))
        if page % MAX_PAGES == 0 or first + LINKS >= size:
            _seal(frontier, out)


def work_off(frontier: Frontier, known: int, out: ArtifactFolder, clock: Clock) -> None:
    """Settle 2,000 pages, each of which brings a new URL."""
    for page in range(1, PAGES + 1):
        entry = clock.time("next", lambda: frontier.next(0.0))
        links = [_url((page * 7919 + i * 104_729) % known) for i in range(LINKS - 1)] + [_url(known + page)]
        new = clock.time("unknown", lambda links=links: frontier.unknown(links), LINKS)
        assert new == links[-1:]
        clock.time("add", lambda url=links[-1]: frontier.add(_entry(url)))
        clock.time("settle", lambda entry=entry: frontier.settle(entry, "stored", now=0.0))
        if page % MAX_PAGES == 0:
            clock.time("seal", lambda: _seal(frontier, out))


def _seal(frontier: Frontier, out: ArtifactFolder) -> None:
    """As an owner does, but for the pages."""
    number = frontier.sealed[0] + 1
    frontier.commit(number, seal(out, "forum.example.ir", number, 1, Segment(), frontier.journal()))


def _url(number: int) -> str:
    return f"http://forum.example.ir/q/{number}/what-should-i-do-about-this"


def _entry(url: str) -> Entry:
    return Entry(url, "forum", depth=3, found_on=_url(0), shape="forum.example.ir/q/#/what-should-i-do-about-this")


def _resident() -> float:
    """MB of this process in memory."""
    return float(psutil.Process().memory_info().rss / 2**20)


if __name__ == "__main__":
    main()
