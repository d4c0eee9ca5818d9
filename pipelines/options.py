"""What the commands have in common: their options, what these open, and where they print."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from cluster.errors import UserError
from cluster.storage import Storage, open_storage
from pipelines.recipe import Recipe, load_recipe

console = Console(soft_wrap=True, highlight=False)

RecipeOption = Annotated[
    str, typer.Option("--recipe", "-r", help="A built-in recipe's name (see `gaokerena recipes`) or a YAML file.")
]
OutOption = Annotated[
    str,
    typer.Option("--out", "-o", help="Run storage: a folder, s3://bucket/prefix or gs://bucket/prefix. Default: the recipe's."),
]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", help="Change one key of the recipe: key=value, for example train.max_tokens=20000.")
]


def open_run(recipe: str, out: str, changes: list[str] | None) -> tuple[Recipe, Storage]:
    """The recipe and the run storage that the options name. Raises UserError."""
    chosen = load_recipe(recipe, changes or [])
    url = out or chosen.storage_url()
    if "://" not in url:
        check_folder(Path(url))
    return chosen, open_storage(url)


def check_folder(out: Path) -> None:
    """Raises UserError where `--out` can be no folder, since it or one above it is a file."""
    if file := next((path for path in (out, *out.absolute().parents) if path.is_file()), None):
        raise UserError(f"--out {out}: {file} is a file; name a folder")
