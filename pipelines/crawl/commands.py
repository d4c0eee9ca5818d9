"""The crawl's own commands: look at a page, at what was crawled, at how long it takes, at what a source file may say."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from cluster.errors import UserError
from pipelines.options import OutOption, RecipeOption, SetOption, console, open_run
from pipelines.recipe import load_recipe

SECONDS = {"h": 3600.0, "d": 86_400.0}
TABLE_WIDTH = 160  # columns at least, so that a table is never squeezed where the output is no terminal

app = typer.Typer(invoke_without_command=True, subcommand_metavar="[COMMAND]")


@app.command()
def check(
    source: Annotated[str, typer.Argument(help="A built-in source's name or a YAML file.")],
    urls: Annotated[list[str] | None, typer.Argument(help="Pages of the site; its start pages when none is named.")] = None,
    contact: Annotated[
        str, typer.Option(help="Who asks, for the site to see: mailto:you@example.org or a page of yours. Default: the recipe's.")
    ] = "",
    allow_private: Annotated[
        list[str] | None, typer.Option(metavar="HOST[:PORT]", help="A host of your own that may be on a private address.")
    ] = None,
    recipe: RecipeOption = "demo",
    changes: SetOption = None,
) -> None:
    """Fetch single pages, politely, and show what the crawl would follow and the extraction would take."""
    from pipelines.crawl.preview import Fault, Seen, describe, look

    chosen = load_recipe(recipe, changes or [])
    crawl = chosen.crawl.model_copy(
        update={
            "sources": [source],
            "contact": contact or chosen.crawl.contact,
            "allow_private": [*chosen.crawl.allow_private, *(allow_private or [])],
        }
    )
    faults: list[Fault] = []

    def show(seen: Seen) -> None:
        if isinstance(seen, Fault):
            faults.append(seen)
        for line in describe(seen):
            console.print(line, markup=False)

    look(chosen.model_copy(update={"crawl": crawl}), urls or [], show)
    if faults:
        raise typer.Exit(1)


@app.command()
def stats(
    recipe: RecipeOption = "demo",
    out: OutOption = "",
    changes: SetOption = None,
    reason: Annotated[str, typer.Option(help="List the URLs that were not stored for this reason: URL, source, detail.")] = "",
    urls: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the URLs that were not stored to a .csv or .jsonl file.")
    ] = None,
) -> None:
    """Show what a finished or running crawl has stored, and why it has not stored the rest."""
    from pipelines.crawl.stats import Crawled, summary, write_urls

    crawled = Crawled.open(*open_run(recipe, out, changes))
    if urls:
        console.print(f"{write_urls(crawled.not_stored(reason), urls):,} URLs in {urls}")
    elif reason:
        for row in crawled.not_stored(reason):
            typer.echo(f"{row['url']}\t{row['source']}\t{row['detail']}")
    else:
        _wide().print(summary(crawled))


@app.command()
def plan(recipe: RecipeOption = "demo", changes: SetOption = None) -> None:
    """Say how long a real crawl takes on each host, from its delay and page counts; nothing is fetched."""
    from pipelines.crawl.forecast import forecast, table
    from pipelines.crawl.source import load_sources

    hosts = forecast(load_sources(load_recipe(recipe, changes or []).crawl.sources))
    _wide().print(table(hosts))


@app.command()
def schema() -> None:
    """Print the JSON schema of a source file, for editors."""
    from pydantic import TypeAdapter

    from pipelines.crawl.filesource import FileSource
    from pipelines.crawl.source import Source

    typer.echo(json.dumps(TypeAdapter[Source | FileSource](Source | FileSource).json_schema(), ensure_ascii=False, indent=2))


def _wide() -> Console:
    return Console(width=max(console.width, TABLE_WIDTH), soft_wrap=True, highlight=False)


def seconds_of(age: str) -> float:
    """`30d` and `12h` in seconds. Raises UserError."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([hd])", age.strip())
    if not match:
        raise UserError(f"--refresh {age!r}: write a number of days or hours, for example --refresh 30d or --refresh 12h")
    return float(match[1]) * SECONDS[match[2]]
