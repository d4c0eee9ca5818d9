"""What a trained model was made from: the artifacts of its run, found by content, and the model that it began with."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from cluster.cache import cache_folder
from cluster.errors import UserError
from cluster.storage import Storage
from pipelines.artifact import Artifact, file_digest
from pipelines.forget.request import TRAINED
from pipelines.publish.settings import ModelPublishSettings
from pipelines.recipe import Recipe
from pipelines.steps import latest, step_named
from serving.engines.entries import Entry, entries
from serving.engines.hub import HubId

OTHER = "other"  # the Hub's identifier of a licence that it has no name for


@dataclass(frozen=True)
class Origin:
    """The last stage's artifact and those behind it; an evaluation only where it is of this very model."""

    instruct: Artifact
    finetune: Artifact
    tokenize: Artifact
    clean: Artifact
    evaluate: Artifact | None

    def artifacts(self) -> dict[str, Artifact]:
        """By step, in the order in which they were made."""
        steps = {"clean": self.clean, "tokenize": self.tokenize, "finetune": self.finetune, "instruct": self.instruct}
        return steps | ({"evaluate": self.evaluate} if self.evaluate else {})


def origin(recipe: Recipe, root: Storage) -> Origin:
    """Of the newest model in a run. Raises UserError when there is none, none of this recipe, or one that has to go."""
    instruct = latest(root, "instruct")
    if instruct is None:
        raise UserError(f"nothing is trained yet in {root.url}: run `gaokerena train` first")
    if instruct.manifest.settings != json.loads(json.dumps(step_named("instruct").identity(recipe))):
        raise UserError(
            f"the model in {root.url} was trained with other settings: name its recipe with --recipe, "
            "or run `gaokerena train` again"
        )
    if TRAINED in instruct.manifest.notes:
        raise UserError(f"the model in {root.url} was {TRAINED}: run `gaokerena train` again before you publish")
    finetune, tokenize = _input(root, instruct, "finetune"), _input(root, instruct, "tokenize")
    evaluate = latest(root, "evaluate")
    tested = evaluate and evaluate.manifest.inputs["instruct"].digest == instruct.digest
    return Origin(instruct, finetune, tokenize, _input(root, tokenize, "clean"), evaluate if tested else None)


def _input(root: Storage, artifact: Artifact, step: str) -> Artifact:
    """What an artifact was made from. By the name of its folder: the run may have been moved since."""
    read = artifact.manifest.inputs[step]
    for found in (latest(root, step), Artifact.load(root.sub(step, read.path.rsplit("/", 1)[-1]))):
        if found and found.digest == read.digest:
            return found
    raise UserError(
        f"{root.url} no longer holds the {step} artifact that {artifact.manifest.step} was made from ({read.digest[:12]}): "
        "run `gaokerena run` again"
    )


def checked_files(artifact: Artifact, folder: str) -> list[Path]:
    """A stage's files in one of its folders, on this node. Raises UserError for one that is damaged or missing."""
    local = artifact.local(folder, cache_folder("runs"))
    files = {path: local / path.removeprefix(f"{folder}/") for path in artifact.manifest.files if path.startswith(f"{folder}/")}
    for path, file in files.items():
        if not file.is_file() or file_digest(file) != artifact.manifest.files[path]:
            raise UserError(
                f"{artifact.folder.url}/{path} is damaged or missing: delete that folder and run `gaokerena train` again"
            )
    return sorted(files.values())


@dataclass(frozen=True)
class Base:
    """The model that training began with, as a card may name it: never by a path of this machine."""

    name: str
    repository: str  # of the Hub; empty when none is known
    license: str  # the Hub's identifier
    terms: str  # the licence in words; empty when unknown
    source: str  # where the weights were taken from, in words
    digest: str

    @classmethod
    def of(cls, found: Origin, settings: ModelPublishSettings) -> Base:
        name = json.loads(found.finetune.folder.read("adapter/adapter_config.json"))["base_model_name_or_path"]
        entry = entries().get(name)
        return cls(
            name=public_name(name),
            repository=settings.base_model or _repository(name, entry),
            license=settings.license or (entry.license_id if entry else OTHER),
            terms=entry.license if entry else "",
            source=entry.source if entry else "",
            digest=found.finetune.manifest.inputs["model"].digest,
        )


def public_name(model: str) -> str:
    """Of a hub id or a built-in model itself; of a folder or an address its last part."""
    return model if HubId.parse(model) else model.rstrip("/").rsplit("/", 1)[-1]


def _repository(model: str, entry: Entry | None) -> str:
    if entry:
        return entry.hub or entry.original
    found = HubId.parse(model)
    return found.repository if found else ""
