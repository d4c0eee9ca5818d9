"""Files to articles and pairs: every row is one or a counted drop, and an edited file is the only one that is read again."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from cluster.errors import UserError
from cluster.storage import LocalStorage, open_storage
from pipelines.artifact import Artifact, ArtifactFolder
from pipelines.crawl.filesource import FileSource
from pipelines.extract import files
from pipelines.extract.files import extract_files, readers_of
from pipelines.extract.locate import find_files, inputs_of
from pipelines.progress import Progress
from pipelines.recipe import Recipe, load_recipe
from pipelines.run import Done, execute
from pipelines.steps import graph
from pipelines.tables import ARTICLES, DROPPED, QA

Rows = list[dict[str, Any]]


def jsonl(path: Path, rows: Rows) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def source(*paths: Path | str, **values: Any) -> FileSource:
    return FileSource.model_validate({"name": "dump", "kind": "qa", "files": [str(path) for path in paths]} | values)


def extracted(folder: Path, *sources: FileSource) -> Artifact:
    out = ArtifactFolder(LocalStorage(str(folder)))
    units = extract_files(sources, out, Progress())
    return out.finish(step="extract", version=1, settings={}, inputs={}, tables=(ARTICLES, QA, DROPPED), started=0.0, units=units)


def pairs(number: int) -> Rows:
    return [{"question": f"پرسش {n}", "answer": f"پاسخ {n}"} for n in range(1, number + 1)]


def test_a_pair_keeps_its_place_in_the_file_as_address(tmp_path: Path) -> None:
    artifact = extracted(tmp_path / "out", source(jsonl(tmp_path / "qa.jsonl", pairs(2))))
    assert artifact.read(QA).to_pylist() == [
        {"url": f"file:dump/qa.jsonl#{n}", "source": "dump", "title": "", "question": f"پرسش {n}", "answer": f"پاسخ {n}"}
        for n in (1, 2)
    ]
    assert artifact.manifest.rows_in == 2 and artifact.manifest.dropped == {}


def test_every_row_that_is_not_used_is_counted_with_column_and_reason(tmp_path: Path) -> None:
    rows = [
        {"question": "q", "answer": "a"},
        {"question": None, "answer": "a"},
        {"answer": "a"},
        {"question": "q", "answer": " \n\u00a0"},
        {"question": "q", "answer": 7},
        {"question": ["q", 7], "answer": "a"},
        {"question": "q", "answer": []},
    ]
    artifact = extracted(tmp_path / "out", source(jsonl(tmp_path / "qa.jsonl", rows)))
    assert artifact.rows(QA) == 1 and artifact.manifest.rows_in == 7
    assert artifact.manifest.dropped == {"question-null": 2, "answer-empty": 2, "answer-not-text": 1, "question-not-text": 1}
    assert [row["url"].rpartition("#")[2] for row in artifact.read(DROPPED).to_pylist()] == list("234567")


def test_paragraphs_become_lines_and_white_space_is_folded_but_not_zwnj(tmp_path: Path) -> None:
    table = pa.table({"paragraphs": [["سردرد  می\u200cگیرد", None, "\tدوم\r\n"]], "title": ["یک\nعنوان"]})
    pq.write_table(table, tmp_path / "a.parquet")
    mine = source(tmp_path / "a.parquet", kind="article", columns={"text": "paragraphs"})
    row = extracted(tmp_path / "out", mine).read(ARTICLES).to_pylist()[0]
    assert (row["text"], row["title"]) == ("سردرد می\u200cگیرد\nدوم", "یک عنوان")


def test_a_row_may_say_its_own_address_origin_and_date(tmp_path: Path) -> None:
    columns = {"url": "link", "source": "site", "date": "day"}
    rows = [
        {"text": "x", "link": "http://e.ir/1", "site": "e.ir", "day": "۱۴۰۳/۱/۱"},
        {"text": "y", "link": None, "site": "", "day": None},
    ]
    artifact = extracted(tmp_path / "out", source(jsonl(tmp_path / "a.jsonl", rows), kind="article", columns=columns))
    found = [(row["url"], row["source"], row["published"]) for row in artifact.read(ARTICLES).to_pylist()]
    assert found == [("http://e.ir/1", "e.ir", "2024-03-20"), ("file:dump/a.jsonl#2", "dump", "")]
    pq.write_table(pa.table({"text": ["x"], "day": [datetime(2024, 3, 20, 5)]}), tmp_path / "b.parquet")
    dated = extracted(tmp_path / "b", source(tmp_path / "b.parquet", kind="article", columns={"date": "day"}))
    assert dated.read(ARTICLES)["published"].to_pylist() == ["2024-03-20"]


def test_half_a_character_in_json_does_not_stop_the_run(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"question": "q \\ud83d", "answer": "a \\ud83d\\ude00"}', encoding="utf-8")
    row = extracted(tmp_path / "out", source(tmp_path / "a.jsonl")).read(QA).to_pylist()[0]
    assert (row["question"], row["answer"]) == ("q \ufffd", "a 😀")


def test_pieces_are_bounded_in_rows_and_in_characters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "PIECE_ROWS", 3)
    monkeypatch.setattr(files, "PIECE_CHARACTERS", 100)
    rows = [*pairs(7), {"question": "q", "answer": "x" * 100}, *pairs(1)]
    artifact = extracted(tmp_path / "out", source(jsonl(tmp_path / "qa.jsonl", rows)))
    sizes = [record.rows_in for record in ArtifactFolder(artifact.folder).sealed().values()]
    assert sizes == [3, 3, 2, 1]
    assert artifact.rows(QA) == 9


def test_a_killed_run_goes_on_after_its_last_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "PIECE_ROWS", 2)
    mine = source(jsonl(tmp_path / "qa.jsonl", pairs(7)))
    whole = extracted(tmp_path / "whole", mine)
    seal, sealed = files._seal, list[str]()

    def kill_after_two(out: ArtifactFolder, unit: str, *rest: Any) -> Any:
        if len(sealed) == 2:
            raise KeyboardInterrupt
        sealed.append(unit)
        return seal(out, unit, *rest)

    monkeypatch.setattr(files, "_seal", kill_after_two)
    with pytest.raises(KeyboardInterrupt):
        extracted(tmp_path / "killed", mine)
    again = list[str]()
    monkeypatch.setattr(files, "_seal", lambda out, unit, *rest: (again.append(unit), seal(out, unit, *rest)))
    assert extracted(tmp_path / "killed", mine).digest == whole.digest
    assert (len(again), set(again) & set(sealed)) == (2, set())


def test_patterns_name_files_by_their_place_below_the_fixed_part(tmp_path: Path) -> None:
    for name in ("b/1.jsonl", "a/1.jsonl", "a/2.jsonl", "a/note.txt", "odd[1].jsonl"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        jsonl(tmp_path / name, pairs(1))
    assert [f.name for f in find_files(source(tmp_path / "*/*.jsonl"))] == ["a/1.jsonl", "a/2.jsonl", "b/1.jsonl"]
    assert [f.name for f in find_files(source(tmp_path / "odd[1].jsonl", tmp_path / "a/2.jsonl"))] == ["odd[1].jsonl", "2.jsonl"]
    assert len(find_files(source(tmp_path / "a/1.jsonl", tmp_path / "a/*.jsonl"))) == 2  # a file that is named twice is read once
    with pytest.raises(UserError, match=r"two files are called 1\.jsonl"):
        find_files(source(tmp_path / "a/1.jsonl", tmp_path / "b/1.jsonl"))
    with pytest.raises(UserError, match=r"source dump: there is no file .*c/\*\.jsonl"):
        find_files(source(tmp_path / "c/*.jsonl"))
    with pytest.raises(UserError, match=r"source dump: .*note\.txt is none of \.parquet, \.jsonl, \.csv, \.xlsx"):
        find_files(source(tmp_path / "a/*"))


def test_files_of_an_object_store_are_copied_once_a_version(tmp_path: Path, s3_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GAOKERENA_CACHE", str(tmp_path / "cache"))
    storage = open_storage(s3_url)
    for name, number in (("a.jsonl", 1), ("b.jsonl", 2), ("deep/c.jsonl", 3)):
        storage.write(f"dump/{name}", jsonl(tmp_path / "x", pairs(number)).read_bytes())
    mine = source(f"{s3_url}/dump/*.jsonl")
    before = inputs_of(mine)
    assert list(before) == ["file:dump/a.jsonl", "file:dump/b.jsonl"]
    assert extracted(tmp_path / "out", mine, source(f"{s3_url}/dump/deep/c.jsonl", name="deep")).rows(QA) == 6
    copies = sorted((tmp_path / "cache").rglob("*.jsonl"))
    assert inputs_of(mine) == before and sorted((tmp_path / "cache").rglob("*.jsonl")) == copies
    storage.write("dump/a.jsonl", jsonl(tmp_path / "x", pairs(4)).read_bytes())
    changed = inputs_of(mine)
    assert [name for name in before if changed[name].digest != before[name].digest] == ["file:dump/a.jsonl"]
    with pytest.raises(UserError, match="there is no file s3://"):
        find_files(source(f"{s3_url}/dump/none.csv"))


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    """Two sources, both files."""
    jsonl(tmp_path / "qa.jsonl", pairs(3))
    pq.write_table(pa.table({"content": ["یک متن"]}), tmp_path / "a.parquet")
    for name, kind, file in (("forum", "qa", "qa.jsonl"), ("mag", "article", "a.parquet")):
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump({"name": name, "kind": kind, "files": [file]}))
    return load_recipe("demo", [f"crawl.sources=['{tmp_path}/forum.yaml', '{tmp_path}/mag.yaml']", "demo_web=null"])


@pytest.fixture
def run(recipe: Recipe, tmp_path: Path) -> Callable[[], list[Done]]:
    """The graph's own first two steps, without Ray: there is nothing to share out."""
    steps = [replace(step, needs_ray=False) for step in graph()[:2]]
    return lambda: execute(recipe, open_storage(tmp_path / "run"), steps=steps)


