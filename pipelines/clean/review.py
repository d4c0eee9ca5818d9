"""The review sheet: a stratified sample of kept rows and of rows that a filter dropped, for people to decide on.

Rows are drawn by a hash of their id, so the same seed draws the same rows whatever the shards, and more data seldom
changes them. Numbers of one shard and the sheet's own rows are in memory.
"""

from __future__ import annotations

import heapq
import re
from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from openpyxl import Workbook
from openpyxl.styles import Alignment, Font, PatternFill
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.datavalidation import DataValidation
from openpyxl.worksheet.worksheet import Worksheet

from cluster.errors import UserError
from cluster.storage import full_disk_is_clear
from pipelines.artifact import Artifact
from pipelines.clean.candidates import ARTICLE, EMPTY, PAIR
from pipelines.clean.identity import split_chance
from pipelines.clean.normalise import normalise
from pipelines.clean.people import CUT, DECISION, EDITED, HUMAN, ID, KIND, NOTE, REASON, REVIEWER, SOURCE, TEXTS, WORDS
from pipelines.clean.privacy import redact
from pipelines.tables import CORPUS, DROPPED, PAIRS, Table

KEPT = "kept"
# Nobody sees in one row that another says the same or that it is of a test set, nothing can be judged of an empty one.
NOT_ASKED = ("duplicate-", "test-set ", EMPTY, HUMAN)
LONGEST_CELL = 32_767  # of Excel, in units of UTF-16
WIDTHS = {REASON: 18, "question": 50, "text": 90, DECISION: 12, EDITED["question"]: 40, EDITED["text"]: 60, NOTE: 30}
_NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
TO_FILL_IN = (DECISION, *EDITED.values(), REVIEWER, NOTE)
COLUMNS = (ID, KIND, SOURCE, REASON, *TEXTS, *TO_FILL_IN)

Row = dict[str, str]
Stratum = tuple[str, str, str]  # kind, source, reason


@dataclass
class Drawn:
    """The ids of a stratum with the smallest chances, so far."""

    size: int
    heap: list[tuple[float, str]] = field(default_factory=list)  # the largest chance first, as its negative

    def offer(self, chance: float, row: str) -> None:
        item = (-chance, row)
        if (len(self.heap) == self.size and item <= self.heap[0]) or item in self.heap:
            return
        heapq.heappush(self.heap, item)
        if len(self.heap) > self.size:
            heapq.heappop(self.heap)


def draw(clean: Artifact, size: int, seed: int, decided: Collection[str] = ()) -> list[Row]:
    """At most `size` rows of every kind, source and reason (or kept), redacted; none of those that are decided already.

    In the order of chance, kind by kind: what was dropped for one reason does not stand together. Raises UserError.
    """
    if ID not in clean.manifest.tables[DROPPED.name].columns:
        raise UserError(f"{clean.folder.url} is of an older version, without ids of dropped rows: run `gaokerena clean` again")
    strata: dict[Stratum, Drawn] = defaultdict(lambda: Drawn(size))
    for stratum, row in _asked(clean):
        if row not in decided:
            strata[stratum].offer(_chance(seed, row), row)
    drawn = {row: stratum for stratum, found in strata.items() for _, row in found.heap}
    rows = {row[ID]: row for row in _texts_of(clean, drawn)}
    return sorted(rows.values(), key=lambda row: (row[KIND], _chance(seed, row[ID])))


def write_sheet(rows: list[Row], path: Path, *, blind: bool = False) -> None:
    """An xlsx file for reviewers, right to left. `blind`: without the reason, so that it leads nobody.

    Raises UserError when the file is there: somebody's work may be in it; StorageFull.
    """
    if path.suffix.lower() != ".xlsx":
        raise UserError(f"{path}: a review sheet is a workbook; name a file that ends in .xlsx")
    if path.exists():
        raise UserError(f"{path} exists, and decisions may be in it; name another file")
    columns = [name for name in COLUMNS if not (blind and name == REASON)]
    book = Workbook()
    sheet: Worksheet = book.active  # type: ignore[assignment]
    sheet.title = "review"
    _lay_out(sheet, columns, len(rows))
    for place, row in enumerate(rows, start=2):
        for column, name in enumerate(columns, start=1):
            _write(sheet, place, column, row.get(name, ""))
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.part")
    with full_disk_is_clear(str(path)):
        book.save(partial)
    partial.replace(path)


