"""Tokenized artifacts for tests: random tokens of a tiny model's vocabulary."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from cluster.storage import Storage
from pipelines.artifact import Artifact, ArtifactFolder
from pipelines.tables import CORPUS_TRAIN, CORPUS_VALID, QA_TRAIN, QA_VALID

VOCABULARY = (20, 700)  # ids of tiny models that are no special token


def row(*documents: int, seed: int, prompt: int = 0, source: str = "here") -> dict[str, Any]:
    """A sequence of documents with these lengths; the first `prompt` tokens of each have no label."""
    random = np.random.default_rng(seed)
    ids = random.integers(*VOCABULARY, sum(documents)).tolist()
    within = [position for length in documents for position in range(length)]
    labels = [-100 if position < prompt else token for token, position in zip(ids, within, strict=True)]
    return {
        "input_ids": ids,
        "labels": labels,
        "document_lengths": list(documents),
        "ids": [f"row-{seed}"],
        "sources": [source] * len(documents),
    }


def tokens_artifact(root: Storage, sequences: int = 24) -> Artifact:
    """What the tokenize step leaves: corpus windows, some with two documents, question-answer pairs, and some of each held out."""
    lengths = np.random.default_rng(7).integers(8, 60, sequences).tolist()
    corpus = [row(n, n // 2, seed=i) if i % 3 == 0 else row(n, seed=i) for i, n in enumerate(lengths)]
    pairs = [row(n, seed=1000 + i, prompt=4) for i, n in enumerate(lengths)]
    held_out = [row(n, n // 2, seed=2000 + n, source=source) for n, source in ((20, "here"), (31, "there"), (44, "there"))]
    out = ArtifactFolder(root.sub("tokenize", "0" * 16))
    rows = {CORPUS_TRAIN: corpus, QA_TRAIN: pairs, CORPUS_VALID: held_out, QA_VALID: held_out}
    out.seal("all", {table: table.table(values) for table, values in rows.items()})
    tables = (CORPUS_TRAIN, CORPUS_VALID, QA_TRAIN, QA_VALID)
    return out.finish(step="tokenize", version=1, settings={}, inputs={}, tables=tables, started=time.time())


def predictable_artifact(root: Storage, sequences: int = 32) -> Artifact:
    """As `tokens_artifact`, with something to learn: of thirty words each is mostly followed by the one after it."""
    lengths = np.random.default_rng(7).integers(20, 60, sequences + 8).tolist()
    rows = [chain(n, seed=i) for i, n in enumerate(lengths)]
    out = ArtifactFolder(root.sub("tokenize", "0" * 16))
    tables = {CORPUS_TRAIN: rows[:sequences], CORPUS_VALID: rows[sequences:]}
    out.seal("all", {table: table.table(values) for table, values in tables.items()})
    return out.finish(step="tokenize", version=1, settings={}, inputs={}, tables=tuple(tables), started=time.time())


def chain(length: int, *, seed: int, words: int = 30) -> dict[str, Any]:
    """One document of a sequence in which a word follows the one before it, but for one time in ten."""
    random = np.random.default_rng(seed)
    jumps = np.where(random.random(length) < 0.1, random.integers(words, size=length), 1)
    found = row(length, seed=seed)
    found["input_ids"] = found["labels"] = (VOCABULARY[0] + np.cumsum(jumps) % words).tolist()
    return found
