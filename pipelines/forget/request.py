"""A request to forget: what it finds in a run, the tombstone, and the removal; 7,000 pages a second.

The tombstone comes first, with everything that the removal needs to know, so that a killed removal is finished by the same
command. Files outside the run (data that it was made from, published copies, exported models) are for people to look after.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from cluster.lease import Lease
from cluster.storage import Storage
from pipelines.artifact import MANIFEST, ArtifactFolder
from pipelines.crawl.source import Source
from pipelines.forget.artifacts import Eraser, drop_frontiers, folders, name_of, note, throw_away
from pipelines.forget.rows import ADDRESSES, Gone
from pipelines.forget.tombstones import Record, Target, Tombstones, page_key, salt_of
from pipelines.forget.trained import models_with
from pipelines.tables import DROPPED, FAILURES, LINEAGE, PAGES, Table

WITH_ROWS = ("crawl", "extract", "clean", "tokenize", "evaluate")
MADE_AGAIN = ("extract", "clean", "tokenize", "evaluate", "ask", "report")  # where work that is not finished is thrown away
DUPLICATE = "duplicate"  # why the crawl did not store a page under another of its addresses
TRAINED = "trained on rows that were forgotten since (gaokerena forget)"


@dataclass
class Removal:
    """What was removed, or would be: rows by artifact and table, whole folders, and the models that learned from it."""

    rows: dict[str, Counter[str]] = field(default_factory=dict)
    thrown_away: list[str] = field(default_factory=list)
    models: list[str] = field(default_factory=list)


def forget(root: Storage, target: Target, sources: Mapping[str, Source], *, dry_run: bool = False) -> Removal:
    """Remove a page or a host from every artifact of a run. `sources`: by name. Raises LeaseHeld."""
    with Lease(root, what=f"the run in {root.url}"):
        return _forget(root, target, sources, dry_run)


def _forget(root: Storage, target: Target, sources: Mapping[str, Source], dry: bool) -> Removal:
    salt = b"" if dry else salt_of(root)
    path = target.record_path(salt)
    before = Record.model_validate_json(root.read(path)) if root.exists(path) else None
    record = _found(root, target.record(salt), before or Record(), salt, sources)
    if not dry:
        root.write(path, record.model_dump_json().encode())
    eraser = Eraser(Gone(Tombstones.of(salt, [record]), frozenset(record.ids)), dry, bool(before and not before.finished))
    removal = _erase(root, eraser)
    removal.models = record.models
    if not dry:
        for name in record.models:
            note(root.sub(name), TRAINED)
        root.write(path, record.model_copy(update={"finished": True, "ids": []}).model_dump_json().encode())
    return removal


def _found(root: Storage, asked: Record, before: Record, salt: bytes, sources: Mapping[str, Source]) -> Record:
    """What is asked for with everything that it leads to, and what an earlier try found."""
    stones = Tombstones.of(salt, [asked, before])
    urls = stones.urls | {stones.hash(page_key(url)) for url in _other_addresses(root, stones, sources)}
    every = Tombstones(salt, urls, stones.hosts)
    ids = {*before.ids, *_ids(root, every)}
    models = [*before.models, *models_with(root, ids)]
    return Record(urls=sorted(urls), hosts=sorted(every.hosts), ids=sorted(ids), models=list(dict.fromkeys(models)))


def _ids(root: Storage, stones: Tombstones) -> Iterator[str]:
    """Of the cleaned rows that came from there, kept or dropped."""
    for table in (LINEAGE, DROPPED):
        yield from (row["id"] for row in _rows(root, "clean", table) if stones.covers(row["url"]) and row.get("id"))


def _other_addresses(root: Storage, stones: Tombstones, sources: Mapping[str, Source]) -> Iterator[str]:
    """Under what other addresses the pages are known; a start or list page that one was sent on to is not meant."""
    for row in _rows(root, "crawl", PAGES, ["source", *ADDRESSES]):
        addresses = [row[name] for name in ADDRESSES if row[name]]
        if any(map(stones.covers, addresses)):
            source = sources.get(row["source"])
            yield from (url for url in addresses if not stones.covers(url) and (source is None or source.is_content(url)))
    for row in _rows(root, "crawl", FAILURES):  # "the same page as ..."
        if row["reason"] == DUPLICATE and any(map(stones.covers, row["detail"].split())):
            yield row["url"]


def _rows(root: Storage, step: str, table: Table, columns: list[str] | None = None) -> Iterator[dict[str, Any]]:
    for out in map(ArtifactFolder, folders(root, step)):
        shards = [shard for record in out.sealed().values() for shard in record.shards if shard.table == table.name]
        for shard in shards:
            yield from out.read_shard(shard.path, columns).to_pylist()


def _erase(root: Storage, eraser: Eraser) -> Removal:
    removal = Removal()
    for folder in (folder for step in WITH_ROWS for folder in folders(root, step)):
        if removed := eraser.erase(folder):
            removal.rows[name_of(folder)] = removed
    for folder in folders(root, "crawl"):
        drop_frontiers(folder, eraser.gone.addresses, eraser.dry)
    if removal.rows or eraser.again:
        for step in MADE_AGAIN:
            again = [folder for folder in folders(root, step) if step == "report" or not folder.exists(MANIFEST)]
            removal.thrown_away += [name_of(folder) for folder in again]
            for folder in () if eraser.dry else again:
                throw_away(folder)
    return removal
