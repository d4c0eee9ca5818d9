"""The table that ends a run in the terminal: what each step did and needed, and the scores before and after training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Group
from rich.table import Table

from pipelines.artifact import Artifact
from pipelines.report.content import comparisons, rows_kept, scores


def summary(artifacts: Mapping[str, Artifact]) -> Group:
    """Something that a console prints. Steps that did not run are left out."""
    parts = [_steps(artifacts)]
    if "evaluate" in artifacts:
        parts.append(_scores(artifacts["evaluate"]))
    return Group(*parts)


def _steps(artifacts: Mapping[str, Artifact]) -> Table:
    table = Table("step", box=None, header_style="bold", pad_edge=False)
    for title in ("rows in", "rows out", "dropped", "seconds", "peak memory"):
        table.add_column(title, justify="right")
    for name, artifact in artifacts.items():
        done = artifact.manifest
        numbers = (done.rows_in, rows_kept(artifact), sum(done.dropped.values()))
        table.add_row(
            name, *(f"{number:,}" for number in numbers), f"{done.seconds:,.0f}", f"{done.peak_memory_bytes / 1e9:.1f} GB"
        )
    seconds = sum(artifact.manifest.seconds for artifact in artifacts.values())
    peak = max(artifact.manifest.peak_memory_bytes for artifact in artifacts.values())
    table.add_row("[bold]all[/]", "", "", "", f"[bold]{seconds:,.0f}[/]", f"[bold]{peak / 1e9:.1f} GB[/]")
    return table


def _scores(evaluation: Artifact) -> Table:
    rows = scores({"evaluate": evaluation})
    table = Table("test", "measure", box=None, header_style="bold", pad_edge=False)
    for title in ("items", "base", "trained"):
        table.add_column(title, justify="right")
    for row in comparisons(rows, "perplexity"):
        table.add_row(
            row["task"], "perplexity", str(row["base"]["items"]), *(f"{row[model]['value']:.2f}" for model in ("base", "trained"))
        )
    for row in comparisons(rows, "accuracy"):
        cells = (_accuracy(row[model]) for model in ("base", "trained"))
        table.add_row(row["task"], f"accuracy, {row['method']}", str(row["base"]["items"]), *cells)
    return table


def _accuracy(score: Mapping[str, Any]) -> str:
    invalid = f", {score['invalid']} invalid" if score["invalid"] else ""
    return f"{score['value']:.1%} ({score['low']:.0%}-{score['high']:.0%}{invalid})"
