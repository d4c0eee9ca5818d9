"""Both stages on Ray Train and DeepSpeed, unbroken and killed; about a minute each."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from cluster.storage import Storage, open_storage
from pipelines.artifact import Artifact
from pipelines.steps import latest
from pipelines.tables import TRAIN_LOG
from pipelines.train import checkpoints
from tests.tiny_models import tiny_cohere

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
REPOSITORY = Path(__file__).resolve().parents[2]
SEQUENCES, EPOCHS, EFFECTIVE_BATCH = 24, 3.5, 4  # of the fine-tuning in stages.py


def start(out: Path, model: Path, *settings: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.train.stages", str(out), str(model), *settings]
    return subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def run(out: Path, model: Path, *settings: str) -> str:
    process = start(out, model, *settings)
    output, _ = process.communicate(timeout=400)
    assert process.returncode == 0, output
    return output


def left(out: Path, stage: str) -> Artifact:
    artifact = latest(open_storage(out), stage)
    assert artifact is not None
    return artifact


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_cohere(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Path:
    out = tmp_path_factory.mktemp("unbroken")
    run(out, model)
    return out


def test_every_optimizer_step_has_a_row(unbroken: Path) -> None:
    artifact = left(unbroken, "finetune")
    rows = artifact.read(TRAIN_LOG).to_pylist()
    steps = round(EPOCHS * SEQUENCES) // EFFECTIVE_BATCH
    assert [row["step"] for row in rows] == list(range(1, steps + 1))
    assert rows[-1]["epoch"] == pytest.approx(EPOCHS)
    epoch = SEQUENCES // EFFECTIVE_BATCH
    first, third = ([row["loss"] for row in rows[start : start + epoch]] for start in (0, 2 * epoch))
    assert sum(third) < sum(first)  # of the same sequences
    assert sum(row["tokens"] for row in rows) == artifact.manifest.facts["tokens"]
    assert all(row["tokens_per_second"] > 0 and row["memory_bytes"] > 0 for row in rows)


def test_the_merged_model_loads_in_plain_transformers(unbroken: Path, model: Path) -> None:
    folder = unbroken / "instruct" / "latest" / "model"
    merged = AutoModelForCausalLM.from_pretrained(folder)
    assert merged.dtype == torch.float32
    assert AutoTokenizer.from_pretrained(folder).chat_template
    base = AutoModelForCausalLM.from_pretrained(model)
    changed = [not torch.equal(a, b) for a, b in zip(merged.parameters(), base.parameters(), strict=True)]
    assert sum(changed) == 2 * 7  # two layers with seven linear layers each


def test_nothing_but_the_declared_files_is_left(unbroken: Path) -> None:
    for stage in ("finetune", "instruct"):
        files = left(unbroken, stage).folder.list()
        left_there = {".units", "adapter", "artifact.json", "energy.json", "layout.json", "log", "model", "validation.json"}
        assert {path.split("/")[0] for path in files} == left_there


def test_a_killed_training_goes_on_and_ends_with_the_same_weights(unbroken: Path, model: Path, tmp_path: Path) -> None:
    """Also when its newest checkpoint was damaged by the kill."""
    out = tmp_path / "killed"
    first_step = {}
    kill_in_the_middle_of_finetune(out, model)
    first_step["finetune"] = seconds_of_first_step(out, "finetune")
    damage_the_newest_checkpoint(out)
    said = fail_after_the_last_step_of_instruct(out, model)
    assert re.search(r"checkpoint \S+ is damaged and was dropped: \S+ is not what was written", said)
    assert "is damaged and was dropped" in left(out, "finetune").manifest.notes[0]
    first_step["instruct"] = seconds_of_first_step(out, "instruct")
    output = run(out, model)
    assert "goes on from step" in output
    for stage in ("finetune", "instruct"):
        assert left(out, stage).digest == left(unbroken, stage).digest
        # a time is never the same twice: this row was not made again
        assert left(out, stage).read(TRAIN_LOG)["seconds"][0].as_py() == first_step[stage]


def kill_in_the_middle_of_finetune(out: Path, model: Path) -> None:
    process = start(out, model, "checkpoint_steps=2")
    assert happens(lambda: len(checkpointed(out, "finetune")) > 1, process), process.communicate()[0]
    workers = psutil.Process(process.pid).children(recursive=True)
    os.kill(process.pid, signal.SIGKILL)
    for worker in workers:  # Ray ends them a moment later; until then they may write another checkpoint, or even the last one
        with suppress(psutil.NoSuchProcess):
            worker.kill()
    process.communicate()
    _, alive = psutil.wait_procs(workers, 60)
    assert not alive
    assert Artifact.load(stage_folder(out, "finetune")) is None, "it was over before the kill: nothing was tested"


def damage_the_newest_checkpoint(out: Path) -> None:
    newest = checkpointed(out, "finetune")[-1]
    path = next(path for path in newest.files if path.endswith(".safetensors"))
    with (out / "finetune" / "latest" / path).open("r+b") as file:
        file.truncate(64)


def fail_after_the_last_step_of_instruct(out: Path, model: Path) -> str:
    """A file stands where the merged model's folder has to go; no kill could hit that moment every time."""
    process = start(out, model, "checkpoint_steps=1000")
    assert happens(lambda: bool(open_storage(out).pointed("instruct/latest")), process), process.communicate()[0]
    in_the_way = out / "instruct" / (open_storage(out).pointed("instruct/latest") or "") / "model"
    in_the_way.parent.mkdir(parents=True, exist_ok=True)
    in_the_way.touch()
    output, _ = process.communicate(timeout=400)
    assert process.returncode != 0, output
    assert checkpointed(out, "instruct")
    in_the_way.unlink()
    return output


