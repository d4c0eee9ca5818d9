"""What a crawl has stored, and why it has not stored the rest, from its sealed segments (0.2 s for 10,000 pages).

Columns are read one shard at a time, and never the pages themselves. Where a crawl was refreshed, a URL counts as it was
at the last visit.
"""

from __future__ import annotations

import csv
import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from rich.console import Group, RenderableType
from rich.table import Table

from cluster.errors import UserError
from cluster.storage import Storage
from pipelines.artifact import MANIFEST, UNITS, ArtifactFolder, UnitRecord
from pipelines.crawl.segments import HOSTS
from pipelines.crawl.source import Source, load_sources
from pipelines.crawl.watch import HostView
from pipelines.recipe import Recipe
from pipelines.steps import step_named
from pipelines.tables import FAILURES, PAGES

COLUMNS = ["url", "final_url", "source", "fetched_at"]


@dataclass
class Figures:
    """One source's part of a crawl. `first` and `last`: when pages were fetched (ISO 8601, UTC); empty without a page.

    `text_bytes`: of the decoded pages, as the shards' footers give it; equal pages of one segment count once, and where
    sources share a segment each has its share by pages.
    """

    source: str
    host: str
    content: int = 0
    lists: int = 0
    older: int = 0  # versions that a refresh has replaced
    failed: int = 0
    text_bytes: int = 0
    first: str = ""
    last: str = ""

    def add(self, row: Mapping[str, Any], is_content: bool, is_older: bool) -> None:
        """A stored page."""
        self.older += is_older
        self.content += is_content and not is_older
        self.lists += not is_content and not is_older
        self.first = min(self.first or row["fetched_at"], row["fetched_at"])
        self.last = max(self.last, row["fetched_at"])

    @property
    def rate(self) -> float | None:
        """Pages a second between the first and the last one; None when there is no time between them."""
        if not self.first:
            return None
        seconds = (datetime.fromisoformat(self.last) - datetime.fromisoformat(self.first)).total_seconds()
        return (self.content + self.lists + self.older) / seconds if seconds else None


@dataclass
class Seen:
    """URLs of a host's newer segments."""

    stored: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)


class Crawled:
    """A crawl's folder, finished or not."""

    def __init__(self, out: ArtifactFolder, sources: Mapping[str, Source]) -> None:
        self.out, self.sources = out, sources

    @classmethod
    def open(cls, recipe: Recipe, root: Storage) -> Crawled:
        """What this recipe has crawled so far. Raises UserError when that is nothing."""
        step = step_named("crawl")
        folder = root.sub(step.name, step.fingerprint(recipe, step.external_inputs(recipe)))
        if not folder.list(UNITS) and not folder.list(HOSTS):
            raise UserError(f"{root.url} holds no crawl with these settings: run `gaokerena crawl` first, or name its --out")
        return cls(ArtifactFolder(folder), {source.name: source for source in load_sources(recipe.crawl.sources)})

    @property
    def is_finished(self) -> bool:
        return self.out.folder.exists(MANIFEST)

    def figures(self) -> tuple[list[Figures], Counter[str]]:
        """Of every source, and how many URLs were not stored for which reason."""
        found = {name: Figures(name, source.host) for name, source in self.sources.items()}
        reasons: Counter[str] = Counter()
        for seen, record in self._segments():
            for shard in _shards(record, PAGES.name):
                self._add_pages(found, shard, seen)
            for row in self._failures(record, seen):
                found[row["source"]].failed += 1
                reasons[row["reason"]] += 1
        return list(found.values()), reasons

    def under_way(self) -> list[HostView]:
        """Every host as its owner last noted it."""
        views = [HostView(host) for host in dict.fromkeys(source.host for source in self.sources.values())]
        for view in views:
            view.look(self.out.folder, time.time())
        return views

    def not_stored(self, reason: str = "") -> Iterator[dict[str, str]]:
        """The URLs that were not stored, with source, reason and detail. Raises UserError for a reason that none has."""
        reasons = {given for record in self.out.sealed().values() for given in record.dropped}
        if reason and reason not in reasons:
            raise UserError(f"no URL has the reason {reason!r}; there are: {', '.join(sorted(reasons)) or 'none'}")
        return (row for row in self._not_stored() if reason in ("", row["reason"]))

    def _not_stored(self) -> Iterator[dict[str, str]]:
        for seen, record in self._segments():
            seen.stored.update(url for shard in _shards(record, PAGES.name) for url in self._urls(shard))
            yield from self._failures(record, seen)

    def _segments(self) -> Iterator[tuple[Seen, UnitRecord]]:
        """Every host's segments, the newest first, with the URLs of the newer ones of the host."""
        host, seen = "", Seen()
        for name, record in sorted(self.out.sealed().items(), reverse=True):
            if name.rpartition("-")[0] != host:
                host, seen = name.rpartition("-")[0], Seen()
            yield seen, record

    def _add_pages(self, found: Mapping[str, Figures], path: str, seen: Seen) -> None:
        rows, text_bytes = self._read(path)
        for row in rows:
            source = row["source"]
            found[source].add(row, self.sources[source].is_content(row["final_url"]), row["url"] in seen.stored)
            found[source].text_bytes += text_bytes // len(rows)
        seen.stored.update(row["url"] for row in rows)

    def _read(self, path: str) -> tuple[list[dict[str, Any]], int]:
        """The columns of a shard's pages, and the bytes of their text."""
        filesystem, base = self.out.folder.arrow()
        with filesystem.open_input_file(f"{base}/{path}") as file:
            shard = pq.ParquetFile(file)
            body = shard.schema_arrow.get_field_index("body")
            groups = (shard.metadata.row_group(number) for number in range(shard.metadata.num_row_groups))
            text_bytes = sum(group.column(body).total_uncompressed_size for group in groups)
            return shard.read(columns=COLUMNS).to_pylist(), text_bytes

    def _urls(self, path: str) -> list[str]:
        urls: list[str] = self.out.read_shard(path, ["url"])["url"].to_pylist()
        return urls

    def _failures(self, record: UnitRecord, seen: Seen) -> Iterator[dict[str, str]]:
        """A segment's URLs that were not stored, but for those that were visited again."""
        for shard in _shards(record, FAILURES.name):
            for row in self.out.read_shard(shard).to_pylist():
                if row["url"] not in seen.stored and row["url"] not in seen.failed:
                    seen.failed.add(row["url"])
                    yield row


