"""Mistakes in a training's settings are one clear line before any work starts."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import psutil
import pytest
import torch

from cluster.errors import UserError
from cluster.profiles import PROFILES
from cluster.storage import open_storage
from pipelines.progress import Progress
from pipelines.recipe import ClusterSettings, load_recipe
from pipelines.tokenization.settings import TokenizeSettings
from pipelines.train import checkpoints
from pipelines.train.job import micro_batch
from pipelines.train.settings import StageSettings, TrainSettings
from pipelines.train.step import SHARDED, _say_where_it_goes_on, base_model, check
from tests.tiny_models import CONTEXT, tiny_cohere
from tests.train.alone import job_of
from tests.train.stages import recipe_for


def test_a_sound_recipe_passes(model: Path) -> None:
    check(recipe_for(str(model)))


def test_the_base_model_is_known_by_content(model: Path, tmp_path: Path) -> None:
    same, other = base_model(recipe_for(str(model))), base_model(recipe_for(str(tiny_cohere(tmp_path, seed=1))))
    assert same["model"].digest == base_model(recipe_for(str(model)))["model"].digest != other["model"].digest


def test_a_missing_model(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist|no config.json|cannot be reached"):
        check(recipe_for(str(tmp_path / "nowhere")))


def test_a_context_longer_than_the_models_positions(model: Path) -> None:
    recipe = recipe_for(str(model)).model_copy(update={"tokenize": TokenizeSettings(context=CONTEXT + 1)})
    with pytest.raises(UserError, match=rf"a window has {CONTEXT + 1} tokens .* use --set tokenize.context={CONTEXT}"):
        check(recipe)


def test_a_model_whose_weights_are_quantized(tmp_path: Path) -> None:
    config = tiny_cohere(tmp_path) / "config.json"
    values = json.loads(config.read_text()) | {"quantization_config": {"quant_method": "torchao"}}
    config.write_text(json.dumps(values))
    with pytest.raises(UserError, match="quantized by torchao; name the model that they were made from"):
        check(recipe_for(str(tmp_path)))


def test_an_effective_batch_that_does_not_divide(model: Path) -> None:
    with pytest.raises(UserError, match=r"effective_batch = 4 .* use --set train\.micro_batch=2"):
        check(recipe_for(str(model), micro_batch=3))


def test_a_gpu_profile_on_a_machine_without_one(model: Path) -> None:
    if torch.cuda.device_count():
        pytest.skip("this machine has a GPU")
    recipe = recipe_for(str(model)).model_copy(update={"cluster": ClusterSettings(profile="a100-80")})
    with pytest.raises(UserError, match=r"wants 1 GPU.*--set cluster\.profile=cpu"):
        check(recipe)


def test_a_model_that_does_not_fit(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = psutil.virtual_memory()._replace(available=100_000)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: free)
    with pytest.raises(UserError, match=r"needs .* GB"):
        check(recipe_for(str(model)))


@pytest.mark.parametrize(
    ("profile", "effective", "expected"), [("a100-80", 32, 2), ("a100x8", 32, 2), ("a100x8", 8, 1), ("a100-80", 3, 1)]
)
def test_the_profiles_micro_batch_is_lowered_until_the_effective_batch_divides(
    profile: str, effective: int, expected: int
) -> None:
    assert micro_batch(TrainSettings(), StageSettings(effective_batch=effective), PROFILES[profile]) == expected


def test_workers_that_can_not_share_the_batch() -> None:
    with pytest.raises(UserError, match="use a multiple of 8"):
        micro_batch(TrainSettings(), StageSettings(effective_batch=12), PROFILES["a100x8"])


def test_a_tracker_that_is_not_installed(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = find_spec
    monkeypatch.setattr("pipelines.train.step.find_spec", lambda name: None if name == "wandb" else there(name))
    check(recipe_for(str(model), report_to=["tensorboard"]))
    with pytest.raises(UserError, match=r"report_to: wandb is not installed; run pip install '.\[trackers\]'"):
        check(recipe_for(str(model), report_to=["tensorboard", "wandb"]))


def test_a_tracker_that_nobody_knows() -> None:
    with pytest.raises(UserError, match=r"train\.report_to.*tensorboard.*wandb.*mlflow"):
        load_recipe("demo", ["train.report_to=[comet]"])


@pytest.mark.parametrize(("written", "zero_stage"), [("mp_rank_00_model_states.pt", 3), (f"{SHARDED}.pt", 2)])
def test_a_checkpoint_that_was_sharded_otherwise_is_refused(
    model: Path, tmp_path: Path, written: str, zero_stage: Literal[2, 3]
) -> None:
    job = job_of(open_storage(tmp_path / "run"), model)
    job = replace(job, profile=replace(job.profile, zero_stage=zero_stage))
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / written).touch()
    checkpoints.upload(job.out.folder, 4, 0, tmp_path / "disk")
    checkpoints.seal(job.out.folder, 4, workers=1)
    with pytest.raises(UserError, match=rf"stopped at step 4 under another ZeRO stage than {zero_stage}.* --from finetune"):
        _say_where_it_goes_on(job, Progress(), [])
