"""Extraction: one unit for each shard of pages, about 1,000 pages a second and core where the source has rules.

Sources that are files are read here too, without a crawl: see `files.py`.
"""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import Any

from pipelines.artifact import Artifact, ArtifactFolder, Input, UnitRecord
from pipelines.crawl.source import Source, load_file_sources, load_sources
from pipelines.extract.files import extract_files, readers_of
from pipelines.extract.locate import inputs_of
from pipelines.extract.page import Article, NotUsed, Pair, read_page
from pipelines.extract.settings import ExtractSettings
from pipelines.recipe import Recipe
from pipelines.steps import Outcome, StepRun
from pipelines.tables import ARTICLES, DROPPED, PAGES, QA


def external(recipe: Recipe) -> dict[str, Input]:
    """The sources that are files, by content. Raises UserError for a missing file."""
    return {name: found for source in load_file_sources(recipe.crawl.sources) for name, found in inputs_of(source).items()}


def check(recipe: Recipe) -> None:
    """Raises UserError for files that can't be read or lack a column: a crawl may take days before they are needed."""
    readers_of(load_file_sources(recipe.crawl.sources))


def extract(run: StepRun) -> Outcome:
    """Pages, and rows of files, to articles and question-answer pairs."""
    names = [*_extract_pages(run), *extract_files(load_file_sources(run.recipe.crawl.sources), run.out, run.progress)]
    return Outcome(units=names)


def _extract_pages(run: StepRun) -> list[str]:
    pages = run.inputs["crawl"]
    shards = pages.shards(PAGES) if pages.rows(PAGES) else []
    names = [_unit(shard) for shard in shards]
    repeated = _repeated(pages)
    work = partial(
        extract_shard,
        pages=pages,
        out=run.out,
        sources={source.name: source for source in load_sources(run.recipe.crawl.sources)},
        settings=run.recipe.extract,
    )
    items = [(shard, repeated.get(shard, frozenset())) for shard in shards]
    for _ in run.map_units(work, items, names):
        pass
    return names


def extract_shard(
    item: tuple[str, frozenset[str]],
    *,
    pages: Artifact,
    out: ArtifactFolder,
    sources: dict[str, Source],
    settings: ExtractSettings,
) -> UnitRecord:
    """One shard. `item`: its path, and the pages in it whose address another page has already."""
    shard, repeated = item
    articles: list[dict[str, Any]] = []
    pairs: list[dict[str, Any]] = []
    dropped: list[dict[str, Any]] = []
    rows = pages.read_shard(shard).to_pylist()
    for row in rows:
        url, source = address(row), sources[row["source"]]
        found = NotUsed("repeated-url") if row["url"] in repeated else _read(row, source, settings)
        like = {"url": url, "source": source.name}
        if isinstance(found, Article):
            articles.append(like | {"title": found.title, "text": found.text, "published": found.published})
        elif isinstance(found, Pair):
            pairs.append(like | {"title": found.title, "question": found.question, "answer": found.answer})
        else:
            dropped.append(like | {"kind": found.kind, "reason": found.reason, "text": ""})
    return out.seal(
        _unit(shard),
        {ARTICLES: ARTICLES.table(articles), QA: QA.table(pairs), DROPPED: DROPPED.table(dropped)},
        rows_in=len(rows),
        dropped=Counter(row["reason"] for row in dropped),
    )


def address(row: dict[str, Any]) -> str:
    """A page's one address: what it says itself, where it says it, else where it came from."""
    return str(row["canonical"] or row["final_url"])


def _read(row: dict[str, Any], source: Source, settings: ExtractSettings) -> Article | Pair | NotUsed:
    if not source.is_content(row["final_url"]):
        return NotUsed("not-content")
    if row["noindex"]:
        return NotUsed("noindex")
    return read_page(row["body"], source, settings.min_article_words)


def _repeated(pages: Artifact) -> dict[str, frozenset[str]]:
    """By shard, the pages whose address a page before them has; the first in the order of addresses and URLs stays."""
    rows = [
        (address(row), row["url"], row["fetched_at"], shard)
        for shard in pages.shards(PAGES)
        for row in pages.read_shard(shard, ["url", "final_url", "canonical", "fetched_at"]).to_pylist()
    ]
    rows.sort(key=lambda row: row[2], reverse=True)  # of several versions of a page the newest comes first
    rows.sort(key=lambda row: row[:2])
    repeated: dict[str, set[str]] = {}
    last = ""
    for own, url, _, shard in rows:
        if own == last:
            repeated.setdefault(shard, set()).add(url)
        last = own
    return {shard: frozenset(urls) for shard, urls in repeated.items()}


def _unit(shard: str) -> str:
    return shard.rsplit("/", 1)[1].removesuffix(".parquet")
