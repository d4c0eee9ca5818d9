"""A page that is forgotten is nowhere in a run's results, stays away, and the models that saw it are named."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml
from warcio.archiveiterator import ArchiveIterator

import pipelines.crawl.step
from cluster import dataflow
from cluster.cache import cache_folder
from cluster.errors import UserError
from cluster.lease import Lease, LeaseHeld
from cluster.storage import LocalStorage, Storage, open_storage
from pipelines import tables as t
from pipelines.artifact import Artifact, ArtifactFolder, Input, UnitRecord, content_digest, fingerprint
from pipelines.crawl.frontier import Entry, Frontier
from pipelines.crawl.refresh import refresh
from pipelines.crawl.source import Source, load_sources
from pipelines.forget.artifacts import folders
from pipelines.forget.request import TRAINED, Removal, forget
from pipelines.forget.rows import KNOWN, Gone
from pipelines.forget.tombstones import Target, Tombstones, salt_of
from pipelines.forget.trained import models_with
from pipelines.publish.target import claim
from pipelines.recipe import Recipe, load_recipe
from pipelines.run import execute, states
from pipelines.steps import graph, latest
from tests.benchmarks.persian_texts import pair_rows
from tests.crawl.small_site import HOST, Page, SmallSite
from tests.tiny_models import tiny_cohere

PAIRS = 12
WORKED = ("crawl", "extract", "clean", "tokenize")
STEPS = tuple(replace(step, needs_ray=False) for step in graph() if step.name in WORKED)
URL = f"http://{HOST}/q/5"


@pytest.fixture(scope="module")
def in_this_process() -> Iterator[None]:
    def map_here(work: Callable[[Any], Any], items: list[Any], **options: Any) -> Any:
        return map(work, items)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dataflow, "map_tasks", map_here)
        patch.setattr(pipelines.crawl.step, "map_tasks", map_here)
        yield


@pytest.fixture(scope="module")
def site() -> Iterator[SmallSite]:
    texts = [f'<div class="q">{row["question"]}</div><div class="a">{row["answer"]}</div>' for row in pair_rows(PAIRS, 3)]
    pages = {f"/q/{number}": Page(text) for number, text in enumerate(texts)}
    with SmallSite(
        {"/": Page("home", [*pages, "/old/5"])} | pages | {"/old/5": Page(status=301, headers={"Location": "/q/5"})}
    ) as small:
        yield small


@pytest.fixture(scope="module")
def recipe(site: SmallSite, tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    folder = tmp_path_factory.mktemp("recipe")
    rules = {"question": "div.q", "answer": "div.a"}
    source = {
        "name": "small",
        "kind": "qa",
        "start": [f"http://{HOST}/"],
        "content": ["^/q/"],
        "delay": 0,
        "throttle": 0,
        "extract": rules,
    }
    (folder / "small.yaml").write_text(yaml.safe_dump(source))
    return load_recipe("demo", [
        f"crawl.sources=[{folder / 'small.yaml'}]", "crawl.resolve={small.test: '" + site.resolve[HOST] + "'}", "crawl.warc=true",
        "evaluate.tasks=[held-out-answers]", "clean.valid_fraction=0", f"model={tiny_cohere(folder / 'model')}", "tokenize.context=512",
    ])  # fmt: skip


@pytest.fixture(scope="module")
def made(recipe: Recipe, in_this_process: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run up to the tokens, and models that say they were trained on them."""
    folder = tmp_path_factory.mktemp("run")
    root = open_storage(folder)
    execute(recipe, root, steps=STEPS)
    tokens = latest(root, "tokenize")
    assert tokens and tokens.rows(t.QA_TRAIN)
    reads = {"tokenize": Input(digest=tokens.digest, path=tokens.folder.url)}
    train(root, "finetune", "f1", reads)
    train(root, "instruct", "i1", reads | {"finetune": Input(digest="d", path=f"{root.url}/finetune/f1")})
    train(root, "instruct", "i2", {"tokenize": Input(digest="other", path=f"{root.url}/tokenize/other")})
    salt_of(root)
    return folder


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Storage:
    """A copy of the run."""
    shutil.copytree(made, tmp_path / "run", symlinks=True)
    return open_storage(tmp_path / "run")


def train(root: Storage, stage: str, name: str, inputs: dict[str, Input]) -> None:
    ArtifactFolder(root.sub(stage, name)).finish(
        step=stage, version=1, settings={}, inputs=inputs, tables=(t.TRAIN_LOG,), started=0.0
    )


