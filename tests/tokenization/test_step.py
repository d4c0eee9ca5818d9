"""The tokenize step counts every row, keeps to its budgets and does not depend on how rows were sharded."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from cluster import dataflow
from cluster.errors import UserError
from cluster.storage import open_storage
from pipelines.artifact import Artifact, ArtifactFolder
from pipelines.progress import Progress
from pipelines.recipe import load_recipe
from pipelines.steps import StepRun
from pipelines.tables import CORPUS, CORPUS_TRAIN, CORPUS_VALID, PAIRS, QA_TRAIN, QA_VALID
from pipelines.tokenization import step
from pipelines.tokenization.encoding import NO_LABEL
from pipelines.tokenization.step import tokenize
from serving.engines.models import load_tokenizer
from tests.tiny_models import SENTENCES, tiny_cohere

TABLES = (CORPUS_TRAIN, CORPUS_VALID, QA_TRAIN, QA_VALID)
CONTEXT = 64
DOCUMENTS = [
    {
        "id": f"d{n}",
        "source": "s",
        "title": "",
        "text": " ".join(SENTENCES[n % 18 :][: 1 + n % 4]),
        "words": 1,
        "split": "valid" if n % 10 == 9 else "train",
    }
    for n in range(40)
]
QUESTIONS = [
    {
        "id": f"q{n}",
        "source": "s",
        "question": SENTENCES[n % 18],
        "answer": SENTENCES[(n + 1) % 18],
        "words": 1,
        "split": ("train", "train", "valid", "test")[n % 4],
    }
    for n in range(24)
] + [{"id": "long", "source": "s", "question": "چه کنم؟", "answer": " ".join(SENTENCES), "words": 1, "split": "train"}]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_cohere(tmp_path_factory.mktemp("model"))


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataflow, "map_tasks", lambda work, items, **options: map(work, items))


def cleaned(folder: Path, shards: int) -> Artifact:
    out = ArtifactFolder(open_storage(folder / "clean" / str(shards)))
    for number in range(shards):
        tables = {CORPUS: CORPUS.table(DOCUMENTS[number::shards]), PAIRS: PAIRS.table(QUESTIONS[number::shards])}
        out.seal(f"kept-{number}", tables)
    return out.finish(step="clean", version=1, settings={}, inputs={}, tables=(CORPUS, PAIRS), started=0.0)


def run_tokenize(folder: Path, model: Path, *overrides: str, shards: int = 3) -> Artifact:
    recipe = load_recipe("demo", [f"model={model}", f"tokenize.context={CONTEXT}", "tokenize.corpus_fraction=1", *overrides])
    out = ArtifactFolder(
        open_storage(folder / "tokenize" / "-".join([str(shards), *overrides]).replace("=", "").replace(".", ""))
    )
    run = StepRun(recipe, {"clean": cleaned(folder, shards)}, out, Progress(Console(file=io.StringIO())), folder)
    outcome = tokenize(run)
    return out.finish(
        step="tokenize", version=1, settings={}, inputs={}, tables=TABLES, started=0.0, units=outcome.units, notes=outcome.notes
    )


def rows(artifact: Artifact, *tables: Any) -> list[dict[str, Any]]:
    return [row for table in tables for row in artifact.read(table).to_pylist()]


def documents(artifact: Artifact, *tables: Any) -> dict[str, list[list[int]]]:
    """Each document's pieces."""
    found: dict[str, list[list[int]]] = {}
    for row in rows(artifact, *tables):
        start = 0
        for name, length in zip(row["ids"], row["document_lengths"], strict=True):
            found.setdefault(name, []).append(row["input_ids"][start : start + length])
            start += length
        assert start == len(row["input_ids"]) == len(row["labels"]) <= CONTEXT
    return found


@pytest.mark.parametrize("layout", ["windows", "packed"])
def test_every_document_can_be_read_back(layout: str, tmp_path: Path, model: Path) -> None:
    artifact = run_tokenize(tmp_path, model, f"tokenize.layout={layout}")
    tokenizer = load_tokenizer(model)
    pieces = documents(artifact, CORPUS_TRAIN, CORPUS_VALID)
    assert set(pieces) == {row["id"] for row in DOCUMENTS}
    for row in DOCUMENTS:
        assert all(piece[0] == tokenizer.bos_token_id for piece in pieces[row["id"]])
        # only the last piece is shorter than the context
        tokens = [token for piece in sorted(pieces[row["id"]], key=len, reverse=True) for token in piece[1:]]
        assert tokenizer.decode(tokens[:-1]) == row["text"]
        assert tokens[-1] == tokenizer.eos_token_id


def test_packed_sequences_are_fewer_and_hold_the_same_tokens(tmp_path: Path, model: Path) -> None:
    windows = run_tokenize(tmp_path, model)
    packed = run_tokenize(tmp_path, model, "tokenize.layout=packed")
    assert packed.rows(CORPUS_TRAIN) < windows.rows(CORPUS_TRAIN)
    for fact in ("tokens", "label_tokens", "documents"):
        assert packed.manifest.facts[fact] == windows.manifest.facts[fact]
    assert all(len(row["document_lengths"]) == 1 for row in rows(windows, *TABLES))


def test_every_row_is_used_or_counted(tmp_path: Path, model: Path) -> None:
    manifest = run_tokenize(tmp_path, model, "tokenize.corpus_fraction=0.5").manifest
    assert manifest.rows_in == len(DOCUMENTS) + len(QUESTIONS)
    assert manifest.dropped["split-test"] == 6
    assert manifest.dropped["answer-too-long"] >= 1
    assert 0 < manifest.dropped["outside-fraction"] < 36
    assert manifest.facts["documents"] + sum(manifest.dropped.values()) == manifest.rows_in


