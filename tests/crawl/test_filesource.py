"""Sources that are files: what they may say, which columns they mean, and that sites do not notice them."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from cluster.errors import UserError
from pipelines.crawl.filesource import FileSource
from pipelines.crawl.source import load_file_sources, load_source, load_sources
from pipelines.crawl.step import check
from pipelines.recipe import load_recipe
from pipelines.steps import step_named


def write(folder: Path, **values: object) -> str:
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump({"name": "mine", "kind": "qa"} | values), encoding="utf-8")
    return str(path)


def source(**values: object) -> FileSource:
    return FileSource.model_validate({"name": "mine", "kind": "qa", "files": ["qa.csv"]} | values)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"files": []}, ["give files or hub"]),
        ({"files": ["a.csv"], "start": ["http://e.ir/"]}, ["unknown key start", "files"]),
        ({"files": ["a.csv"], "kind": "mixed"}, ["kind", "'mixed'"]),
        ({"files": ["a.csv"], "columns": {"body": "x"}}, ["columns.body", "question"]),
        ({"files": ["a.csv"], "columns": {"text": "x"}}, ["a source of kind qa has no column text", "question, answer"]),
        ({"files": ["a.csv"], "revision": "main"}, ["revision belongs to hub"]),
        ({"hub": "dataset"}, ["hub = 'dataset'", "owner/dataset"]),
        ({"hub": "a/b@main"}, ["owner/dataset", "revision"]),
        ({"hub": "a/b", "files": ["./qa.csv"]}, ["patterns inside the dataset", "'./qa.csv'"]),
        ({"hub": "a/b", "files": ["s3://b/qa.csv"]}, ["patterns inside the dataset"]),
    ],
)
def test_a_mistake_is_one_line_with_file_and_key(tmp_path: Path, values: dict[str, object], words: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        load_file_sources([write(tmp_path, **values)])
    assert [word for word in ["mine.yaml", *words] if word not in str(caught.value)] == []
    assert "\n" not in str(caught.value)


def test_paths_lie_beside_their_yaml_and_urls_stay(tmp_path: Path) -> None:
    found = load_file_sources([write(tmp_path, files=["qa.csv", "../more/*.csv", "/abs.csv", "s3://b/a.csv"])])[0]
    assert found.files == [f"{tmp_path}/qa.csv", f"{tmp_path}/../more/*.csv", "/abs.csv", "s3://b/a.csv"]
    assert load_file_sources([write(tmp_path, hub="a/b", files=["data/*.csv"])])[0].files == ["data/*.csv"]


def test_a_recipe_lists_sites_and_files_alike(tmp_path: Path) -> None:
    mine = write(tmp_path, files=["qa.csv"])
    assert [s.name for s in load_sources(["demo-forum", mine])] == ["demo-forum"]
    assert [s.name for s in load_file_sources(["demo-forum", mine])] == ["mine"]
    with pytest.raises(UserError, match="two sources are called 'mine'"):
        load_sources([mine, mine])
    with pytest.raises(UserError, match="source mine is files: there is nothing to crawl"):
        load_source(mine)


def test_columns_are_found_by_their_usual_names_in_any_case() -> None:
    assert source().columns_in(Path("f"), ["ID", "Question ", "ANSWER", "Url"]) == {
        "question": "Question ",
        "answer": "ANSWER",
        "url": "Url",
    }
    article = source(kind="article")
    assert article.columns_in(Path("f"), ["Content", "Title", "question"]) == {"text": "Content", "title": "Title"}
    assert article.columns_in(Path("f"), ["content", "text"]) == {"text": "text"}
    assert article.columns_in(Path("f"), ["Text", "text"]) == {"text": "text"}


def test_named_columns_come_first_and_the_others_are_still_found() -> None:
    named = source(columns={"question": "prompt", "source": "site"})
    assert named.columns_in(Path("f"), ["question", "Prompt", "answer", "site"]) == {
        "question": "Prompt",
        "answer": "answer",
        "source": "site",
    }


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({}, "f has no column answer (name it in columns.answer); its columns are question, reply"),
        ({"answer": "replies"}, "f has no column 'replies'; its columns are question, reply"),
        ({"answer": "reply", "url": "link"}, "f has no column 'link'; its columns are question, reply"),
    ],
)
def test_a_missing_column_is_named_with_those_there_are(columns: dict[str, str], words: str) -> None:
    with pytest.raises(UserError) as caught:
        source(columns=columns).columns_in(Path("f"), ["question", "reply"])
    assert str(caught.value) == f"source mine: {words}"


def test_what_a_file_source_says_concerns_extraction_and_no_crawl(tmp_path: Path) -> None:
    def fingerprints(**values: object) -> list[str]:
        sources = ["demo-forum", write(tmp_path, **values)] if values else ["demo-forum"]
        recipe = load_recipe("demo", [f"crawl.sources={sources}"])
        return [step_named(name).fingerprint(recipe, {}) for name in ("crawl", "extract")]

    (crawl, extract), (none_crawl, none_extract) = fingerprints(files=["qa.csv"]), fingerprints()
    assert crawl == none_crawl and extract != none_extract
    assert fingerprints(files=["elsewhere/qa.csv"]) == [crawl, extract]  # a file counts by content, see the next step's inputs
    assert fingerprints(files=["qa.csv"], origin="a colleague") == [crawl, extract]
    for change in {"columns": {"title": "t"}}, {"kind": "article"}, {"hub": "a/b"}:
        assert fingerprints(**{"files": ["qa.csv"]} | change)[1] != extract


def test_a_recipe_of_files_only_needs_no_contact(tmp_path: Path) -> None:
    check(load_recipe("demo", [f"crawl.sources=['{write(tmp_path, files=['qa.csv'])}']"]))
