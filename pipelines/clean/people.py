"""What people decided on rows, by content id: read from review sheets; of several reviewers the most votes count.

10,000 decisions of a workbook take a few seconds to read and 5 MB.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cluster.errors import UserError
from pipelines.artifact import Input, file_digest
from pipelines.clean.normalise import normalise
from pipelines.rows import column_names, read_rows

if TYPE_CHECKING:
    from pipelines.recipe import Recipe

KEEP, DROP, EDIT = WORDS = ("keep", "drop", "edit")
HUMAN = "human"  # the reason of a row that people drop and nothing else would
CUT = "… [CUT: too long for a cell]"  # how a text ends that is not whole in the sheet

# Columns of a review sheet. `text` is the answer of a pair, or the text of an article.
ID, KIND, SOURCE, REASON = "id", "kind", "source", "reason"
DECISION, REVIEWER, NOTE = "decision", "reviewer", "note"
TEXTS = ("question", "text")
EDITED = {name: f"edited {name}" for name in TEXTS}
NEEDED = (ID, DECISION)
READ = (*NEEDED, REVIEWER, *TEXTS, *EDITED.values())


@dataclass(frozen=True)
class Decision:
    """What a person, or most of them, wants done with a row."""

    word: str  # one of WORDS
    question: str = ""  # of an edit, normalised; "": stays as it is
    text: str = ""

    def edited(self, row: Mapping[str, Any]) -> dict[str, str]:
        """The texts that the row gets instead of its own; what it doesn't have, such as an article's question, it doesn't get."""
        new = {"question": self.question, "text": self.text}
        return {name: text for name, text in new.items() if text and row[name]}


@dataclass(frozen=True)
class Vote:
    """A line of a sheet."""

    row: str  # content id
    reviewer: str
    decision: Decision


class Votes:
    """All votes, by row and reviewer; a reviewer's last word on a row counts."""

    def __init__(self, votes: Sequence[Vote]) -> None:
        self.by_row: dict[str, dict[str, Decision]] = {}
        self.changed = 0  # votes that a later one of the same reviewer replaces
        for vote in votes:
            own = self.by_row.setdefault(vote.row, {})
            self.changed += own.get(vote.reviewer, vote.decision) != vote.decision
            own[vote.reviewer] = vote.decision

    def decisions(self) -> dict[str, Decision]:
        """Rows with a decision that has more votes than any other; two edits that differ are two decisions."""
        winners = {row: _winner(list(votes.values())) for row, votes in self.by_row.items()}
        return {row: winner for row, winner in winners.items() if winner}

    def tied(self) -> list[str]:
        """Rows on which the vote is a tie: there the filters' word stands."""
        return [row for row, votes in self.by_row.items() if not _winner(list(votes.values()))]


def _winner(votes: list[Decision]) -> Decision | None:
    (first, most), *others = Counter(votes).most_common(2)
    return None if others and others[0][1] == most else first


def decision_inputs(recipe: Recipe) -> dict[str, Input]:
    """The files of decisions by content. Raises UserError for a missing file."""
    for path in recipe.clean.decisions:
        if not path.is_file():
            raise UserError(f"clean.decisions: {path} does not exist")
    return {f"decisions:{path}": Input(digest=file_digest(path), path=str(path)) for path in recipe.clean.decisions}


def read_votes(paths: Sequence[Path]) -> Votes:
    """The votes of several sheets; who has not written a name has that of the file. Raises UserError with one line."""
    return Votes([vote for path in paths for vote in _votes_of(path)])


def _votes_of(path: Path) -> list[Vote]:
    columns = {name.strip().lower(): name for name in column_names(path)}
    if missing := [name for name in NEEDED if name not in columns]:
        raise UserError(f"{path} has no column {' and '.join(missing)}; begin with a sheet that `gaokerena clean review` writes")
    present = {name: columns[name] for name in READ if name in columns}
    votes, mistakes = [], []
    for row in read_rows(path, list(present.values())):
        cells = {name: _cell(row.get(present[name])) if name in present else "" for name in READ}
        if mistake := next(_mistakes(cells), None):
            mistakes.append(mistake)
        elif cells[DECISION]:
            edits = {name: normalise(cells[column]) for name, column in EDITED.items()}
            votes.append(Vote(cells[ID].lower(), cells[REVIEWER] or path.stem, Decision(cells[DECISION].lower(), **edits)))
    if mistakes:
        more = f" (and {len(mistakes) - 1:,} more rows like this)" if len(mistakes) > 1 else ""
        raise UserError(f"{path}: {mistakes[0]}{more}")
    return votes


def _cell(value: Any) -> str:
    return "" if value is None else str(value).strip()


def _mistakes(cells: Mapping[str, str]) -> Iterator[str]:
    """What is wrong with a line; the texts themselves are never shown."""
    word, edits = cells[DECISION].lower(), [name for name, column in EDITED.items() if normalise(cells[column])]
    if (word or edits) and not cells[ID]:
        yield "a decision without an id; copy the id from the sheet"
    if word and word not in WORDS:
        yield f"row {cells[ID]}: unknown decision {word[:40]!r}; write {', '.join(WORDS[:-1])} or {WORDS[-1]}"
    if word == EDIT and not edits:
        yield f"row {cells[ID]}: edit, but {' and '.join(EDITED.values())} are empty; write the new text, or keep or drop"
    if word != EDIT and edits:
        yield f"row {cells[ID]}: {EDITED[edits[0]]} is filled in, but the decision is {word or 'empty'}; write edit"
    if any(CUT in cells[name] + cells[EDITED[name]] for name in edits):
        yield f"row {cells[ID]}: its text was cut for the sheet, so it can't be edited there; write keep or drop"
