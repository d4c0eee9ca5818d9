"""The cleaning's own commands: one file through the funnel, and what people review."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from cluster.errors import UserError
from pipelines.clean.settings import PRESETS
from pipelines.options import OutOption, RecipeOption, SetOption, check_folder, console, open_run
from pipelines.progress import Progress
from pipelines.recipe import load_recipe

app = typer.Typer(invoke_without_command=True, subcommand_metavar="[COMMAND]")

FileArgument = Annotated[Path, typer.Argument(help="A .parquet, .jsonl, .csv or .xlsx file.")]
FolderOption = Annotated[Path, typer.Option("--out", "-o", help="The folder for kept.parquet and dropped.parquet.")]
PresetOption = Annotated[str, typer.Option(help=f"Filters and thresholds: {' or '.join(PRESETS)}; by default the recipe's.")]


@app.command("qa")
def clean_pairs(
    file: FileArgument,
    out: FolderOption,
    preset: PresetOption = "",
    question: Annotated[str, typer.Option(help="The column of questions; by default the one named so.")] = "",
    answer: Annotated[str, typer.Option(help="The column of answers; by default the one named so.")] = "",
    recipe: RecipeOption = "demo",
    changes: SetOption = None,
) -> None:
    """Clean one file of question-answer pairs: what is kept, what is dropped and why, each beside its original text."""
    _clean(file, "qa", out, preset, {"question": question, "answer": answer}, recipe, changes)


@app.command("articles")
def clean_articles(
    file: FileArgument,
    out: FolderOption,
    preset: PresetOption = "",
    text: Annotated[str, typer.Option(help="The column of texts; by default text or content.")] = "",
    recipe: RecipeOption = "demo",
    changes: SetOption = None,
) -> None:
    """Clean one file of articles: what is kept, what is dropped and why, each beside its original text."""
    _clean(file, "article", out, preset, {"text": text}, recipe, changes)


@app.command()
def review(
    sheet: Annotated[Path, typer.Argument(help="The .xlsx file to write; it must not be there yet.")],
    recipe: RecipeOption = "demo",
    out: OutOption = "",
    changes: SetOption = None,
    rows: Annotated[int, typer.Option(min=1, help="Rows of each kind, source and reason, and of those that were kept.")] = 20,
    seed: Annotated[int | None, typer.Option(help="Which rows are drawn; by default the recipe's.")] = None,
    blind: Annotated[
        bool, typer.Option("--blind", help="Don't say which rows were kept, and why the others were dropped.")
    ] = False,
) -> None:
    """Write a sheet of kept and dropped rows for people to decide on: keep, drop or edit (docs/review.md)."""
    from pipelines.clean.people import read_votes
    from pipelines.clean.review import draw, write_sheet
    from pipelines.steps import latest

    chosen, root = open_run(recipe, out, changes)
    cleaned = latest(root, "clean")
    if cleaned is None:
        raise UserError(f"clean is not finished in {root.url}: run `gaokerena clean` first")
    drawn = draw(cleaned, rows, chosen.seed if seed is None else seed, read_votes(chosen.clean.decisions).by_row)
    write_sheet(drawn, sheet, blind=blind)
    console.print(
        f"{len(drawn):,} rows in {sheet}; when it is filled in: gaokerena clean --set clean.decisions={sheet}", markup=False
    )


@app.command()
def agreement(
    sheets: Annotated[list[Path], typer.Argument(help="Review sheets that are filled in, of one reviewer each or of several.")],
) -> None:
    """Show how far reviewers agree (Cohen's kappa), and the rows on which their vote is a tie."""
    from pipelines.clean.agreement import agreements, share_of
    from pipelines.clean.people import read_votes

    votes = read_votes(sheets)
    table = Table("reviewer", "and", "agree on (95% interval)", "Cohen's kappa", box=None)
    for pair in agreements(votes):
        kappa = "not defined: one word only" if pair.kappa is None else f"{pair.kappa:.2f}"
        table.add_row(pair.first, pair.second, share_of(pair.agreed, pair.rows), kappa)
    console.print(table)
    for row in votes.tied():
        own = ", ".join(f"{reviewer}: {decision.word}" for reviewer, decision in votes.by_row[row].items())
        typer.echo(f"tie on {row}: {own}")


def _clean(
    file: Path, kind: str, out: Path, preset: str, columns: dict[str, str], recipe: str, changes: list[str] | None
) -> None:
    from pipelines.clean.onefile import DROPPED_FILE, KEPT_FILE, clean_file
    from pipelines.crawl.filesource import Columns

    check_folder(out)
    chosen = load_recipe(recipe, [*([f"clean.preset={preset}"] if preset else []), *(changes or [])])
    funnel = clean_file(file, kind, chosen, out, Columns(**columns), Progress(console))
    table = Table("", "rows", box=None)
    for reason, rows in funnel.dropped.most_common():
        table.add_row(reason, f"{rows:,}")
    table.add_row("kept", f"{funnel.kept:,}", style="bold")
    table.add_row("all", f"{funnel.kept + funnel.dropped.total():,}")
    console.print(table)
    console.print(f"{out / KEPT_FILE} and {out / DROPPED_FILE} hold original texts: do not publish them")