def do_forget(root: Storage, recipe: Recipe, what: str = URL, **options: Any) -> Removal:
    sources: dict[str, Source] = {source.name: source for source in load_sources(recipe.crawl.sources)}
    return forget(root, Target.parse(what), sources, **options)


def shards(root: Storage) -> dict[str, pa.Table]:
    """All rows of all artifacts, by path."""
    return {
        f"{step}/{path}": Artifact(folder, None).read_shard(path)  # type: ignore[arg-type]
        for step in WORKED
        for folder in folders(root, step)
        for path in folder.list()
        if path.split("/")[0] in KNOWN
    }


def as_text(rows: pa.Table) -> str:
    return json.dumps(rows.to_pylist(), ensure_ascii=False)


def pairs(artifact: Artifact | None) -> list[dict[str, Any]]:
    assert artifact
    return sorted(artifact.read(t.PAIRS).to_pylist(), key=lambda row: str(row["id"]))


def archived(root: Storage) -> set[str]:
    return {
        str(record.rec_headers.get_header("WARC-Target-URI"))
        for folder in folders(root, "crawl")
        for path in folder.list("warc")
        for record in ArchiveIterator(io.BytesIO(folder.read(path)))
    }


def require_consistent(root: Storage) -> None:
    """What manifests say of rows and digests is what lies there."""
    for folder in (folder for step in WORKED for folder in folders(root, step)):
        artifact = Artifact.load(folder)
        assert artifact
        for name, record in artifact.manifest.tables.items():
            rows = pa.concat_tables(artifact.read_shard(path) for path in record.shards)
            digest = KNOWN[name].digest(rows)
            assert (digest.rows, digest.hex()) == (record.rows, record.digest)
        assert artifact.digest == content_digest(artifact.manifest.tables, {})


def test_a_page_is_in_no_artifact_afterwards(root: Storage, recipe: Recipe) -> None:
    before, answers = shards(root), {row["url"]: row["answer"].split("\n")[0] for row in root_rows(root, "extract", t.QA)}
    assert URL in archived(root) and any(answers[URL] in as_text(rows) for rows in before.values())
    removal = do_forget(root, recipe)
    rows = removal.rows
    assert {name.split("/")[0]: tables for name, tables in rows.items() if not name.startswith("crawl")} == {
        "extract": {"qa": 1}, "clean": {"pairs": 1, "lineage": 1}, "tokenize": {"qa_train": 1},
    }  # fmt: skip
    left = {path: as_text(rows) for path, rows in shards(root).items()}
    assert not [path for path, text in left.items() if URL in text or answers[URL] in text]
    assert any(answers[f"http://{HOST}/q/6"] in text for text in left.values())
    assert not archived(root) & {URL, f"http://{HOST}/old/5"} and f"http://{HOST}/q/6" in archived(root)
    require_consistent(root)
    clean = latest(root, "clean")
    assert clean and clean.manifest.dropped["forgotten"] == 1
    assert clean.manifest.rows_in == clean.rows(t.PAIRS) + sum(clean.manifest.dropped.values())
    for path in root.list("forgotten"):
        assert b"small" not in root.read(path)
        assert path.endswith("salt") or b'"ids":[]' in root.read(path)


def root_rows(root: Storage, step: str, table: t.Table) -> list[dict[str, Any]]:
    artifact = latest(root, step)
    assert artifact
    rows: list[dict[str, Any]] = artifact.read(table).to_pylist()
    return rows


def test_models_that_saw_it_are_named_and_say_so(root: Storage, recipe: Recipe) -> None:
    assert do_forget(root, recipe).models == ["instruct/i1"]  # the finetune stage reads no pairs
    noted = Artifact.load(root.sub("instruct", "i1"))
    assert noted and TRAINED in noted.manifest.notes


def test_models_made_from_such_models_are_named(tmp_path: Path) -> None:
    root = open_storage(tmp_path)
    row = {"input_ids": [1], "labels": [1], "document_lengths": [1], "ids": ["x"], "sources": ["s"]}
    tokens = ArtifactFolder(root.sub("tokenize", "t1"))
    tokens.seal("u", {t.CORPUS_TRAIN: t.CORPUS_TRAIN.table([row])})
    tokens.finish(step="tokenize", version=1, settings={}, inputs={}, tables=(t.CORPUS_TRAIN,), started=0.0)
    moved = "/elsewhere/tokenize/t1"  # where the run was when it trained
    train(root, "finetune", "f1", {"tokenize": Input(digest="d", path=moved)})
    train(root, "finetune", "f2", {"tokenize": Input(digest="d", path="/elsewhere/tokenize/t2")})
    train(root, "instruct", "i1", {"finetune": Input(digest="d", path="/elsewhere/finetune/f1")})
    train(root, "instruct", "i2", {"finetune": Input(digest="d", path="/elsewhere/finetune/f2")})
    assert models_with(root, {"x"}) == ["finetune/f1", "instruct/i1"]
    assert models_with(root, {"y"}) == []


