"""The review sheet asks people what they can answer, shows no secret and comes back as decisions."""

from __future__ import annotations

import errno
from collections import Counter
from pathlib import Path

import openpyxl
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from cluster.errors import StorageFull, UserError
from cluster.storage import open_storage
from pipelines.artifact import Artifact, ArtifactFolder
from pipelines.clean.people import CUT, read_votes
from pipelines.clean.review import COLUMNS, LONGEST_CELL, draw, write_sheet
from pipelines.cli import app
from pipelines.rows import column_names, read_rows
from pipelines.tables import CORPUS, DROPPED, PAIRS, Table
from tests.clean.test_step import (
    ARTICLE_ROWS,
    PAIR_ROWS,
    SECRETS,
    answer,
    extracted,
    in_this_process,
    pair,
    run_clean,
)  # fmt: skip

__all__ = ["in_this_process"]  # used by every test here, as there

TOPICS = "دست پا گردن زانو مچ آرنج ران کتف فک لگن ساق".split()
MANY = [
    *(pair(100 + n, f"{topic} من درد می‌کند چه کنم؟", answer(topic)) for n, topic in enumerate(TOPICS)),
    *(
        pair(200 + n, f"{topic} من ورم دارد چه کنم؟", f"{topic} را هر روز با باند کشی نرم ببندید و بالا نگه دارید")
        for n, topic in enumerate(TOPICS)
    ),
]


def cleaned(folder: Path, *changes: str, shards: int = 1) -> Artifact:
    folder.mkdir(exist_ok=True)
    rows = [*(row for row in PAIR_ROWS if not row["url"].endswith("q7")), *MANY]
    return run_clean(folder, extracted(folder, [ARTICLE_ROWS], [rows[start::shards] for start in range(shards)]), *changes)


def filled_in(path: Path, answers: dict[str, dict[str, str]]) -> Path:
    """Type decisions into the sheet as a reviewer does. `answers`: id -> column -> what is typed."""
    book = openpyxl.load_workbook(path)
    sheet = book.active
    columns = {cell.value: cell.column for cell in sheet[1]}
    for line in range(2, sheet.max_row + 1):
        for name, text in answers.get(sheet.cell(line, columns["id"]).value, {}).items():
            sheet.cell(line, columns[name]).value = text
    book.save(path)
    return path


def test_rows_are_drawn_from_every_stratum(tmp_path: Path) -> None:
    rows = draw(cleaned(tmp_path / "run"), 4, seed=1)
    assert Counter((row["kind"], row["source"], row["reason"]) for row in rows) == {
        ("article", "mag", "kept"): 1,
        ("article", "mag", "language-en"): 1,
        ("article", "mag", "short-article"): 1,
        ("qa", "exam", "kept"): 1,
        ("qa", "forum", "kept"): 4,
        ("qa", "forum", "short-answer"): 4,
        ("qa", "forum", "short-question"): 1,
    }  # neither duplicates, nor test sets, nor an empty row: nobody could judge them
    assert len({row["id"] for row in rows}) == len(rows)


def test_the_same_seed_draws_the_same_rows_whatever_the_shards(tmp_path: Path) -> None:
    one, other = cleaned(tmp_path / "one"), cleaned(tmp_path / "other", shards=3)
    assert draw(one, 3, seed=1) == draw(other, 3, seed=1)
    assert draw(one, 3, seed=1) != draw(one, 3, seed=2)


def test_what_is_decided_is_not_asked_again(tmp_path: Path) -> None:
    found = cleaned(tmp_path / "run")
    first = draw(found, 3, seed=1)
    assert not {row["id"] for row in draw(found, 3, seed=1, decided={row["id"] for row in first})} & {row["id"] for row in first}


