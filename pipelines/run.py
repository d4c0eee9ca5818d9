"""A run: the steps of the graph in order, each once, under a lease on the run's folder."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import psutil

from cluster.cache import cache_folder
from cluster.errors import UserError
from cluster.lease import Lease
from cluster.session import connect
from cluster.storage import Storage
from pipelines.artifact import MANIFEST, UNITS, Artifact, ArtifactFolder, Input
from pipelines.progress import Progress
from pipelines.recipe import Recipe
from pipelines.steps import Step, StepRun, graph, latest


@dataclass(frozen=True)
class Done:
    """One step of a run: its artifact, and whether this run did the work."""

    step: Step
    artifact: Artifact
    worked: bool


@dataclass(frozen=True)
class State:
    """One step in `status`: done, stale (finished once, from other inputs), partial or missing."""

    step: Step
    state: str
    detail: str = ""


def execute(
    recipe: Recipe,
    root: Storage,
    *,
    progress: Progress | None = None,
    until: str | None = None,
    again_from: str | None = None,
    only: tuple[str, ...] | None = None,
    steps: Sequence[Step] = (),
) -> list[Done]:
    """Run the graph up to `until`; steps that are finished for these inputs are not done again.

    `again_from`: do that step and the later ones again even if finished. `only`: run just these steps, on what the
    earlier ones left. `steps`: another graph, for tests. Raises UserError (LeaseHeld when another process works in this folder).
    """
    progress = progress or Progress()
    steps = _selected(steps or graph(), until)
    again = _from(steps, again_from)
    with Lease(root, what=f"the run in {root.url}"), ExitStack() as stack:
        wanted = [step for step in steps if only is None or step.name in only]
        external = {step.name: step.external_inputs(recipe) for step in wanted}
        done: list[Done] = []
        artifacts: dict[str, Artifact] = {}
        checked = False
        for step in steps:
            if step not in wanted:
                artifacts |= _left(root, step, wanted)
                continue
            inputs = _inputs(step, artifacts, external[step.name])
            folder = root.sub(step.name, step.fingerprint(recipe, inputs))
            if step in again:
                _forget(folder)
            artifact = Artifact.load(folder)
            worked = artifact is None
            if artifact is None:
                if not checked:  # everything that can be known to fail is said before any work starts
                    for later in wanted:
                        later.check_before(recipe)
                    checked = True
                if step.needs_ray:
                    _connect_once(stack, recipe)
                artifact = _work(step, recipe, folder, artifacts, inputs, progress)
            root.point(f"{step.name}/latest", artifact.manifest.fingerprint)
            artifacts[step.name] = artifact
            done.append(Done(step, artifact, worked))
        return done


def states(recipe: Recipe, root: Storage) -> list[State]:
    """What is done, stale or missing, without doing anything."""
    found: list[State] = []
    artifacts: dict[str, Artifact] = {}
    for step in graph():
        missing = [name for name in step.needs if name not in artifacts]
        if missing:
            old = latest(root, step.name)
            found.append(State(step, "stale" if old else "missing", f"waits for {missing[0]}"))
            continue
        folder = root.sub(step.name, step.fingerprint(recipe, _inputs(step, artifacts, step.external_inputs(recipe))))
        artifact = Artifact.load(folder)
        if artifact:
            artifacts[step.name] = artifact
            found.append(State(step, "done", f"{artifact.manifest.rows_out:,} rows, {artifact.manifest.seconds:.0f} s"))
        elif units := len(folder.list(UNITS)):
            found.append(State(step, "partial", f"{units} units are kept"))
        else:
            found.append(State(step, "stale" if latest(root, step.name) else "missing"))
    return found


def _selected(steps: Sequence[Step], until: str | None) -> Sequence[Step]:
    return steps if until is None else steps[: _position(steps, until) + 1]


def _from(steps: Sequence[Step], name: str | None) -> Sequence[Step]:
    return () if name is None else steps[_position(steps, name) :]


def _position(steps: Sequence[Step], name: str) -> int:
    names = [step.name for step in steps]
    if name not in names:
        raise UserError(f"step {name!r} is not among those to run: {', '.join(names)}")
    return names.index(name)


def _left(root: Storage, step: Step, wanted: Sequence[Step]) -> dict[str, Artifact]:
    """The latest artifact of a step that is not run now; an error when a step that is run needs it."""
    artifact = latest(root, step.name)
    if artifact:
        return {step.name: artifact}
    for name in (later.name for later in wanted if step.name in later.needs):
        raise UserError(
            f"{name} needs what {step.name} leaves: run `gaokerena {command_of(step.name)}` first (or `gaokerena run`)"
        )
    return {}


def command_of(step: str) -> str:
    """The command that runs a step."""
    return "train" if step in ("finetune", "instruct") else step


def _inputs(step: Step, artifacts: dict[str, Artifact], external: dict[str, Input]) -> dict[str, Input]:
    upstream = {name: Input(digest=artifacts[name].digest, path=artifacts[name].folder.url) for name in step.needs}
    return {**upstream, **external}


def _connect_once(stack: ExitStack, recipe: Recipe) -> None:
    import ray

    if not ray.is_initialized():
        stack.enter_context(connect(recipe.cluster.address, cpus=recipe.cluster.cpus))


def _forget(folder: Storage) -> None:
    for path in [MANIFEST, *folder.list()]:
        folder.delete(path)


def _work(
    step: Step, recipe: Recipe, folder: Storage, artifacts: dict[str, Artifact], inputs: dict[str, Input], progress: Progress
) -> Artifact:
    started = time.time()
    out = ArtifactFolder(folder)
    kept = len(folder.list(UNITS))
    progress.say(f"{step.name}: {step.help}" + (f" ({kept} finished units are kept)" if kept else ""))
    run = StepRun(recipe, {name: artifacts[name] for name in step.needs}, out, progress, cache_folder())
    with progress.step(step.name), _peak_memory() as peak:
        outcome = step.run(run)
    artifact = out.finish(
        step=step.name,
        version=step.version,
        settings=step.identity(recipe),
        inputs=inputs,
        tables=step.tables,
        started=started,
        units=outcome.units,
        files=outcome.files,
        volatile_files=outcome.volatile_files,
        notes=outcome.notes,
        peak_memory_bytes=peak[0],
    )
    manifest = artifact.manifest
    dropped = f", {sum(manifest.dropped.values()):,} dropped" if manifest.dropped else ""
    progress.say(f"  {step.name} done in {manifest.seconds:.0f} s: {manifest.rows_out:,} rows{dropped}")
    return artifact


@contextmanager
def _peak_memory() -> Iterator[list[int]]:
    """The largest resident memory of this process and its descendants, sampled every second."""
    import threading

    peak, stop, me = [0], threading.Event(), psutil.Process(os.getpid())

    def sample() -> None:
        while not stop.wait(1.0):
            total = 0
            for process in [me, *me.children(recursive=True)]:
                try:
                    memory = process.memory_full_info() if hasattr(process, "memory_full_info") else process.memory_info()
                    total += getattr(memory, "pss", memory.rss)  # shared pages counted once
                except psutil.Error:  # it ended between the listing and the look
                    continue
            peak[0] = max(peak[0], total)

    thread = threading.Thread(target=sample, name="memory", daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        stop.set()
        thread.join()
        peak[0] = max(peak[0], resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
