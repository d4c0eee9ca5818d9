"""What the report says of the cleaned data: shares, lengths, the funnel and redacted samples; a shard at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipelines.artifact import Artifact
from pipelines.clean.candidates import ARTICLE, PAIR
from pipelines.statistics.describe import describe
from pipelines.statistics.funnel import KINDS, dropped_samples, funnel, shown
from pipelines.tables import CONTAMINATED, CORPUS, PAIRS, Table

DROPPED_SHOWN = 2  # of each kind and reason
CHARACTERS = 300  # of a dropped row
REMOVED_SHOWN = 50  # of each test set

Row = dict[str, Any]


def numbers(inputs: Mapping[str, Artifact]) -> Row:
    """`funnel` and `kinds`, by what the report calls the kinds of rows."""
    found = describe(inputs["clean"])
    kinds = {KINDS[ARTICLE]: found[CORPUS.name], KINDS[PAIR]: found[PAIRS.name]}
    return {"funnel": funnel(inputs["clean"]), "kinds": kinds}


def kept(inputs: Mapping[str, Artifact], number: int) -> dict[str, list[Row]]:
    """The first rows of the two sets that training reads, which are redacted."""
    return {"articles": _first(inputs["clean"], CORPUS, number), "pairs": _first(inputs["clean"], PAIRS, number)}


def dropped(inputs: Mapping[str, Artifact]) -> list[Row]:
    """A few dropped rows of each reason, redacted here: their table holds what people wrote."""
    return dropped_samples(inputs["clean"], DROPPED_SHOWN, CHARACTERS)


def contaminated(inputs: Mapping[str, Artifact]) -> list[Row]:
    """Rows that were removed because a test item is in them, each beside the item, by test set; the first of each."""
    found: dict[str, list[Row]] = {}
    for batch in inputs["clean"].batches(CONTAMINATED):
        for row in batch.to_pylist():
            of_set = found.setdefault(row["test_set"], [])
            of_set.append(row)
            of_set.sort(key=lambda row: (row["item"], row["id"]))
            del of_set[REMOVED_SHOWN:]
    return [_shown(row) for name in sorted(found) for row in found[name]]


def _shown(row: Row) -> Row:
    return {**row, **{name: shown(row[name], CHARACTERS) for name in ("item_text", "text")}}


def _first(clean: Artifact, table: Table, number: int) -> list[Row]:
    rows: list[Row] = []
    for batch in clean.batches(table):
        rows += batch.slice(0, number - len(rows)).to_pylist()
        if len(rows) == number:
            break
    return rows
