"""Training on a CPU beside a plain transformers Trainer with PEFT, step by step by turns: useful tokens a second and memory.

    python -m tests.benchmarks.train [--pairs FILE.parquet] [--rounds 3] [--batch 4] [--model gemma3-270m]

Real question-answer pairs (columns question and answer; by default the forum's in $GAOKERENA_DATA), the instruct stage's
settings, bfloat16, two sequences a micro-batch. Each side has a process of its own and takes its first step alone; then a
round is one optimizer step of each side, one after another, while the others wait. Sides that are compared take the same
sequences in every step: one sequence a pair, or packed ones, a quarter as many but at least two. A token is useful when it is
of a pair.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from cluster.profiles import PROFILES
from cluster.session import prepare_environment
from cluster.storage import open_storage
from pipelines.artifact import Artifact, ArtifactFolder
from pipelines.tokenization.encoding import encode_pairs
from pipelines.train.job import Job
from pipelines.train.settings import TrainSettings
from serving.engines.models import load_model, load_tokenizer, local_model, wants_bos
from tests.benchmarks.road import machine
from tests.benchmarks.training_sequences import CONTEXT, tokens_of_steps, write_artifact

MICRO_BATCH, SEED = 2, 2025
PACKING = 4  # pairs in a packed sequence of CONTEXT tokens, about
SPARE = 2  # steps that are planned and not taken: no side comes to the end of its sequences

Figures = dict[str, Any]
Told = Callable[[Figures], None]


@dataclass(frozen=True)
class Options:
    """What every side is given, as the driver's command line says it."""

    model: str
    batch: int  # pairs an optimizer step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=Path, default=Path(os.environ.get("GAOKERENA_DATA", ".")) / "forum_drhast.parquet")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--model", default="gemma3-270m")
    parser.add_argument("--sides", help="some of: " + "; ".join(SIDES))
    parser.add_argument("--one", nargs=2, metavar=("SIDE", "FOLDER"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    options = Options(given.model, given.batch)
    if given.one:
        side, folder = given.one
        take_steps(side, Path(folder), options)
    else:
        print(f"{date.today()}, {machine()}, load {os.getloadavg()[0]:.1f} before\n")
        print_speed(given.sides.split(";") if given.sides else list(SIDES), given.pairs, given.rounds, options)
        print(f"\nload {os.getloadavg()[0]:.1f} after")


# what the sides are ----------------------------------------------------------------------------------------------------


def ours(job: Job, folder: Path, told: Told) -> None:
    """The worker's own function, as Ray Train calls it."""
    import torch

    from pipelines.train.worker import train
    from tests.train.alone import process_group

    with process_group(folder):
        torch.set_num_threads(os.cpu_count() or 1)
        train(job, folder, told)


def plain(job: Job, folder: Path, told: Told, *, collator: str, **options: Any) -> None:
    import torch
    from transformers import set_seed

    from tests.benchmarks import training_peers as peers

    torch.set_num_threads(os.cpu_count() or 1)
    set_seed(job.seed)
    model = load_model(job.base_folder(), job.settings.dtype)
    items = peers.drawn(job, folder)
    peers.plain(job, model, items, partial(getattr(peers, collator), **options), folder, told).train()


@dataclass(frozen=True)
class Side:
    """How one side trains; `against`: the side that it is a peer of, and the ratio that is wanted."""

    layout: str
    train: Callable[[Job, Path, Told], None]
    against: tuple[str, float] | None = None


OURS, OURS_PACKED = "gaokerena", "gaokerena, packed"
SIDES = {
    f"Trainer, padded to {CONTEXT:,}": Side("windows", partial(plain, collator="padded", width=CONTEXT), (OURS, 4.0)),
    OURS: Side("windows", ours),
    "Trainer, padded to the longest": Side("windows", partial(plain, collator="padded"), (OURS, 1.25)),
    OURS_PACKED: Side("packed", ours),
    "Trainer, packed": Side("packed", partial(plain, collator="packed"), (OURS_PACKED, 1.15)),
}


# a side's process ------------------------------------------------------------------------------------------------------


def take_steps(name: str, folder: Path, options: Options) -> None:
    """Train, and after each step tell the driver of it and wait to be asked for the next."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    prepare_environment()
    job = job_of(SIDES[name].layout, folder, options)
    with tempfile.TemporaryDirectory(dir=folder) as work:
        SIDES[name].train(job, Path(work), Turns(answers))


class Turns:
    """Called with what was logged of a step."""

    def __init__(self, answers: Any) -> None:
        self._answers, self._asked = answers, time.monotonic()

    def __call__(self, figures: Figures) -> None:
        seconds = time.monotonic() - self._asked
        self._answer({"seconds": seconds, "loss": float(figures["loss"]), "data_seconds": figures.get("data_seconds")})
        if sys.stdin.readline() != "step\n":
            self._answer({"peak": _peak_memory()})
            os._exit(0)
        self._asked = time.monotonic()

    def _answer(self, values: Figures) -> None:
        print(json.dumps(values), file=self._answers, flush=True)


def _peak_memory() -> int:
    """The most that this process had in memory, bytes."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024


def job_of(layout: str, folder: Path, options: Options) -> Job:
    tokens = Artifact.load(open_storage(folder / layout))
    assert tokens is not None
    batch = options.batch if layout == "windows" else packed_batch(options.batch)
    return Job(
        stage="instruct",
        settings=TrainSettings.model_validate(
            {"micro_batch": MICRO_BATCH, "checkpoint_steps": 10**6, "valid_tokens": 0, "instruct": {"effective_batch": batch}}
        ),
        seed=SEED,
        profile=PROFILES["cpu"],
        model=options.model,
        previous=None,
        tokens=tokens,
        out=ArtifactFolder(open_storage(folder).sub("instruct", str(os.getpid()))),
    )


def packed_batch(pairs: int) -> int:
    return max(1, pairs // PACKING // MICRO_BATCH) * MICRO_BATCH


# the driver ------------------------------------------------------------------------------------------------------------


class Process:
    """A side as the driver sees it."""

    def __init__(self, name: str, folder: Path, options: Options) -> None:
        self.name = name
        command = [sys.executable, "-m", "tests.benchmarks.train", "--one", name, str(folder)]
        command += ["--model", options.model, "--batch", str(options.batch)]
        self._log = (folder / f"{name}.log").open("w+")
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True)

    def answer(self) -> Figures:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._log.seek(0)
            raise RuntimeError(f"{self.name} ended:\n{self._log.read()[-3000:]}")
        answer: Figures = json.loads(line)
        return answer

    def ask(self, what: str) -> Figures:
        assert self._process.stdin is not None
        self._process.stdin.write(what + "\n")
        self._process.stdin.flush()
        return self.answer()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        self._log.close()


def print_speed(names: Sequence[str], pairs: Path, rounds: int, options: Options) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        planned = 1 + rounds + SPARE
        write_sequences(folder, pairs, planned * options.batch, options)
        tokens = {layout: tokens_of_steps(job_of(layout, folder, options)) for layout in ("windows", "packed")}
        processes: list[Process] = []
        try:
            for side in names:  # one after another: each loads and takes its first step with the machine to itself
                processes.append(Process(side, folder, options))
                print(f"{side}: {processes[-1].answer()['seconds']:.0f} s to the end of the first step", file=sys.stderr)
            taken = [{process.name: process.ask("step") for process in processes} for _ in range(rounds)]
            peaks = {process.name: process.ask("end")["peak"] for process in processes}
        finally:
            for process in processes:
                process.kill()
    speed = {
        side: [tokens[SIDES[side].layout][step] / one[side]["seconds"] for step, one in enumerate(taken, 1)] for side in names
    }
    mean = {layout: np.mean(steps[1 : rounds + 1]) for layout, steps in tokens.items()}
    print(
        f"{options.model}, {rounds} rounds; useful tokens a step: {mean['windows']:,.0f} as {options.batch} pairs, "
        f"{mean['packed']:,.0f} packed in {packed_batch(options.batch)} sequences\n"
    )
    _print_table(names, speed, peaks, taken)
    print("\n| loss at step | " + " | ".join(str(step) for step in range(2, rounds + 2)) + " |\n|---|" + "---:|" * rounds)
    for side in names:
        print(f"| {side} | " + " | ".join(f"{one[side]['loss']:.3f}" for one in taken) + " |")


def _print_table(
    names: Sequence[str], speed: dict[str, list[float]], peaks: dict[str, int], taken: list[dict[str, Figures]]
) -> None:
    print("| | useful tokens/s | peak memory, GB | waits for data | gaokerena is so many times as fast | wanted |")
    print("|---|---:|---:|---:|---:|---:|")
    for side in names:
        against, ratio, wanted = SIDES[side].against, "", ""
        if against and against[0] in speed:
            ratio = spread([ours / its for ours, its in zip(speed[against[0]], speed[side], strict=True)])
            wanted = f"{against[1]:.2f}"
        waits = [one[side]["data_seconds"] / one[side]["seconds"] for one in taken if one[side]["data_seconds"] is not None]
        waited = f"{statistics.median(waits):.2%}" if waits else ""
        print(f"| {side} | {statistics.median(speed[side]):.1f} | {peaks[side] / 1e9:.1f} | {waited} | {ratio} | {wanted} |")


def spread(values: Sequence[float]) -> str:
    """Median, lowest and highest."""
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def write_sequences(folder: Path, file: Path, number: int, options: Options) -> None:
    """So many pairs of a file, drawn by seed, in both layouts."""
    tokenizer = load_tokenizer(local_model(options.model))
    rows = pq.read_table(file, columns=["question", "answer"])
    drawn = rows.take(np.random.default_rng(SEED).permutation(rows.num_rows)[: 2 * number]).to_pylist()
    found = encode_pairs(tokenizer, [(row["question"], row["answer"]) for row in drawn if all(row.values())], CONTEXT)
    examples = [example for example in found if example is not None]
    bos = tokenizer.bos_token_id if wants_bos(tokenizer) else None
    # What is packed has more pairs, so that its sequences last as long.
    for layout, part in (("windows", examples[:number]), ("packed", examples)):
        write_artifact(folder / layout, part, layout, bos)


if __name__ == "__main__":
    main()
