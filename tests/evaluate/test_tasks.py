"""Test sets: what ships loads, what the authors published loads with its known counts, mistakes are one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.errors import UserError
from pipelines.evaluate.tasks import Item, Task, load_task, task_names

COUNTS = {
    "mmlu-fa-anatomy": 135, "mmlu-fa-clinical-knowledge": 265, "mmlu-fa-college-biology": 144, "mmlu-fa-college-medicine": 173,
    "mmlu-fa-medical-genetics": 100, "mmlu-fa-professional-medicine": 272, "ibmsee": 168, "mf3qa-dev": 2000,
}  # fmt: skip


@pytest.mark.parametrize(("name", "count"), [("demo-mcq", 60), ("demo-free-form", 12), ("judge-check", 50)])
def test_our_own_tasks_load_without_a_data_folder(name: str, count: int) -> None:
    task = load_task(name)
    assert len(task.items) == count
    assert all(item.question for item in task.items)


def test_our_own_answers_are_spread_over_the_letters() -> None:
    answers = [item.answer for item in load_task("demo-mcq").items]
    assert all(answers.count(letter) >= 10 for letter in "ABCD")


@pytest.mark.parametrize(("name", "count"), COUNTS.items())
def test_published_tasks_have_their_known_size(published: Path, name: str, count: int) -> None:
    task = load_task(name, published / "benchmarks")
    assert len(task.items) == count
    if task.kind == "multiple-choice":
        assert all(len(item.options) == 4 and all(item.options) and item.answer in "ABCD" for item in task.items)
    else:
        assert all(item.reference for item in task.items)


def test_a_group_stands_for_its_tasks_once() -> None:
    names = task_names(["mmlu-fa", "mmlu-fa-anatomy", "demo-mcq"])
    assert len(names) == len(set(names)) == 7
    assert sum(COUNTS[name] for name in names if name in COUNTS) == 1089


def test_a_sample_is_stable_and_keeps_the_order_of_the_file() -> None:
    task = Task("t", "free-form", "", tuple(Item(str(n), "q") for n in range(50)))
    sample = [int(item.id) for item in task.sample(10, seed=3)]
    assert sample == sorted(sample) == [int(item.id) for item in task.sample(10, seed=3)]
    assert sample != [int(item.id) for item in task.sample(10, seed=4)]
    assert task.sample(None, seed=3) == task.items


CASES = {
    "no columns": ("kind: multiple-choice\nfile: d.jsonl", '{"q": "x"}', "need question, options, answer"),
    "no such column": ("kind: free-form\nfile: d.jsonl\ncolumns: {question: Frage}", '{"q": "x"}', "no column 'Frage'; columns are q"),
    "bad answer": (
        "kind: multiple-choice\nfile: d.jsonl\ncolumns: {question: q, options: o, answer: a}",
        '{"q": "x", "o": ["1", "2"], "a": 3}', "the answer '3' is not one of 1-2",
    ),
    "too few": ("kind: free-form\nfile: d.jsonl\ncolumns: {question: q}\nitems: 2", '{"q": "x"}', "has 1 items, expected 2"),
    "not JSON": ("kind: free-form\nfile: d.jsonl\ncolumns: {question: q}", "{q}", "line 1 is not JSON"),
    "empty": ("kind: free-form\nfile: d.jsonl\ncolumns: {question: q}", '{"q": " "}', "question is empty"),
    "unknown kind": ("kind: essay\nfile: d.jsonl", "{}", "kind Input should be 'multiple-choice'"),
    "unknown key": ("kind: held-out\nfiel: d.jsonl", "{}", "fiel Extra inputs are not permitted"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_mistake_in_a_task_is_one_clear_line(case: str, tmp_path: Path) -> None:
    yaml, data, message = CASES[case]
    (tmp_path / "t.yaml").write_text(f"description: x\n{yaml}\n")
    (tmp_path / "d.jsonl").write_text(data + "\n")
    with pytest.raises(UserError) as error:
        load_task(str(tmp_path / "t.yaml"))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_an_unknown_task_names_the_known_ones() -> None:
    with pytest.raises(UserError, match=r"no task 'demo-mqc'.*demo-mcq"):
        load_task("demo-mqc")


def test_a_damaged_spreadsheet_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "t.yaml").write_text("description: x\nkind: free-form\nfile: d.xlsx\ncolumns: {question: q}\n")
    (tmp_path / "d.xlsx").write_bytes(b"not a zip")
    with pytest.raises(UserError, match="can't be read as .xlsx"):
        load_task(str(tmp_path / "t.yaml"))