def test_published_copies_of_such_models_are_named(root: Storage, recipe: Recipe) -> None:
    for name, model in (("p1", "instruct/i1"), ("p2", "instruct/i2")):
        claim(root.sub("publish", name), "0", 1, model=model)
    assert do_forget(root, recipe).models == ["instruct/i1", "publish/p1"]


def test_what_this_machine_remembers_of_a_crawl_goes_too(root: Storage, recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GAOKERENA_CACHE", f"{root.url}-cache")
    (crawled,) = folders(root, "crawl")
    frontiers = []
    for name, url in (("a", URL), ("b", f"http://{HOST}/q/6")):
        frontiers.append(Frontier(cache_folder("crawl", fingerprint(crawled.url)) / f"{name}.sqlite"))
        frontiers[-1].add(Entry(url, "small"))
        frontiers[-1].keep([])
        frontiers[-1].close()
    do_forget(root, recipe)
    assert [frontier.path.exists() for frontier in frontiers] == [False, True]


def test_a_run_afterwards_makes_what_forgetting_left(root: Storage, recipe: Recipe, in_this_process: None) -> None:
    whole = pairs(latest(root, "clean"))
    do_forget(root, recipe)
    left = pairs(latest(root, "clean"))
    assert {state.step.name: state.state for state in states(recipe, root) if state.step.name in WORKED} == {
        "crawl": "done", "extract": "stale", "clean": "stale", "tokenize": "stale",
    }  # fmt: skip
    execute(recipe, root, steps=STEPS)
    assert pairs(latest(root, "clean")) == left
    assert len(left) == len(whole) - 1


def test_a_refresh_does_not_bring_it_back(root: Storage, recipe: Recipe, site: SmallSite, in_this_process: None) -> None:
    do_forget(root, recipe)
    refresh(root, recipe, before=float("inf"))
    site.requests.clear()
    crawled = execute(recipe, root, steps=STEPS[:1])[0].artifact
    asked = site.paths()
    assert "/q/6" in asked and "/q/5" not in asked and "/old/5" not in asked
    reasons = [row["reason"] for row in crawled.read(t.FAILURES).to_pylist()]
    assert reasons.count("forgotten") == 2  # both addresses
    assert not [path for path, rows in shards(root).items() if URL in as_text(rows)]
    assert Tombstones.load(root).covers(URL)


def test_killed_anywhere_it_is_finished_by_the_next_try(
    made: Path, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def state(folder: Path) -> Any:
        root = open_storage(folder)
        require_consistent(root)
        manifests = [Artifact.load(place) for step in ("instruct", *WORKED) for place in folders(root, step)]
        return [(m.manifest.digest, m.manifest.dropped, m.manifest.notes) for m in manifests if m], archived(root)

    class Killed(Exception):
        pass

    write, writes = LocalStorage.write, [0, 10**9]

    def counted(self: LocalStorage, path: str, data: bytes) -> None:
        if "lease" not in path:
            writes[0] += 1
            if writes[0] > writes[1]:
                raise Killed
        write(self, path, data)

    monkeypatch.setattr(LocalStorage, "write", counted)

    def copy(name: str) -> Path:
        shutil.copytree(made, tmp_path / name, symlinks=True)
        return tmp_path / name

    models = do_forget(open_storage(copy("whole")), recipe).models
    expected, number = state(tmp_path / "whole"), writes[0]
    assert number > 10
    for last in range(number):
        folder = copy(f"killed-{last}")
        writes[:] = [0, last]
        with pytest.raises(Killed):
            do_forget(open_storage(folder), recipe)
        writes[:] = [0, 10**9]
        assert do_forget(open_storage(folder), recipe).models == models
        assert state(folder) == expected


def test_a_file_does_not_bring_it_back(tmp_path: Path, recipe: Recipe, in_this_process: None) -> None:
    mine = [row | {"url": f"http://{HOST}/q/{number}"} for number, row in enumerate(pair_rows(8, 4))]
    (tmp_path / "mine.jsonl").write_text("\n".join(json.dumps(row) for row in mine))
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({"name": "mine", "kind": "qa", "files": ["mine.jsonl"]}))
    crawl = recipe.crawl.model_copy(update={"sources": [str(tmp_path / "mine.yaml")]})
    own, root = recipe.model_copy(update={"crawl": crawl}), open_storage(tmp_path / "run")
    forget(root, Target.parse(URL), {})
    extracted = execute(own, root, steps=STEPS[:2])[1].artifact
    assert {row["url"] for row in extracted.read(t.QA).to_pylist()} == {row["url"] for row in mine} - {URL}
    assert extracted.manifest.dropped == {"forgotten": 1}
    assert URL not in as_text(extracted.read(t.DROPPED))


def test_a_dry_run_says_the_same_and_does_nothing(root: Storage, recipe: Recipe) -> None:
    def content() -> dict[str, bytes]:
        return {path: root.read(path) for path in root.list() if not path.startswith("lease/")}

    before = content()
    said = do_forget(root, recipe, dry_run=True)
    assert content() == before
    assert said == do_forget(root, recipe)


def test_what_can_be_made_again_is_thrown_away(root: Storage, recipe: Recipe) -> None:
    again = ["clean/unfinished/.units/qa-1.json", "report/r1/index.html", "report/r1/artifact.json"]
    stays = "finetune/unfinished/checkpoints/1"
    for path in (*again[1:], stays):
        root.write(path, b"")
    root.write(again[0], UnitRecord(unit="qa-1").model_dump_json().encode())
    assert do_forget(root, recipe, "http://nowhere.test/").thrown_away == []
    assert do_forget(root, recipe).thrown_away == ["clean/unfinished", "report/r1"]
    assert not any(map(root.exists, again)) and root.exists(stays)


def test_an_object_store_is_worked_through_alike(root: Storage, recipe: Recipe, s3_url: str) -> None:
    away = open_storage(s3_url)
    for path in root.list():
        away.write(path, root.read(path))
    assert do_forget(away, recipe) == do_forget(root, recipe)
    require_consistent(away)
    assert {path: rows for path, rows in shards(away).items() if "latest" not in path} == shards(root)


def test_a_host_is_forgotten_with_everything_on_it(root: Storage, recipe: Recipe) -> None:
    do_forget(root, recipe, HOST)
    assert not [rows for rows in shards(root).values() if rows.num_rows]
    assert not [uri for uri in archived(root) if HOST in uri]
    require_consistent(root)


def test_what_is_not_there_is_refused_all_the_same(root: Storage, recipe: Recipe) -> None:
    before = shards(root)
    assert do_forget(root, recipe, "https://nowhere.test/x") == Removal()
    assert shards(root) == before
    assert Tombstones.load(root).covers("http://www.nowhere.test/x/")


def test_nobody_else_may_work_in_the_run(root: Storage, recipe: Recipe) -> None:
    with Lease(root), pytest.raises(LeaseHeld):
        do_forget(root, recipe)


@pytest.mark.parametrize(
    ("what", "covered", "spared"),
    [
        ("http://a.test/q/1", "https://www.a.test/q/1/", "http://a.test/q/12"),
        ("a.test/q/1", "http://a.test/q/1", "http://a.test/"),
        ("https://a.test/", "http://a.test", "http://a.test/q/1"),
        ("a.test", "http://forum.a.test/q/1?x=2", "http://aa.test/"),
        ("www.a.test", "https://a.test:8080/q", "http://test/"),
        ("a.test:8080", "http://a.test:8080/q", "http://a.test/q"),
        ("file:mine/data.csv#3", "file:mine/data.csv#3", "file:mine/data.csv#31"),
    ],
)
def test_what_a_request_means(what: str, covered: str, spared: str) -> None:
    stones = Tombstones.of(b"salt", [Target.parse(what).record(b"salt")])
    assert stones.covers(covered)
    assert not stones.covers(spared)


def test_a_request_that_means_nothing_is_said() -> None:
    with pytest.raises(UserError, match="write an address"):
        Target.parse("two words")


def test_a_document_is_cut_out_of_a_packed_sequence() -> None:
    row = {"input_ids": [1, 2, 3, 4, 5, 6], "labels": [-100, 2, 3, -100, 5, 6], "document_lengths": [1, 3, 2], "ids": ["a", "b", "c"], "sources": ["x", "y", "z"]}  # fmt: skip
    alone = {"input_ids": [7], "labels": [7], "document_lengths": [1], "ids": ["b"], "sources": ["y"]}
    left = Gone(Tombstones(), frozenset({"b"})).left(t.QA_TRAIN, t.QA_TRAIN.table([row, alone])).to_pylist()
    assert left == [
        {"input_ids": [1, 5, 6], "labels": [-100, 5, 6], "document_lengths": [1, 2], "ids": ["a", "c"], "sources": ["x", "z"]}
    ]
