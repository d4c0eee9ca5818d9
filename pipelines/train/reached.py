"""The MFU that trainings of a run have reached, by the logs of their steps: what the plan of the next one counts with."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

from cluster.profiles import Profile
from cluster.storage import Storage
from pipelines.artifact import Artifact
from pipelines.tables import TRAIN_LOG
from pipelines.train import checkpoints
from pipelines.train.job import LAYOUT, STAGE_TABLES
from pipelines.train.layout import read_layout
from pipelines.train.memory import Layout

STATE = "trainer_state.json"  # of a checkpoint, with the history of all steps before it


@dataclass(frozen=True)
class Reached:
    """The median MFU of the optimizer steps of one training, and where it is from."""

    mfu: float
    source: str


def reached(root: Storage, stage: str, model: str, hardware: Profile, layout: Layout) -> Reached | None:
    """Of this model on this hardware in this layout: of the stage itself where it has one, else of the other stage.

    Of several trainings the one with most steps. None where nothing was measured.
    """
    for name in sorted(STAGE_TABLES, key=lambda other: other != stage):
        logs = [(_steps(folder), folder) for folder in _folders(root, name, model, hardware, layout)]
        steps, folder = max(logs, key=lambda log: len(log[0]), default=([], root))
        if steps:
            return Reached(median(steps), f"median of {len(steps):,} optimizer steps in {folder.url}")
    return None


def _folders(root: Storage, stage: str, model: str, hardware: Profile, layout: Layout) -> Iterator[Storage]:
    """Of trainings of a stage that ran, or run, like that."""
    for path in root.list(stage):
        name, _, file = path.removeprefix(f"{stage}/").partition("/")
        if file == LAYOUT:
            folder = root.sub(stage, name)
            used = read_layout(folder)
            if used and used.model == model and used.is_of(hardware) and used.layout == layout:
                yield folder


def _steps(folder: Storage) -> list[float]:
    """The MFU of each optimizer step: of a finished training by its log, of one under way up to its newest checkpoint."""
    artifact = Artifact.load(folder)
    if artifact:
        found = artifact.read(TRAIN_LOG, ["mfu"])["mfu"].to_pylist()
    else:
        newest = checkpoints.newest(folder)
        history = json.loads(folder.read(f"{newest.prefix}/{STATE}"))["log_history"] if newest else []
        found = [entry.get("mfu") for entry in history]
    return [mfu for mfu in found if mfu]