def test_a_run_on_files_alone_crawls_nothing_and_says_so(run: Callable[[], list[Done]]) -> None:
    crawl, extract = run()
    assert crawl.artifact.manifest.notes == ["no source is a site: there was nothing to crawl"]
    assert (extract.artifact.rows(QA), extract.artifact.rows(ARTICLES)) == (3, 1)
    assert {"file:forum/qa.jsonl", "file:mag/a.parquet"} < set(extract.artifact.manifest.inputs)


def test_an_edited_file_is_extracted_again_and_an_untouched_one_is_not(run: Callable[[], list[Done]], tmp_path: Path) -> None:
    def worked(done: list[Done]) -> list[str]:
        return [step.step.name for step in done if step.worked]

    assert worked(run()) == ["crawl", "extract"]
    (tmp_path / "qa.jsonl").touch()
    assert worked(run()) == []
    jsonl(tmp_path / "qa.jsonl", pairs(4))
    done = run()
    assert worked(done) == ["extract"] and done[1].artifact.rows(QA) == 4


def test_a_mistake_is_said_before_any_work(run: Callable[[], list[Done]], tmp_path: Path) -> None:
    jsonl(tmp_path / "qa.jsonl", [{"question": "q", "reply": "a"}])
    with pytest.raises(UserError, match="has no column answer"):
        run()
    (tmp_path / "qa.jsonl").unlink()
    with pytest.raises(UserError, match=r"source forum: there is no file .*qa\.jsonl"):
        run()
    assert open_storage(tmp_path / "run").list("crawl") == []


def test_the_authors_files_are_read_whole(published: Path, tmp_path: Path) -> None:
    forum = source(published / "forum_drhast.parquet")
    dev = source(published / "benchmarks" / "mf3qa_dev.xlsx", name="dev", columns={"source": "Source"})
    articles = source(published / "magazine_articles.parquet", name="articles", kind="article", columns={"text": "paragraphs"})
    artifact = extracted(tmp_path, forum, dev, articles)
    assert (artifact.rows(QA), artifact.rows(ARTICLES), artifact.manifest.dropped) == (14_821 + 2_000, 1_816, {})
    assert set(artifact.read(QA, ["source"])["source"].to_pylist()) == {"dump", "niniban.com"}


def test_every_file_is_looked_at_before_the_first_is_read(tmp_path: Path) -> None:
    good, bad = jsonl(tmp_path / "a.jsonl", pairs(1)), jsonl(tmp_path / "b.jsonl", [{"x": "y"}])
    with pytest.raises(UserError, match=r"b\.jsonl has no column question"):
        readers_of([source(good, bad)])
