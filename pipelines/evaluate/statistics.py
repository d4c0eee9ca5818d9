"""Numbers with their interval: pure functions over per-item results; a bootstrap of 1,000 x 1,089 items takes 10 ms.

Two models are always compared on the same items, in pairs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """An estimate with the bounds of its 95% interval."""

    value: float
    low: float
    high: float


def wilson(successes: int, items: int, level: float = LEVEL) -> Interval:
    """A proportion with Wilson's score interval, which stays inside 0..1 for few items (E. B. Wilson, JASA 1927)."""
    if items == 0:
        return Interval(math.nan, math.nan, math.nan)
    z = float(stats.norm.ppf(0.5 + level / 2))
    share = successes / items
    centre = (share + z * z / (2 * items)) / (1 + z * z / items)
    half = z / (1 + z * z / items) * math.sqrt(share * (1 - share) / items + z * z / (4 * items * items))
    return Interval(share, max(0.0, centre - half), min(1.0, centre + half))


def paired_difference(first: Sequence[bool], second: Sequence[bool], *, samples: int, seed: int) -> Interval:
    """Accuracy of `second` minus that of `first`, with a percentile interval over resampled items."""
    differences = np.asarray(second, dtype=float) - np.asarray(first, dtype=float)
    if not len(differences):
        return Interval(math.nan, math.nan, math.nan)
    means = differences[_resamples(len(differences), samples, seed)].mean(axis=1)
    return _interval(float(differences.mean()), means)


def mcnemar(first: Sequence[bool], second: Sequence[bool]) -> float:
    """Two-sided p of the exact McNemar test: are the items that only one model gets right evenly split?"""
    only_first = sum(a and not b for a, b in zip(first, second, strict=True))
    only_second = sum(b and not a for a, b in zip(first, second, strict=True))
    if only_first + only_second == 0:
        return 1.0
    return float(stats.binomtest(only_first, only_first + only_second, 0.5).pvalue)


def perplexity(logprobs: Sequence[float], tokens: Sequence[int], *, samples: int, seed: int) -> Interval:
    """exp of the negative mean log-probability a token, over all items' tokens; items are resampled for the interval.

    `logprobs` and `tokens` are sums and counts an item, so long answers weigh more than short ones.
    """
    if not sum(tokens):
        return Interval(math.nan, math.nan, math.nan)
    losses, counts = -np.asarray(logprobs, dtype=float), np.asarray(tokens, dtype=float)
    chosen = _resamples(len(losses), samples, seed)
    resampled = losses[chosen].sum(axis=1) / counts[chosen].sum(axis=1)
    return _interval(float(np.exp(losses.sum() / counts.sum())), np.exp(resampled))


def perplexity_ratio(
    first: Sequence[float], second: Sequence[float], tokens: Sequence[int], *, samples: int, seed: int
) -> Interval:
    """Perplexity of the second model over that of the first on the same tokens; below 1 the second is better."""
    differences = [b - a for a, b in zip(first, second, strict=True)]
    return perplexity(differences, tokens, samples=samples, seed=seed)


def _resamples(items: int, samples: int, seed: int) -> NDArray[np.int64]:
    return np.random.default_rng(seed).integers(0, items, size=(samples, items))


def _interval(value: float, resampled: NDArray[np.float64]) -> Interval:
    low, high = np.quantile(resampled, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(value, float(low), float(high))
