"""The normaliser's speed against hazm's on the same real texts, and what each does to numbers that must stay.

    python -m venv PEER && PEER/bin/pip install "hazm<0.11"      # 0.11 and later need Python 3.12
    python -m tests.benchmarks.normalise FILE.parquet --peer PEER/bin/python [--rows 1000] [--repeat 5]

FILE is a Parquet file with text columns (`--columns question,answer`). hazm pins an old numpy, so it runs in an environment
of its own: each side is one process, warmed up by one pass; the two take their turn in every round, and a ratio is of two
passes in one round. Time is of the process, on one core, and without reading the file. Prints Markdown.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from datetime import date
from pathlib import Path

import pyarrow.parquet as pq

from tests.benchmarks.road import machine

ROOT = Path(__file__).resolve().parents[2]
OURS = "from pipelines.clean.normalise import normalise"
HAZM = "import hazm; normalise = hazm.Normalizer().normalize"
# One pass for each line that comes in; the first line holds the texts and the samples.
RUNNER = """
import json, sys, time
{load}
given = json.loads(sys.stdin.readline())
def one_pass():
    started = time.process_time()
    for text in given["texts"]:
        normalise(text)
    return time.process_time() - started
one_pass()
print(json.dumps([normalise(text) for text in given["samples"]]), flush=True)
for _ in sys.stdin:
    print(one_pass(), flush=True)
"""
SAMPLES = (
    "متفورمين 2.5 mg روزي 1/2 قرص",
    "HbA1c 6.5% و p<0.05",
    "بيماري هاي قلبي شايع تر ميشود",
    "https://example.org/a?b=1.5&c=2",
    "اگزماي تر و تري گليسيريد",
)


class Side:
    """One normaliser in a process of its own."""

    def __init__(self, python: str, load: str, texts: list[str]) -> None:
        command = [python, "-c", RUNNER.format(load=load)]
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self.samples: list[str] = json.loads(self._ask(json.dumps({"texts": texts, "samples": SAMPLES})))

    def seconds(self) -> float:
        return float(self._ask("pass"))

    def close(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()

    def _ask(self, line: str) -> str:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(line + "\n")
        return self._process.stdout.readline()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--peer", required=True, help="the Python of an environment that has hazm")
    parser.add_argument("--columns", default="question,answer")
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    rows = pq.read_table(options.file, columns=options.columns.split(",")).slice(0, options.rows).to_pylist()
    texts = [text for row in rows for text in row.values() if text]
    ours, hazm = Side(sys.executable, OURS, texts), Side(options.peer, HAZM, texts)
    rounds = [(ours.seconds(), hazm.seconds()) for _ in range(options.repeat)]
    ours.close()
    hazm.close()
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    print(f"{len(rows):,} rows, {megabytes:.2f} MB, {options.repeat} rounds, {date.today()}, {machine()}\n")
    print("| normaliser | MB/s | µs a row |\n|---|---:|---:|")
    for name, seconds in zip(("ours", "hazm"), map(statistics.median, zip(*rounds, strict=True)), strict=True):
        print(f"| {name} | {megabytes / seconds:.1f} | {seconds / len(rows) * 1e6:,.0f} |")
    ratios = sorted(theirs / mine for mine, theirs in rounds)
    print(f"\nours / hazm: {statistics.median(ratios):.1f} ({ratios[0]:.1f} to {ratios[-1]:.1f})\n")
    print("| text | ours | hazm |\n|---|---|---|")
    for text, mine, theirs in zip(SAMPLES, ours.samples, hazm.samples, strict=True):
        print(f"| {text} | {mine} | {theirs} |")


if __name__ == "__main__":
    main()