def _chance(seed: int, row: str) -> float:
    return split_chance(seed, f"review:{row}")


def _asked(clean: Artifact) -> Iterator[tuple[Stratum, str]]:
    """Every row that a person can judge: its stratum and its id."""
    for kind, table in ((ARTICLE, CORPUS), (PAIR, PAIRS)):
        for part in clean.batches(table, ["id", "source"]):
            for row, source in _columns(part):
                yield (kind, source, KEPT), row
    for part in clean.batches(DROPPED, ["id", "kind", "source", "reason"]):
        for row, kind, source, reason in _columns(part):
            if not reason.startswith(NOT_ASKED):
                yield (kind, source, reason), row


def _columns(table: pa.Table) -> Iterator[tuple[str, ...]]:
    return zip(*(column.to_pylist() for column in table.columns), strict=True)


def _texts_of(clean: Artifact, drawn: dict[str, Stratum]) -> Iterator[Row]:
    """The drawn rows with their texts. A kept row may have an equal one among the dropped: that is another stratum."""
    for kind, table, texts in ((ARTICLE, CORPUS, ["text"]), (PAIR, PAIRS, ["question", "answer"])):
        for row in _rows_of(clean, table, ["id", "source", *texts], drawn):
            if drawn[row["id"]] == (kind, row["source"], KEPT):
                yield _row(drawn, row["id"], row.get("question", ""), row[texts[-1]])
    for row in _rows_of(clean, DROPPED, ["id", "kind", "source", "reason", "question", "text"], drawn):
        if drawn[row["id"]] == (row["kind"], row["source"], row["reason"]):
            question, text = (redact(normalise(row[name]))[0] for name in TEXTS)
            yield _row(drawn, row["id"], question, text)


def _rows_of(clean: Artifact, table: Table, columns: list[str], drawn: Collection[str]) -> Iterator[dict[str, Any]]:
    wanted = pa.array(sorted(drawn), pa.string())
    for part in clean.batches(table, columns):
        yield from part.filter(pc.is_in(part["id"], value_set=wanted)).to_pylist()


def _row(drawn: dict[str, Stratum], row: str, question: str, text: str) -> Row:
    kind, source, reason = drawn[row]
    return {ID: row, KIND: kind, SOURCE: source, REASON: reason, "question": question, "text": text}


def _lay_out(sheet: Worksheet, columns: list[str], rows: int) -> None:
    sheet.sheet_view.rightToLeft = True
    sheet.freeze_panes = "A2"
    sheet.auto_filter.ref = f"A1:{get_column_letter(len(columns))}{rows + 1}"
    for number, name in enumerate(columns, start=1):
        sheet.column_dimensions[get_column_letter(number)].width = WIDTHS.get(name, 20)
        cell = sheet.cell(1, number, name)
        cell.font = Font(bold=True)
        if name in TO_FILL_IN:
            cell.fill = PatternFill("solid", fgColor="FFF2CC")
    words = DataValidation(type="list", formula1=f'"{",".join(WORDS)}"', allow_blank=True, showErrorMessage=True)
    letter = get_column_letter(columns.index(DECISION) + 1)
    words.add(f"{letter}2:{letter}{max(rows, 1) + 1}")
    sheet.add_data_validation(words)


def _write(sheet: Worksheet, row: int, column: int, text: str) -> None:
    """A text that stays one: what begins with = + - @ is no formula, neither now nor after somebody has typed in it."""
    cell = sheet.cell(row, column)
    if text:
        cell.value = _fitting(_NOT_IN_XML.sub("", text))
        cell.data_type = "s"
        cell.quotePrefix = True
    cell.number_format = "@"
    cell.alignment = Alignment(wrap_text=True, vertical="top", readingOrder=2)


def _fitting(text: str) -> str:
    units = text.encode("utf-16-le")
    if len(units) <= 2 * LONGEST_CELL:
        return text
    return units[: 2 * (LONGEST_CELL - len(CUT))].decode("utf-16-le", "ignore") + CUT
