"""Starts a stage on Ray Train and follows it: about 15 s on two cores before the first step."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cluster.errors import UserError
from pipelines.progress import Progress
from pipelines.train.job import Job

LOOK_EVERY = 0.5  # seconds between two looks at the workers' figures


class Figures:
    """The latest figures of a training, in an actor of its own: rank 0 writes, the driver reads."""

    def __init__(self) -> None:
        self._new: list[dict[str, float]] = []

    def put(self, figures: dict[str, float]) -> None:
        self._new.append(figures)

    def take(self) -> list[dict[str, float]]:
        taken, self._new = self._new, []
        return taken


class Report:
    """Sends a step's figures from a worker to the actor, without waiting for it."""

    def __init__(self, actor: Any) -> None:
        self._actor = actor

    def __call__(self, figures: dict[str, float]) -> None:
        self._actor.put.remote(figures)


def launch(job: Job, progress: Progress) -> None:
    """Train one stage; returns when its artifact's files and log are on run storage. Raises UserError."""
    import ray
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer
    from ray.train.v2.api.exceptions import TrainingFailedError

    from pipelines.train.worker import train_stage

    profile = job.profile
    resources = {"CPU": profile.cpus_per_worker, "GPU": profile.gpus_per_worker}
    filesystem, path = job.out.folder.arrow()
    actor = ray.remote(num_cpus=0)(Figures).remote()
    trainer = TorchTrainer(
        train_stage,
        train_loop_config={"job": job, "report": Report(actor)},
        torch_config=TorchConfig(backend="nccl" if profile.gpus_per_worker else "gloo"),
        scaling_config=ScalingConfig(
            num_workers=profile.train_workers,
            use_gpu=profile.gpus_per_worker > 0,
            resources_per_worker={name: number for name, number in resources.items() if number},
        ),
        run_config=RunConfig(
            name=uuid.uuid4().hex,  # a new one each time: what is resumed is our own checkpoint
            storage_path=f"{path}/.ray",
            storage_filesystem=filesystem,
            failure_config=FailureConfig(max_failures=0),
        ),
    )
    try:
        with _shown(actor, progress):
            trainer.fit()
    except TrainingFailedError as error:
        raise _said_by_worker(error) from error
    finally:
        ray.kill(actor)


@contextmanager
def _shown(actor: Any, progress: Progress) -> Iterator[None]:
    """While the block runs, the worker's figures become progress."""
    import ray

    stop, state = threading.Event(), {"begun": False}

    def show_new() -> None:
        for figures in ray.get(actor.take.remote()):
            _show(figures, progress, first=not state["begun"])
            state["begun"] = True

    def follow() -> None:
        while not stop.wait(LOOK_EVERY):
            show_new()

    thread = threading.Thread(target=follow, name="training figures", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    show_new()


def _show(figures: dict[str, float], progress: Progress, *, first: bool) -> None:
    step, steps = int(figures["step"]), int(figures["steps"])
    if first:
        progress.total(steps, done=step - 1)
    left = (steps - step) * figures["seconds"]
    progress.advance(
        detail=f"loss {figures['loss']:.3f}, learning rate {figures['learning_rate']:.1e}, "
        f"{figures['tokens_per_second']:,.0f} tokens/s, {left / 60:.0f} min {left % 60:.0f} s left"
    )


def _said_by_worker(error: Exception) -> Exception:
    """The user's mistake behind a failed training, if that is what it was."""
    for failure in getattr(error, "worker_failures", {}).values():
        cause = getattr(failure, "_base_exc", failure)
        if isinstance(cause, UserError):
            return cause
    return error