def _shards(record: UnitRecord, table: str) -> list[str]:
    return [shard.path for shard in record.shards if shard.table == table]


def summary(crawled: Crawled) -> Group:
    """Something that a console prints."""
    figures, reasons = crawled.figures()
    state = "finished" if crawled.is_finished else "not finished: what is sealed so far"
    parts: list[RenderableType] = [f"{crawled.out.folder.url}\n{state}\n", _sources(figures)]
    if not crawled.is_finished:
        parts += ["\nwith what is not sealed yet, as the hosts' owners last noted it:", *map(str, crawled.under_way())]
    if older := sum(source.older for source in figures):
        parts.append(f"\n{older:,} older versions of pages are kept")
    if reasons:
        parts += ["", _reasons(reasons), "\n`--reason REASON` lists the URLs of one, `--urls FILE` writes them all"]
    return Group(*parts)


def _sources(figures: list[Figures]) -> Table:
    table = Table("source", "host", box=None, header_style="bold", pad_edge=False)
    for title in ("content", "lists", "not stored", "pages/s", "text", "first (UTC)", "last (UTC)"):
        table.add_column(title, justify="right")
    for source in figures:
        counts = (f"{number:,}" for number in (source.content, source.lists, source.failed))
        rate = "" if source.rate is None else f"{source.rate:.2f}"
        times = (time[:16].replace("T", " ") for time in (source.first, source.last))
        table.add_row(source.source, source.host, *counts, rate, f"{source.text_bytes / 1e6:,.1f} MB", *times)
    return table


def _reasons(reasons: Counter[str]) -> Table:
    table = Table("not stored because", box=None, header_style="bold", pad_edge=False)
    table.add_column("URLs", justify="right")
    for reason, count in reasons.most_common():
        table.add_row(reason, f"{count:,}")
    return table


def write_urls(rows: Iterator[dict[str, str]], path: Path) -> int:
    """Write URLs that were not stored as CSV or JSON lines, as the file's name says; how many. Raises UserError."""
    if path.suffix not in (".csv", ".jsonl"):
        raise UserError(f"--urls {path}: end its name in .csv or .jsonl")
    count = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, FAILURES.schema.names)
        if path.suffix == ".csv":
            table.writeheader()
        for row in rows:
            if path.suffix == ".csv":
                table.writerow(row)
            else:
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
            count += 1
    return count
