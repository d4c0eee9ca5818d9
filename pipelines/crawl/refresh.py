"""A refresh: a finished crawl is opened again, and goes on with what it last looked at before a given time.

Its pages stay, so that every version is kept; a page that did not change (304) is only noted in the frontier. The manifest
of the crawl as it was moves to `history/`. A killed refresh goes on like any crawl.
"""

from __future__ import annotations

import json

from cluster.errors import UserError
from cluster.lease import Lease
from cluster.storage import Storage
from pipelines.artifact import MANIFEST
from pipelines.recipe import Recipe
from pipelines.steps import step_named

FILE = "refresh.json"
HISTORY = "history"


def refresh(root: Storage, recipe: Recipe, before: float) -> None:
    """Open the recipe's finished crawl for everything checked before then (unix seconds). Raises UserError."""
    step = step_named("crawl")
    with Lease(root, what=f"the run in {root.url}"):
        folder = root.sub(step.name, step.fingerprint(recipe, step.external_inputs(recipe)))
        if folder.exists(FILE):  # a killed one: it goes on with its own time
            return
        if not folder.exists(MANIFEST):
            raise UserError(f"there is no finished crawl to refresh in {root.url}; run `gaokerena crawl` without --refresh first")
        number = len(folder.list(HISTORY)) + 1
        folder.write(f"{HISTORY}/artifact-{number:06d}.json", folder.read(MANIFEST))
        folder.write(FILE, json.dumps({"before": before}).encode())
        folder.delete(MANIFEST)


def refresh_before(folder: Storage) -> float:
    """Before when a page must have been looked at to be fetched again (unix seconds); 0 when this is no refresh."""
    try:
        before: float = json.loads(folder.read(FILE))["before"]
    except FileNotFoundError:
        return 0.0
    return before
