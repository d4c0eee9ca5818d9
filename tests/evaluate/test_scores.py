"""The score table: counts by hand, models compared item by item, judges consistent or not."""

from __future__ import annotations

from typing import Any

import pytest

from pipelines.evaluate.judging import decided, is_trustworthy, position_consistency, winner_of
from pipelines.evaluate.scores import Resampling, score_table

RESAMPLING = Resampling(samples=200, seed=0)


def answers(model: str, letters: str, *, task: str = "t", method: str = "generate") -> list[dict[str, Any]]:
    """Answers to questions whose right answer is A; "-" cannot be read."""
    return [
        {"task": task, "model": model, "method": method, "item": f"{n:02d}", "prediction": "invalid" if letter == "-" else letter,
         "correct": letter == "A", "logprob": None, "tokens": 1}
        for n, letter in enumerate(letters)
    ]  # fmt: skip


def table(
    rows: list[dict[str, Any]], judgements: list[dict[str, Any]] | None = None, **options: Any
) -> dict[tuple[str, ...], dict[str, Any]]:
    options = {"groups": {}, "check": "check", **options}
    found = score_table(rows, judgements or [], resampling=RESAMPLING, **options)
    return {(row["task"], row["model"], row["metric"]): row for row in found}


def test_an_unreadable_answer_is_wrong_and_counted() -> None:
    row = table(answers("base", "AAB-"))["t", "base", "accuracy"]
    assert (row["value"], row["items"], row["invalid"]) == (0.5, 4, 1)


def test_models_are_compared_on_the_same_items_whatever_the_order_of_rows() -> None:
    rows = answers("base", "AABB") + answers("trained", "AAAB")[::-1]
    scores = table(rows)
    assert scores["t", "trained-base", "difference"]["value"] == pytest.approx(0.25)
    assert scores["t", "trained-base", "p_mcnemar"]["value"] == 1.0  # one item differs: 2 * 1/2


def test_a_group_averages_over_items_not_over_tasks() -> None:
    rows = answers("base", "A", task="small") + answers("base", "BBB", task="large")
    assert table(rows, groups={"both": ["small", "large"]})["both", "base", "accuracy"]["value"] == 0.25


def judgement(item: str, order: str, margin: float, task: str = "check") -> dict[str, Any]:
    a, b = ("better", "worse") if task == "check" else ("trained", "base")
    return {"task": task, "item": item, "order": order, "verdict": "1" if margin > 0 else "2", "judge": "j",
            "winner": winner_of(order, margin, a, b)}  # fmt: skip


def test_a_judge_that_always_names_the_first_is_inconsistent() -> None:
    rows = [judgement(item, order, 1.0) for item in "xy" for order in ("ab", "ba")]
    assert position_consistency(rows) == (0, 2)
    assert set(decided(rows).values()) == {"tie"}
    scores = table([], rows)
    assert scores["check", "j", "accuracy"]["value"] == 0.5
    assert scores["check", "j", "first_position_rate"]["value"] == 1.0


def test_only_a_win_in_both_orders_counts() -> None:
    rows = [
        judgement("x", "ab", 2.0, "t"),
        judgement("x", "ba", -1.0, "t"),
        judgement("y", "ab", 2.0, "t"),
        judgement("y", "ba", 1.0, "t"),
    ]
    scores = table([], rows)
    assert scores["t", "trained-base", "win_rate"]["value"] == 0.5
    assert scores["t", "trained-base", "tie_rate"]["value"] == 0.5
    assert scores["t", "trained-base", "loss_rate"]["value"] == 0.0


def test_trust_needs_more_than_the_threshold() -> None:
    assert is_trustworthy(0.71, 0.7)
    assert not is_trustworthy(0.7, 0.7)
    assert not is_trustworthy(None, 0.7)
