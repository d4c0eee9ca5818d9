"""A model in bf16 beside its weights in int8 and int4: memory, speed of generation, and what accuracy it costs.

    python -m tests.benchmarks.quantize [--data FOLDER] [--rounds 5] [--tokens 64] [--model gemma3-270m] [--forms bfloat16,int8,int4]
    python -m tests.benchmarks.quantize --needs                 # only what an 8B needs, from the formula

The quantized folders are made as `gaokerena publish model --quantize` makes them. Each form has a process of its own in every
round, all forms by turns: it loads the folder as serving does, writes `--tokens` tokens greedily after each of four prompts, one
at a time, and in the first round scores the items. Compared are forms of one round, and scores of the same items: multiple choice
by the likelihood of the options (60 questions of ours; with --data the six subjects of MMLU-fa, `--items` of them), and the
perplexity of `--answers` written answers (with --data MF3QA's development split). Peak memory is the process's own, from its start.
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
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import psutil

from pipelines.evaluate.prompts import answer_text, option_texts, question_prompt
from pipelines.evaluate.statistics import mcnemar, paired_difference, perplexity_ratio, wilson
from pipelines.evaluate.tasks import LETTERS, Item, load_task, task_names
from pipelines.publish.model_quantize import quantize, weight_sizes
from pipelines.train.estimate import Shape
from serving.engines.base import Sampling, ScoreRequest
from serving.engines.entries import entries
from serving.engines.models import local_model
from tests.benchmarks.clean import most_held
from tests.benchmarks.road import machine

PLAIN = "bfloat16"
SEED, CONTEXT, RESAMPLES = 2025, 1024, 2_000
LARGE, CONTEXTS = "aya-expanse-8b", (1024, 8192)
KV_BYTES = 2 * 2  # a key and a value, in bfloat16
PROMPTS = (
    "برای سردرد میگرنی چه کار باید بکنم؟",
    "آیا مصرف روزانهٔ مسکن برای کلیه ضرر دارد؟",
    "علائم کم‌کاری تیروئید چیست و چه آزمایشی لازم است؟",
    "کودکم سه روز است تب دارد، چه وقت باید به پزشک مراجعه کنم؟",
)

Found = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="gemma3-270m")
    parser.add_argument("--forms", default=f"{PLAIN},int8,int4")
    parser.add_argument("--data", type=Path, help="the folder of the published test sets")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--items", type=int, default=300, help="about so many of MMLU-fa's 1,089; 0: none")
    parser.add_argument("--answers", type=int, default=40, help="of MF3QA's development split")
    parser.add_argument("--needs", action="store_true")
    parser.add_argument("--one", metavar="FOLDER", help=argparse.SUPPRESS)
    parser.add_argument("--score", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(one(Path(options.one), options)))
        return
    if options.data:
        load_task("mf3qa-dev", options.data)  # another folder is told at once, not when the weights are quantized
    if not options.needs:
        print(f"{date.today()}, {machine()}, load {os.getloadavg()[0]:.1f} before, {options.model}\n")
        print_measured(options.forms.split(","), options)
        print(f"\nload {os.getloadavg()[0]:.1f} after\n")
    print_needs()


def print_measured(forms: Sequence[str], options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as work:
        plain = local_model(options.model)
        folders = {form: plain if form == PLAIN else quantized(plain, form, Path(work) / form) for form in forms}
        rounds = [
            {form: measured(folders[form], options, score=not number) for form in forms} for number in range(options.rounds)
        ]
        sizes = {form: sum(file.stat().st_size for file in folder.glob("*.safetensors")) for form, folder in folders.items()}
    print(
        "| weights | file, MB | loaded, MB | peak, MB | to load, s | tokens/s | times bf16 |\n|---|---:|---:|---:|---:|---:|---|"
    )
    for form in forms:
        of_form = [one[form] for one in rounds]
        median = {name: statistics.median(found[name] for found in of_form) for name in ("resident", "peak", "load", "speed")}
        ratios = sorted(one[form]["speed"] / one[PLAIN]["speed"] for one in rounds)
        spread = "" if form == PLAIN else f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        print(
            f"| {form} | {sizes[form] / 1e6:.0f} | {median['resident'] / 1e6:.0f} | {median['peak'] / 1e6:.0f} | "
            f"{median['load']:.1f} | {median['speed']:.1f} | {spread} |"
        )
    print_scores({form: rounds[0][form]["scores"] for form in forms})


def print_scores(scores: Mapping[str, Found]) -> None:
    resampling = {"samples": RESAMPLES, "seed": SEED}
    plain = scores[PLAIN]
    for task in plain["choices"]:
        print(
            f"\n| {task}, {len(plain['choices'][task])} items | accuracy | difference to bf16 | p (McNemar) |\n|---|---|---|---:|"
        )
        for form, found in scores.items():
            right, before = found["choices"][task], plain["choices"][task]
            share, change = wilson(sum(right), len(right)), paired_difference(before, right, **resampling)
            compared = f"{change.value:+.1%} ({change.low:+.1%} to {change.high:+.1%}) | {mcnemar(before, right):.2f}"
            print(f"| {form} | {share.value:.1%} ({share.low:.1%} to {share.high:.1%}) | {'|' if form == PLAIN else compared} |")
    if plain["answers"]:
        print(f"\n| {len(plain['answers'])} written answers | perplexity / bf16's |\n|---|---|")
        tokens = [count for _, count in plain["answers"]]
        for form, found in scores.items():
            if form != PLAIN:
                sums = ([total for total, _ in which["answers"]] for which in (plain, found))
                ratio = perplexity_ratio(*sums, tokens, **resampling)
                print(f"| {form} | {ratio.value:.4f} ({ratio.low:.4f} to {ratio.high:.4f}) |")


def print_needs() -> None:
    """What an 8B needs, from its shape: weights, and the cache of one conversation."""
    shape = Shape.of_config(entries()[LARGE].config or {})
    cache = {context: KV_BYTES * shape.layers * shape.kv_heads * shape.head_dim * context for context in CONTEXTS}
    columns = " | ".join(f"with {context:,} tokens" for context in CONTEXTS)
    print(f"| {LARGE}, GB | weights | {columns} |\n|---|---:|{'---:|' * len(CONTEXTS)}")
    for form, size in weight_sizes(shape).items():
        print(
            f"| {form} | {size / 1e9:.1f} | " + " | ".join(f"{(size + cache[context]) / 1e9:.1f}" for context in CONTEXTS) + " |"
        )


def quantized(plain: Path, form: str, out: Path) -> Path:
    """As published: the quantized weights beside the model's tokenizer."""
    quantize(plain, form, out)  # type: ignore[arg-type]
    for file in plain.iterdir():
        if not (out / file.name).exists() and ".safetensors" not in file.name:
            (out / file.name).write_bytes(file.read_bytes())
    return out


