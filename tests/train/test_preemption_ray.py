"""Notices of preemption as they really come to a Ray Train worker; half a minute, most of it the start."""

from __future__ import annotations

import os
import re
import signal
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.tiny_models import tiny_cohere
from tests.train.test_stages import checkpointed, happens, stage_folder, start

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
LONG = "{effective_batch: 4, epochs: 2000, lora: {dropout: 0.0}}"  # it would go on for minutes


def test_sigterm_to_a_worker_and_a_drained_node_each_make_a_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the step under way, long before the next one is due, and the training goes on."""
    monkeypatch.setenv("RAY_TRAIN_ENABLE_PREEMPTION_WATCHER", "1")  # off where there is one node, which nobody takes away
    monkeypatch.setenv("RAY_TRAIN_PREEMPTION_POLL_INTERVAL_S", "0.2")
    out, model = tmp_path / "run", tiny_cohere(tmp_path / "model")
    process = start(out, model, "checkpoint_steps=1000000", f"finetune={LONG}")
    family = psutil.Process(process.pid)
    try:
        assert happens(lambda: step(out) > 0, process), process.communicate()[0]
        worker = next(
            child for child in family.children(recursive=True) if "RayTrainWorker" in child.name() + " ".join(child.cmdline())
        )
        worker.send_signal(signal.SIGTERM)
        assert happens(lambda: len(checkpointed(out, "finetune")) == 1, process, 60), process.communicate()[0]
        first = checkpointed(out, "finetune")[0].step
        drain(family)
        assert happens(lambda: len(checkpointed(out, "finetune")) == 2, process, 60), process.communicate()[0]
        second = checkpointed(out, "finetune")[1].step
        assert happens(lambda: step(out) > second, process, 60), process.communicate()[0]
        assert worker.is_running() and first < second
    finally:
        end(family)
    said, _ = process.communicate()
    assert f"a machine is about to go: a checkpoint is written at step {first}, the training goes on" in said


def step(out: Path) -> int:
    """The newest step of the fine-tuning that rank 0 told of."""
    with suppress(FileNotFoundError):
        return int(re.search(r'"step": (\d+)', stage_folder(out, "finetune").read("figures.json").decode())[1])
    return 0


def drain(family: psutil.Process) -> None:
    """Tell Ray that its only node goes, as an autoscaler does."""
    from ray._raylet import GcsClient
    from ray.core.generated.autoscaler_pb2 import DrainNodeReason

    raylet = next(child for child in family.children(recursive=True) if child.name() == "raylet")
    address = next(found[1] for argument in raylet.cmdline() if (found := re.match(r"--gcs-address=(\S+)", argument)))
    client = GcsClient(address=address)
    (node,) = client.get_all_node_info()
    accepted, reason = client.drain_node(node.hex(), DrainNodeReason.Value("DRAIN_NODE_REASON_PREEMPTION"), "a test", 0)
    assert accepted, reason


def end(family: psutil.Process) -> None:
    """Kill the run with all its processes."""
    processes = [*family.children(recursive=True), family]
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            os.kill(process.pid, signal.SIGKILL)
    psutil.wait_procs(processes, 60)
