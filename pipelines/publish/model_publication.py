"""What model is published where: one trained model, by one recipe, in one folder that holds nothing else."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.storage import Storage
from pipelines.artifact import fingerprint
from pipelines.publish import target
from pipelines.publish.model_origin import Base, Origin, origin
from pipelines.publish.settings import Form, ModelPublishSettings
from pipelines.recipe import Recipe

VERSION = 1  # raised when the same model and settings are published otherwise


@dataclass(frozen=True)
class ModelPublication:
    """A model folder to be written."""

    recipe: Recipe
    root: Storage  # of the run
    origin: Origin
    form: Form
    folder: Storage

    @classmethod
    def of(cls, recipe: Recipe, root: Storage, form: Form = "merged", to: str = "") -> ModelPublication:
        """Into the folder `to`, or into the run's storage. Raises UserError."""
        found = origin(recipe, root)
        return cls(recipe, root, found, form, target.open_target(to, root.sub("publish", _fingerprint(recipe, found, form))))

    @property
    def settings(self) -> ModelPublishSettings:
        return self.recipe.publish.model

    @property
    def base(self) -> Base:
        return Base.of(self.origin, self.settings)

    def is_finished(self) -> bool:
        """Whether the folder holds this publication whole. Raises UserError when it holds something else."""
        return target.is_finished(self.folder, _fingerprint(self.recipe, self.origin, self.form))

    def claim(self) -> None:
        """Mark the folder as this publication's, and say of which model it is: `gaokerena forget` looks for it."""
        model = f"instruct/{self.origin.instruct.manifest.fingerprint}"
        target.claim(self.folder, _fingerprint(self.recipe, self.origin, self.form), VERSION, model=model)


def _fingerprint(recipe: Recipe, found: Origin, form: Form) -> str:
    tested = found.evaluate.digest if found.evaluate else ""
    settings = recipe.publish.model.identity()
    return fingerprint(["publish model", VERSION, form, recipe.name, recipe.description, settings, found.instruct.digest, tested])