def test_the_sheet_shows_no_secret(tmp_path: Path) -> None:
    """Neither of kept rows nor of dropped ones."""
    hidden = pair(300, "مطب کجاست؟ من تب دارم", f"زنگ بزنید: {SECRETS[0]}")
    (tmp_path / "run").mkdir()
    found = run_clean(tmp_path / "run", extracted(tmp_path / "run", [ARTICLE_ROWS], [[*PAIR_ROWS, hidden]]))
    write_sheet(draw(found, 50, seed=1), tmp_path / "review.xlsx")
    cells = str(list(read_rows(tmp_path / "review.xlsx", COLUMNS)))
    assert "زنگ بزنید: [تلفن همراه]" in cells
    assert not [secret for secret in SECRETS if secret in cells]


def test_a_sheet_that_people_filled_in_is_what_the_next_run_does(tmp_path: Path) -> None:
    found = cleaned(tmp_path / "before")
    rows = draw(found, 50, seed=1)
    write_sheet(rows, tmp_path / "review.xlsx")
    assert not read_votes([tmp_path / "review.xlsx"]).by_row  # nothing is decided in an empty sheet
    short = next(row for row in rows if row["reason"] == "short-answer")
    good, bad = [row for row in rows if (row["kind"], row["reason"]) == ("qa", "kept")][:2]
    filled_in(
        tmp_path / "review.xlsx",
        {
            short["id"]: {"decision": "keep", "reviewer": "sara"},
            good["id"]: {"decision": "edit", "edited text": good["text"] + " تندرست باشید.", "reviewer": "sara"},
            bad["id"]: {"decision": "drop", "note": "نادرست است"},
        },
    )
    after = cleaned(tmp_path / "after", f"clean.decisions={tmp_path / 'review.xlsx'}", shards=2)
    kept = {row["id"]: row for row in after.read(PAIRS).to_pylist()}
    assert kept[short["id"]]["answer"] == short["text"]
    assert kept[good["id"]]["answer"] == good["text"] + " تندرست باشید."
    assert bad["id"] not in kept
    assert after.manifest.dropped["human"] == 1
    assert after.rows(PAIRS) == found.rows(PAIRS)


def test_the_sheet_is_made_for_persian_and_for_typing(tmp_path: Path) -> None:
    write_sheet(draw(cleaned(tmp_path / "run"), 2, seed=1), tmp_path / "sheets" / "review.xlsx")
    sheet = openpyxl.load_workbook(tmp_path / "sheets" / "review.xlsx").active
    assert [cell.value for cell in sheet[1]] == list(COLUMNS)
    assert sheet.sheet_view.rightToLeft
    assert sheet.freeze_panes == "A2"
    assert sheet.cell(2, COLUMNS.index("text") + 1).alignment.wrap_text
    (words,) = sheet.data_validations.dataValidation
    assert words.formula1 == '"keep,drop,edit"'
    assert sheet.cell(sheet.max_row, COLUMNS.index("decision") + 1).coordinate in words.sqref


@pytest.mark.parametrize("begins", ["=1+1", "+98", "-5", "@SUM(A1)", "#N/A", "=", "\ufffe=\x07x"])
def test_no_text_becomes_a_formula(begins: str, tmp_path: Path) -> None:
    text = f"{begins} تب دارم"
    row = {"id": "1e5", "kind": "qa", "source": "=cmd", "reason": "kept", "question": text, "text": begins}
    write_sheet([row], tmp_path / "review.xlsx")
    sheet = openpyxl.load_workbook(tmp_path / "review.xlsx").active
    assert {cell.data_type for cell in sheet[2] if cell.value is not None} == {"s"}
    written = dict(zip(COLUMNS, sheet[2], strict=True))
    assert written["question"].value == text.replace("\ufffe", "").replace("\x07", "")
    assert written["id"].value == "1e5"
    assert all(cell.quotePrefix for cell in sheet[2] if cell.value is not None)


