"""Runs both training stages on random tokens in a process of its own: `stages.py OUT MODEL [key=value ...]`."""

from __future__ import annotations

import sys

import yaml

from cluster.errors import UserError
from cluster.session import connect
from cluster.storage import open_storage
from pipelines.artifact import Artifact, Input
from pipelines.progress import Progress
from pipelines.recipe import Recipe
from pipelines.run import _work
from pipelines.steps import step_named
from pipelines.train import step as train
from tests.train.sequences_of import tokens_artifact

EXACT = {"dropout": 0.0}


def recipe_for(model: str, *, workers: int = 1, **settings: object) -> Recipe:
    """Training in exact arithmetic, with a checkpoint every second step."""
    stage = {"effective_batch": 4, "lora": EXACT}
    values = {"dtype": "float32", "checkpoint_steps": 2, "finetune": {**stage, "epochs": 3.5}, "instruct": stage, **settings}
    return Recipe.model_validate(
        {
            "name": "test",
            "model": model,
            "crawl": {"sources": ["demo-magazine"]},
            "cluster": {"workers": workers},
            "train": values,
        }
    )


def main(out: str, model: str, *settings: str) -> None:
    root = open_storage(out)
    recipe = recipe_for(model, **{key: yaml.safe_load(value) for key, _, value in (s.partition("=") for s in settings)})
    tokens = Artifact.load(root.sub("tokenize", "0" * 16)) or tokens_artifact(root)
    train.check(recipe)
    left = {"tokenize": tokens}
    with connect():
        for name in ("finetune", "instruct"):
            step = step_named(name)
            inputs = {need: Input(digest=left[need].digest) for need in step.needs} | step.external_inputs(recipe)
            folder = root.sub(name, step.fingerprint(recipe, inputs))
            root.point(f"{name}/latest", folder.url.rsplit("/", 1)[1])
            left[name] = Artifact.load(folder) or _work(step, recipe, folder, left, inputs, Progress())


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except UserError as error:
        sys.exit(f"user error: {error}")
