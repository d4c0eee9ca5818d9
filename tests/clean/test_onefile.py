"""One file through the funnel: every row is found again once, with its original text, whatever is in it."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from rich.console import Console

from cluster import dataflow
from cluster.errors import UserError
from pipelines import run
from pipelines.clean.onefile import Funnel, clean_file
from pipelines.crawl.filesource import Columns
from pipelines.progress import Progress
from pipelines.recipe import load_recipe
from tests.clean.test_step import ARTICLE_ROWS, PAIR_ROWS, SECRETS, answer

BAD_ROWS: list[dict[str, Any]] = [
    {"question": None, "answer": answer("خواب")},
    {"question": "چرا خوابم نمی‌برد؟", "answer": None},
    {"question": 17, "answer": answer("خواب")},
    {"question": "شب‌ها بیدار می‌شوم، چرا؟", "answer": ["بند نخست", None, "بند دوم"]},
    {"question": "این نویسه شکسته است \ud83d چه کنم؟", "answer": answer("نویسه")},
    {"question": "سطرها\r\nدرهم\rاست\nچرا؟", "answer": answer("سطر").replace("، ", "،\r\n")},
    {"question": "پاسخ بلند می‌خواهم، چرا؟", "answer": "کلمه دیگر " * 100_000},
    {},
]


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataflow, "map_tasks", lambda work, items, **options: map(work, items))
    monkeypatch.setattr(run, "_connect_once", lambda stack, recipe: None)


def lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n", encoding="utf-8")
    return path


def clean_rows(folder: Path, rows: list[dict[str, Any]], kind: str = "qa", *changes: str, **columns: str) -> Funnel:
    file = lines(folder / "rows.jsonl", rows)
    recipe = load_recipe("demo", changes)
    return clean_file(file, kind, recipe, folder / "out", Columns(**columns), Progress(Console(quiet=True)))


def both(folder: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    kept, dropped = (pq.read_table(folder / "out" / name).to_pylist() for name in ("kept.parquet", "dropped.parquet"))
    return kept, dropped


def test_kept_and_dropped_are_the_rows_of_the_file(tmp_path: Path) -> None:
    rows = [*PAIR_ROWS, *BAD_ROWS]
    funnel = clean_rows(tmp_path, rows)
    kept, dropped = both(tmp_path)
    assert sorted(row["row"] for row in [*kept, *dropped]) == list(range(1, len(rows) + 1))
    assert (funnel.kept, funnel.dropped.total()) == (len(kept), len(dropped))
    for row in [*kept, *dropped]:
        original = rows[row["row"] - 1].get("question")
        if isinstance(original, str) and original.isprintable():
            assert row["question_raw"] == original
    reasons = {row["row"] - len(PAIR_ROWS) - 1: row["reason"] for row in dropped if row["row"] > len(PAIR_ROWS)}
    assert {reasons[place] for place in (0, 2, 7)} == {"question-null", "question-not-text"}
    assert reasons[1] == "answer-null"
    assert 4 not in reasons and 5 not in reasons  # broken characters and line ends are mended


def test_what_is_kept_is_clean_beside_its_original(tmp_path: Path) -> None:
    clean_rows(tmp_path, PAIR_ROWS)
    kept, _ = both(tmp_path)
    with_number = next(row for row in kept if SECRETS[0] in row["answer_raw"])
    assert SECRETS[0] not in with_number["answer"]
    assert {stat.S_IMODE(os.stat(tmp_path / "out" / name).st_mode) for name in ("kept.parquet", "dropped.parquet")} == {0o600}


def test_articles_too(tmp_path: Path) -> None:
    clean_rows(tmp_path, [{"body": row["text"]} for row in ARTICLE_ROWS], "article", text="body")
    kept, dropped = both(tmp_path)
    assert {row["reason"] for row in dropped} >= {"language-en", "short-article", "duplicate-article"}
    assert kept[0]["text_raw"] == ARTICLE_ROWS[kept[0]["row"] - 1]["text"]


def test_a_file_without_a_good_row_is_an_answer_too(tmp_path: Path) -> None:
    funnel = clean_rows(tmp_path, [{"question": "سرم درد می‌کند؟", "answer": "آب بنوشید."}])
    kept, dropped = both(tmp_path)
    assert (funnel.kept, len(kept), [row["reason"] for row in dropped]) == (0, 0, ["short-answer"])


def test_presets_differ(tmp_path: Path) -> None:
    """The authors kept copies of an answer."""
    rows = [{"question": f"پرسش شمارهٔ {n} چیست؟", "answer": answer("همه")} for n in "یک دو سه".split()]
    for preset, kept in (("default", 1), ("paper", 3)):
        folder = tmp_path / preset
        folder.mkdir()
        assert clean_rows(folder, rows, "qa", f"clean.preset={preset}").kept == kept


def test_another_file_with_the_same_name_is_cleaned_again(tmp_path: Path) -> None:
    clean_rows(tmp_path, PAIR_ROWS[:1])
    assert clean_rows(tmp_path, PAIR_ROWS[:3]).kept == 3


@pytest.mark.parametrize(
    ("rows", "columns", "problem"),
    [
        ([{"q": "چرا؟", "answer": "زیرا"}], {}, "has no column question"),
        (PAIR_ROWS, {"answer": "reply"}, "has no column 'reply'; its columns are .*answer"),
    ],
)
def test_a_missing_column_is_one_line(tmp_path: Path, rows: list[dict[str, Any]], columns: dict[str, str], problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        clean_rows(tmp_path, rows, "qa", **columns)


def test_a_corrupt_file_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "rows.parquet"
    file.write_bytes(b"PAR1 and then nothing of the sort")
    with pytest.raises(UserError, match="can't be read as .parquet"):
        clean_file(file, "qa", load_recipe("demo"), tmp_path / "out", Columns(), Progress(Console(quiet=True)))
    assert not list(tmp_path.glob("out/*.parquet"))
