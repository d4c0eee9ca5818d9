"""A published folder: what `datasets` reads, nothing that identifies somebody, ids that lead nowhere, safe to be killed."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from cluster.errors import UserError
from cluster.storage import LocalStorage, Storage, open_storage
from pipelines.publish import files
from pipelines.publish.identifiers import SALT_FILE
from pipelines.publish.publication import Publication
from pipelines.tables import CORPUS, LINEAGE, PAIRS
from tests.publish.conftest import HOST, PLANTED, Run

MakeRun = Callable[..., Run]


def published(folder: Storage, config: str) -> list[dict[str, Any]]:
    """All rows of a config, with the split that their file says."""
    rows = []
    for path in folder.list(config):
        split = path.removeprefix(f"{config}/").rpartition("-")[0]
        rows += [{**row, "split": split} for row in pq.read_table(io.BytesIO(folder.read(path))).to_pylist()]
    return rows


def everything(folder: Storage) -> str:
    """Every file of a folder as text, rows included."""
    texts = [folder.read(path).decode("utf-8", "replace") for path in folder.list()]
    return "\n".join([*texts, str(published(folder, "corpus")), str(published(folder, "qa"))])


def contents(folder: Storage) -> dict[str, bytes]:
    return {path: folder.read(path) for path in folder.list()}


def test_datasets_loads_every_config_with_every_split_that_has_rows(run: Run, tmp_path: Path) -> None:
    from datasets import load_dataset

    run.publish(tmp_path / "out")
    found = {
        config: load_dataset(str(tmp_path / "out"), config, cache_dir=str(tmp_path / "cache")) for config in ("corpus", "qa")
    }
    rows = {(config, split): len(part) for config, splits in found.items() for split, part in splits.items()}
    assert rows == {
        ("corpus", "train"): 1, ("qa", "train"): 7, ("qa", "test"): 4,
    }  # fmt: skip
    assert found["qa"]["train"].column_names == ["id", "source", "question", "answer", "words"]
    assert set(found["qa"]["test"]["source"]) == {"exam"}


def test_every_kept_row_is_published_once(run: Run) -> None:
    folder = run.publish()
    for table, config, columns in ((CORPUS, "corpus", ("title", "text")), (PAIRS, "qa", ("question", "answer"))):
        kept = sorted(tuple(row[name] for name in columns) for row in run.clean.read(table).to_pylist())
        assert sorted(tuple(row[name] for name in columns) for row in published(folder, config)) == kept


def test_nothing_planted_is_in_any_file_or_in_what_is_printed(
    run: Run, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    text = everything(run.publish(tmp_path / "out")) + "".join(capfd.readouterr())
    assert [secret for secret in (*PLANTED, str(tmp_path), "folder of mine") if secret in text] == []
    assert "[تلفن همراه]" in text and "[ایمیل]" in text  # it was there to be found
    salt = run.root.read(SALT_FILE)
    assert salt.hex() not in text and all(salt not in data for data in contents(open_storage(tmp_path / "out")).values())


def test_ids_are_salted_and_stay_the_same(run: Run, make_run: MakeRun, tmp_path: Path) -> None:
    def ids(folder: Storage) -> set[str]:
        return {row["id"] for config in ("corpus", "qa") for row in published(folder, config)}

    first, second = ids(run.publish(tmp_path / "first")), ids(run.publish(tmp_path / "second"))
    other = ids(make_run("other").publish(tmp_path / "third"))
    own = set(run.clean.read(PAIRS)["id"].to_pylist()) | set(run.clean.read(CORPUS)["id"].to_pylist())
    assert first == second and len(first) == len(own)
    assert not first & own and not first & other


def test_only_its_owner_can_read_the_salt(run: Run) -> None:
    run.publish()
    assert isinstance(run.root, LocalStorage)
    assert (run.root.root / SALT_FILE).parent.stat().st_mode & 0o077 == 0


def test_pages_are_named_only_where_the_recipe_says_so(run: Run, tmp_path: Path) -> None:
    urls = dict(zip(*(run.clean.read(LINEAGE)[name].to_pylist() for name in ("id", "url")), strict=True))
    by_text = {row["answer"]: urls[row["id"]] for row in run.clean.read(PAIRS).to_pylist()}
    assert all("url" not in row for row in published(run.publish(tmp_path / "without"), "qa"))
    rows = published(run.publish(tmp_path / "with", include_url=True), "qa")
    assert {row["answer"]: row["url"] for row in rows} == by_text
    assert all(url.startswith(f"https://{HOST}/q") for url in by_text.values())


class Killed(BaseException):
    """As a signal would end it."""


@pytest.mark.parametrize("writes", [0, 1, 2, 4, 7])
def test_a_killed_publication_is_written_again_whole(
    writes: int, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = contents(run.publish(tmp_path / "whole"))
    assert writes < len(whole)
    write, done = LocalStorage.write, []

    def write_some(self: LocalStorage, path: str, data: bytes) -> None:
        if len(done) == writes:
            raise Killed
        done.append(path)
        write(self, path, data)

    with monkeypatch.context() as patch:
        patch.setattr(LocalStorage, "write", write_some)
        with pytest.raises(Killed):
            run.publish(tmp_path / "out")
    assert not (tmp_path / "out" / "README.md").exists()
    assert contents(run.publish(tmp_path / "out")) == whole


def test_the_card_comes_last(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write, paths = LocalStorage.write, []
    monkeypatch.setattr(LocalStorage, "write", lambda self, path, data: (paths.append(path), write(self, path, data))[1])
    run.publish(tmp_path / "out")
    assert paths[-1] == "README.md"


def test_what_was_published_is_not_written_again(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    first = run.publish()
    monkeypatch.setattr(LocalStorage, "write", lambda self, path, data: pytest.fail(f"{path} was written again"))
    assert run.publish().url == first.url


@pytest.mark.parametrize("other", ["notes.txt", "data/old.parquet"])
def test_a_folder_with_other_files_is_refused(other: str, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "out" / other
    file.parent.mkdir(parents=True)
    file.write_text("mine")
    with pytest.raises(UserError, match=rf"holds other files \({other}\): name a new or an empty folder"):
        run.publish(tmp_path / "out")
    assert [path for path in (tmp_path / "out").rglob("*") if path.is_file()] == [file]


def test_a_folder_with_another_publication_is_refused(run: Run, tmp_path: Path) -> None:
    run.publish(tmp_path / "out")
    with pytest.raises(UserError, match="holds a publication of other data or settings"):
        run.publish(tmp_path / "out", include_url=True)


def test_a_file_is_no_folder(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="is a file; name a folder"):
        run.publish(tmp_path / "file")


def test_data_of_other_settings_is_not_published(run: Run) -> None:
    changed = run.recipe.model_copy(update={"seed": 7})
    with pytest.raises(UserError, match="run `gaokerena clean` again"):
        Publication.of(changed, run.root)
    with pytest.raises(UserError, match="run `gaokerena clean` first"):
        Publication.of(run.recipe, run.root.sub("elsewhere"))


def test_many_rows_are_several_files(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = published(run.publish(tmp_path / "one"), "qa")
    monkeypatch.setattr(files, "FILE_BYTES", 1)  # a file a shard
    folder = run.publish(tmp_path / "many")
    assert [path for path in folder.list("qa") if "train" in path] == ["qa/train-00000.parquet", "qa/train-00001.parquet"]
    assert sorted(row["id"] for row in published(folder, "qa")) == sorted(row["id"] for row in whole)


def test_a_run_with_articles_only_can_be_loaded(make_run: MakeRun, tmp_path: Path) -> None:
    from datasets import load_dataset

    folder = make_run("articles", pairs=[]).publish(tmp_path / "out")
    assert folder.list("qa") == []
    assert len(load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))["train"]) == 1


def test_it_can_be_written_into_an_object_store(run: Run, s3_url: str, tmp_path: Path) -> None:
    assert contents(run.publish(s3_url)) == contents(run.publish(tmp_path / "out"))


def test_pages_of_a_kind_without_rows_are_not_looked_for(make_run: MakeRun) -> None:
    folder = make_run("articles", pairs=[]).publish(include_url=True)
    assert [row["url"] for row in published(folder, "corpus")] == [f"https://{HOST}/m1"]


def test_a_mistake_in_the_settings_leaves_the_folder_free(run: Run, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="model 'none of these'"):
        run.publish(tmp_path / "out", tokenizer="none of these", token_texts=5)
    assert run.publish(tmp_path / "out").exists("README.md")
