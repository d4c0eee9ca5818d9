"""Rows a second and memory of the clean step on generated rows: the marginal rate, and what a run costs whatever its size.

    python -m tests.benchmarks.clean [--kinds qa,article] [--sizes 5000,20000] [--cpus 2] [--profile]

Each size has a process of its own, with its own Ray. The rate is the slope of a line through the sizes (seconds against
rows), the fixed cost where it starts. A task's memory is the most that a Ray worker held, code and shared memory included; the driver's is its own.
`--profile` runs the functions of the three rounds on one shard in this process, and prints where their time goes.
Rows: a tenth near or exact duplicates, a twentieth of the texts with a telephone number, 2,000 items held out.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import pstats
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import psutil
from rich.console import Console

from cluster import dataflow
from cluster.session import connect
from cluster.storage import open_storage
from pipelines.artifact import Artifact, ArtifactFolder
from pipelines.clean.step import clean
from pipelines.progress import Progress
from pipelines.recipe import load_recipe
from pipelines.steps import StepRun
from pipelines.tables import ARTICLES, CORPUS, DROPPED, LINEAGE, PAIRS, QA
from tests.benchmarks.persian_texts import article_rows, pair_rows, texts
from tests.benchmarks.road import machine

SHARD = {"qa": 5000, "article": 1000}  # rows
HELD_OUT = 2000
LOOK_EVERY = 0.5  # seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", default="qa,article")
    parser.add_argument("--sizes", default="5000,20000")
    parser.add_argument("--cpus", type=int, default=2)
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    kinds, sizes = options.kinds.split(","), [int(size) for size in options.sizes.split(",")]
    if options.profile:
        for kind in kinds:
            profile(kind)
        return
    if options.one:
        print(json.dumps(measure(kinds[0], sizes[0], options.cpus)))
        return
    print(f"{date.today()}, {machine()}, {options.cpus} tasks at once\n")
    print("| kind | rows | kept | seconds | a task, MiB | driver, MiB |\n|---|---:|---:|---:|---:|---:|")
    for kind in kinds:
        seconds = []
        for size in sizes:
            command = ["--one", "--kinds", kind, "--sizes", str(size), "--cpus", str(options.cpus)]
            done = subprocess.run([sys.executable, "-m", "tests.benchmarks.clean", *command], check=True, stdout=subprocess.PIPE)
            found = json.loads(done.stdout)
            seconds.append(found["seconds"])
            print(
                f"| {kind} | {size:,} | {found['kept']:,} | {found['seconds']:.1f} | {found['task']:.0f} | {found['driver']:.0f} |"
            )
        if len(sizes) > 1:
            slope, fixed = np.polyfit(sizes, seconds, 1)
            print(f"\n{kind}: {1 / slope:,.0f} rows/s, {fixed:.1f} s fixed\n")


def measure(kind: str, rows: int, cpus: int) -> dict[str, float]:
    """Generate rows, clean them through Ray and say what that took."""
    with tempfile.TemporaryDirectory() as folder, connect(cpus=cpus):
        run = prepare(Path(folder), kind, rows)
        started = time.perf_counter()
        with peak_memory() as peak:
            outcome = clean(run)
            seconds = time.perf_counter() - started
        finished = run.out.finish(
            step="clean", version=0, settings={}, inputs={}, tables=(CORPUS, PAIRS, LINEAGE, DROPPED), started=0.0, units=outcome.units
        )  # fmt: skip
    return {"seconds": seconds, "kept": finished.rows(CORPUS) + finished.rows(PAIRS), **peak}


def profile(kind: str) -> None:
    """Two shards in this process."""
    with tempfile.TemporaryDirectory() as folder:
        run = prepare(Path(folder), kind, 2 * SHARD[kind])
        profiler = cProfile.Profile()
        with patch.object(dataflow, "map_tasks", lambda work, items, **options: map(work, items)):
            profiler.runcall(clean, run)
    pstats.Stats(profiler).sort_stats("cumulative").print_stats(45)


def prepare(folder: Path, kind: str, rows: int) -> StepRun:
    """The run of a clean step over generated rows, made in other processes so that this one's memory stays its own."""
    (folder / "exam.csv").write_text("\n".join(["question", *(t.replace("\n", " ") for t in texts(HELD_OUT, (6, 40), -1))]))
    return StepRun(
        recipe=load_recipe("demo", [f"clean.decontaminate=[{folder / 'exam.csv'}]"]),
        inputs={"extract": extracted(folder / "extract" / "0", kind, rows)},
        out=ArtifactFolder(open_storage(folder / "clean" / "0")),
        progress=Progress(Console(quiet=True)),
        cache=folder,
    )


def extracted(folder: Path, kind: str, rows: int) -> Artifact:
    size = SHARD[kind]
    with ProcessPoolExecutor() as pool:
        list(
            pool.map(partial(_seal_shard, folder, kind), [min(size, rows - start) for start in range(0, rows, size)], range(rows))
        )
    out = ArtifactFolder(open_storage(folder))
    return out.finish(step="extract", version=0, settings={}, inputs={}, tables=(ARTICLES, QA, DROPPED), started=0.0)


def _seal_shard(folder: Path, kind: str, rows: int, number: int) -> None:
    table, made = (QA, pair_rows) if kind == "qa" else (ARTICLES, article_rows)
    ArtifactFolder(open_storage(folder)).seal(f"{number:06}", {table: table.table(made(rows, number))}, rows_in=rows)


@contextmanager
def peak_memory() -> Iterator[dict[str, Any]]:
    """The most memory (MiB) that this process and any Ray worker ever held; the kernel keeps it, so no peak is missed."""
    this, over = psutil.Process(), threading.Event()
    peak = {"driver": 0.0, "task": 0.0}

    def look() -> None:
        while not over.wait(LOOK_EVERY):
            peak["driver"] = max(peak["driver"], most_held(this))
            for child in this.children(recursive=True):
                try:
                    if child.name().startswith("ray::"):
                        peak["task"] = max(peak["task"], most_held(child))
                except (psutil.Error, OSError):  # it has ended
                    continue

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield peak
    finally:
        over.set()
        watcher.join()


def most_held(process: psutil.Process) -> float:
    """The high-water mark of a process's resident set in MiB, pages that it shares with others included."""
    status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


if __name__ == "__main__":
    main()
