"""The statistics as tables of a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.table import Table

TITLES = {"corpus": "articles", "pairs": "question-answer pairs"}


def tables(numbers: Mapping[str, Mapping[str, Any]], funnel: Mapping[str, Mapping[str, int]]) -> Iterator[Table]:
    """Sources and splits of each kind, then the funnel of each."""
    for name, found in numbers.items():
        table = _table(TITLES[name], "rows", "words and marks", "share")
        for part in ("source", "split"):
            for row in found[f"{part}s"]:
                share = f"{row['words'] / max(1, found['words']):.1%}"
                table.add_row(f"{part} {row[part]}", f"{row['rows']:,}", f"{row['words']:,}", share)
        table.add_row("all", f"{found['rows']:,}", f"{found['words']:,}", "")
        yield table
    for kind, reasons in funnel.items():
        table = _table(f"{kind} that were extracted", "rows")
        for reason, rows in reasons.items():
            table.add_row(reason, f"{rows:,}")
        table.add_row("all", f"{sum(reasons.values()):,}")
        yield table


def _table(title: str, *columns: str) -> Table:
    table = Table(title, box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right")
    return table
