"""Both stages on Ray Train and DeepSpeed, unbroken and killed; about a minute each."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, get_scheduler, set_seed

from cluster.storage import Storage, open_storage
from pipelines.artifact import Artifact
from pipelines.steps import latest
from pipelines.tables import CORPUS_TRAIN, TRAIN_LOG
from pipelines.train import checkpoints
from pipelines.train.lora import add_adapter
from pipelines.train.sequences import Sequences, collate, make_plan, sequence_lengths
from serving.engines.models import load_model
from tests.tiny_models import tiny_cohere
from tests.train.stages import recipe_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
REPOSITORY = Path(__file__).resolve().parents[2]
SEQUENCES, EPOCHS, EFFECTIVE_BATCH = 24, 2.5, 4  # of the fine-tuning in stages.py


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
    assert rows[-1]["loss"] < rows[0]["loss"]
    assert sum(row["tokens"] for row in rows) == artifact.manifest.facts["tokens"]
    assert all(row["tokens_per_second"] > 0 and row["memory_bytes"] > 0 for row in rows)


def test_every_step_equals_that_of_a_plain_loop(unbroken: Path, model: Path) -> None:
    """Same loss and gradient norm as PyTorch alone, with the model's own loss and no accumulation."""
    rows = left(unbroken, "finetune").read(TRAIN_LOG).to_pydict()
    losses, norms = plain_loop(unbroken, model)
    assert rows["loss"] == pytest.approx(losses, rel=1e-4)
    assert rows["grad_norm"] == pytest.approx(norms, rel=1e-3)


def plain_loop(out: Path, model: Path) -> tuple[list[float], list[float]]:
    recipe = recipe_for(str(model))
    stage = recipe.train.finetune
    table = left_tokens(out).read(CORPUS_TRAIN)
    plan = make_plan(sequence_lengths(table), seed=recipe.seed, epochs=EPOCHS, effective_batch=EFFECTIVE_BATCH, max_tokens=None)
    sequences = Sequences(table, plan)
    set_seed(recipe.seed)
    adapted = add_adapter(load_model(model, "float32"), stage.lora).train()
    trained = [parameter for parameter in adapted.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=stage.learning_rate, weight_decay=stage.weight_decay)
    warmup = math.ceil(stage.warmup_ratio * plan.steps)
    schedule = get_scheduler(stage.scheduler, optimizer, num_warmup_steps=warmup, num_training_steps=plan.steps)
    losses, norms = [], []
    for step in range(plan.steps):
        batch = collate([sequences.sequence(int(row)) for row in plan.of_step(step)])
        loss = adapted(**batch, use_cache=False).loss  # with a cache, transformers does not keep packed documents apart
        loss.backward()
        norms.append(float(torch.nn.utils.clip_grad_norm_(trained, stage.clip)))
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses, norms


def left_tokens(out: Path) -> Artifact:
    tokens = Artifact.load(open_storage(out).sub("tokenize", "0" * 16))
    assert tokens is not None
    return tokens


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
        assert {path.split("/")[0] for path in files} == {".units", "adapter", "artifact.json", "log", "model"}


def test_a_killed_training_goes_on_and_ends_with_the_same_weights(unbroken: Path, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "killed"
    first_step = {}
    kill_in_the_middle_of_finetune(out, model)
    first_step["finetune"] = seconds_of_first_step(out, "finetune")
    fail_after_the_last_step_of_instruct(out, model)
    first_step["instruct"] = seconds_of_first_step(out, "instruct")
    output = run(out, model)
    assert "goes on from step" in output
    for stage in ("finetune", "instruct"):
        assert left(out, stage).digest == left(unbroken, stage).digest
        # a time is never the same twice: this row was not made again
        assert left(out, stage).read(TRAIN_LOG)["seconds"][0].as_py() == first_step[stage]


def kill_in_the_middle_of_finetune(out: Path, model: Path) -> None:
    process = start(out, model, "checkpoint_steps=2")
    assert happens(lambda: bool(checkpointed(out, "finetune")), process), process.communicate()[0]
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert Artifact.load(stage_folder(out, "finetune")) is None, "it was over before the kill: nothing was tested"


def fail_after_the_last_step_of_instruct(out: Path, model: Path) -> None:
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


def seconds_of_first_step(out: Path, stage: str) -> float:
    folder = stage_folder(out, stage)
    state = json.loads(folder.read(f"{checkpointed(out, stage)[-1].prefix}/trainer_state.json"))
    seconds: float = state["log_history"][0]["seconds"]
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


def test_two_workers_end_where_one_does(unbroken: Path, model: Path, tmp_path: Path) -> None:
    run(tmp_path, model, "workers=2")
    for stage in ("finetune", "instruct"):
        one, two = (left(out, stage).read(TRAIN_LOG).to_pydict() for out in (unbroken, tmp_path))
        assert two["loss"] == pytest.approx(one["loss"], rel=1e-4)
        assert two["grad_norm"] == pytest.approx(one["grad_norm"], rel=1e-3)
        assert (two["tokens"], two["label_tokens"]) == (one["tokens"], one["label_tokens"])
