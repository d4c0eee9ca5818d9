"""Test-set files of every format give their questions; a mistake is one clear line."""

from __future__ import annotations

import json
from pathlib import Path

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cluster.errors import UserError
from pipelines.clean.testsets import HeldOutItem, held_out_inputs, held_out_items, items_of
from pipelines.recipe import load_recipe

ROW = {"Question": "کدام ویتامین؟", "Option1": "آ", "Answer": "د"}


def write(path: Path) -> Path:
    if path.suffix == ".jsonl":
        path.write_text(json.dumps(ROW) + "\n", encoding="utf-8")
    elif path.suffix == ".csv":
        path.write_text("Question,Option1,Answer\nکدام ویتامین؟,آ,د\n", encoding="utf-8")
    elif path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist([ROW]), path)
    else:
        book = openpyxl.Workbook()
        book.active.append(list(ROW))
        book.active.append(list(ROW.values()))
        book.save(path)
    return path


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet", ".xlsx"])
def test_every_format(suffix: str, tmp_path: Path) -> None:
    assert list(items_of(write(tmp_path / f"exam{suffix}"))) == [HeldOutItem("exam", 1, "کدام ویتامین؟", ("آ", "د"))]


def test_files_of_the_recipe_are_inputs_by_content(tmp_path: Path) -> None:
    path = write(tmp_path / "exam.jsonl")
    recipe = load_recipe("demo", [f"clean.decontaminate=[{path}]", "evaluate.tasks=[held-out-answers]"])
    before = held_out_inputs(recipe)
    assert list(before) == [f"decontaminate:{path}"]
    path.write_text(json.dumps({**ROW, "Question": "دیگر"}), encoding="utf-8")
    assert held_out_inputs(recipe)[f"decontaminate:{path}"].digest != before[f"decontaminate:{path}"].digest


def test_the_tasks_of_the_evaluation_are_held_out() -> None:
    recipe = load_recipe("demo")
    assert {"task:demo-mcq", "task:demo-free-form"} <= set(held_out_inputs(recipe))
    assert {"demo-mcq", "demo-free-form"} == {item.test_set for item in held_out_items(recipe)}


def test_mistakes_are_clear(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    (tmp_path / "b.jsonl").write_text('{"text": "x"}')
    (tmp_path / "c.jsonl").write_text("{")
    for name, says in (("a.txt", "unknown format"), ("b.jsonl", "no column or key"), ("c.jsonl", "line 1 is not JSON")):
        with pytest.raises(UserError, match=says):
            list(items_of(tmp_path / name))
    with pytest.raises(UserError, match="does not exist"):
        held_out_inputs(load_recipe("demo", [f"clean.decontaminate=[{tmp_path / 'none.jsonl'}]"]))
