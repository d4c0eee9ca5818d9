"""Run storage behaves the same on a local folder and on S3."""

from __future__ import annotations

import errno
import os
import pickle
from datetime import timedelta
from pathlib import Path

import pytest

from cluster.errors import StorageFull, StorageUnavailable, UserError
from cluster.storage import LocalStorage, ObjectStorage, Storage, follow, open_storage
from tests.cluster.flaky import flaky


@pytest.fixture(params=["local", "s3"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "local":
        return open_storage(tmp_path / "run")
    return open_storage(request.getfixturevalue("s3_url"))


def test_what_is_written_is_read_back(storage: Storage) -> None:
    storage.write("a/b.txt", "سلام".encode())
    assert storage.read("a/b.txt").decode() == "سلام"
    assert b"".join(storage.chunks("a/b.txt")).decode() == "سلام"


def test_create_refuses_an_existing_file_and_keeps_it(storage: Storage) -> None:
    assert storage.create("lease/000001", b"first")
    assert not storage.create("lease/000001", b"second")
    assert storage.read("lease/000001") == b"first"


def test_list_is_recursive_sorted_and_relative(storage: Storage) -> None:
    for path in ("x/2", "x/1", "y/z/3"):
        storage.write(path, b"")
    assert storage.list() == ["x/1", "x/2", "y/z/3"]
    assert storage.list("x") == ["x/1", "x/2"]
    assert storage.sub("y").list() == ["z/3"]
    assert storage.list("nothing") == []


def test_a_missing_file_is_file_not_found(storage: Storage) -> None:
    assert not storage.exists("nothing")
    with pytest.raises(FileNotFoundError):
        storage.read("nothing")
    storage.delete("nothing")


def test_a_pointer_moves(storage: Storage) -> None:
    assert storage.pointed("crawl/latest") is None
    for name in ("aaaa", "bbbb"):
        storage.write(f"crawl/{name}/artifact.json", name.encode())
        storage.point("crawl/latest", name)
    assert storage.pointed("crawl/latest") == "bbbb"


def test_a_url_with_latest_in_it_is_followed(s3_url: str) -> None:
    storage = open_storage(s3_url)
    with pytest.raises(UserError, match="points to nothing yet"):
        follow(f"{s3_url}/instruct/latest/model")
    storage.point("instruct/latest", "aaaa")
    assert follow(f"{s3_url}/instruct/latest/model") == f"{s3_url}/instruct/aaaa/model"
    assert follow(f"{s3_url}/instruct/latest/") == f"{s3_url}/instruct/aaaa"
    assert follow("s3://b/latests/model") == "s3://b/latests/model"


def test_a_folder_is_copied_there_and_back(storage: Storage, tmp_path: Path) -> None:
    source = tmp_path / "model"
    (source / "sub").mkdir(parents=True)
    (source / "config.json").write_text("{}")
    (source / "sub" / "weights").write_bytes(os.urandom(100_000))
    assert storage.upload(source, "out/model") == ["out/model/config.json", "out/model/sub/weights"]
    copy = storage.local("out/model", tmp_path / "cache")
    assert (copy / "sub" / "weights").read_bytes() == (source / "sub" / "weights").read_bytes()


def test_a_storage_survives_pickling(storage: Storage) -> None:
    storage.write("a", b"1")
    assert pickle.loads(pickle.dumps(storage)).read("a") == b"1"


def test_arrow_reads_what_we_wrote(storage: Storage) -> None:
    storage.write("t/a.bin", b"12345")
    filesystem, base = storage.arrow()
    with filesystem.open_input_stream(f"{base}/t/a.bin") as stream:
        assert stream.read() == b"12345"


def test_the_local_pointer_is_a_symlink(tmp_path: Path) -> None:
    storage = LocalStorage(str(tmp_path))
    storage.write("crawl/aaaa/x", b"1")
    storage.point("crawl/latest", "aaaa")
    assert (tmp_path / "crawl" / "latest" / "x").read_bytes() == b"1"


def test_a_full_disk_is_one_clear_line_and_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = LocalStorage(str(tmp_path))
    storage.write("kept", b"1")

    def no_room(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_room)
    with pytest.raises(StorageFull, match="no room left while writing .*shard"):
        storage.write("shard", b"2")
    monkeypatch.undo()
    assert storage.list() == ["kept"]
    assert [p.name for p in tmp_path.iterdir()] == ["kept"]


def test_an_unknown_scheme_is_refused() -> None:
    with pytest.raises(UserError, match="unknown scheme"):
        open_storage("ftp://x/y")
    assert isinstance(open_storage("s3://b/p/"), ObjectStorage)


def test_a_store_that_is_away_for_a_while_loses_nothing(s3_endpoint: str, s3_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with flaky(s3_endpoint, lambda request: request % 3 != 2) as endpoint:  # of three requests one is answered
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        storage = open_storage(s3_url)
        storage.write("a", b"1")
        assert storage.create("b", b"2") and not storage.create("b", b"3")
        assert (storage.list(), storage.read("a"), storage.read("b"), storage.exists("c")) == (["a", "b"], b"1", b"2", False)
        storage.delete("a")
        assert storage.list() == ["b"]


def test_a_store_that_stays_away_is_one_clear_line(s3_endpoint: str, s3_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cluster.storage.RETRY_TIMEOUT", timedelta(seconds=0.5))
    with flaky(s3_endpoint, lambda request: True) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        for act in (lambda s: s.write("a", b"1"), lambda s: s.read("a"), lambda s: s.list(), lambda s: s.exists("a")):
            with pytest.raises(StorageUnavailable, match=r"s3://runs/\S+ does not do as asked .*503"):
                act(open_storage(s3_url))
