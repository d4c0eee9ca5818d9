"""The recipe: one validated YAML file that says everything about a run."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, get_args, get_type_hints

import yaml
from pydantic import BaseModel, Field, ValidationError

from cluster.errors import UserError
from cluster.profiles import CUSTOM, PROFILES, Profile
from pipelines.ask.settings import AskSettings
from pipelines.clean.settings import CleanSettings
from pipelines.crawl.settings import CrawlSettings
from pipelines.demo.settings import DemoWebSettings
from pipelines.evaluate.settings import EvaluateSettings
from pipelines.extract.settings import ExtractSettings
from pipelines.publish.settings import PublishSettings
from pipelines.report.settings import ReportSettings
from pipelines.settings import Settings, execution
from pipelines.tokenization.settings import TokenizeSettings
from pipelines.train.settings import TrainSettings

BUILT_IN = Path(__file__).parent / "recipes"
UNKNOWN_KEY = ("extra_forbidden", "unexpected_keyword_argument")  # of a model, of a dataclass


class ClusterSettings(Settings):
    """Where a run runs; never what it makes."""

    profile: str = "cpu"
    custom: Profile | None = None  # the hardware of `profile: custom`
    address: str | None = None  # of a Ray cluster; None: this machine
    cpus: int | None = None  # logical processors for Ray on this machine
    workers: int | None = Field(None, ge=1)  # training workers; as many as the profile says by default
    wait_minutes: float = Field(15, ge=0)  # for nodes that a cluster may still start, before a training begins

    def hardware(self) -> Profile:
        """The profile, with what the recipe says otherwise."""
        profile = self.custom or PROFILES[self.profile]
        return replace(profile, train_workers=self.workers) if self.workers else profile


class ExpectedSettings(Settings):
    """What is known beforehand of the data, for `--dry-run` on a recipe that has not crawled yet."""

    corpus_words: int = 0
    qa_words: int = 0
    tokens_per_word: float = 1.5  # Gemma's tokenizer takes 1.5 to 1.6 on Persian; assumed for others
    mfu: float = 0.35  # share of the device's peak that training reaches; assumed
    hours: float | None = Field(None, gt=0)  # that both stages took where this was done before


class Recipe(Settings):
    """Everything about a run. Every default that the paper gives is the default."""

    name: str
    description: str = execution("")
    out: str = execution("")  # run storage; `runs/<name>` when nothing else is said
    seed: int = 2025
    model: str  # a built-in entry, a folder, a run-storage URL or a hub id
    expected: ExpectedSettings = execution(ExpectedSettings())
    cluster: ClusterSettings = execution(ClusterSettings())
    demo_web: DemoWebSettings | None = execution(None)  # serve the built-in demo web while crawling
    crawl: CrawlSettings
    extract: ExtractSettings = ExtractSettings()
    clean: CleanSettings = CleanSettings()
    tokenize: TokenizeSettings = TokenizeSettings()
    train: TrainSettings = TrainSettings()
    evaluate: EvaluateSettings = EvaluateSettings()
    ask: AskSettings = AskSettings()
    report: ReportSettings = ReportSettings()
    publish: PublishSettings = PublishSettings()  # enters no step's fingerprint

    def storage_url(self) -> str:
        return self.out or f"runs/{self.name}"


def built_in_recipes() -> dict[str, str]:
    """Name and description of every recipe that ships with the project."""
    found = {}
    for path in sorted(BUILT_IN.glob("*.yaml")):
        found[path.stem] = str(_read_yaml(path).get("description", "")).strip()
    return found


def load_recipe(name: str, overrides: Iterable[str] = ()) -> Recipe:
    """A recipe by built-in name or path, with `key=value` overrides. Raises UserError with one line."""
    path = recipe_path(name)
    values = _read_yaml(path)
    _resolve_paths(values, path.parent)
    for override in overrides:
        _override(values, override)
    try:
        recipe = Recipe.model_validate(values)
    except ValidationError as error:
        raise UserError(f"recipe {path}: {explain(error, Recipe)}") from error
    _check_profile(path, recipe.cluster)
    return recipe.model_copy(update={"train": recipe.train.in_sequences(recipe.tokenize.layout, recipe.tokenize.context)})


def _check_profile(path: Path, cluster: ClusterSettings) -> None:
    if cluster.profile not in (*PROFILES, CUSTOM):
        allowed = ", ".join([*PROFILES, CUSTOM])
        raise UserError(f"recipe {path}: cluster.profile = {cluster.profile!r}; allowed: {allowed}")
    if (cluster.profile == CUSTOM) != (cluster.custom is not None):
        fields_of = ", ".join(field.name for field in fields(Profile))
        raise UserError(
            f"recipe {path}: cluster.profile = {cluster.profile!r}; the profile {CUSTOM} and its hardware in cluster.{CUSTOM} "
            f"belong together; that has {fields_of}"
        )


def recipe_path(name: str) -> Path:
    """The file of a recipe. Raises UserError."""
    built_in = BUILT_IN / f"{name}.yaml"
    if built_in.is_file():
        return built_in
    path = Path(name)
    if path.is_file():
        return path
    raise UserError(f"no recipe {name!r}: name a YAML file or one of {', '.join(built_in_recipes())}")


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"recipe {path} is not readable YAML: {error}") from error
    if not isinstance(values, dict):
        raise UserError(f"recipe {path}: expected keys and values, found {type(values).__name__}")
    return values


def _resolve_paths(values: dict[str, Any], base: Path) -> None:
    """Relative files of a recipe (`./x`, `../x`) lie beside it, wherever the command runs."""
    for key, value in values.items():
        if isinstance(value, dict):
            _resolve_paths(value, base)
        elif isinstance(value, list):
            values[key] = [_beside(item, base) for item in value]
        else:
            values[key] = _beside(value, base)


def _beside(value: Any, base: Path) -> Any:
    if isinstance(value, str) and value.startswith(("./", "../")):
        return str((base / value).resolve())
    return value


def _override(values: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise UserError(f"--set {override!r}: write it as key=value, for example --set train.max_tokens=20000")
    *parents, last = key.split(".")
    node = values
    for parent in parents:
        if node.get(parent) is None:
            node[parent] = {}
        node = node[parent]
        if not isinstance(node, dict):
            raise UserError(f"--set {key}: {parent} is a value, it has no keys below it")
    try:
        node[last] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"--set {key}: {text!r} is not a YAML value: {error}") from error


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """The first mistake in one line: key, value and what is allowed."""
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] in UNKNOWN_KEY:
        allowed = _keys_at(model, first["loc"][:-1])
        close = difflib.get_close_matches(str(first["loc"][-1]), allowed, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        text = f"unknown key {key}; {hint}allowed: {', '.join(allowed)}"
    elif first["type"] == "missing":
        text = f"{key} is missing"
    else:
        text = f"{key} = {first['input']!r}: {first['msg'].removeprefix('Value error, ')}"
    more = error.error_count() - 1
    return text + (f" (and {more} more)" if more else "")


def _keys_at(model: type, location: tuple[int | str, ...]) -> list[str]:
    for part in location:
        annotation = _fields(model).get(str(part))
        candidates = [annotation, *get_args(annotation)]
        model = next((c for c in candidates if isinstance(c, type) and _fields(c)), model)
    return list(_fields(model))


def _fields(model: type) -> dict[str, Any]:
    """The fields of a settings model or a dataclass, with their types; none of anything else."""
    if is_dataclass(model):
        return get_type_hints(model)
    return {name: field.annotation for name, field in getattr(model, "model_fields", {}).items()}
