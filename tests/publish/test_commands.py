"""`gaokerena publish`: one line for a mistake, and a push that takes what is finished and never prints the token."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from cluster.errors import UserError
from pipelines.cli import app
from pipelines.recipe import load_recipe
from tests.publish.conftest import PLANTED, Run
from tests.publish.trained import TrainedRun, train
from tests.tiny_models import tiny_gemma3

TOKEN = "hf_" + "secretsecretsecret"


@pytest.fixture
def arguments(run: Run, tmp_path: Path) -> list[str]:
    """What names the run on the command line."""
    clean = {
        "decontaminate": [str(tmp_path / "folder of mine" / "exam-2023.csv")],
        "valid_fraction": 0,
        "split_by_source": {"exam": "test"},
    }
    recipe = {
        "name": "demo", "model": "gemma3-270m", "crawl": {"sources": ["demo-forum"]},
        "evaluate": {"tasks": ["held-out-answers"]}, "clean": clean, "publish": {"token_texts": 0},
    }  # fmt: skip
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    return ["--recipe", str(tmp_path / "recipe.yaml"), "--out", run.root.url]


def invoke(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["publish", *arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def test_the_command_writes_the_folder_and_says_where(arguments: list[str], tmp_path: Path) -> None:
    output = invoke("data", *arguments, "--to", str(tmp_path / "out"))
    assert f"dataset: {tmp_path / 'out'}" in output and (tmp_path / "out" / "README.md").is_file()
    assert "was written before" in invoke("data", *arguments, "--to", str(tmp_path / "out"))
    assert not any(secret in output for secret in PLANTED)


def test_stats_are_shown_without_writing(arguments: list[str], run: Run) -> None:
    before = run.root.list()
    output = invoke("stats", *arguments)
    assert "source magazine" in output and "test-set exam-2023" in output
    assert run.root.list() == before


def test_a_push_without_a_token_is_one_clear_line(arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    with pytest.raises(UserError, match="needs a token of the Hub: set HF_TOKEN"):
        invoke("data", *arguments, "--to", str(tmp_path / "out"), "--push", "me/data")
    assert not (tmp_path / "out").exists()


class Hub:
    """The Hub's client, where the system meets the outside."""

    calls: list[tuple[str, Any]] = []

    def create_repo(self, repository: str, **options: Any) -> str:
        self.calls.append(("create", options))
        return f"https://hub.example/datasets/{repository}"

    def upload_folder(self, **options: Any) -> None:
        self.calls.append(("upload", options))


def test_a_push_takes_the_finished_folder_to_a_private_dataset(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr("huggingface_hub.HfApi", Hub)
    Hub.calls = []
    output = invoke("data", *arguments, "--to", str(tmp_path / "out"), "--push", "me/data")
    (_, created), (_, uploaded) = Hub.calls
    assert created["private"] and uploaded["repo_id"] == "me/data" and uploaded["repo_type"] == "dataset"
    assert (Path(uploaded["folder_path"]) / "README.md").is_file()
    assert "pushed: https://hub.example/datasets/me/data" in output and TOKEN not in output


def test_what_the_hub_refuses_is_one_line(arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Hub, repository: str, **options: Any) -> str:
        raise ConnectionError("no route to host")

    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr("huggingface_hub.HfApi", Hub)
    monkeypatch.setattr(Hub, "create_repo", refuse)
    with pytest.raises(UserError, match="--push me/data: the Hub did not take it: no route to host") as refused:
        invoke("data", *arguments, "--to", str(tmp_path / "out"), "--push", "me/data")
    assert TOKEN not in str(refused.value)


@pytest.fixture
def trained(run: Run, arguments: list[str], tmp_path: Path) -> TrainedRun:
    """The run of the arguments, with a model."""
    base = tiny_gemma3(tmp_path / "base")
    recipe = load_recipe(arguments[1], [f"model={base}"])
    return train(recipe, run.root, run.clean, base, judge=recipe.evaluate.judge)


def test_the_model_is_written_and_pushed_to_a_private_model(
    arguments: list[str], trained: TrainedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr("huggingface_hub.HfApi", Hub)
    Hub.calls = []
    command = ["model", *arguments, "--set", f"model={trained.base}", "--to", str(tmp_path / "out")]
    output = invoke(*command, "--push", "me/model")
    (_, created), (_, uploaded) = Hub.calls
    assert created["private"] and created["repo_type"] == uploaded["repo_type"] == "model"
    assert (Path(uploaded["folder_path"]) / "model.safetensors").is_file()
    assert f"model: {tmp_path / 'out'}" in output and "pushed: " in output and TOKEN not in output
    assert "nothing to do, the model was written before" in invoke(*command)
    with pytest.raises(UserError, match="holds a publication of other data or settings"):
        invoke(*command, "--quantize", "int8")


def test_quantized_adapters_and_other_precisions_are_refused_in_one_line(arguments: list[str]) -> None:
    with pytest.raises(UserError, match="--quantize and --adapter exclude each other"):
        invoke("model", *arguments, "--adapter", "--quantize", "int8")
    result = CliRunner().invoke(app, ["publish", "model", *arguments, "--quantize", "int2"])
    assert result.exit_code == 2 and "int8" in result.output and "int4" in result.output


def test_a_run_without_a_model_is_one_line(arguments: list[str], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing is trained yet in .*: run `gaokerena train` first"):
        invoke("model", *arguments, "--to", str(tmp_path / "out"))
