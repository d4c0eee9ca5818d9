"""What is published where: one clean artifact, by one recipe, in one folder that holds nothing else."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from cluster.errors import UserError
from cluster.storage import Storage, open_storage
from pipelines.artifact import Artifact, fingerprint
from pipelines.publish.settings import PublishSettings
from pipelines.recipe import Recipe
from pipelines.steps import latest, step_named

VERSION = 1  # raised when the same data and settings are published otherwise
RECORD, CARD = "publication.json", "README.md"  # the first file that is written, and the last


def cleaned(recipe: Recipe, root: Storage) -> Artifact:
    """The newest clean artifact of a run. Raises UserError when there is none, or none of this recipe."""
    clean, step = latest(root, "clean"), step_named("clean")
    if clean is None:
        raise UserError(f"there is no clean data in {root.url} yet: run `gaokerena clean` first")
    wanted = json.loads(json.dumps(step.identity(recipe)))
    if (clean.manifest.settings, clean.manifest.version) != (wanted, step.version):
        raise UserError(f"the clean data in {root.url} is of other settings or of another version: run `gaokerena clean` again")
    return clean


@dataclass(frozen=True)
class Publication:
    """A dataset folder to be written."""

    recipe: Recipe
    root: Storage  # of the run
    clean: Artifact
    folder: Storage

    @classmethod
    def of(cls, recipe: Recipe, root: Storage, to: str = "") -> Publication:
        """Into the folder `to`, or into the run's storage. Raises UserError."""
        clean = cleaned(recipe, root)
        if to and "://" not in to and Path(to).is_file():
            raise UserError(f"--to {to} is a file; name a folder")
        return cls(recipe, root, clean, open_storage(to) if to else root.sub("publish", _fingerprint(recipe, clean)))

    @property
    def settings(self) -> PublishSettings:
        return self.recipe.publish

    @property
    def title(self) -> str:
        return self.settings.title or self.recipe.name

    def is_finished(self) -> bool:
        """Whether the folder holds this publication whole. Raises UserError when it holds something else."""
        files = self.folder.list()
        if not files:
            return False
        if RECORD not in files:
            raise UserError(f"{self.folder.url} holds other files ({files[0]}): name a new or an empty folder with --to")
        if json.loads(self.folder.read(RECORD)).get("fingerprint") != _fingerprint(self.recipe, self.clean):
            raise UserError(
                f"{self.folder.url} holds a publication of other data or settings: delete it, or name another folder with --to"
            )
        return CARD in files

    def claim(self) -> None:
        """Mark the folder as this publication's."""
        record = {"fingerprint": _fingerprint(self.recipe, self.clean), "version": VERSION}
        self.folder.write(RECORD, json.dumps(record).encode())


def _fingerprint(recipe: Recipe, clean: Artifact) -> str:
    return fingerprint(["publish", VERSION, recipe.name, recipe.description, recipe.publish.identity(), clean.digest])
