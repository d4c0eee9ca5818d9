"""What decontamination finds of planted test items and wrongly in real texts, and what it costs a text.

    python -m tests.benchmarks.decontamination FOLDER --texts FILE.parquet [--texts ...] [--list removed.tsv]

FOLDER holds test sets (files with a column of questions); `--texts` are Parquet files whose text columns are looked through as
they are. Planting: each item as it is, with one word changed at random, and in other orthography, between two pieces of these
texts (an item of under 5 words by itself). `--list` writes every text that would be removed beside the item, for reading.
Prints Markdown.
"""

from __future__ import annotations

import argparse
import csv
import random
import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import pyarrow.parquet as pq

from pipelines.clean.decontamination import MIN_WORDS_IN_A_TEXT, HeldOut
from pipelines.clean.folding import fold
from pipelines.clean.normalise import normalise
from pipelines.clean.testsets import HeldOutItem, items_of
from pipelines.rows import FORMATS
from tests.benchmarks.road import machine

CHANGES: dict[str, Callable[[str, random.Random], str]] = {
    "verbatim": lambda text, dice: text,
    "one word changed": lambda text, dice: _with_a_word_changed(text, dice),
    "other orthography": lambda text, dice: text.replace("ی", "ي").replace("ک", "ك").replace("\u200c", ""),
}
LENGTHS = (4, 6, 8, 12, 25, 10**9)
SHARES_OF = (2, 4, 6, 8, 10, 12, 15, 18, 25, 40, 60)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--texts", type=Path, action="append", required=True)
    parser.add_argument("--list", type=Path)
    options = parser.parse_args()
    items = [item for path in sorted(options.folder.iterdir()) if path.suffix in FORMATS for item in items_of(path)]
    started = time.perf_counter()
    held_out = HeldOut.of(items)
    print(f"{date.today()}, {machine()}; {len(items):,} items, index in {time.perf_counter() - started:.1f} s\n")
    texts = {path: list(_texts(path)) for path in options.texts}
    _print_recall(items, held_out, [text[:400] for part in texts.values() for text in part[:500]])
    _print_lengths(items)
    _print_removed(texts, held_out, options.list)


def _texts(path: Path) -> Iterator[str]:
    for row in pq.read_table(path).to_pylist():
        for value in row.values():
            if text := "\n".join(value) if isinstance(value, list) else value:
                yield normalise(str(text))


def _print_recall(items: list[HeldOutItem], held_out: HeldOut, pieces: list[str]) -> None:
    lengths = [_words(item) for item in items]
    print("| planted | " + " | ".join(_names()) + " | all |\n|---|" + "---:|" * (len(LENGTHS) + 1))
    for name, change in CHANGES.items():
        dice = random.Random(1)
        texts = []
        for item, words in zip(items, lengths, strict=True):
            around = ("", "") if words < MIN_WORDS_IN_A_TEXT else (dice.choice(pieces), dice.choice(pieces))
            texts.append(normalise(f"{around[0]} {change(item.question, dice)} {around[1]}"))
        hits = [found is not None for found in held_out.matches(texts)]
        groups = [[hit for hit, words in zip(hits, lengths, strict=True) if low < words <= high] for low, high in _ranges()]
        print(f"| {name} | " + " | ".join(f"{sum(g) / len(g):.3f}" for g in [*groups, hits] if g) + " |")


def _print_lengths(items: list[HeldOutItem]) -> None:
    lengths = [len(item.question.split()) for item in items]
    shares = (f"{most}: {sum(words <= most for words in lengths) / len(items):.3f}" for most in SHARES_OF)
    print(f"\nwords of an item at most: {', '.join(shares)}\n")


def _print_removed(texts: dict[Path, list[str]], held_out: HeldOut, listing: Path | None) -> None:
    rows = []
    print("| texts | number | removed | µs a text |\n|---|---:|---:|---:|")
    for path, part in texts.items():
        started = time.process_time()
        found = held_out.matches(part)
        seconds = time.process_time() - started
        hits = [(text, item) for text, item in zip(part, found, strict=True) if item]
        print(f"| {path.name} | {len(part):,} | {len(hits)} | {seconds / len(part) * 1e6:.0f} |")
        rows += [[path.name, item.test_set, item.number, item.question, text] for text, item in hits]
    if listing:
        with listing.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, delimiter="\t").writerows([["texts", "test set", "item", "question", "text"], *rows])


def _with_a_word_changed(text: str, dice: random.Random) -> str:
    words = text.split()
    words[dice.randrange(len(words))] = dice.choice(("دگرگون", "آزمایش‌ها", "خوب", "و"))
    return " ".join(words)


def _words(item: HeldOutItem) -> int:
    return len(fold(normalise(item.question)).split())


def _ranges() -> list[tuple[int, int]]:
    return list(zip((0, *LENGTHS), LENGTHS, strict=False))


def _names() -> list[str]:
    return [f"{low + 1}-{high} words" if high < LENGTHS[-1] else f"more than {low}" for low, high in _ranges()]


if __name__ == "__main__":
    main()
