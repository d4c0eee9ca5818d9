"""The `gaokerena` command."""

from __future__ import annotations

import os
import sys
import time
import webbrowser
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from typer.core import TyperGroup

from cluster.errors import UserError
from cluster.session import prepare_environment
from cluster.storage import LocalStorage, Storage
from pipelines.clean.commands import app as cleaning
from pipelines.crawl.commands import app as crawling
from pipelines.crawl.commands import seconds_of
from pipelines.forget.command import forget
from pipelines.options import OutOption, RecipeOption, SetOption, console, open_run
from pipelines.progress import Progress
from pipelines.publish.commands import app as publishing
from pipelines.recipe import Recipe, built_in_recipes
from pipelines.steps import latest, step_named
from pipelines.tokenization.commands import app as tokenizing

INTERRUPTED = 130  # what Typer makes of Ctrl-C
STEPS, ROAD, LOOK = "One step", "The road", "Looking at a run"
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Print the plan (inputs, hardware, tokens, memory, hours) and do nothing.")
]


class Commands(TyperGroup):
    """In the order of the work; Typer would put steps that have commands of their own at the end."""

    def list_commands(self, ctx: Any) -> list[str]:
        first = ["run", "crawl", "extract", "clean", "tokenize"]
        return sorted(super().list_commands(ctx), key=lambda name: first.index(name) if name in first else len(first))


app = typer.Typer(
    name="gaokerena",
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="""Persian medical language models, end to end: crawl, clean, train, evaluate, serve.

A *recipe* (YAML) says everything about a run; a run leaves every step's result in one folder and never does
finished work twice. Start with `gaokerena run --recipe demo`, which needs a laptop and a quarter of an hour.""",
)


@app.command(rich_help_panel=ROAD)
def run(
    recipe: RecipeOption = "demo",
    out: OutOption = "",
    until: Annotated[str | None, typer.Option(help="The last step to run.")] = None,
    again_from: Annotated[
        str | None, typer.Option("--from", help="Do this step and the later ones again, even if they are finished.")
    ] = None,
    changes: SetOption = None,
    dry_run: DryRunOption = False,
) -> None:
    """Run the whole graph; what is finished is not done again, and a killed run goes on where it was."""
    chosen, root = open_run(recipe, out, changes)
    if dry_run:
        from pipelines.plan import plan

        console.print(plan(chosen, root))
        return
    _execute(chosen, root, until=until, again_from=again_from)


def _step_command(name: str, steps: tuple[str, ...], text: str) -> None:
    def command(recipe: RecipeOption = "demo", out: OutOption = "", changes: SetOption = None) -> None:
        chosen, root = open_run(recipe, out, changes)
        _execute(chosen, root, only=steps)

    command.__doc__ = text
    app.command(name, rich_help_panel=STEPS)(command)


app.add_typer(crawling, name="crawl", rich_help_panel=STEPS)


@crawling.callback(help=step_named("crawl").help)
def crawl(
    context: typer.Context,
    recipe: RecipeOption = "demo",
    out: OutOption = "",
    changes: SetOption = None,
    refresh: Annotated[
        str, typer.Option(metavar="AGE", help="Fetch again what was fetched longer ago: 30d, 12h; 0d is everything.")
    ] = "",
) -> None:
    if context.invoked_subcommand:  # options may stand before it, too
        context.default_map = {context.invoked_subcommand: {"recipe": recipe, "out": out, "changes": changes}}
        return
    chosen, root = open_run(recipe, out, changes)
    if refresh:
        from pipelines.crawl.refresh import refresh as mark_old_pages

        mark_old_pages(root, chosen, time.time() - seconds_of(refresh))
    _execute(chosen, root, only=("crawl",))


app.add_typer(cleaning, name="clean", rich_help_panel=STEPS)


@cleaning.callback(help=step_named("clean").help)
def clean(context: typer.Context, recipe: RecipeOption = "demo", out: OutOption = "", changes: SetOption = None) -> None:
    if context.invoked_subcommand:
        return
    chosen, root = open_run(recipe, out, changes)
    _execute(chosen, root, only=("clean",))


app.add_typer(tokenizing, name="tokenize", rich_help_panel=STEPS)


@tokenizing.callback(help=step_named("tokenize").help)
def tokenize(context: typer.Context, recipe: RecipeOption = "demo", out: OutOption = "", changes: SetOption = None) -> None:
    if context.invoked_subcommand:  # options may stand before it, too
        context.default_map = {context.invoked_subcommand: {"recipe": recipe, "out": out}}
        return
    chosen, root = open_run(recipe, out, changes)
    _execute(chosen, root, only=("tokenize",))


_step_command("extract", ("extract",), step_named("extract").help)


@app.command(rich_help_panel=STEPS)
def train(recipe: RecipeOption = "demo", out: OutOption = "", changes: SetOption = None, dry_run: DryRunOption = False) -> None:
    """Fine-tune on the corpus, then instruction-tune on question-answer pairs."""
    chosen, root = open_run(recipe, out, changes)
    if dry_run:
        from pipelines.plan import training_plan

        console.print(training_plan(chosen, root))
        return
    _execute(chosen, root, only=("finetune", "instruct"))


for _name in ("evaluate", "ask"):
    _step_command(_name, (_name,), step_named(_name).help)


app.add_typer(publishing, name="publish", rich_help_panel=ROAD)


