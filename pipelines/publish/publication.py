"""What data is published where: one clean artifact, by one recipe, in one folder that holds nothing else."""

from __future__ import annotations

import json
from dataclasses import dataclass

from cluster.errors import UserError
from cluster.storage import Storage
from pipelines.artifact import Artifact, fingerprint
from pipelines.publish import target
from pipelines.publish.settings import PublishSettings
from pipelines.recipe import Recipe
from pipelines.steps import latest, step_named

VERSION = 1  # raised when the same data and settings are published otherwise


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
        return cls(recipe, root, clean, target.open_target(to, root.sub("publish", _fingerprint(recipe, clean))))

    @property
    def settings(self) -> PublishSettings:
        return self.recipe.publish

    @property
    def title(self) -> str:
        return self.settings.title or self.recipe.name

    def is_finished(self) -> bool:
        """Whether the folder holds this publication whole. Raises UserError when it holds something else."""
        return target.is_finished(self.folder, _fingerprint(self.recipe, self.clean))

    def claim(self) -> None:
        """Mark the folder as this publication's."""
        target.claim(self.folder, _fingerprint(self.recipe, self.clean), VERSION)


def _fingerprint(recipe: Recipe, clean: Artifact) -> str:
    return fingerprint(["publish", VERSION, recipe.name, recipe.description, recipe.publish.identity(), clean.digest])
