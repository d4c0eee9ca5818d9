"""From the start of a training command to its first optimizer step: Ray, a worker, a tiny model.

    python -m tests.benchmarks.startup [--rounds 3]

Each round has processes of its own, as a user's command has. The tiny model and its sequences are made beforehand.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

from cluster.profiles import PROFILES
from cluster.session import connect
from cluster.storage import open_storage
from pipelines.artifact import Artifact, ArtifactFolder
from pipelines.progress import Progress
from pipelines.train.figures import FILE
from pipelines.train.job import Job
from pipelines.train.settings import TrainSettings
from tests.benchmarks.road import machine
from tests.benchmarks.train import spread

LOOK_EVERY = 0.02  # seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--launch", type=Path, metavar="FOLDER", help=argparse.SUPPRESS)
    parser.add_argument("--prepare", type=Path, metavar="FOLDER", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.prepare:
        prepare(options.prepare)
    elif options.launch:
        launch(options.launch)
    else:
        print(f"{date.today()}, {machine()}, load {os.getloadavg()[0]:.1f} before\n")
        found = [measure() for _ in range(options.rounds)]
        print("| from the start of the command until | seconds |\n|---|---:|")
        for name in found[0]:
            print(f"| {name} | {spread([one[name] for one in found])} |")


def measure() -> dict[str, float]:
    """Seconds of one round."""
    command = [sys.executable, "-m", "tests.benchmarks.startup"]
    with tempfile.TemporaryDirectory() as name:
        subprocess.run([*command, "--prepare", name], check=True, stderr=subprocess.DEVNULL)
        started = time.time()
        process = subprocess.Popen([*command, "--launch", name], stdout=subprocess.DEVNULL)
        figures = Path(name) / "finetune" / FILE
        while not figures.exists():
            if process.poll() is not None:
                raise RuntimeError("the training ended before its first step")
            time.sleep(LOOK_EVERY)
        begun = figures.stat().st_mtime - json.loads(figures.read_bytes())["seconds"]
        if process.wait():
            raise RuntimeError("the training failed")
        return {
            "Ray answers": (Path(name) / "connected").stat().st_mtime - started,
            "the first optimizer step begins": begun - started,
            "adapter, merged model and log are there, and Ray has ended": time.time() - started,
        }


def prepare(folder: Path) -> None:
    from tests.tiny_models import tiny_cohere
    from tests.train.sequences_of import tokens_artifact

    tiny_cohere(folder / "model")
    tokens_artifact(open_storage(folder))


def launch(folder: Path) -> None:
    """What a training step does once its inputs are there."""
    from pipelines.train.launch import launch as launch_stage

    root = open_storage(folder)
    tokens = Artifact.load(root.sub("tokenize", "0" * 16))
    assert tokens is not None
    job = Job(
        stage="finetune",
        settings=TrainSettings.model_validate({"valid_tokens": 0, "finetune": {"effective_batch": 4}}),
        seed=2025,
        profile=PROFILES["cpu"],
        model=str(folder / "model"),
        previous=None,
        tokens=tokens,
        out=ArtifactFolder(root.sub("finetune")),
    )
    with connect():
        (folder / "connected").touch()
        launch_stage(job, Progress())


if __name__ == "__main__":
    main()
