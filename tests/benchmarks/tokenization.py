"""Tokenization of generated Persian documents: the step beside the bare `tokenizers` library and `datasets.map`, by turns.

    python -m tests.benchmarks.tokenization [--megabytes 400] [--rounds 3] [--cpus 2] [--model gemma3-270m]
    python -m tests.benchmarks.tokenization --memory 100,400              # of the step alone, at these sizes
    python -m tests.benchmarks.tokenization --fill FILE.parquet           # the share of positions that hold a token

Each side has a process of its own in every round; a ratio is of two sides in one round. The step goes from a clean artifact's
shards to finished sequences, as `gaokerena tokenize` does, `--cpus` tasks at once; what Ray and the tokenizer take to start is
measured on a corpus of 80 documents and given apart. `datasets.map` with as many processes stores the ids as int32. The bare
library encodes texts that are in memory, on as many threads, and stores nothing. `--fill` wants the columns question and answer.
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
from concurrent.futures import ProcessPoolExecutor
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from rich.console import Console

from cluster.session import connect
from cluster.storage import open_storage
from pipelines.artifact import Artifact, ArtifactFolder
from pipelines.progress import Progress
from pipelines.recipe import load_recipe
from pipelines.steps import StepRun
from pipelines.tables import CORPUS, CORPUS_TRAIN, CORPUS_VALID, PAIRS, QA_TRAIN, QA_VALID
from pipelines.tokenization.encoding import encode_pairs
from pipelines.tokenization.layout import pack
from pipelines.tokenization.step import tokenize
from serving.engines.models import load_tokenizer, local_model
from tests.benchmarks.clean import peak_memory
from tests.benchmarks.persian_texts import texts
from tests.benchmarks.road import machine

SHARD = 3_000  # documents
WORDS = (100, 600)  # a document
BYTES = 3_480  # a document, about
BATCH = 1_000  # texts, of the peers: what `datasets.map` takes by default
FEW, SMALL_SHARDS = 10, 8  # documents a shard, for the fixed cost: enough shards that every worker has one
CONTEXT = 1024
OURS, BARE, DATASETS = "the step", "tokenizers", "datasets.map"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cpus", type=int, default=2)
    parser.add_argument("--model", default="gemma3-270m")
    parser.add_argument("--sides", default=",".join(SIDES))
    parser.add_argument("--memory", metavar="MEGABYTES,...")
    parser.add_argument("--fill", type=Path, metavar="FILE")
    parser.add_argument("--one", nargs=2, metavar=("SIDE", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        side, folder = options.one
        print(json.dumps(SIDES[side](Path(folder), options.model, options.cpus)))
        return
    print(f"{date.today()}, {machine()}, load {os.getloadavg()[0]:.1f} before, {options.model}\n")
    if options.fill:
        print_fill(options.fill, options.model)
    elif options.memory:
        print_memory([int(size) for size in options.memory.split(",")], options.model, options.cpus)
    else:
        print_speed(options.sides.split(","), options.megabytes, options.rounds, options.model, options.cpus)
    print(f"\nload {os.getloadavg()[0]:.1f} after")


def print_speed(sides: list[str], megabytes: int, rounds: int, model: str, cpus: int) -> None:
    """The sides by turns, and the ratio of each peer's time to ours in the same round (median, lowest to highest)."""
    with tempfile.TemporaryDirectory() as name:
        size = generate(Path(name), megabytes)
        found = [{side: measured(side, Path(name), model, cpus) for side in sides} for _ in range(rounds)]
    tokens, fixed = found[0][OURS]["tokens"], statistics.median(one[OURS]["fixed"] for one in found)
    print(
        f"{size / 1e6:.0f} MB, {tokens:,.0f} tokens, {rounds} rounds, {cpus} cores each; starting the step takes {fixed:.1f} s more\n"
    )
    print("| | seconds | MB/s | its time / the step's |\n|---|---:|---:|---:|")
    for side in sides:
        seconds = statistics.median(one[side]["seconds"] for one in found)
        ratios = sorted(one[side]["seconds"] / one[OURS]["seconds"] for one in found)
        spread = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        print(f"| {side} | {seconds:.1f} | {size / 1e6 / seconds:.1f} | {spread if side != OURS else ''} |")


def print_memory(sizes: list[int], model: str, cpus: int) -> None:
    print("| MB | tokens | seconds | a task, MiB | driver, MiB |\n|---:|---:|---:|---:|---:|")
    for megabytes in sizes:
        with tempfile.TemporaryDirectory() as name:
            size = generate(Path(name), megabytes)
            one = measured(OURS, Path(name), model, cpus)
        print(f"| {size / 1e6:.0f} | {one['tokens']:,.0f} | {one['seconds']:.1f} | {one['task']:.0f} | {one['driver']:.0f} |")


def print_fill(file: Path, model: str) -> None:
    """Pairs of a file in the chat template: the share of positions that hold a token, by layout."""
    rows = pq.read_table(file, columns=["question", "answer"]).to_pylist()
    pairs = [(row["question"], row["answer"]) for row in rows if row["question"] and row["answer"]]
    examples = encode_pairs(load_tokenizer(local_model(model)), pairs, CONTEXT)
    lengths = [len(example.input_ids) for example in examples if example]
    positions = {
        "packed": CONTEXT * len(pack(lengths, CONTEXT)),
        "padded to the longest of two": sum(
            max(two) * len(two) for two in (lengths[n : n + 2] for n in range(0, len(lengths), 2))
        ),
        f"fixed windows of {CONTEXT:,}": CONTEXT * len(lengths),
    }
    print(f"{len(pairs):,} pairs, {len(pairs) - len(lengths):,} too long, {sum(lengths):,} tokens\n")
    print("| layout | positions | that hold a token |\n|---|---:|---:|")
    for layout, number in positions.items():
        print(f"| {layout} | {number:,} | {sum(lengths) / number:.1%} |")