@app.command(rich_help_panel=LOOK)
def status(recipe: RecipeOption = "demo", out: OutOption = "", changes: SetOption = None) -> None:
    """Show which steps are done, stale, partial or missing."""
    from pipelines.run import states

    chosen, root = open_run(recipe, out, changes)
    table = Table("step", "state", "", box=None)
    colours = {"done": "green", "partial": "yellow", "stale": "yellow", "missing": "dim"}
    for state in states(chosen, root):
        table.add_row(state.step.name, f"[{colours[state.state]}]{state.state}[/]", state.detail)
    console.print(f"{root.url}")
    console.print(table)


@app.command(rich_help_panel=LOOK)
def report(
    recipe: RecipeOption = "demo",
    out: OutOption = "",
    changes: SetOption = None,
    show: Annotated[bool, typer.Option("--open/--no-open", help="Open it in a browser.")] = True,
) -> None:
    """Write the report of a run if it is not up to date, say where it is, and open it."""
    chosen, root = open_run(recipe, out, changes)
    _execute(chosen, root, only=("report",), quiet=True)
    page = report_page(root)
    console.print(page)
    if show and sys.stdout.isatty():
        webbrowser.open(Path(page).as_uri() if "://" not in page else page)


@app.command(rich_help_panel=LOOK)
def path(step: Annotated[str, typer.Argument(help="A step's name.")], recipe: RecipeOption = "demo", out: OutOption = "") -> None:
    """Print the folder of a step's latest finished result."""
    _, root = open_run(recipe, out, None)
    artifact = latest(root, step_named(step).name)
    if artifact is None:
        raise UserError(f"{step} is not finished in {root.url}; see `gaokerena status`")
    typer.echo(artifact.folder.url)


app.command(rich_help_panel=ROAD)(forget)


@app.command(rich_help_panel=LOOK)
def recipes() -> None:
    """List the built-in recipes."""
    table = Table("recipe", "what it is", box=None)
    for name, description in built_in_recipes().items():
        table.add_row(name, description)
    console.print(table)


@app.command(rich_help_panel=ROAD)
def serve(
    model: Annotated[str, typer.Option(help="A model's name, folder or URL; by default what the run in --out has trained.")] = "",
    recipe: RecipeOption = "demo",
    out: OutOption = "",
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8000,
) -> None:
    """Serve a model with an OpenAI-compatible endpoint until Ctrl-C."""
    from pipelines.ask.endpoint import serve_until_interrupted

    chosen, root = open_run(recipe, out, None)
    if not model:
        artifact = latest(root, "instruct")
        if artifact is None:
            raise UserError(f"nothing is trained yet in {root.url}: run `gaokerena run` first, or name a model with --model")
        model = f"{artifact.folder.url}/model"
    serve_until_interrupted(chosen, model, host=host, port=port, say=console.print)


@app.command(rich_help_panel=ROAD)
def submit(
    address: Annotated[str, typer.Argument(help="A Ray cluster's job address, for example http://head:8265.")],
    recipe: RecipeOption = "demo",
    out: Annotated[
        str, typer.Option("--out", "-o", help="Run storage that every node reaches, for example s3://bucket/run.")
    ] = "",
    changes: SetOption = None,
    until: Annotated[str | None, typer.Option(help="The last step to run.")] = None,
) -> None:
    """Submit a run to a Ray cluster and follow it."""
    from cluster.jobs import submit as submit_job

    chosen, _ = open_run(recipe, out, changes)
    url = out or chosen.storage_url()
    if "://" not in url and not Path(url).is_absolute():
        raise UserError(
            f"submit: {url!r} is a folder of this machine; name storage that every node reaches with --out: s3://bucket/run, "
            "or the full path of a folder that all nodes mount"
        )
    arguments = ["run", "--recipe", recipe, "--out", url]
    for change in [*(changes or []), "cluster.address=auto"]:
        arguments += ["--set", change]
    if until:
        arguments += ["--until", until]
    submit_job(address, arguments)


def _execute(
    recipe: Recipe,
    root: Storage,
    *,
    until: str | None = None,
    again_from: str | None = None,
    only: tuple[str, ...] | None = None,
    quiet: bool = False,
) -> None:
    from pipelines.report.summary import summary
    from pipelines.run import execute

    done = execute(recipe, root, progress=Progress(console), until=until, again_from=again_from, only=only)
    if quiet:
        return
    if not any(step.worked for step in done):
        console.print(f"nothing to do: {', '.join(step.step.name for step in done)} finished before in {root.url}")
    else:
        console.print(summary({step.step.name: step.artifact for step in done}))
    if done[-1].step.name == "report":
        console.print(f"report: {report_page(root)}")


def report_page(root: Storage) -> str:
    """Where the report can be opened: a local file, or its URL in an object store. Raises UserError."""
    artifact = latest(root, "report")
    if artifact is None:
        raise UserError(f"there is no report in {root.url} yet: run `gaokerena run` first")
    if isinstance(root, LocalStorage):
        return os.path.join(root.url, "report", "latest", "index.html")
    return f"{artifact.folder.url}/index.html"


def main() -> None:
    """Run the command; a user's mistake is one line and exit code 2."""
    prepare_environment()
    try:
        app(standalone_mode=True)
    except UserError as error:
        print(f"gaokerena: {error}", file=sys.stderr)
        sys.exit(2)
    except SystemExit as end:
        if end.code == INTERRUPTED:
            print("gaokerena: stopped; the same command goes on from here", file=sys.stderr)
        raise


if __name__ == "__main__":
    main()
