"""Intervals and tests agree with reference implementations and with calculations by hand."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.evaluate.statistics import mcnemar, paired_difference, perplexity, perplexity_ratio, wilson


@pytest.mark.parametrize(("successes", "items"), [(0, 60), (1, 4), (15, 60), (60, 60)])
def test_wilson_agrees_with_scipy(successes: int, items: int) -> None:
    from scipy.stats import binomtest

    expected = binomtest(successes, items).proportion_ci(method="wilson")
    found = wilson(successes, items)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert found.value == successes / items


def test_mcnemar_agrees_with_the_binomial_by_hand() -> None:
    # Six items that differ, five of them won by the second model: p = 2 * (C(6,0) + C(6,1)) / 2**6 = 14 / 64.
    first = [True] + [False] * 5 + [True] * 10 + [False] * 10
    second = [False] + [True] * 5 + [True] * 10 + [False] * 10
    assert mcnemar(first, second) == pytest.approx(14 / 64)
    assert mcnemar(second, first) == pytest.approx(14 / 64)


def test_mcnemar_of_equal_answers_is_one() -> None:
    assert mcnemar([True, False], [True, False]) == 1.0


def test_perplexity_weighs_tokens_not_answers() -> None:
    # 10 tokens at -1 each and 30 tokens at -3 each: exp(100 / 40).
    assert perplexity([-10, -90], [10, 30], samples=100, seed=0).value == pytest.approx(math.exp(2.5))


def test_perplexity_ratio_is_the_quotient() -> None:
    first, second, tokens = [-10.0, -90.0], [-8.0, -60.0], [10, 30]
    options = {"samples": 100, "seed": 0}
    quotient = perplexity(second, tokens, **options).value / perplexity(first, tokens, **options).value
    assert perplexity_ratio(first, second, tokens, **options).value == pytest.approx(quotient)


def test_paired_interval_is_narrower_than_the_unpaired_one() -> None:
    # The models differ on 4 of 100 items only: the spread of the mean difference is sqrt(.04 - .04**2) / 10 = 0.0196.
    first = [n % 2 == 0 for n in range(100)]
    second = [right or n in (1, 3, 5, 7) for n, right in enumerate(first)]
    found = paired_difference(first, second, samples=4000, seed=1)
    assert found.value == pytest.approx(0.04)
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * 0.0196, rel=0.15)


def test_no_items_give_no_number() -> None:
    assert math.isnan(wilson(0, 0).value)
    assert math.isnan(perplexity([], [], samples=100, seed=0).value)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=30), st.integers(0, 9))
def test_the_difference_lies_in_its_interval_and_repeats_with_its_seed(pairs: list[tuple[bool, bool]], seed: int) -> None:
    first, second = zip(*pairs, strict=True)
    found = paired_difference(first, second, samples=200, seed=seed)
    assert found == paired_difference(first, second, samples=200, seed=seed)
    assert -1 <= found.low <= found.high <= 1