def measured(folder: Path, options: argparse.Namespace, *, score: bool) -> Found:
    """One form in a process of its own."""
    command = [sys.executable, "-m", "tests.benchmarks.quantize", "--one", str(folder), "--tokens", str(options.tokens)]
    command += ["--items", str(options.items), "--answers", str(options.answers), *(["--score"] if score else [])]
    command += ["--data", str(options.data)] if options.data else []
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    found: Found = json.loads(done.stdout.splitlines()[-1])
    print(f"{folder.name}: {found['speed']:.1f} tokens/s, load {os.getloadavg()[0]:.1f}", file=sys.stderr)
    return found


def one(folder: Path, options: argparse.Namespace) -> Found:
    """Load, generate, and score where that is asked for; the peak is taken before scoring, which needs long batches."""
    from pipelines.evaluate.model import Model
    from serving.engines.transformers import TransformersEngine

    started = time.perf_counter()
    model = Model(lambda: TransformersEngine(str(folder), threads=len(os.sched_getaffinity(0))))
    load, resident = time.perf_counter() - started, psutil.Process().memory_info().rss
    speed = tokens_a_second(model, options.tokens)
    found = {"load": load, "resident": resident, "speed": speed, "peak": most_held(psutil.Process()) * 2**20}
    if options.score:
        found["scores"] = {"choices": choices(model, options), "answers": answers(model, options)}
    model.close()
    return found


def tokens_a_second(model: Any, tokens: int) -> float:
    """Over all prompts, one at a time, after a short one that warms up."""
    prompts = [question_prompt(model.tokenizer, prompt) for prompt in PROMPTS]
    model.generate(prompts[:1], [Sampling(max_tokens=4)])
    started, written = time.perf_counter(), 0
    for prompt in prompts:
        written += model.generate([prompt], [Sampling(max_tokens=tokens)])[0].tokens
    return written / (time.perf_counter() - started)


def choices(model: Any, options: argparse.Namespace) -> dict[str, list[bool]]:
    """Of every multiple-choice test whether each item is answered rightly."""
    found = {"demo-mcq": answered_rightly(model, load_task("demo-mcq").items)}
    if options.data and options.items:
        items = [item for name in task_names(["mmlu-fa"]) for item in load_task(name, options.data).items]
        found["mmlu-fa"] = answered_rightly(model, items[:: max(1, len(items) // options.items)])
    return found


def answered_rightly(model: Any, items: Sequence[Item]) -> list[bool]:
    parts = [option_texts(model.tokenizer, item) for item in items]
    sums = iter(
        map(sum, model.logprobs([ScoreRequest(part.context, part.continuation) for of_item in parts for part in of_item]))
    )
    scores = [[next(sums) for _ in of_item] for of_item in parts]
    return [LETTERS[of_item.index(max(of_item))] == item.answer for of_item, item in zip(scores, items, strict=True)]


def answers(model: Any, options: argparse.Namespace) -> list[tuple[float, int]]:
    """Log-probability and tokens of written answers."""
    if not options.data:
        return []
    items = load_task("mf3qa-dev", options.data).sample(options.answers, SEED)
    parts = [answer_text(model.tokenizer, item, CONTEXT) for item in items]
    requests = [ScoreRequest(part.context, part.continuation) for part in parts]
    return [(sum(values), len(values)) for values in model.logprobs(requests)]


if __name__ == "__main__":
    main()
