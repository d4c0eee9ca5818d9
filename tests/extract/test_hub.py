"""Datasets of the hub, against a small hub of our own on loopback: by commit, downloaded once, refusals in one line."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from cluster.errors import UserError
from pipelines.crawl.filesource import FileSource
from pipelines.extract.locate import find_files, inputs_of

TOKEN = "hf_a-secret-of-the-test"


class Hub:
    """What the tests put on the hub (`commits`: files by commit, the last is `main`), and what it was asked."""

    def __init__(self) -> None:
        self.commits: dict[str, dict[str, bytes]] = {}
        self.refuse: dict[str, tuple[int, str]] = {}  # by the beginning of a path: status and X-Error-Code
        self.asked: list[str] = []
        self.tokens: set[str | None] = set()
        self.url = ""

    def commit(self, **files: str) -> str:
        commit = hashlib.sha1(str(len(self.commits)).encode()).hexdigest()
        self.commits[commit] = {name.replace("__", "/").replace("_", "."): text.encode() for name, text in files.items()}
        return commit

    def answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        for start, (status, code) in self.refuse.items():
            if path.startswith(start):
                return status, {"X-Error-Code": code}, b"{}"
        parts = path.strip("/").split("/")
        main = list(self.commits)[-1]
        match parts:
            case ["api", "datasets", "owner", "data"]:
                return self.json({"id": "owner/data", "sha": main, "siblings": []})
            case ["api", "datasets", "owner", "data", "tree", commit]:
                files = self.commits[commit]
                return self.json([{"type": "file", "path": n, "size": len(b), "oid": etag(b)} for n, b in files.items()])
            case ["datasets", "owner", "data", "resolve", commit, *name] if "/".join(name) in self.commits[commit]:
                body = self.commits[commit]["/".join(name)]
                return 200, {"ETag": f'"{etag(body)}"', "X-Repo-Commit": commit}, body
            case ["api", "datasets", "owner", "data", "revision", _]:
                return 404, {"X-Error-Code": "RevisionNotFound"}, b"{}"
        return 404, {"X-Error-Code": "RepoNotFound"}, b"{}"

    def json(self, value: Any) -> tuple[int, dict[str, str], bytes]:
        return 200, {"Content-Type": "application/json"}, json.dumps(value).encode()


def etag(body: bytes) -> str:
    return hashlib.sha1(body).hexdigest()


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """`constants` hold what HF_ENDPOINT said when they were imported, so they are set here."""
    from huggingface_hub import constants

    found = Hub()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = unquote(urlsplit(self.path).path)
            found.asked.append(f"{self.command} {path}")
            found.tokens.add(self.headers["Authorization"])
            status, headers, body = found.answer(path)
            self.send_response(status)
            for name, value in (headers | {"Content-Length": str(len(body))}).items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET

        def log_message(self, *arguments: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        found.url = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setattr(constants, "ENDPOINT", found.url)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", found.url + "/{repo_id}/resolve/{revision}/{filename}")
        monkeypatch.setenv("GAOKERENA_CACHE", str(tmp_path / "cache"))
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield found
        server.shutdown()


def dataset(**values: Any) -> FileSource:
    return FileSource.model_validate({"name": "dump", "kind": "qa", "hub": "owner/data"} | values)


def texts(source: FileSource) -> dict[str, str]:
    inputs_of(source)
    return {file.name: file.path.read_text() for file in find_files(source)}


def test_data_files_are_downloaded_once_and_nothing_else_is(hub: Hub) -> None:
    hub.commit(README_md="read me", data__train_csv="a", data__dev_csv="b", data_py="code", weights_pkl="pickle")
    assert texts(dataset()) == {"data/dev.csv": "b", "data/train.csv": "a"}
    assert [line for line in hub.asked if "README" in line or ".py" in line or ".pkl" in line] == []
    before = len(hub.asked)
    assert texts(dataset()) == {"data/dev.csv": "b", "data/train.csv": "a"}
    assert hub.asked[before:] == ["GET /api/datasets/owner/data"]  # only what `main` is now
    assert hub.tokens == {f"Bearer {TOKEN}"}


def test_patterns_choose_among_the_files(hub: Hub) -> None:
    hub.commit(data__train_csv="a", data__test_csv="b", data__train_jsonl="c")
    assert texts(dataset(files=["data/train.*"])) == {"data/train.csv": "a", "data/train.jsonl": "c"}
    assert texts(dataset(files=["*.csv"])) == {"data/test.csv": "b", "data/train.csv": "a"}  # what is there already stays out
    with pytest.raises(UserError, match=r"dataset owner/data has \.csv and \.jsonl files; say which under files"):
        find_files(dataset())
    with pytest.raises(UserError, match=r"dataset owner/data has no file like \*\.parquet"):
        find_files(dataset(files=["*.parquet"]))


def test_the_commit_is_the_identity_and_a_pinned_one_asks_nobody(hub: Hub) -> None:
    first = hub.commit(qa_csv="old")
    assert {name: found.digest for name, found in inputs_of(dataset()).items()} == {"hub:dump": first}
    second = hub.commit(qa_csv="new")
    assert find_files(dataset())[0].path.read_text() == "old"  # a run goes on with what it began with ...
    found = inputs_of(dataset())["hub:dump"]  # ... and the next one begins with what is there then
    assert (found.digest, found.path) == (second, f"hf://datasets/owner/data@{second}")
    assert texts(dataset()) == {"qa.csv": "new"}
    hub.asked.clear()
    assert texts(dataset(revision=first)) == {"qa.csv": "old"}
    assert hub.asked == []


def test_without_the_hub_what_it_said_last_stands(hub: Hub) -> None:
    commit = hub.commit(qa_csv="old")
    assert texts(dataset()) == {"qa.csv": "old"}
    hub.refuse["/"] = (503, "")
    assert inputs_of(dataset())["hub:dump"].digest == commit
    assert texts(dataset()) == {"qa.csv": "old"}


@pytest.mark.parametrize(
    ("path", "status", "code", "words"),
    [
        ("/api", 401, "RepoNotFound", "dataset owner/data is not on the hub, or is private: check the name, or set HF_TOKEN"),
        ("/api", 403, "GatedRepo", "dataset owner/data is gated: accept its terms on {url}/datasets/owner/data and set HF_TOKEN"),
        ("/datasets", 403, "GatedRepo", "dataset owner/data is gated"),
        ("/api", 404, "RevisionNotFound", "dataset owner/data has no revision 'v9'"),
        ("/api", 403, "", "dataset owner/data can't be had from {url} (it answers with status 403)"),
        ("/api", 500, "", "can't be had from {url} (it answers with status 500)"),
    ],
)
def test_a_refusal_is_one_line_without_the_token(hub: Hub, path: str, status: int, code: str, words: str) -> None:
    hub.commit(qa_csv="x")
    hub.refuse[path] = (status, code)
    with pytest.raises(UserError) as caught:
        texts(dataset(revision="v9") if "v9" in words else dataset())
    line = str(caught.value)
    assert line.startswith("source dump: ") and words.format(url=hub.url) in line
    assert TOKEN not in line and "\n" not in line


def test_an_unreachable_hub_is_named(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(UserError, match=r"can't be had from http://127\.0\.0\.1:9 \(ConnectError\).*name them under files"):
        inputs_of(dataset())
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match=r"\(OfflineModeIsEnabled\) and is not in this node's cache"):
        inputs_of(dataset())


def test_the_environment_says_which_hub(hub: Hub, tmp_path: Path) -> None:
    hub.commit(qa_jsonl='{"question": "q", "answer": "a"}')
    (tmp_path / "mine.yaml").write_text("{name: mine, kind: qa, hub: owner/data}")
    script = (
        "from pipelines.crawl.source import load_file_sources; from pipelines.extract.locate import find_files, inputs_of;"
        f"source = load_file_sources(['{tmp_path}/mine.yaml'])[0]; inputs_of(source); print(find_files(source)[0].name)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"HF_ENDPOINT": hub.url}, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert answer.stdout.strip() == "qa.jsonl"
    assert hub.tokens == {f"Bearer {TOKEN}"} and TOKEN not in answer.stdout + answer.stderr
