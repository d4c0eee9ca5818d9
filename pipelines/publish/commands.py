"""The commands that publish: data and model as folders for the Hub, and the data's numbers on the terminal."""

from __future__ import annotations

from typing import Annotated

import typer

from cluster.cache import cache_folder
from cluster.errors import UserError
from pipelines.options import OutOption, RecipeOption, SetOption, console, open_run
from pipelines.progress import Progress
from pipelines.publish.settings import Precision

app = typer.Typer(no_args_is_help=True)

ToOption = Annotated[
    str, typer.Option(metavar="FOLDER", help="Where to write: a new or empty folder. Default: a folder of the run.")
]


@app.callback()
def publish() -> None:
    """Publish what a run has made."""


@app.command()
def data(
    recipe: RecipeOption = "demo",
    out: OutOption = "",
    changes: SetOption = None,
    to: ToOption = "",
    push: Annotated[
        str, typer.Option(metavar="OWNER/NAME", help="Push it to this dataset of the Hub; a new one is private. Needs HF_TOKEN.")
    ] = "",
) -> None:
    """Write the cleaned data as a Hugging Face dataset folder: Parquet, pictures and a card."""
    from pipelines.publish import hub
    from pipelines.publish.data import publish as write
    from pipelines.publish.publication import Publication

    if push:
        hub.require_token(push)
    publication, progress = Publication.of(*open_run(recipe, out, changes), to), Progress(console)
    with progress.step("publish"):
        worked = write(publication, progress)
    console.print(f"{'dataset' if worked else 'nothing to do, the dataset was written before'}: {publication.folder.url}")
    if push:
        console.print(f"pushed: {hub.push(publication.folder.local('', cache_folder('publish')), push, 'dataset')}")


@app.command()
def model(
    recipe: RecipeOption = "demo",
    out: OutOption = "",
    changes: SetOption = None,
    to: ToOption = "",
    quantize: Annotated[
        Precision | None, typer.Option(help="Quantize the weights, for home devices. Needs the extra `quantize`.")
    ] = None,
    adapter: Annotated[bool, typer.Option("--adapter", help="The adapter alone, for those who have the base model.")] = False,
    push: Annotated[
        str, typer.Option(metavar="OWNER/NAME", help="Push it to this model of the Hub; a new one is private. Needs HF_TOKEN.")
    ] = "",
) -> None:
    """Write the trained model as a Hugging Face model folder: safetensors, tokenizer, adapter and a card."""
    from pipelines.publish import hub
    from pipelines.publish.model import publish as write
    from pipelines.publish.model_publication import ModelPublication

    if quantize and adapter:
        raise UserError("--quantize and --adapter exclude each other: an adapter is not quantized")
    if push:
        hub.require_token(push)
    form = quantize or ("adapter" if adapter else "merged")
    publication, progress = ModelPublication.of(*open_run(recipe, out, changes), form, to), Progress(console)
    with progress.step("publish"):
        worked = write(publication, progress)
    console.print(f"{'model' if worked else 'nothing to do, the model was written before'}: {publication.folder.url}")
    if push:
        console.print(f"pushed: {hub.push(publication.folder.local('', cache_folder('publish')), push, 'model')}")


@app.command()
def stats(recipe: RecipeOption = "demo", out: OutOption = "", changes: SetOption = None) -> None:
    """Show what the cleaned data consists of: words, shares of the sources, splits, and what was dropped."""
    from pipelines.publish.publication import cleaned
    from pipelines.statistics.describe import describe
    from pipelines.statistics.funnel import funnel
    from pipelines.statistics.show import tables

    clean = cleaned(*open_run(recipe, out, changes))
    for table in tables(describe(clean), funnel(clean)):
        console.print(table)
