"""A run does each piece of work once, and again only when something it reads has changed."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from cluster.errors import StorageFull, UserError
from cluster.lease import Lease, LeaseHeld
from cluster.storage import open_storage
from pipelines.artifact import Input, file_digest
from pipelines.recipe import Recipe, load_recipe
from pipelines.run import execute
from pipelines.steps import Outcome, Step, StepRun
from pipelines.tables import Table

WORDS = Table("words", pa.schema([("word", pa.string())]))
WORKED: Counter[str] = Counter()
SOURCE = Path()


def read(run: StepRun) -> Outcome:
    WORKED["read"] += 1
    words = SOURCE.read_text().split()
    run.out.seal("all", {WORDS: WORDS.table([{"word": word} for word in words])}, rows_in=len(words))
    return Outcome()


def upper(run: StepRun) -> Outcome:
    WORKED["upper"] += 1
    if not os.environ.get("GAOKERENA_TEST_NO_ROOM"):
        words = run.inputs["read"].read(WORDS)["word"].to_pylist()
        run.out.seal("all", {WORDS: WORDS.table([{"word": word.upper()} for word in words])}, rows_in=len(words))
        return Outcome()
    raise StorageFull("no room left while writing words/all.parquet")


def shout(run: StepRun) -> Outcome:
    WORKED["shout"] += 1
    words = run.inputs["upper"].read(WORDS)["word"].to_pylist()
    run.out.folder.write("text/shout.txt", ("! ".join(words) + "!").encode())
    return Outcome(files=("text",))


def source_file(recipe: Recipe) -> dict[str, Input]:
    return {"file": Input(digest=file_digest(SOURCE), path=str(SOURCE))}


def same(recipe: Recipe, keys: tuple[str, ...] = ()) -> dict[str, Any]:
    return {key: recipe.identity()[key] for key in keys}


HERE = __name__
GRAPH = (
    Step("read", "Read.", 1, (), (WORDS,), f"{HERE}:read", same, external=f"{HERE}:source_file", needs_ray=False),
    Step("upper", "Upper.", 1, ("read",), (WORDS,), f"{HERE}:upper", partial(same, keys=("seed",)), needs_ray=False),
    Step("shout", "Shout.", 1, ("upper",), (), f"{HERE}:shout", same, needs_ray=False),
)


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    global SOURCE
    SOURCE = tmp_path / "source.txt"
    SOURCE.write_text("one two")
    WORKED.clear()
    return load_recipe("demo")


def run(recipe: Recipe, tmp_path: Path, **options: Any) -> dict[str, str]:
    done = execute(recipe, open_storage(tmp_path / "run"), steps=GRAPH, **options)
    return {step.step.name: step.artifact.digest for step in done}


def test_a_second_run_does_nothing(recipe: Recipe, tmp_path: Path) -> None:
    first = run(recipe, tmp_path)
    assert run(recipe, tmp_path) == first
    assert WORKED == {"read": 1, "upper": 1, "shout": 1}
    assert (tmp_path / "run" / "shout" / "latest" / "text" / "shout.txt").read_text() == "ONE! TWO!"


def test_an_edited_source_reruns_the_steps_after_it_until_content_is_the_same(recipe: Recipe, tmp_path: Path) -> None:
    run(recipe, tmp_path)
    SOURCE.write_text("one three")
    run(recipe, tmp_path)
    assert WORKED == {"read": 2, "upper": 2, "shout": 2}
    SOURCE.write_text("three\n\none")  # another file, the same rows: only the first step sees a difference
    run(recipe, tmp_path)
    assert WORKED == {"read": 3, "upper": 2, "shout": 2}


def test_a_changed_setting_reruns_exactly_the_steps_that_read_it(recipe: Recipe, tmp_path: Path) -> None:
    run(recipe, tmp_path)
    run(recipe.model_copy(update={"seed": 7}), tmp_path)
    assert WORKED == {"read": 1, "upper": 2, "shout": 1}  # upper left the same rows, so shout stands


def test_from_does_finished_work_again(recipe: Recipe, tmp_path: Path) -> None:
    first = run(recipe, tmp_path)
    assert run(recipe, tmp_path, again_from="upper") == first
    assert WORKED == {"read": 1, "upper": 2, "shout": 2}


def test_until_stops_there_and_unknown_names_are_said(recipe: Recipe, tmp_path: Path) -> None:
    assert list(run(recipe, tmp_path, until="upper")) == ["read", "upper"]
    with pytest.raises(UserError, match="'nothing' is not among those to run: read, upper, shout"):
        run(recipe, tmp_path, until="nothing")


def test_one_step_alone_needs_what_comes_before(recipe: Recipe, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="upper needs what read leaves"):
        run(recipe, tmp_path, only=("upper",))
    run(recipe, tmp_path, only=("read",))
    assert list(run(recipe, tmp_path, only=("upper",))) == ["upper"]


def test_a_second_run_in_the_same_folder_is_told_who_works_there(recipe: Recipe, tmp_path: Path) -> None:
    with Lease(open_storage(tmp_path / "run"), what="the run"), pytest.raises(LeaseHeld, match="in use by"):
        run(recipe, tmp_path)
    run(recipe, tmp_path)


def test_after_a_full_disk_the_run_goes_on(recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GAOKERENA_TEST_NO_ROOM", "1")
    with pytest.raises(StorageFull):
        run(recipe, tmp_path)
    monkeypatch.delenv("GAOKERENA_TEST_NO_ROOM")
    run(recipe, tmp_path)
    assert WORKED == {"read": 1, "upper": 2, "shout": 1}


def test_the_command_answers_a_mistake_with_one_line_and_code_2(tmp_path: Path) -> None:
    for arguments, message in (
        (["run", "--recipe", "nothing"], "no recipe 'nothing'"),
        (["run", "--set", "train.max_tokens=many"], "train.max_tokens = 'many'"),
        (["path", "crawl", "--out", str(tmp_path / "empty")], "crawl is not finished"),
        (["path", "crwl"], "unknown step 'crwl'; steps are crawl, extract"),
        (["clean", "--out", str(tmp_path / "empty")], "clean needs what extract leaves: run `gaokerena extract` first"),
    ):
        answer = subprocess.run(
            [sys.executable, "-m", "pipelines.cli", *arguments], capture_output=True, text=True, timeout=60, check=False
        )
        assert answer.returncode == 2, textwrap.indent(answer.stderr, arguments[0])
        assert answer.stderr.startswith("gaokerena: ")
        assert answer.stderr.count("\n") == 1
        assert message in answer.stderr