def generate(folder: Path, megabytes: int) -> int:
    """Clean artifacts of about so many megabytes (`all`) and of a few documents (`few`) in a folder; the bytes of text."""
    documents = megabytes * 1_000_000 // BYTES
    starts = range(0, documents, SHARD)
    with ProcessPoolExecutor() as pool:
        sizes = list(pool.map(partial(_seal_shard, folder / "all"), [min(SHARD, documents - n) for n in starts], starts))
    for seed in range(SMALL_SHARDS):
        _seal_shard(folder / "few", FEW, seed * FEW)
    return sum(sizes)


def _seal_shard(folder: Path, documents: int, seed: int) -> int:
    rows = [
        {"id": f"{seed + n:016x}", "source": "mag", "title": "", "text": text, "words": len(text.split()), "split": "train"}
        for n, text in enumerate(texts(documents, WORDS, seed))
    ]
    _clean(folder).seal(f"{seed:09}", {CORPUS: CORPUS.table(rows)}, rows_in=documents)
    return sum(len(row["text"].encode()) for row in rows)


def _clean(folder: Path) -> ArtifactFolder:
    return ArtifactFolder(open_storage(folder / "clean" / "0"))


def measured(side: str, folder: Path, model: str, cpus: int) -> dict[str, float]:
    """One side in a process of its own."""
    command = ["--one", side, str(folder), "--model", model, "--cpus", str(cpus)]
    environment = os.environ | {"RAYON_NUM_THREADS": str(cpus)}
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.tokenization", *command], check=True, stdout=subprocess.PIPE, env=environment
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    print(f"{side}: {found['seconds']:.1f} s", file=sys.stderr)  # what is known where the rest is interrupted
    return found


def step_side(folder: Path, model: str, cpus: int) -> dict[str, float]:
    with connect(cpus=cpus):
        fixed, _ = _run_step(folder / "few", model)
        with peak_memory() as peak:
            seconds, artifact = _run_step(folder / "all", model)
    return {"seconds": seconds, "fixed": fixed, "tokens": artifact.manifest.facts["tokens"], **peak}


def _run_step(folder: Path, model: str) -> tuple[float, Artifact]:
    clean = _clean(folder).finish(step="clean", version=0, settings={}, inputs={}, tables=(CORPUS, PAIRS), started=0.0)
    with tempfile.TemporaryDirectory(dir=folder) as name:
        out = ArtifactFolder(open_storage(Path(name) / "0"))
        recipe = load_recipe("demo", [f"model={model}", "tokenize.corpus_fraction=1", f"tokenize.context={CONTEXT}"])
        run = StepRun(recipe, {"clean": clean}, out, Progress(Console(quiet=True)), folder)
        started = time.perf_counter()
        outcome = tokenize(run)
        tables = (CORPUS_TRAIN, CORPUS_VALID, QA_TRAIN, QA_VALID)
        artifact = out.finish(
            step="tokenize", version=0, settings={}, inputs={}, tables=tables, started=0.0, units=outcome.units
        )  # fmt: skip
        return time.perf_counter() - started, artifact


def tokenizers_side(folder: Path, model: str, cpus: int) -> dict[str, float]:
    os.environ["TOKENIZERS_PARALLELISM"] = "true"  # as many threads as RAYON_NUM_THREADS says
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(local_model(model) / "tokenizer.json"))
    whole = [text for file in _files(folder) for text in pq.read_table(file, columns=["text"])["text"].to_pylist()]
    tokenizer.encode_batch_fast(whole[:FEW])
    started = time.perf_counter()
    for start in range(0, len(whole), BATCH):
        tokenizer.encode_batch_fast(whole[start : start + BATCH])
    return {"seconds": time.perf_counter() - started}


def datasets_side(folder: Path, model: str, cpus: int) -> dict[str, float]:
    os.environ["HF_DATASETS_DISABLE_PROGRESS_BARS"] = "1"
    import datasets

    tokenizer = load_tokenizer(local_model(model))

    def encode(batch: dict[str, Any]) -> dict[str, Any]:
        return {"input_ids": tokenizer(batch["text"], return_attention_mask=False)["input_ids"]}

    with tempfile.TemporaryDirectory(dir=folder) as cache:
        files = [str(file) for file in _files(folder)]
        whole = datasets.load_dataset("parquet", data_files=files, split="train", cache_dir=cache).select_columns(["text"])
        features = datasets.Features({"input_ids": datasets.List(datasets.Value("int32"))})
        started = time.perf_counter()
        whole.map(encode, batched=True, batch_size=BATCH, num_proc=cpus, remove_columns=["text"], features=features)
        return {"seconds": time.perf_counter() - started}


def _files(folder: Path) -> list[Path]:
    return sorted((folder / "all" / "clean" / "0" / CORPUS.name).glob("*.parquet"))


SIDES = {OURS: step_side, BARE: tokenizers_side, DATASETS: datasets_side}


if __name__ == "__main__":
    main()
