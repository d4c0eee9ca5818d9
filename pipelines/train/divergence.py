"""When a training has gone wrong, by a rule: it stops before the step that did it reaches a checkpoint.

- A loss or a gradient norm that is no finite number: at once. Its update has spoiled the weights.
- A spike: SPIKE_STEPS steps in a row, each over SPIKE_FACTOR times the median loss of the PAST_STEPS before them and
  over SPIKE_DEVIATIONS of their deviations (the median one, scaled to a normal distribution's). One bad batch is no
  spike: its gradient is clipped.

The driver then goes back once to the newest checkpoint from before the last SPIKE_STEPS steps, since a fault of the
hardware does not come again; the second time the run ends.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

from cluster.errors import UserError

SPIKE_STEPS, PAST_STEPS = 5, 50
SPIKE_FACTOR, SPIKE_DEVIATIONS = 1.5, 6.0
NORMAL = 1.4826  # a normal distribution's standard deviation over its median absolute deviation


class Diverged(UserError):
    """The training left its course after `step` optimizer steps; the text says how."""

    def __init__(self, message: str, step: int = 0) -> None:
        super().__init__(message)
        self.step = step


def departure(losses: Sequence[float], grad_norm: float) -> str | None:
    """What is wrong with the newest of a stage's losses (one an optimizer step, oldest first); None when nothing is."""
    if not math.isfinite(losses[-1]):
        return f"the loss is {losses[-1]}"
    if not math.isfinite(grad_norm):
        return f"the gradient norm is {grad_norm}"
    past, recent = losses[-SPIKE_STEPS - PAST_STEPS : -SPIKE_STEPS], losses[-SPIKE_STEPS:]
    if len(past) < PAST_STEPS:
        return None
    usual = median(past)
    deviation = NORMAL * median(abs(loss - usual) for loss in past)
    if min(recent) > max(SPIKE_FACTOR * usual, usual + SPIKE_DEVIATIONS * deviation):
        return f"the loss has been {min(recent):.3f} or more for {SPIKE_STEPS} steps, after {usual:.3f}"
    return None