def seconds_of_first_step(out: Path, stage: str) -> float:
    folder = stage_folder(out, stage)
    state = json.loads(folder.read(f"{checkpointed(out, stage)[-1].prefix}/trainer_state.json"))
    seconds: float = next(entry["seconds"] for entry in state["log_history"] if "loss" in entry)
    return seconds


def stage_folder(out: Path, stage: str) -> Storage:
    storage = open_storage(out)
    name = storage.pointed(f"{stage}/latest")
    return storage.sub(stage, name or "none yet")


def checkpointed(out: Path, stage: str) -> list[checkpoints.Checkpoint]:
    return checkpoints.complete(stage_folder(out, stage))


def happens(condition: Callable[[], bool], process: subprocess.Popen[str], timeout: float = 300) -> bool:
    """Whether a condition outside the process came true while it ran."""
    ended = threading.Event()
    threading.Thread(target=lambda: (process.wait(), ended.set()), daemon=True).start()
    for _ in range(int(timeout / 0.02)):
        if condition():
            return True
        if ended.wait(0.02):
            return False
    return False


def test_a_training_that_leaves_its_course_goes_back_once_and_then_ends(model: Path, tmp_path: Path) -> None:
    process = start(tmp_path, model, "finetune={effective_batch: 4, learning_rate: 1.0e+30, lora: {dropout: 0.0}}")
    output, _ = process.communicate(timeout=400)
    assert process.returncode == 1, output
    assert len(re.findall(r"went back once: finetune: the (?:loss|gradient norm) is (?:nan|inf) at step", output)) == 1
    assert re.fullmatch(
        r"user error: finetune: the (loss|gradient norm) is .*; lower train.finetune.learning_rate.*", output.splitlines()[-1]
    )


def test_two_workers_end_where_one_does(unbroken: Path, model: Path, tmp_path: Path) -> None:
    run(tmp_path, model, "workers=2")
    for stage in ("finetune", "instruct"):
        one, two = (left(out, stage).read(TRAIN_LOG).to_pydict() for out in (unbroken, tmp_path))
        assert two["loss"] == pytest.approx(one["loss"], rel=1e-4)
        assert two["grad_norm"] == pytest.approx(one["grad_norm"], rel=1e-4)
        assert [x is None for x in two["valid_loss"]] == [x is None for x in one["valid_loss"]]
        assert [x for x in two["valid_loss"] if x] == pytest.approx([x for x in one["valid_loss"] if x], rel=1e-4)
        assert (two["tokens"], two["label_tokens"]) == (one["tokens"], one["label_tokens"])
