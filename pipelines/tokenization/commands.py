"""The tokenization's own commands: look at a sequence."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from cluster.errors import UserError
from pipelines.artifact import Artifact
from pipelines.options import OutOption, RecipeOption, open_run
from pipelines.steps import latest, step_named
from pipelines.tables import Table

app = typer.Typer(invoke_without_command=True, subcommand_metavar="[COMMAND]")

SEQUENCES = {table.name: table for table in step_named("tokenize").tables}


@app.command()
def show(
    table: Annotated[str, typer.Option(help=f"Which sequences: {', '.join(SEQUENCES)}.")] = "corpus_train",
    row: Annotated[int, typer.Option(help="Which of them, from 0.")] = 0,
    recipe: RecipeOption = "demo",
    out: OutOption = "",
) -> None:
    """Show one training sequence as text: its documents, what is learned of them (+) and what is only read (-)."""
    from pipelines.tokenization.show import show as text_of
    from serving.engines.models import load_tokenizer, local_model

    if table not in SEQUENCES:
        raise UserError(f"--table {table!r}: one of {', '.join(SEQUENCES)}")
    _, root = open_run(recipe, out, None)
    artifact = latest(root, "tokenize")
    if artifact is None:
        raise UserError(f"tokenize is not finished in {root.url}; see `gaokerena status`")
    sequence = _sequence(artifact, SEQUENCES[table], row)
    tokenizer = load_tokenizer(local_model(artifact.manifest.settings["model"]))
    typer.echo(f"{table}, sequence {row} of {artifact.rows(SEQUENCES[table]):,}: {len(sequence['input_ids']):,} tokens")
    typer.echo(text_of(sequence, tokenizer))


def _sequence(artifact: Artifact, table: Table, row: int) -> dict[str, Any]:
    """One row of a table, a shard of which is in memory. Raises UserError."""
    rows = artifact.rows(table)
    if not rows:
        raise UserError(f"{table.name} is empty: look at what tokenize dropped")
    before = 0
    for shard in artifact.batches(table):
        if 0 <= row - before < shard.num_rows:
            found: dict[str, Any] = shard.slice(row - before, 1).to_pylist()[0]
            return found
        before += shard.num_rows
    raise UserError(f"--row {row}: {table.name} has {rows:,} sequences, from 0 to {rows - 1:,}")
