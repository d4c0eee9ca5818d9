"""`gaokerena crawl` and its commands, as a user types them."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from typer.testing import CliRunner, Result

from cluster.errors import UserError
from pipelines import cli
from pipelines.crawl import refresh
from pipelines.crawl.commands import seconds_of
from pipelines.crawl.source import BUILT_IN, ListPages, Rules, Source


def run(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(cli.app, list(arguments))
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result


@pytest.fixture
def executed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """What the command would run, instead of running it: recipe, storage and steps."""
    calls: list[tuple[str, ...]] = []

    def execute(recipe: Any, root: Any, *, only: tuple[str, ...]) -> None:
        calls.append((recipe.name, root.url, *only))

    monkeypatch.setattr(cli, "_execute", execute)
    return calls


def test_without_a_command_it_crawls(executed: list[tuple[str, ...]], tmp_path: Path) -> None:
    run("crawl", "--out", str(tmp_path), "--set", "name=other")
    assert executed == [("other", str(tmp_path), "crawl")]


@pytest.mark.parametrize(("age", "seconds"), [("30d", 30 * 86_400), ("12h", 43_200), ("0d", 0), ("0.5d", 43_200)])
def test_a_refresh_opens_what_is_older_and_then_crawls(
    executed: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, age: str, seconds: float
) -> None:
    opened: list[float] = []
    monkeypatch.setattr(refresh, "refresh", lambda root, recipe, before: opened.append(before))
    run("crawl", "--out", str(tmp_path), "--refresh", age)
    assert opened == [pytest.approx(time.time() - seconds, abs=60)]
    assert executed == [("demo", str(tmp_path), "crawl")]


@pytest.mark.parametrize("age", ["", "30", "d", "-1d", "30 days", "1w"])
def test_a_bad_age_is_one_line(age: str) -> None:
    with pytest.raises(UserError, match="--refresh .*: write a number of days or hours, for example"):
        seconds_of(age)


def test_the_commands_of_the_crawl_do_not_crawl(executed: list[tuple[str, ...]]) -> None:
    text = run("crawl", "plan").output
    assert "forum.demo.test" in text
    assert executed == []


def test_options_may_stand_before_the_command_too(tmp_path: Path) -> None:
    assert "drhast.com" in run("crawl", "--recipe", "paper", "plan").output
    assert "drhast.com" in run("crawl", "--recipe", "demo", "plan", "--set", "crawl.sources=[drhast]").output
    with pytest.raises(UserError, match=f"{tmp_path} holds no crawl"):
        run("crawl", "--out", str(tmp_path), "stats")


def test_check_shows_the_page_and_fails_when_there_is_none() -> None:
    text = run("crawl", "check", "demo-forum", "/q/12").output
    assert "http://forum.demo.test/q/12\n  answer      200, utf-8" in text
    assert "extracted   a question and its answer" in text
    assert "no page     http-404" in run("crawl", "check", "demo-forum", "/q/999999", code=1).output


def test_check_takes_the_contact_for_itself(tmp_path: Path) -> None:
    path = tmp_path / "closed.yaml"
    path.write_text("{name: closed, kind: qa, start: ['http://127.0.0.1:9/'], delay: 0}")
    with pytest.raises(UserError, match=r"crawl\.contact is empty, and drhast\.com"):
        run("crawl", "check", "drhast")
    with pytest.raises(UserError, match="is no page of drhast.com"):  # the contact was enough to come this far
        run("crawl", "check", "drhast", "http://elsewhere.ir/", "--contact", "mailto:a@b.ir")


def test_a_source_that_is_files_has_no_pages_to_check(tmp_path: Path) -> None:
    path = tmp_path / "dump.yaml"
    path.write_text("{name: dump, kind: qa, files: [a.csv]}")
    with pytest.raises(UserError, match="source dump is files"):
        run("crawl", "check", str(path))


def test_the_schema_takes_every_source_and_no_misspelt_one() -> None:
    schema = json.loads(run("crawl", "schema").output)
    for path in BUILT_IN.glob("*.yaml"):
        jsonschema.validate(yaml.safe_load(path.read_text(encoding="utf-8")), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"name": "a", "kind": "qa", "start": ["http://a.ir/"], "dealy": 1}, schema)
    text = json.dumps(schema)
    assert all(f'"{name}"' in text for model in (Source, Rules, ListPages) for name in model.model_fields)
