"""From answers and judgements to the score table: one row a task, model, method and metric. Pure functions.

Models are "base" and "trained"; a row of the model "trained-base" compares them on the same items.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.evaluate.extraction import INVALID
from pipelines.evaluate.judging import TIE, decided, position_consistency
from pipelines.evaluate.statistics import Interval, mcnemar, paired_difference, perplexity, perplexity_ratio, wilson

BASE, TRAINED, COMPARED = "base", "trained", "trained-base"
CHOICE_METHODS = ("likelihood", "likelihood-normalised", "generate")
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Resampling:
    """How bootstrap intervals are drawn."""

    samples: int
    seed: int


def score_table(
    answers: Sequence[Row], judgements: Sequence[Row], *, groups: Mapping[str, Sequence[str]], check: str, resampling: Resampling
) -> list[dict[str, Any]]:
    """Rows of SCORES. `groups`: tasks that are averaged over all their items; `check`: the task that tests the judge."""
    rows: list[dict[str, Any]] = []
    for task in dict.fromkeys(row["task"] for row in answers):
        rows += _task_rows(task, [row for row in answers if row["task"] == task], resampling)
    for group, members in groups.items():
        inside = [{**row, "item": f"{row['task']}/{row['item']}"} for row in answers if row["task"] in members]
        rows += _task_rows(group, inside, resampling)
    for task in dict.fromkeys(row["task"] for row in judgements):
        chosen = [row for row in judgements if row["task"] == task]
        rows += _judge_rows(chosen) if task == check else _win_rows(task, chosen)
    return rows


def _task_rows(task: str, answers: Sequence[Row], resampling: Resampling) -> list[dict[str, Any]]:
    rows = []
    for method in CHOICE_METHODS:
        by_model = _by_model(answers, method)
        for model, chosen in by_model.items():
            right = sum(row["correct"] for row in chosen)
            invalid = sum(row["prediction"] == INVALID for row in chosen)
            rows.append(_row(task, model, method, "accuracy", wilson(right, len(chosen)), len(chosen), invalid))
        if BASE in by_model and TRAINED in by_model:
            rows += _choice_comparison(task, method, by_model, resampling)
    return rows + _perplexity_rows(task, _by_model(answers, "perplexity"), resampling)


def _choice_comparison(
    task: str, method: str, by_model: Mapping[str, Sequence[Row]], resampling: Resampling
) -> list[dict[str, Any]]:
    base, trained = ([row["correct"] for row in by_model[model]] for model in (BASE, TRAINED))
    difference = paired_difference(base, trained, samples=resampling.samples, seed=resampling.seed)
    return [
        _row(task, COMPARED, method, "difference", difference, len(base)),
        _row(task, COMPARED, method, "p_mcnemar", mcnemar(base, trained), len(base)),
    ]


def _perplexity_rows(task: str, by_model: Mapping[str, Sequence[Row]], resampling: Resampling) -> list[dict[str, Any]]:
    options = {"samples": resampling.samples, "seed": resampling.seed}
    rows = []
    for model, chosen in by_model.items():
        value = perplexity([row["logprob"] for row in chosen], [row["tokens"] for row in chosen], **options)
        rows.append(_row(task, model, "perplexity", "perplexity", value, len(chosen)))
    if BASE in by_model and TRAINED in by_model:
        base, trained = by_model[BASE], by_model[TRAINED]
        first, second = ([row["logprob"] for row in chosen] for chosen in (base, trained))
        ratio = perplexity_ratio(first, second, [row["tokens"] for row in base], **options)
        rows.append(_row(task, COMPARED, "perplexity", "perplexity_ratio", ratio, len(base)))
    return rows


def _judge_rows(judgements: Sequence[Row]) -> list[dict[str, Any]]:
    """How the judge did on pairs whose winner is known."""
    task, judge = judgements[0]["task"], judgements[0]["judge"]
    verdicts = len(judgements)
    right = sum(row["winner"] == "better" for row in judgements)
    consistent, items = position_consistency(judgements)
    first = sum(row["verdict"] == "1" for row in judgements)
    return [
        _row(task, judge, "judge", "accuracy", wilson(right, verdicts), items),
        _row(task, judge, "judge", "position_consistency", wilson(consistent, items), items),
        _row(task, judge, "judge", "first_position_rate", wilson(first, verdicts), items),
    ]


def _win_rows(task: str, judgements: Sequence[Row]) -> list[dict[str, Any]]:
    winners = list(decided(judgements).values())
    items = len(winners)
    shares = {"win_rate": TRAINED, "loss_rate": BASE, "tie_rate": TIE}
    return [
        _row(task, COMPARED, "judge", metric, wilson(winners.count(winner), items), items) for metric, winner in shares.items()
    ]


def _by_model(answers: Iterable[Row], method: str) -> dict[str, list[Row]]:
    """Answers of one method by model, each in the order of the items: rows of two models belong together by position."""
    found: dict[str, list[Row]] = {}
    for row in sorted(answers, key=lambda row: row["item"]):
        if row["method"] == method:
            found.setdefault(row["model"], []).append(row)
    return dict(sorted(found.items()))


def _row(
    task: str, model: str, method: str, metric: str, value: Interval | float, items: int, invalid: int = 0
) -> dict[str, Any]:
    interval = value if isinstance(value, Interval) else Interval(value, math.nan, math.nan)
    low, high = (None if math.isnan(bound) else bound for bound in (interval.low, interval.high))
    names = {"task": task, "model": model, "method": method, "metric": metric}
    return {**names, "value": interval.value, "low": low, "high": high, "items": items, "invalid": invalid}
