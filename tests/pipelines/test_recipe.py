"""Recipes: every mistake is answered in one line that names key, value and what is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.errors import UserError
from pipelines.recipe import built_in_recipes, load_recipe


@pytest.mark.parametrize("name", list(built_in_recipes()))
def test_built_in_recipes_are_valid_and_described(name: str) -> None:
    assert load_recipe(name).description


def test_the_papers_settings_are_the_defaults() -> None:
    recipe = load_recipe("paper")
    fine, instruct = recipe.train.finetune, recipe.train.instruct
    assert (fine.lora.r, fine.lora.alpha, fine.lora.dropout, fine.weight_decay) == (8, 16, 0.05, 0.1)
    assert (instruct.lora.r, instruct.lora.alpha, instruct.lora.dropout, instruct.weight_decay) == (2, 2, 0.4, 0.5)
    for stage in (fine, instruct):
        assert (stage.effective_batch, stage.epochs, stage.learning_rate, stage.warmup_ratio, stage.clip) == (
            32,
            1,
            5e-4,
            0.03,
            0.3,
        )
        assert stage.scheduler == "cosine"
    assert (recipe.tokenize.context, recipe.tokenize.layout, recipe.tokenize.corpus_fraction) == (1024, "windows", 0.6)
    assert (recipe.clean.preset, recipe.clean.pairs.min_answer_words) == ("paper", 45)


def test_a_recipe_that_changes_one_key_of_a_stage_keeps_the_papers_others() -> None:
    stage = load_recipe("paper", ["train.instruct.effective_batch=8", "train.instruct.lora.dropout=0"]).train.instruct
    assert (stage.effective_batch, stage.weight_decay) == (8, 0.5)
    assert (stage.lora.r, stage.lora.alpha, stage.lora.dropout) == (2, 2, 0)


def test_a_packed_batch_is_given_in_tokens() -> None:
    train = load_recipe("paper", ["tokenize.layout=packed", "train.finetune.batch_tokens=65536"]).train
    assert (train.finetune.effective_batch, train.instruct.effective_batch) == (64, 32)


def test_a_packed_batch_is_whole_sequences() -> None:
    with pytest.raises(UserError, match="batch_tokens = 65,000 is no multiple of tokenize.context = 1,024; use 64,512"):
        load_recipe("paper", ["tokenize.layout=packed", "train.finetune.batch_tokens=65000"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("train.instruct.batch_tokens=65536", r"counts packed sequences; use --set tokenize.layout=packed, or effective_batch"),
        ("trani.x=1", r"unknown key trani; did you mean 'train'\? allowed: .*tokenize"),
        ("train.finetune.lora.rank=3", r"unknown key train.finetune.lora.rank; allowed: r, alpha, dropout"),
        ("train.max_tokens=-1", r"train.max_tokens = -1: .*greater than 0"),
        ("tokenize.layout=padded", r"tokenize.layout = 'padded': .*'windows' or 'packed'"),
        ("cluster.profile=tpu", r"cluster.profile = 'tpu'; allowed: cpu, "),
        ("crawl.sources=[]", r"crawl.sources = \[\]: .*at least 1"),
        ("crawl.contact=me", r"crawl.contact = 'me': write an e-mail address or a page where you can be reached"),
        ("train", r"write it as key=value"),
        ("name.x=1", r"name is a value, it has no keys"),
    ],
)
def test_a_mistake_is_one_line(change: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        load_recipe("demo", [change])
    assert "\n" not in str(caught.value)


def test_unreadable_yaml_and_missing_files_are_said(tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text("name: [unclosed")
    for path, message in ((broken, "not readable YAML"), (tmp_path / "none.yaml", "no recipe .* demo")):
        with pytest.raises(UserError, match=message) as caught:
            load_recipe(str(path))
        assert "\n" not in str(caught.value)
    broken.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="not readable YAML"):
        load_recipe(str(broken))
    broken.write_text("- a list")
    with pytest.raises(UserError, match="expected keys and values"):
        load_recipe(str(broken))


def test_files_named_in_a_recipe_lie_beside_it(tmp_path: Path) -> None:
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("name: mine\nmodel: gemma3-270m\ncrawl: {sources: [./site.yaml]}\n")
    assert load_recipe(str(recipe)).crawl.sources == [str(tmp_path / "site.yaml")]


def test_execution_settings_are_not_identity() -> None:
    plain = load_recipe("demo")
    for change in (
        "cluster.cpus=7",
        "out=elsewhere",
        "crawl.workers=3",
        "train.micro_batch=4",
        "ask.port=9000",
        "demo_web.port=9100",
    ):
        changed = load_recipe("demo", [change])
        assert changed != plain
        assert changed.identity() == plain.identity(), change
    for change in ("seed=1", "train.finetune.lora.r=4", "clean.preset=paper", "model=other", "crawl.sources=[demo-app]"):
        assert load_recipe("demo", [change]).identity() != plain.identity(), change


@given(key=st.text(min_size=1).filter(lambda s: "=" not in s), value=st.text())
def test_any_override_is_taken_or_refused_in_one_line(key: str, value: str) -> None:
    message = ""
    try:
        load_recipe("demo", [f"{key}={value}"])
    except UserError as error:
        message = str(error)
    assert "\n" not in message
