"""The evaluate step: every test set with both models, sealed batch by batch, and one score table."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cluster.errors import UserError
from cluster.storage import open_storage
from pipelines.artifact import Artifact, ArtifactFolder
from pipelines.evaluate import step
from pipelines.evaluate.work import Worker
from pipelines.progress import Progress
from pipelines.recipe import Recipe, load_recipe
from pipelines.steps import Outcome, StepRun
from pipelines.tables import ANSWERS, JUDGEMENTS, PAIRS, SCORES, Table

MODELS: list[str] = []  # loaded one after the other by the run under test
PAIR = "نوشیدن آب کافی و خواب منظم به سلامت قلب کمک می‌کند."


def recipe(model: Path, **changes: Any) -> Recipe:
    pairs = Path(__file__).parent / "judge.yaml"  # six pairs: fifty take longer than everything else
    small = {
        "likelihood_items": 5, "generate_items": 3, "generate_tokens": 4, "perplexity_items": 4,
        "free_form_items": 2, "free_form_tokens": 4, "batch": 2, "judge.model": model, "judge.pairs": pairs, **changes,
    }  # fmt: skip
    settings = [f"evaluate.{key}={value}" for key, value in small.items()]
    return load_recipe("demo", [f"model={model}", "train.dtype=float32", "tokenize.context=128", *settings])


def finished(url: Path, tables: dict[Table, list[dict[str, Any]]], files: tuple[str, ...] = ()) -> Artifact:
    out = ArtifactFolder(open_storage(url))
    out.seal("rows", {table: table.table(rows) for table, rows in tables.items()})
    return out.finish(step="x", version=1, settings={}, inputs={}, tables=tuple(tables), started=time.time(), files=files)


@pytest.fixture
def run(tmp_path: Path, tiny: Path, other: Path) -> StepRun:
    return make_run(tmp_path, tiny, other)


def make_run(folder: Path, tiny: Path, other: Path) -> StepRun:
    """A run whose earlier steps left ten pairs, six of them held out, and a trained model."""
    pairs = [
        {
            "id": f"p{n}",
            "source": "s",
            "question": f"پرسش {n}؟",
            "answer": PAIR,
            "words": 9,
            "split": "train" if n > 5 else "valid",
        }
        for n in range(10)
    ]
    shutil.copytree(other, folder / "instruct" / "model")
    inputs = {
        "clean": finished(folder / "clean", {PAIRS: pairs}),
        "instruct": finished(folder / "instruct", {}, files=("model",)),
    }
    return StepRun(recipe(tiny), inputs, ArtifactFolder(open_storage(folder / "evaluate")), Progress(), folder / "cache")


def map_here(make: Callable[[], Worker], items: Sequence[Any], **_: Any) -> Iterator[Any]:
    """Takes the place of Ray Data: what is tested is the work, not Ray."""
    if items:
        worker = make()
        MODELS.append(worker.name)
        yield from map(worker, items)
        worker.model.close()


@pytest.fixture(autouse=True)
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step, "map_actors", map_here)


@dataclass(frozen=True)
class Evaluated:
    artifact: Artifact
    outcome: Outcome
    models: list[str]
    judge: str


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory, tiny: Path, other: Path) -> Evaluated:
    """One whole evaluation, which several tests look at."""
    run = make_run(tmp_path_factory.mktemp("evaluated"), tiny, other)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(step, "map_actors", map_here)
        MODELS.clear()
        outcome = step.evaluate(run)
    return Evaluated(finish(run, outcome), outcome, MODELS.copy(), run.recipe.model)


def finish(run: StepRun, outcome: Outcome) -> Artifact:
    tables = (ANSWERS, JUDGEMENTS, SCORES)
    return run.out.finish(
        step="evaluate",
        version=1,
        settings={},
        inputs={},
        tables=tables,
        started=time.time(),
        units=outcome.units,
        notes=outcome.notes,
    )


def test_both_models_are_scored_with_every_method(evaluated: Evaluated) -> None:
    artifact = evaluated.artifact
    scores = {(r["task"], r["model"], r["method"], r["metric"]): r for r in artifact.read(SCORES).to_pylist()}
    for model in ("base", "trained"):
        assert scores["demo-mcq", model, "likelihood", "accuracy"]["items"] == 5
        assert scores["demo-mcq", model, "generate", "accuracy"]["items"] == 3
        value = scores["held-out-answers", model, "perplexity", "perplexity"]
        assert value["items"] == 4
        assert value["low"] <= value["value"] <= value["high"]
    assert scores["judge", evaluated.judge, "judge", "position_consistency"]["items"] == 6
    assert scores["demo-free-form", "trained-base", "judge", "win_rate"]["items"] == 2
    assert len(artifact.read(JUDGEMENTS)) == 2 * 6 + 2 * 2


def test_one_model_is_loaded_at_a_time_and_once(evaluated: Evaluated) -> None:
    assert evaluated.models == ["trained", "base"]


def test_notes_name_the_caps_and_an_untrustworthy_judge(evaluated: Evaluated) -> None:
    notes = evaluated.outcome.notes
    assert "demo-mcq: likelihood on 5 of 60 items (evaluate settings)" in notes
    assert "demo-mcq: generation on 3 of 60 items (evaluate settings)" in notes
    assert any("mechanics only" in note for note in notes)


def test_a_killed_evaluation_goes_on_and_ends_with_the_same_content(
    evaluated: Evaluated, run: StepRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut = StepRun(run.recipe, run.inputs, ArtifactFolder(open_storage(tmp_path / "again")), run.progress, run.cache)
    seal, sealed = ArtifactFolder.seal, []

    def dies_at_the_seventh(self: ArtifactFolder, unit: str, *args: Any, **options: Any) -> Any:
        if len(sealed) == 6:
            raise KeyboardInterrupt
        sealed.append(unit)
        return seal(self, unit, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(ArtifactFolder, "seal", dies_at_the_seventh)
        with pytest.raises(KeyboardInterrupt):
            step.evaluate(cut)
    units = len(cut.out.sealed())
    assert units == 6

    done_again: list[str] = []
    call = Worker.__call__
    monkeypatch.setattr(Worker, "__call__", lambda self, unit: done_again.append(unit.name) or call(self, unit))
    assert finish(cut, step.evaluate(cut)).digest == evaluated.artifact.digest
    assert not set(done_again) & set(sealed)


def test_the_judge_may_be_asked_before_its_own_answers_are_there(
    evaluated: Evaluated, run: StepRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray Data keeps no order among the units of an actor."""
    monkeypatch.setattr(step, "map_actors", lambda make, items, **o: map_here(make, list(reversed(items)), **o))
    backward = StepRun(run.recipe, run.inputs, ArtifactFolder(open_storage(run.cache / "backward")), run.progress, run.cache)
    assert finish(backward, step.evaluate(backward)).digest == evaluated.artifact.digest


