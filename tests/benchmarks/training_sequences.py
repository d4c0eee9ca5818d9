"""Sequences for the training benchmarks: examples as the tokenize step leaves them, in a folder of their own."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from cluster.storage import open_storage
from pipelines.artifact import Artifact, ArtifactFolder
from pipelines.tables import CORPUS_TRAIN, CORPUS_VALID, QA_TRAIN, QA_VALID
from pipelines.tokenization.encoding import Example
from pipelines.tokenization.layout import sequences
from pipelines.train.job import Job
from pipelines.train.sequences import Sequences, make_plan, sequence_lengths

CONTEXT = 1024
TABLES = (CORPUS_TRAIN, CORPUS_VALID, QA_TRAIN, QA_VALID)


def write_artifact(folder: Path, examples: Sequence[Example], layout: str, bos: int | None) -> Artifact:
    """The examples in a layout, in both stages' tables; nothing is held out."""
    documents = pa.table(
        {
            "id": [f"{place:08}" for place in range(len(examples))],
            "source": ["here"] * len(examples),
            "prompt": [example.prompt for example in examples],
            "input_ids": pa.array([example.input_ids for example in examples], pa.list_(pa.int32())),
        }
    )
    trained = {table: sequences(table, documents, CONTEXT, layout, bos) for table in (CORPUS_TRAIN, QA_TRAIN)}
    out = ArtifactFolder(open_storage(folder))
    out.seal("all", trained | {table: table.table([]) for table in (CORPUS_VALID, QA_VALID)})
    return out.finish(step="tokenize", version=0, settings={}, inputs={}, tables=TABLES, started=time.time())


def tokens_of_steps(job: Job) -> list[int]:
    """Useful tokens of every optimizer step of a stage."""
    table, hyper = job.tokens.read(job.table), job.hyper
    plan = make_plan(
        sequence_lengths(table), seed=job.seed, epochs=hyper.epochs, effective_batch=hyper.effective_batch, max_tokens=None
    )
    return [Sequences(table, plan).counts(step)[0] for step in range(plan.steps)]