def test_facts_are_what_the_tables_hold(tmp_path: Path, model: Path) -> None:
    artifact = run_tokenize(tmp_path, model)
    for table in TABLES:
        facts = {
            name: artifact.manifest.facts[f"{table.name} {name}"] for name in ("sequences", "tokens", "label_tokens", "documents")
        }
        found = rows(artifact, table)
        assert facts == {
            "sequences": len(found),
            "tokens": sum(len(row["input_ids"]) for row in found),
            "label_tokens": sum(label != NO_LABEL for row in found for label in row["labels"]),
            "documents": len({name for row in found for name in row["ids"]}),
        }
    assert all(row["labels"] == row["input_ids"] for row in rows(artifact, CORPUS_TRAIN))
    assert all(0 < sum(label != NO_LABEL for label in row["labels"]) < len(row["labels"]) for row in rows(artifact, QA_TRAIN))


def test_budgets_are_kept_and_a_larger_one_only_adds(tmp_path: Path, model: Path) -> None:
    small = run_tokenize(tmp_path, model, "tokenize.corpus_tokens=600", "tokenize.qa_tokens=300")
    large = run_tokenize(tmp_path, model, "tokenize.corpus_tokens=900", "tokenize.qa_tokens=400")
    for table, cap in ((CORPUS_TRAIN, 600), (QA_TRAIN, 300)):
        assert cap - 200 < small.manifest.facts[f"{table.name} tokens"] <= cap
        assert set(documents(small, table)) < set(documents(large, table))
    assert documents(small, CORPUS_VALID) == documents(large, CORPUS_VALID)
    manifest = small.manifest
    assert manifest.facts["documents"] + sum(manifest.dropped.values()) == manifest.rows_in
    assert "tokenize.corpus_tokens caps the training tokens at 600" in manifest.notes


def test_a_budget_that_nothing_fits_in_is_a_clear_error(tmp_path: Path, model: Path) -> None:
    with pytest.raises(UserError, match=r"tokenize.qa_tokens = 3: the first document has \d+ tokens; raise it"):
        run_tokenize(tmp_path, model, "tokenize.qa_tokens=3")


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many finished shards of few tokens, laid out in tasks."""
    monkeypatch.setattr(step, "SHARD_TOKENS", 300)
    monkeypatch.setattr(step, "FEW_TOKENS", 0)


@pytest.mark.usefixtures("small_shards")
@pytest.mark.parametrize("layout", ["windows", "packed"])
def test_sharding_changes_nothing(layout: str, tmp_path: Path, model: Path) -> None:
    options = (f"tokenize.layout={layout}", "tokenize.corpus_tokens=1500")
    one, many = run_tokenize(tmp_path, model, *options, shards=1), run_tokenize(tmp_path, model, *options, shards=7)
    assert one.digest == many.digest
    assert len(many.shards(CORPUS_TRAIN)) > 3
    assert rows(one, *TABLES) == rows(many, *TABLES)  # in the same order, too
    assert one.manifest.facts == many.manifest.facts


@pytest.mark.usefixtures("small_shards")
@pytest.mark.parametrize("done", [0, 2, 7, 9])
def test_a_step_that_was_killed_redoes_only_what_it_had_not_finished(
    done: int, tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run_tokenize(tmp_path / "whole", model)
    attempts: list[str] = []

    def map_tasks(work: Any, items: list[Any], **options: Any) -> Any:
        for item in items:
            if len(attempts) == done:
                raise KeyboardInterrupt
            attempts.append(str(item))
            yield work(item)

    monkeypatch.setattr(dataflow, "map_tasks", map_tasks)
    with pytest.raises(KeyboardInterrupt):
        run_tokenize(tmp_path / "killed", model)
    killed_after, done = list(attempts), -1
    assert run_tokenize(tmp_path / "killed", model).digest == whole.digest
    assert len(set(attempts)) == len(attempts)
    assert attempts[: len(killed_after)] == killed_after


def test_working_files_are_swept_away(tmp_path: Path, model: Path) -> None:
    artifact = run_tokenize(tmp_path, model)
    folders = {path.partition("/")[0] for path in artifact.folder.list()}
    assert folders == {"artifact.json", ".units", *(table.name for table in TABLES)}


def test_nothing_to_train_on_is_a_clear_error(tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held_out = [row | {"split": "valid"} for row in DOCUMENTS[:3]]
    too_long = QUESTIONS[-1:]
    monkeypatch.setattr(f"{__name__}.DOCUMENTS", [*held_out, DOCUMENTS[0] | {"text": " "}])
    monkeypatch.setattr(f"{__name__}.QUESTIONS", too_long)
    with pytest.raises(UserError, match=r"tokenize left nothing to train on of 5 rows \(no-text 1, answer-too-long 1\); relax"):
        run_tokenize(tmp_path / "some", model)
    monkeypatch.setattr(f"{__name__}.DOCUMENTS", [])
    monkeypatch.setattr(f"{__name__}.QUESTIONS", [])
    with pytest.raises(UserError, match="tokenize has nothing to do: clean left neither documents nor pairs"):
        run_tokenize(tmp_path / "none", model)


def test_a_model_without_a_chat_template_is_refused_before_any_work_where_there_are_pairs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tiny_cohere(tmp_path / "base")
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(
        UserError, match="base has no chat template, which questions and answers are written in: put a chat_template"
    ):
        run_tokenize(tmp_path / "pairs", folder)
    assert not list((tmp_path / "pairs" / "tokenize").rglob("*.arrow"))
    monkeypatch.setattr(f"{__name__}.QUESTIONS", [])
    assert run_tokenize(tmp_path / "documents", folder).rows(CORPUS_TRAIN) > 0
