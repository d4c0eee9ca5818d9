"""Which models were trained on documents: found by the ids in their training sequences, through every stage after it."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator

from cluster.storage import Storage
from pipelines.artifact import MANIFEST, Artifact
from pipelines.forget.artifacts import folders, name_of
from pipelines.publish.target import RECORD
from pipelines.tables import Table
from pipelines.train.job import STAGE_TABLES


def models_with(root: Storage, ids: Collection[str]) -> list[str]:
    """Folders of trained models, relative to the run: those that saw a document, and those made from them.

    A stage that stopped before its end says nowhere what it reads, so it counts as if it had seen all.
    """
    sequences = {folder.url.rsplit("/", 1)[1]: Artifact.load(folder) for folder in folders(root, "tokenize")} if ids else {}
    found: list[str] = []
    for stage, table in STAGE_TABLES.items():
        seen = {name for name, artifact in sequences.items() if artifact and _holds(artifact, table, ids)}
        for folder in folders(root, stage) if seen or found else ():
            if not folder.exists(MANIFEST) or _comes_from(Artifact.load(folder), seen, found):
                found.append(name_of(folder))
    return [*found, *_published(root, found)]


def _published(root: Storage, models: Collection[str]) -> Iterator[str]:
    """Copies of these models that `gaokerena publish model` left in the run; those elsewhere nobody here knows of."""
    for folder in folders(root, "publish") if models else ():
        if folder.exists(RECORD) and json.loads(folder.read(RECORD)).get("model") in models:
            yield name_of(folder)


def _holds(artifact: Artifact, table: Table, ids: Collection[str]) -> bool:
    return any(name in ids for rows in artifact.batches(table, ["ids"]) for row in rows["ids"].to_pylist() for name in row)


def _comes_from(artifact: Artifact | None, sequences: set[str], models: list[str]) -> bool:
    """By the last two names of an input's folder: a run may have been moved since."""
    inputs = artifact.manifest.inputs if artifact else {}
    places = {name: "/".join(found.path.rsplit("/", 2)[-2:]) for name, found in inputs.items()}
    return places.get("tokenize", "").rsplit("/", 1)[-1] in sequences or places.get("finetune") in models
