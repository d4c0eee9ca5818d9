"""Shards of pages to shards of rows: every page is a row or a counted drop, every address stands once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cluster.storage import LocalStorage
from pipelines.artifact import Artifact, ArtifactFolder
from pipelines.crawl.source import Source
from pipelines.extract.settings import ExtractSettings
from pipelines.extract.step import _repeated, extract_shard
from pipelines.tables import ARTICLES, DROPPED, PAGES, QA

SOURCE = Source.model_validate(
    {"name": "s", "kind": "article", "start": ["http://e.ir/"], "content": ["^/post/"], "extract": {"text": "div.post"}}
)
TEXT = "متن این صفحه " * 30


def page(path: str, **changes: Any) -> dict[str, Any]:
    body = f'<html><body><h1>{path}</h1><div class="post">{TEXT}</div></body></html>'
    row = dict.fromkeys(PAGES.schema.names, "") | {
        "url": f"http://e.ir{path}", "final_url": f"http://e.ir{path}", "source": "s", "status": 200, "body": body,
        "replaced_bytes": 0, "depth": 1, "rendered": False, "noindex": False,
    }  # fmt: skip
    return row | changes


def extracted(folder: Path, *shards: list[dict[str, Any]]) -> Artifact:
    storage = LocalStorage(str(folder))
    crawl, out = ArtifactFolder(storage.sub("crawl", "x")), ArtifactFolder(storage.sub("extract", "x"))
    for number, rows in enumerate(shards):
        crawl.seal(f"e.ir-{number}", {PAGES: PAGES.table(rows)})
    pages = crawl.finish(step="crawl", version=1, settings={}, inputs={}, tables=(PAGES,), started=0.0)
    repeated = _repeated(pages)
    for shard in pages.shards(PAGES):
        item = (shard, repeated.get(shard, frozenset()))
        extract_shard(item, pages=pages, out=out, sources={"s": SOURCE}, settings=ExtractSettings())
    return out.finish(step="extract", version=1, settings={}, inputs={}, tables=(ARTICLES, QA, DROPPED), started=0.0)


def test_every_page_is_a_row_or_a_counted_drop(tmp_path: Path) -> None:
    rows = [page("/post/1"), page("/"), page("/post/2", noindex=True), page("/post/3", body="<html></html>")]
    artifact = extracted(tmp_path, rows)
    assert [row["url"] for row in artifact.read(ARTICLES).to_pylist()] == ["http://e.ir/post/1"]
    assert artifact.manifest.dropped == {"no-text": 1, "noindex": 1, "not-content": 1}
    assert artifact.manifest.rows_in == 4
    assert artifact.rows(DROPPED) == 3


def test_an_address_stands_once_whichever_shard_its_pages_are_in(tmp_path: Path) -> None:
    own = page("/post/1")
    other = page("/post/1b", canonical="http://e.ir/post/1")
    moved = page("/post/old", final_url="http://e.ir/post/2")
    artifact = extracted(tmp_path, [other, moved], [own])
    urls = artifact.read(ARTICLES, ["url"])["url"].to_pylist()
    assert sorted(urls) == ["http://e.ir/post/1", "http://e.ir/post/2"]
    assert artifact.manifest.dropped == {"repeated-url": 1}


def test_how_pages_lie_in_shards_does_not_matter(tmp_path: Path) -> None:
    rows = [page(f"/post/{n}") for n in range(4)]
    assert extracted(tmp_path / "a", rows).digest == extracted(tmp_path / "b", rows[2:], rows[:2]).digest
