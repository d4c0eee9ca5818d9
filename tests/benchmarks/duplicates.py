"""Near-duplicates among generated texts: seconds, bytes of state a text and recall, beside datasketch's MinHashLSH in one run.

    python -m tests.benchmarks.duplicates [--sizes 10000,100000] [--words 8-60] [--peer-up-to 20000]   # needs the extra `bench`

Each size has a process of its own and one core, but for proposing pairs, which takes all. Both find pairs among the same texts,
already folded. Ours: signatures, proposed pairs, exact Jaccard of them. datasketch: 128 permutations, threshold 0.8, every text
inserted and then queried, its pairs not compared any further. The recall of each counts the pairs of Jaccard 0.8 and above that
either found; the precision, those of its own pairs that are.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from datetime import date

import numpy as np

from pipelines.clean.duplicates import exact_hash, firsts, near, proposed
from pipelines.clean.folding import fold
from pipelines.clean.shingles import SHINGLE, SHORT_WORDS
from pipelines.clean.signatures import VALUES, signature_pair
from tests.benchmarks.persian_texts import texts
from tests.benchmarks.road import machine

THRESHOLD = 0.8
SIGNED_AT_ONCE, COMPARED_AT_ONCE = 5_000, 50_000

Pairs = set[tuple[int, int]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="10000,100000")
    parser.add_argument("--words", default="8-60", help="fewest and most words of a text")
    parser.add_argument("--peer-up-to", type=int, default=20_000, help="larger sizes are measured without datasketch")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    low, high = map(int, options.words.split("-"))
    if options.one:
        print(json.dumps(measure(options.one, (low, high), peer=options.one <= options.peer_up_to)))
        return
    print(f"{date.today()}, {machine()}; texts of {low} to {high} words\n")
    command = [
        sys.executable,
        "-m",
        "tests.benchmarks.duplicates",
        "--words",
        options.words,
        "--peer-up-to",
        str(options.peer_up_to),
    ]
    heading = ""
    for size in options.sizes.split(","):
        done = subprocess.run([*command, "--one", size], check=True, stdout=subprocess.PIPE)
        found = json.loads(done.stdout)
        row = f"| {' | '.join(found)} |\n|{'---:|' * len(found)}\n"
        print(f"{row if row != heading else ''}| {' | '.join(str(value) for value in found.values())} |", flush=True)
        heading = row


def measure(size: int, words: tuple[int, int], peer: bool) -> dict[str, str | float]:
    """One size, in this process."""
    folded = [fold(text) for text in texts(size, words, seed=1)]
    before = _resident()
    started = time.perf_counter()
    state = State(folded)
    signed = time.perf_counter() - started
    pairs, compared = state.pairs()
    seconds = time.perf_counter() - started
    found: dict[str, str | float] = {
        "texts": f"{size:,}",
        "seconds": round(seconds, 1),
        "of these signing": round(signed, 1),
        "texts/s": f"{size / seconds:,.0f}",
        "state, bytes a text": round(state.nbytes / size),
        "peak above the texts, MiB": round(_resident() - before),
        "pairs compared": f"{compared:,}",
        "near pairs": f"{len(pairs):,}",
    }
    if peer:
        started = time.perf_counter()
        theirs = datasketch_pairs(state)
        their_seconds = time.perf_counter() - started
        true = {pair for pair in pairs | theirs if _jaccard(folded, *pair) >= THRESHOLD}
        found |= {
            "datasketch, seconds": round(their_seconds, 1),
            "times as fast": round(their_seconds / seconds, 1),
            "recall": f"{len(true & pairs) / len(true):.4f} ({len(true & theirs) / len(true):.4f})",
            "precision": f"{len(true & pairs) / len(pairs):.4f} ({len(true & theirs) / len(theirs):.4f})",
        }
    return found


class State:
    """What is known of the texts while pairs are looked for; the texts themselves come from a shard when they are compared."""

    def __init__(self, folded: list[str]) -> None:
        self.folded = folded
        size = len(folded)
        self.hashes = np.zeros(size, dtype=np.uint64)
        self.signatures = {by_words: np.zeros((0, VALUES), dtype=np.uint8) for by_words in (False, True)}
        self.rows = {by_words: np.zeros(0, dtype=np.int64) for by_words in (False, True)}
        parts: dict[bool, list[bytes]] = {False: [], True: []}
        rows: dict[bool, list[int]] = {False: [], True: []}
        for start in range(0, size, SIGNED_AT_ONCE):
            some = folded[start : start + SIGNED_AT_ONCE]
            self.hashes[start : start + len(some)] = [exact_hash(text) for text in some]
            for by_words, signed in zip((False, True), signature_pair(some), strict=True):
                parts[by_words].append(b"".join(signature for signature in signed if signature))
                rows[by_words] += [start + place for place, signature in enumerate(signed) if signature]
        for by_words in (False, True):
            self.signatures[by_words] = np.frombuffer(b"".join(parts[by_words]), dtype=np.uint8).reshape(-1, VALUES)
            self.rows[by_words] = np.array(rows[by_words], dtype=np.int64)
        self.distinct = firsts(self.hashes)

    @property
    def nbytes(self) -> int:
        arrays = (self.hashes, *self.signatures.values(), *self.rows.values())
        return sum(array.nbytes for array in arrays)

    def pairs(self) -> tuple[Pairs, int]:
        """The near-duplicates among distinct texts, and how many pairs were compared."""
        found: Pairs = set()
        compared = 0
        for by_words in (False, True):
            known = np.isin(self.rows[by_words], self.distinct)
            pairs = self.rows[by_words][known][proposed(self.signatures[by_words][known], THRESHOLD)]
            compared += len(pairs)
            for start in range(0, len(pairs), COMPARED_AT_ONCE):
                some = near(pairs[start : start + COMPARED_AT_ONCE], lambda of: [self.folded[i] for i in of], THRESHOLD, by_words)
                found |= {(min(pair), max(pair)) for pair in some.tolist()}
        return found, compared


def datasketch_pairs(state: State) -> Pairs:
    """The same by datasketch: texts of both kinds in an index each."""
    from datasketch import MinHash, MinHashLSH

    found: Pairs = set()
    for by_words in (False, True):
        index = MinHashLSH(threshold=THRESHOLD, num_perm=VALUES)
        hashes = {}
        for row in np.intersect1d(state.rows[by_words], state.distinct).tolist():
            hashes[row] = MinHash(num_perm=VALUES)
            hashes[row].update_batch([shingle.encode() for shingle in _shingles(state.folded[row], by_words)])
            index.insert(row, hashes[row], check_duplication=False)
        for row, signature in hashes.items():
            found |= {(min(row, other), max(row, other)) for other in index.query(signature) if other != row}
    return found


def _shingles(folded: str, by_words: bool) -> set[str]:
    parts, join = (folded.split(), " ".join) if by_words else (list(folded), "".join)
    return {join(parts[i : i + SHINGLE]) for i in range(max(1, len(parts) - SHINGLE + 1))}


def _jaccard(folded: list[str], first: int, second: int) -> float:
    by_words = all(len(folded[row].split()) >= SHORT_WORDS for row in (first, second))
    one, other = _shingles(folded[first], by_words), _shingles(folded[second], by_words)
    return len(one & other) / len(one | other)


def _resident() -> float:
    """The most memory that this process has had, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
