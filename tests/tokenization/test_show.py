"""`gaokerena tokenize show` writes a sequence as text, and marks what is learned of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from cluster.errors import UserError
from cluster.storage import open_storage
from pipelines import cli
from pipelines.artifact import ArtifactFolder
from pipelines.tables import CORPUS_TRAIN, CORPUS_VALID, QA_TRAIN, QA_VALID
from pipelines.tokenization.encoding import NO_LABEL, encode_pairs
from serving.engines.models import load_tokenizer
from tests.tiny_models import tiny_cohere

QUESTION, ANSWER = "معده‌ام می‌سوزد.\nچه کنم؟", "آب بنوشید.\nبه پزشک مراجعه کنید."


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose tokenize step left three sequences of pairs, in two shards, and no documents."""
    folder: Path = tmp_path_factory.mktemp("run")
    model = tiny_cohere(folder / "model")
    [example] = encode_pairs(load_tokenizer(model), [(QUESTION, ANSWER)], 512)
    assert example is not None
    labels = [NO_LABEL] * example.prompt + example.input_ids[example.prompt :]

    def row(*names: str) -> dict[str, Any]:
        times = len(names)
        return {
            "input_ids": example.input_ids * times, "labels": labels * times, "document_lengths": [len(labels)] * times,
            "ids": list(names), "sources": ["s"] * times,
        }  # fmt: skip

    out = ArtifactFolder(open_storage(folder / "tokenize" / "0"))
    out.seal("a", {QA_TRAIN: QA_TRAIN.table([row("first"), row("second")])})
    out.seal("b", {QA_TRAIN: QA_TRAIN.table([row("third", "fourth")])})
    tables = (CORPUS_TRAIN, CORPUS_VALID, QA_TRAIN, QA_VALID)
    out.finish(step="tokenize", version=1, settings={"model": str(model)}, inputs={}, tables=tables, started=0.0)
    open_storage(folder).point("tokenize/latest", "0")
    return folder


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(cli.app, ["tokenize", *arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result


def test_every_line_says_whether_it_is_learned(root: Path) -> None:
    lines = run("show", "--table", "qa_train", "--row", "2", "--out", str(root)).output.splitlines()
    assert lines[0].startswith("qa_train, sequence 2 of 3: ")
    assert lines[1].startswith("document 1 of 2: third, ")
    assert [line for line in lines if line.startswith("+ ")] == 2 * [
        "+ آب بنوشید.",
        "+ به پزشک مراجعه کنید.<|END_OF_TURN_TOKEN|>",
    ]
    assert sum(line.startswith("- ") and ("می‌سوزد" in line or "چه کنم" in line) for line in lines) == 4
    assert all(line[:2] in ("+ ", "- ", "do", "qa") for line in lines)


def test_without_a_command_it_tokenizes(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []
    monkeypatch.setattr(cli, "_execute", lambda recipe, root, *, only: calls.append((root.url, only)))
    run("--out", str(root))
    assert calls == [(str(root), ("tokenize",))]
    run("--out", str(root), "show", "--table", "qa_train")  # options may stand before the command, too
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--table", "qa_train", "--row", "3"], "--row 3: qa_train has 3 sequences, from 0 to 2"),
        (["--table", "qa_train", "--row", "-1"], "--row -1: qa_train has 3 sequences"),
        ([], "corpus_train is empty"),
        (["--table", "qa"], "--table 'qa': one of corpus_train, corpus_valid, qa_train, qa_valid"),
        (["--out", "nowhere"], "tokenize is not finished in .*nowhere"),
    ],
)
def test_a_row_that_is_not_there_is_one_line(root: Path, arguments: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        run("show", "--out", str(root), *arguments)
