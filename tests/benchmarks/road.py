"""Seconds and peak memory of every step of a run, and of a run that has nothing to do.

    python tests/benchmarks/road.py --recipe demo --out /tmp/road      # prints a Markdown table

A run that is already there is not done again: its figures come from its manifests. The no-op is timed `--repeat`
times as a whole process (median, minimum and maximum).
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from datetime import date

import psutil

from cluster.storage import open_storage
from pipelines.steps import graph, latest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="demo")
    parser.add_argument("--out", required=True)
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    command = [sys.executable, "-m", "pipelines.cli", "run", "--recipe", options.recipe, "--out", options.out]
    started = time.monotonic()
    subprocess.run(command, check=True, stdout=sys.stderr)
    whole = time.monotonic() - started
    print(f"{options.recipe}, {date.today()}, {machine()}\n")
    print("| step | rows in | rows out | seconds | peak memory, GB |\n|---|---:|---:|---:|---:|")
    root, total, peak = open_storage(options.out), 0.0, 0
    for step in graph():
        artifact = latest(root, step.name)
        if artifact is None:
            continue
        manifest = artifact.manifest
        total, peak = total + manifest.seconds, max(peak, manifest.peak_memory_bytes)
        print(
            f"| {step.name} | {manifest.rows_in:,} | {manifest.rows_out:,} | {manifest.seconds:.1f} | {manifest.peak_memory_bytes / 1e9:.2f} |"
        )
    print(f"| all steps | | | {total:.1f} | {peak / 1e9:.2f} |")
    print(f"| this command, as a whole | | | {whole:.1f} | |")
    times = sorted(_time(command) for _ in range(options.repeat))
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    print(
        f"| nothing to do (median of {len(times)}, {times[0]:.2f} to {times[-1]:.2f}) | | | {statistics.median(times):.2f} | at most {memory / 1e9:.2f} |"
    )


def _time(command: list[str]) -> float:
    started = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - started


def machine() -> str:
    """The machine in words."""
    memory = psutil.virtual_memory().total / 2**30
    return (
        f"{os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()} {platform.machine()}, Python {platform.python_version()}"
    )


if __name__ == "__main__":
    main()
