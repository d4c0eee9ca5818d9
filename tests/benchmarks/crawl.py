"""Pages a second with delay 0, against Scrapy doing the same work: fetch, robots.txt, parse links, store.

    pip install 'scrapy==2.19.*'      # the extra `bench`, or an environment of its own
    python -m tests.benchmarks.crawl --replay FOLDER [--scrapy-python PYTHON] [--sites magazine,forum] [--repeat 3]

FOLDER has `serve_sites.py`, the replay's server, which runs as a process of its own on the same machine and takes its
share of it. All crawlers take their turn in every round; a ratio is of two runs of one round. The time of a crawl is
the whole process's; that of fetching is from the first request to the last, as the server saw them. Ours asks one thing at a
time of each host, which is all that it ever does by default; Scrapy has a row for that and one for its own default.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from cluster.storage import open_storage
from pipelines import tables
from pipelines.steps import latest
from tests.benchmarks.road import machine

REPOSITORY = Path(__file__).resolve().parent.parent.parent
REPLAY = REPOSITORY / "tests" / "replay"
SPIDER = Path(__file__).parent / "scrapy_peer" / "spider.py"
PORT = 8800
OURS = "gaokerena"
PEERS = {
    "Scrapy as it comes (8 requests a host)": ["--concurrency", "8"],
    "Scrapy, 1 request a host": ["--concurrency", "1"],
    "Scrapy, 1 request a host, own set of seen URLs": ["--concurrency", "1", "--own-seen"],
    "Scrapy, 8 requests a host, own set of seen URLs": ["--concurrency", "8", "--own-seen"],
}


@dataclass(frozen=True)
class Measured:
    """One crawl: seconds of the process and of its fetching, pages stored and requests."""

    whole: float
    fetching: float
    pages: int
    requests: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replay", type=Path, required=True)
    parser.add_argument("--scrapy-python", default=sys.executable)
    parser.add_argument("--sites", default="magazine,forum")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--peers", default="1,2,3,4", help="which of the rows with Scrapy")
    options = parser.parse_args()
    sites = options.sites.split(",")
    peers = {name: PEERS[name] for i, name in enumerate(PEERS, 1) if str(i) in options.peers.split(",")}
    rounds: list[dict[str, Measured]] = []
    for number in range(options.repeat):
        found = {OURS: measure(options.replay, sites, ours)}
        for name, arguments in peers.items():
            found[name] = measure(options.replay, sites, lambda folder, a=arguments: scrapy(options.scrapy_python, folder, a))
        print(f"round {number + 1}: {found}", file=sys.stderr)
        rounds.append(found)
    print(f"{' and '.join(sites)}, {options.repeat} rounds, {date.today()}, {machine()}\n")
    print_table(rounds)


def measure(replay: Path, sites: list[str], crawl: Any) -> Measured:
    """One crawl of freshly started sites."""
    with tempfile.TemporaryDirectory() as name, serving(replay, Path(name), sites) as log:
        write_sources(Path(name), sites)
        started = time.monotonic()
        pages = crawl(Path(name))
        whole = time.monotonic() - started
        times = [json.loads(line)["t"] for line in log.read_text(encoding="utf-8").splitlines()]
        return Measured(whole, times[-1] - times[0], pages, len(times))


@contextmanager
def serving(replay: Path, folder: Path, sites: list[str]) -> Iterator[Path]:
    """The replay's sites in a process of their own; their request log."""
    log = folder / "requests.jsonl"
    command = [sys.executable, str(replay / "serve_sites.py"), "--port", str(PORT), "--sites", ",".join(sites), "--log", str(log)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        server.stdout.readline()  # it listens now
        yield log
    finally:
        server.terminate()
        server.wait(10)


def write_sources(folder: Path, sites: list[str]) -> None:
    """The replay's sources at full speed, found by links alone; the same as a plan for the peer."""
    plan = {}
    for site in sites:
        source = yaml.safe_load((REPLAY / "sources" / f"{site}.yaml").read_text(encoding="utf-8"))
        source |= {"delay": 0, "throttle": 0, "sitemaps": []}
        (folder / f"{site}.yaml").write_text(yaml.safe_dump(source, allow_unicode=True), encoding="utf-8")
        plan[source["start"][0]] = [*source["follow"], *source["content"]] if source.get("follow") else [""]
    (folder / "plan.json").write_text(json.dumps(plan), encoding="utf-8")


def ours(folder: Path) -> int:
    """`gaokerena run --until crawl`; pages stored."""
    sources = ",".join(str(path) for path in sorted(folder.glob("*.yaml")))
    changes = ["--set", f"crawl.sources=[{sources}]"]
    command = ["run", "--recipe", str(REPLAY / "full.yaml"), *changes, "--until", "crawl", "--out", str(folder / "run")]
    subprocess.run([sys.executable, "-m", "pipelines.cli", *command], cwd=REPOSITORY, check=True, stdout=sys.stderr)
    crawl = latest(open_storage(folder / "run"), "crawl")
    assert crawl is not None
    return crawl.rows(tables.PAGES)


def scrapy(python: str, folder: Path, arguments: list[str]) -> int:
    """The peer's pages."""
    out = folder / "pages.jsonl"
    subprocess.run([python, str(SPIDER), str(folder / "plan.json"), str(out), *arguments], check=True, stdout=sys.stderr)
    with out.open("rb") as file:
        return sum(1 for _ in file)


def print_table(rounds: list[dict[str, Measured]]) -> None:
    """Medians, and the ratio of each peer's time to ours in the same round (median, lowest to highest)."""
    print("| crawler | pages | requests | process, s | pages/s | fetching, s | pages/s | ratio, process | ratio, fetching |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|---:|")
    for name in rounds[0]:
        runs = [found[name] for found in rounds]
        whole, fetching = (statistics.median(getattr(run, part) for run in runs) for part in ("whole", "fetching"))
        pages, requests = runs[0].pages, runs[0].requests
        ratios = [_spread([getattr(f[name], part) / getattr(f[OURS], part) for f in rounds]) for part in ("whole", "fetching")]
        print(
            f"| {name} | {pages:,} | {requests:,} | {whole:.1f} | {pages / whole:.0f} | {fetching:.1f} | {pages / fetching:.0f} | "
            + " | ".join(ratios if name != OURS else ["", ""])
            + " |"
        )


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


if __name__ == "__main__":
    main()