def test_another_model_judges_after_both_have_answered(run: StepRun, other: Path) -> None:
    judged = StepRun(recipe(Path(run.recipe.model), **{"judge.model": other}), run.inputs, run.out, run.progress, run.cache)
    MODELS.clear()
    step.evaluate(judged)
    assert MODELS[:2] == ["trained", "base"]
    assert MODELS[2:] == [str(other)]


def test_without_a_judge_nothing_is_judged(run: StepRun) -> None:
    settings = run.recipe.evaluate.model_copy(update={"judge": None})
    plain = StepRun(run.recipe.model_copy(update={"evaluate": settings}), run.inputs, run.out, run.progress, run.cache)
    assert len(finish(plain, step.evaluate(plain)).read(JUDGEMENTS)) == 0


def test_missing_test_data_is_one_clear_line(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"task ibmsee needs kopp.xlsx: set evaluate.data"):
        step.external(recipe(tiny, tasks="[ibmsee]"))
    with pytest.raises(UserError, match=r"kopp.xlsx, which is not in evaluate.data"):
        step.check(recipe(tiny, tasks="[ibmsee]", data=tmp_path))


def test_a_missing_judge_is_said_before_any_work(tiny: Path) -> None:
    with pytest.raises(UserError, match="no-such-model"):
        step.check(recipe(tiny, **{"judge.model": "no-such-model"}))


def test_inputs_change_with_the_test_data(tiny: Path, tmp_path: Path) -> None:
    task, data = tmp_path / "mine.yaml", tmp_path / "mine.jsonl"
    task.write_text("description: x\nkind: free-form\nfile: mine.jsonl\ncolumns: {question: q}\n")
    data.write_text('{"q": "a"}\n')
    before = step.external(recipe(tiny, tasks=f"[{task}]"))
    data.write_text('{"q": "b"}\n')
    after = step.external(recipe(tiny, tasks=f"[{task}]"))
    changed = {name for name in before if before[name].digest != after[name].digest}
    assert changed == {f"task:{task}"}