def test_a_text_too_long_for_a_cell_is_cut_and_can_not_be_edited(tmp_path: Path) -> None:
    """A character outside the basic plane counts twice in Excel."""
    fits, long, twice = "آ" * LONGEST_CELL, "آ" * (LONGEST_CELL + 1), "😀" * (LONGEST_CELL // 2 + 1)
    same = {"kind": "article", "source": "mag", "reason": "kept", "question": ""}
    rows = [{"id": str(number), "text": text, **same} for number, text in enumerate((fits, long, twice))]
    write_sheet(rows, tmp_path / "review.xlsx")
    shown = [row["text"] for row in read_rows(tmp_path / "review.xlsx", COLUMNS)]
    assert shown[0] == fits
    for text, whole in zip(shown[1:], (long, twice), strict=True):
        assert text.endswith(CUT) and whole.startswith(text.removesuffix(CUT))
        assert LONGEST_CELL - 1 <= len(text.encode("utf-16-le")) // 2 <= LONGEST_CELL
    filled_in(tmp_path / "review.xlsx", {"1": {"decision": "edit", "edited text": "کوتاه"}})
    with pytest.raises(UserError, match="row 1: its text was cut"):
        read_votes([tmp_path / "review.xlsx"])


def test_a_blind_sheet_does_not_lead(tmp_path: Path) -> None:
    write_sheet(draw(cleaned(tmp_path / "run"), 2, seed=1), tmp_path / "review.xlsx", blind=True)
    assert column_names(tmp_path / "review.xlsx") == [name for name in COLUMNS if name != "reason"]
    assert "short-answer" not in str(list(read_rows(tmp_path / "review.xlsx", COLUMNS)))


def test_a_sheet_is_never_written_over(tmp_path: Path) -> None:
    write_sheet([], tmp_path / "review.xlsx")
    with pytest.raises(UserError, match="decisions may be in it"):
        write_sheet([], tmp_path / "review.xlsx")
    with pytest.raises(UserError, match=r"ends in \.xlsx"):
        write_sheet([], tmp_path / "review.csv")


def test_a_full_disk_leaves_no_half_sheet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def save(self: openpyxl.Workbook, path: Path) -> None:
        path.write_bytes(b"PK")
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(openpyxl.Workbook, "save", save)
        with pytest.raises(StorageFull, match="no room left"):
            write_sheet([], tmp_path / "review.xlsx")
    write_sheet([], tmp_path / "review.xlsx")
    assert [path.name for path in tmp_path.iterdir()] == ["review.xlsx"]


def test_the_commands(tmp_path: Path) -> None:
    """Write a sheet of a run, let two people fill it in, see how far they agree."""
    run = tmp_path / "run"
    options = ["--out", str(run)]
    early = CliRunner().invoke(app, ["clean", "review", str(tmp_path / "ali.xlsx"), *options])
    assert isinstance(early.exception, UserError) and "run `gaokerena clean` first" in str(early.exception)
    cleaned(run)
    open_storage(run).point("clean/latest", "0")
    for name in ("ali", "sara"):
        written = CliRunner().invoke(app, ["clean", "review", str(tmp_path / f"{name}.xlsx"), "--rows", "2", "--blind", *options])
        assert written.exit_code == 0, written.output
    ids = [row["id"] for row in read_rows(tmp_path / "ali.xlsx", COLUMNS)]
    assert f"{len(ids)} rows in" in written.output
    filled_in(tmp_path / "ali.xlsx", {ids[0]: {"decision": "keep"}, ids[1]: {"decision": "drop"}})
    filled_in(tmp_path / "sara.xlsx", {ids[0]: {"decision": "keep"}, ids[1]: {"decision": "keep"}})
    shown = CliRunner().invoke(app, ["clean", "agreement", str(tmp_path / "ali.xlsx"), str(tmp_path / "sara.xlsx")])
    assert "1 of 2 (50%, 9% to 91%)" in shown.output
    assert f"tie on {ids[1]}: ali: drop, sara: keep" in shown.output


def test_an_older_artifact_is_told_apart(tmp_path: Path) -> None:
    columns = [field for field in DROPPED.schema if field.name not in ("id", "question")]
    old = Table("dropped", pa.schema(columns), restricted=True)
    out = ArtifactFolder(open_storage(tmp_path / "old"))
    before = out.finish(step="clean", version=1, settings={}, inputs={}, tables=(CORPUS, PAIRS, old), started=0.0)
    with pytest.raises(UserError, match="is of an older version"):
        draw(before, 1, seed=1)
