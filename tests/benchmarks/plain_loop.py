"""Held-out perplexity after a plain loop over question-answer pairs: the peer of the instruct stage.

    python -m tests.benchmarks.plain_loop --run DIR --data FOLDER [--pairs FILE.parquet] [--model MODEL]

The loop is what one would write by hand: LoRA on every linear layer, AdamW at a constant rate, 8 pairs a step, loss on
the answers only. It learns the sequences that the run in DIR learned, or those of a file with the columns question and
answer up to as many tokens, and is asked for the perplexity of the same 40 held-out answers before and after.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import torch
from peft import LoraConfig, get_peft_model

from cluster.storage import open_storage
from pipelines import tables
from pipelines.evaluate.prompts import answer_text
from pipelines.evaluate.tasks import load_task
from pipelines.recipe import load_recipe
from pipelines.steps import latest
from pipelines.tokenization.encoding import NO_LABEL, encode_pairs
from pipelines.train.lora import linear_layers
from serving.engines.models import load_model, load_tokenizer, local_model

TOKENS, CONTEXT, BATCH, RATE, RANK, ITEMS = 31_000, 512, 8, 5e-4, 8, 40

Sequence_ = tuple[list[int], list[int]]  # tokens and labels


@dataclass(frozen=True)
class Measured:
    """What a loop learned from, how long that took, and the perplexity of the held-out answers before and after it."""

    pairs: int
    tokens: int
    seconds: float
    before: float
    after: float

    @property
    def ratio(self) -> float:
        return self.after / self.before

    def __str__(self) -> str:
        return (
            f"{self.pairs} pairs, {self.tokens:,} tokens in {self.seconds:.0f} s: "
            f"{self.before:.1f} -> {self.after:.1f}, ratio {self.ratio:.3f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", required=True)
    parser.add_argument("--data", required=True, type=Path, help="the folder of the published test sets")
    parser.add_argument("--pairs", type=Path)
    parser.add_argument("--model", default="gemma3-270m", help="what to start from")
    options = parser.parse_args()
    print(measure(options.run, options.data, model=options.model, pairs=options.pairs))


def measure(run: str, data: Path, *, model: str = "gemma3-270m", pairs: Path | None = None) -> Measured:
    """One loop. `run`, `data`, `model`, `pairs`: as on the command line."""
    folder = local_model(model)
    tokenizer, network = load_tokenizer(folder), load_model(folder, "float32")
    learned = list(pairs_of(pairs, tokenizer) if pairs else sequences_of(run))
    items = load_task("mf3qa-dev", data).sample(ITEMS, load_recipe("demo").seed)  # as an evaluation does
    held_out = [answer_text(tokenizer, item, CONTEXT) for item in items]
    before, started = perplexity(network, held_out), time.monotonic()
    trained = learn(network, learned)
    seconds = time.monotonic() - started
    tokens = sum(len(ids) for ids, _ in learned)
    return Measured(len(learned), tokens, seconds, before, perplexity(trained, held_out))


def sequences_of(run: str) -> Iterator[Sequence_]:
    """What the run's instruct stage learned."""
    artifact = latest(open_storage(run), "tokenize")
    assert artifact is not None
    for row in artifact.read(tables.QA_TRAIN, ["input_ids", "labels"]).to_pylist():
        yield row["input_ids"], row["labels"]


def pairs_of(file: Path, tokenizer: Any) -> Iterator[Sequence_]:
    """The pairs of a file, in its order, up to the budget."""
    tokens = 0
    for row in pq.read_table(file, columns=["question", "answer"]).to_pylist():
        [example] = encode_pairs(tokenizer, [(row["question"], row["answer"])], CONTEXT)
        if example is None:
            continue
        tokens += len(example.input_ids)
        if tokens > TOKENS:
            return
        yield example.input_ids, [NO_LABEL] * example.prompt + example.input_ids[example.prompt :]


def learn(model: Any, sequences: Sequence[Sequence_]) -> Any:
    """One pass; a step's loss is the mean over all of its answer tokens."""
    targets = sorted(linear_layers(model))
    model = get_peft_model(model, LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules=targets, task_type="CAUSAL_LM"))
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=RATE)
    model.train()
    for start in range(0, len(sequences), BATCH):
        batch = sequences[start : start + BATCH]
        labels = sum(label != NO_LABEL for _, row in batch for label in row)
        for ids, row in batch:
            (-log_likelihood(model, ids, row) / labels).backward()
        optimizer.step()
        optimizer.zero_grad()
    return model


def log_likelihood(model: Any, ids: list[int], labels: list[int]) -> torch.Tensor:
    """Of the tokens that have a label; logits only where one needs them."""
    places = torch.tensor([place for place, label in enumerate(labels) if label != NO_LABEL])
    logits = model(input_ids=torch.tensor([ids]), logits_to_keep=places - 1).logits[0]
    return logits.float().log_softmax(-1)[torch.arange(len(places)), torch.tensor(ids)[places]].sum()


@torch.no_grad()
def perplexity(model: Any, parts: Sequence[Any]) -> float:
    """Of the continuations after their contexts."""
    model.eval()
    total, tokens = 0.0, 0
    for part in parts:
        ids = [*part.context, *part.continuation]
        labels = [NO_LABEL] * len(part.context) + list(part.continuation)
        total += float(log_likelihood(model, ids, labels))
        tokens += len(part.continuation)
    return math.exp(-total / tokens)


if __name__ == "__main__":
    main()
