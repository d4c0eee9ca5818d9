"""Whether Ray has room for a training's workers: waited for with a word and a limit, where Ray alone would wait for ever."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from math import ceil

from cluster.errors import UserError

LOOK_SECONDS = 60.0  # between two lines while waiting


def await_room(
    workers: int,
    each: Mapping[str, float],
    *,
    who: str,
    patience: float,
    say: Callable[[str], None],
    look: float = LOOK_SECONDS,
) -> None:
    """Return when Ray has `workers` times the resources `each` (CPU, GPU) free, each on one node.

    `who` wants them, for the message. `patience`: seconds to wait for nodes that an autoscaler may start, or for others
    to finish; with 0, what Ray does not have at all is refused at once. Raises UserError.
    """
    from ray.util import placement_group, remove_placement_group

    if _fitting(each) < workers and not patience:
        raise UserError(f"{_shortage(workers, each, who)}; choose another cluster.profile, cluster.workers or cluster.address")
    asked = placement_group([dict(each)] * workers)  # what an autoscaler acts on
    patience = max(patience, look)  # what is there may still be about to be given back
    end = time.monotonic() + patience
    try:
        while not asked.wait(ceil(min(look, max(1.0, end - time.monotonic())))):
            if time.monotonic() >= end:
                raise UserError(f"{_shortage(workers, each, who)}; waited {patience / 60:g} minutes (cluster.wait_minutes)")
            left = (end - time.monotonic()) / 60
            say(f"waiting for room: {_shortage(workers, each, who)}; {left:.0f} more minutes at most (cluster.wait_minutes)")
    finally:
        remove_placement_group(asked)


def _fitting(each: Mapping[str, float]) -> int:
    """Workers that all nodes together could hold if nothing else ran on them."""
    import ray

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return sum(int(min(node.get(name, 0) // number for name, number in each.items())) for node in nodes)


def _shortage(workers: int, each: Mapping[str, float], who: str) -> str:
    import ray

    wanted = " and ".join(f"{number:g} {name}" for name, number in each.items())
    total, free = ray.cluster_resources(), ray.available_resources()
    there = ", ".join(f"{total.get(name, 0):g} {name} ({free.get(name, 0):g} free)" for name in each)
    nodes = sum(node["Alive"] for node in ray.nodes())
    return f"{who} wants {workers} worker(s) with {wanted} each, and Ray has {there} on {nodes} node(s)"
