"""Pairwise judgements: the two orders of a pair, who won, and how far the judge itself can be trusted. Pure functions.

A judge by likelihood prefers verdict "1" or "2" by log-probability. A pair counts as won only when both orders
name the same answer; otherwise the position decided, and it is a tie.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

TIE = "tie"
ORDERS = ("ab", "ba")  # which answer is shown first


def winner_of(order: str, margin: float, model_a: str, model_b: str) -> str:
    """Who a verdict favours; `margin` is the log-probability of verdict 1 minus that of verdict 2."""
    if margin == 0:
        return TIE
    first, second = (model_a, model_b) if order == "ab" else (model_b, model_a)
    return first if margin > 0 else second


def decided(judgements: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """The winner of every item: the one that both orders name, else "tie"."""
    winners = defaultdict(list)
    for row in judgements:
        winners[row["item"]].append(row["winner"])
    return {item: names[0] if len(names) == len(ORDERS) and len(set(names)) == 1 else TIE for item, names in winners.items()}


def position_consistency(judgements: Iterable[Mapping[str, Any]]) -> tuple[int, int]:
    """Of how many items both orders name the same answer, and how many items there are."""
    items = decided(judgements)
    return sum(winner != TIE for winner in items.values()), len(items)


def is_trustworthy(consistency: float | None, least: float) -> bool:
    """Whether verdicts may be read as more than a test of the mechanics."""
    return consistency is not None and consistency > least
