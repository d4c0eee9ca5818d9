"""Starts a stage on Ray Train and follows it: 15 to 20 s on two cores before the first step, mostly imports."""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Any

from cluster.errors import UserError
from pipelines.progress import Progress
from pipelines.train.figures import read_figures
from pipelines.train.job import Job

LOOK_EVERY = 1.0  # seconds between two looks at the workers' figures


def launch(job: Job, progress: Progress) -> None:
    """Train one stage; returns when its artifact's files and log are on run storage. Raises UserError."""
    from ray.train.v2.api.exceptions import TrainingFailedError

    attempt = uuid.uuid4().hex
    fit = _in_background(_trainer(job, attempt).fit)
    follower = _Follower(job, attempt, progress)
    while not wait([fit], timeout=LOOK_EVERY).done:
        follower.look()
    follower.look()
    try:
        fit.result()
    except TrainingFailedError as error:
        raise _said_by_worker(error) from error


def _trainer(job: Job, attempt: str) -> Any:
    import ray
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    from pipelines.train.backend import HeedingTorchConfig
    from pipelines.train.worker import train_stage

    profile = job.profile
    filesystem, path = job.out.folder.arrow()
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.5")  # the end is noticed at a check; 2 s by default
    if len(ray.nodes()) == 1:  # nobody takes this machine away, and the watcher is one more process to start
        os.environ.setdefault("RAY_TRAIN_ENABLE_PREEMPTION_WATCHER", "0")
    return TorchTrainer(
        train_stage,
        train_loop_config={"job": job, "attempt": attempt},
        torch_config=HeedingTorchConfig(backend="nccl" if profile.gpus_per_worker else "gloo"),
        scaling_config=ScalingConfig(
            num_workers=profile.train_workers,
            use_gpu=profile.gpus_per_worker > 0,
            resources_per_worker=profile.resources,
        ),
        run_config=RunConfig(
            name=attempt,  # a new one each time: what is resumed is our own checkpoint
            storage_path=f"{path}/.ray",
            storage_filesystem=filesystem,
            failure_config=FailureConfig(max_failures=0),
        ),
    )


def _in_background(work: Callable[[], Any]) -> Future[Any]:
    """Ray's fit takes over Ctrl-C when it runs in the main thread, and does not give it back."""
    future: Future[Any] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # whatever it is, the main thread raises it
            future.set_exception(error)

    threading.Thread(target=run, name="ray train", daemon=True).start()
    return future


class _Follower:
    """Turns the figures that rank 0 leaves on run storage into progress."""

    def __init__(self, job: Job, attempt: str, progress: Progress) -> None:
        self._storage, self._attempt, self._progress = job.out.folder, attempt, progress
        self._stage = job.stage
        self._seen: int | None = None  # the last step that was shown
        self._told: set[str] = set()

    def look(self) -> None:
        figures = read_figures(self._storage, self._attempt)
        if figures is None:
            return
        for notice in figures["notices"]:
            if notice not in self._told:
                self._progress.say(f"  {self._stage}: {notice}")
                self._told.add(notice)
        step = figures["step"]
        if step == self._seen or "loss" not in figures:
            return
        if self._seen is None:
            self._progress.total(figures["steps"], done=step - 1)
        self._progress.advance(step - (step - 1 if self._seen is None else self._seen), _line(figures))
        self._seen = step


def _line(figures: dict[str, Any]) -> str:
    """Loss, speed (useful, and with the padding that was computed), memory, and what is left of the time."""
    valid, mfu = figures["valid_loss"], figures.get("mfu")
    left = figures["seconds_left"]
    parts = [
        f"loss {figures['loss']:.3f}" + ("" if valid is None else f" (held out {valid:.3f})"),
        f"learning rate {figures['learning_rate']:.1e}, gradient norm {figures['grad_norm']:.2f}",
        f"{figures['tokens_per_second']:,.0f} tokens/s ({figures['tokens_per_second_padded']:,.0f} with padding)",
        *([] if mfu is None else [f"{mfu:.1%} MFU (4N)"]),
        f"{figures['memory_bytes'] / 1e9:.1f} GB, {left // 60:.0f}:{left % 60:02.0f} left",
    ]
    return ", ".join(parts)


def _said_by_worker(error: Exception) -> Exception:
    """The user's mistake behind a failed training, if that is what it was."""
    for failure in getattr(error, "worker_failures", {}).values():
        cause = getattr(failure, "_base_exc", failure)
        if isinstance(cause, UserError):
            return cause
    return error
