"""The rule that ends a training that has gone wrong."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest

from pipelines.train.divergence import PAST_STEPS, SPIKE_STEPS, Diverged, departure

CALM = [2.0 + 0.1 * math.sin(step) for step in range(200)]


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_or_a_gradient_that_is_no_number_is_seen_at_once(bad: float) -> None:
    assert departure([2.0, bad], 1.0) == f"the loss is {bad}"
    assert departure([2.0], bad) == f"the gradient norm is {bad}"
    assert departure([2.0], 1.0) is None


def test_a_loss_that_stays_high_is_a_spike() -> None:
    assert departure(CALM + [4.0] * (SPIKE_STEPS - 1), 1.0) is None
    assert departure(CALM + [4.0] * SPIKE_STEPS, 1.0) == "the loss has been 4.000 or more for 5 steps, after 2.000"


def test_one_bad_batch_is_none() -> None:
    assert departure([*CALM, 40.0, *CALM[: SPIKE_STEPS - 1]], 1.0) is None


def test_the_noise_of_small_batches_is_none() -> None:
    """A batch of a few answers: losses of a log-normal distribution, as wide as the median itself."""
    losses = np.random.default_rng(1).lognormal(0.5, 0.7, 5000).tolist()
    assert not any(departure(losses[:end], 1.0) for end in range(1, len(losses)))


def test_a_short_past_says_nothing() -> None:
    assert departure([1.0] * (PAST_STEPS - 1) + [9.0] * SPIKE_STEPS, 1.0) is None


def test_a_worker_can_send_it() -> None:
    sent = pickle.loads(pickle.dumps(Diverged("the loss is nan", 12)))
    assert (str(sent), sent.step) == ("the loss is nan", 12)
