"""The evaluate step: the base and the trained model on every test set, their answers judged, and the score table.

One model is in memory at a time: its units run in one Ray actor, and each batch of items is sealed when it is done.
Gemma 3 270M on 2 cores takes about 1.5 minutes a model for the demo, of which half a minute is starting.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from cluster.dataflow import map_actors
from cluster.errors import UserError
from pipelines.artifact import ArtifactFolder, Input
from pipelines.evaluate.judging import is_trustworthy
from pipelines.evaluate.scores import Resampling, score_table
from pipelines.evaluate.tasks import Task, load_task, short_name, task_file, task_inputs, task_names
from pipelines.evaluate.units import Share, held_out, shares
from pipelines.evaluate.work import Limits, Worker
from pipelines.recipe import Recipe
from pipelines.steps import Outcome, StepRun
from pipelines.tables import ANSWERS, JUDGEMENTS, PAIRS, SCORES, Table
from serving.engines.models import check_model, model_digest

SCORES_UNIT = "scores"


def external(recipe: Recipe) -> dict[str, Input]:
    """Task files with their data, the base model and the judge, by content. Raises UserError for a missing file."""
    settings = recipe.evaluate
    names = [*settings.tasks, *([settings.judge.pairs] if settings.judge else [])]
    inputs = task_inputs(names, settings.data)
    inputs["base"] = Input(digest=model_digest(recipe.model), path=recipe.model)
    if settings.judge:
        inputs["judge"] = Input(digest=model_digest(settings.judge.model), path=settings.judge.model)
    return inputs


def check(recipe: Recipe) -> None:
    """Raise UserError, before any work starts, for test data that cannot be read or models that do not fit in memory."""
    settings = recipe.evaluate
    names = task_names(settings.tasks)
    if len({short_name(name) for name in names}) < len(names):
        raise UserError(f"evaluate.tasks: two of {', '.join(names)} have the same file name; rename one")
    for name in names:
        if load_task(name, settings.data).kind == "judge-check":
            raise UserError(f"evaluate.tasks: {name} tests the judge; name it in evaluate.judge.pairs")
    check_model(recipe.model, dtype=recipe.train.dtype)
    if settings.judge:
        if load_task(settings.judge.pairs, settings.data).kind != "judge-check":
            raise UserError(f"evaluate.judge.pairs = {settings.judge.pairs!r}: needs a task of kind judge-check")
        check_model(settings.judge.model, dtype=recipe.train.dtype)


def evaluate(run: StepRun) -> Outcome:
    """Do every unit that is not sealed yet, then the score table over all of them."""
    recipe, settings = run.recipe, run.recipe.evaluate
    tasks = _tasks(run)
    judged_on = load_task(settings.judge.pairs, settings.data) if settings.judge else None
    trained = f"{run.inputs['instruct'].folder.url}/model"
    plan = shares(tasks, judged_on, settings, seed=recipe.seed, base=recipe.model, trained=trained)
    names = [unit.name for share in plan for unit in share.units]
    done = run.out.sealed().keys() & set(names)
    run.progress.total(len(names), done=len(done))
    for share in plan:
        todo = [unit for unit in share.units if unit.name not in done]
        for record in map_actors(partial(_worker, share, run.out, _limits(recipe), recipe.train.dtype), todo):
            run.progress.advance(detail=record.unit.rsplit(".", 1)[0])
    rows = _seal_scores(run, names)
    return Outcome(units=[*names, SCORES_UNIT], notes=_notes(recipe, tasks, rows))


def _tasks(run: StepRun) -> list[Task]:
    settings = run.recipe.evaluate
    tasks = [load_task(name, settings.data) for name in task_names(settings.tasks)]
    return [_with_own_pairs(task, run) if task.kind == "held-out" and not task.items else task for task in tasks]


def _with_own_pairs(task: Task, run: StepRun) -> Task:
    rows = run.inputs["clean"].read(PAIRS, ["id", "question", "answer", "split"]).to_pylist()
    return replace(task, items=held_out(rows, run.recipe.evaluate.perplexity_items, run.recipe.seed))


def _limits(recipe: Recipe) -> Limits:
    settings = recipe.evaluate
    return Limits(settings.generate_tokens, settings.free_form_tokens, recipe.tokenize.context, recipe.seed)


def _worker(share: Share, out: ArtifactFolder, limits: Limits, dtype: str) -> Worker:
    """Made in the actor: loads the model. Ray leaves an actor one thread, so torch is told of all processors."""
    from pipelines.evaluate.model import Model
    from serving.engines.transformers import TransformersEngine

    threads = len(os.sched_getaffinity(0))
    return Worker(share.name, Model(lambda: TransformersEngine(share.spec, dtype=dtype, threads=threads)), out, limits)


def _seal_scores(run: StepRun, units: Sequence[str]) -> list[dict[str, Any]]:
    settings = run.recipe.evaluate
    groups = {
        short_name(name): [short_name(task) for task in task_names([name])] for name in settings.tasks if task_file(name)[1].tasks
    }
    rows = score_table(
        _read(run.out, ANSWERS, units),
        _read(run.out, JUDGEMENTS, units),
        groups=groups,
        check=short_name(settings.judge.pairs) if settings.judge else "",
        resampling=Resampling(settings.bootstrap, run.recipe.seed),
    )
    run.out.seal(SCORES_UNIT, {SCORES: SCORES.table(rows)})
    return rows


def _read(out: ArtifactFolder, table: Table, units: Sequence[str]) -> list[dict[str, Any]]:
    sealed = out.sealed()
    shards = [shard for name in units for shard in sealed[name].shards if shard.table == table.name]
    return [row for shard in shards for row in out.read_shard(shard.path).to_pylist()]


def _notes(recipe: Recipe, tasks: Sequence[Task], rows: Sequence[dict[str, Any]]) -> list[str]:
    """Caps, fallbacks and what the judge is worth."""
    settings = recipe.evaluate
    caps: dict[str, list[tuple[str, int | None]]] = {
        "multiple-choice": [("likelihood", settings.likelihood_items), ("generation", settings.generate_items)],
        "held-out": [("perplexity", settings.perplexity_items)],
        "free-form": [("free-form answers", settings.free_form_items)],
    }
    notes = []
    for task in tasks:
        if not task.items:
            notes.append(f"{task.name}: nothing to test on; the run kept no question-answer pair out of training")
        for method, number in caps.get(task.kind, []):
            if number is not None and number < len(task.items):
                notes.append(f"{task.name}: {method} on {number} of {len(task.items)} items (evaluate settings)")
    engine = recipe.cluster.hardware().engine
    if engine != "transformers":
        notes.append(
            f"profile {recipe.cluster.profile} asks for the {engine} engine; this evaluation used transformers on the CPU"
        )
    if settings.judge:
        consistency = next((row["value"] for row in rows if row["metric"] == "position_consistency"), None)
        if isinstance(consistency, float) and not is_trustworthy(consistency, settings.judge.min_position_consistency):
            notes.append(
                f"judge {settings.judge.model}: mechanics only; its position consistency is {consistency:.2f}, "
                f"{settings.judge.min_position_consistency} is asked for"
            )
    return notes
