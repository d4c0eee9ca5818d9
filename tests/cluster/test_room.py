"""Waiting for room on a real Ray cluster of this machine: refused, waited for with a word, and given up."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
import ray
from ray.cluster_utils import Cluster
from ray.util import placement_group, remove_placement_group

from cluster.errors import UserError
from cluster.room import await_room

pytestmark = pytest.mark.timeout(120)
NODE = {"object_store_memory": 80_000_000, "include_dashboard": False}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A head node with one CPU."""
    found = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, **NODE})
    ray.init(address=found.address, log_to_driver=False)
    yield found
    ray.shutdown()
    found.shutdown()


def wait(workers: int, cpus: int, *, patience: float, said: list[str], **options: float) -> None:
    await_room(workers, {"CPU": cpus}, who="finetune on profile cpu", patience=patience, say=said.append, **options)


def test_what_is_there_is_not_waited_for(cluster: Cluster) -> None:
    said: list[str] = []
    wait(1, 1, patience=60, said=said)
    wait(1, 1, patience=0, said=said)  # what was reserved before was given back
    assert said == []


def test_what_can_not_come_is_refused_at_once(cluster: Cluster) -> None:
    expected = r"finetune on profile cpu wants 2 worker\(s\) with 1 CPU each, and Ray has 1 CPU \(\d free\) on 1 node\(s\)"
    with pytest.raises(UserError, match=expected) as caught:
        wait(2, 1, patience=0, said=[])
    assert "\n" not in str(caught.value)


def test_after_its_patience_it_ends_with_a_line(cluster: Cluster) -> None:
    said: list[str] = []
    with pytest.raises(UserError, match=r"wants 3 worker\(s\) with 1 CPU each.*waited 0.05 minutes.*cluster.wait_minutes"):
        wait(3, 1, patience=3, said=said, look=1)
    assert said
    assert all(line.startswith("waiting for room: finetune on profile cpu wants 3 worker(s)") for line in said)


def test_it_goes_on_when_a_node_comes(cluster: Cluster) -> None:
    class Said(list[str]):
        def append(self, line: str) -> None:
            if not self:
                cluster.add_node(num_cpus=4, **NODE)
            super().append(line)

    said = Said()
    wait(2, 2, patience=60, said=said, look=1)
    assert re.search(r"wants 2 worker\(s\) with 2 CPU each, and Ray has 1 CPU \(\d free\) on 1 node", said[0])
    every_cpu = placement_group([{"CPU": 4}])  # nothing is kept
    assert every_cpu.wait(30)
    remove_placement_group(every_cpu)


def test_each_worker_needs_one_node(cluster: Cluster) -> None:
    """Five CPUs on nodes of one and four hold one worker with three."""
    with pytest.raises(UserError, match=re.escape("wants 2 worker(s) with 3 CPU each, and Ray has")):
        wait(2, 3, patience=0, said=[])
