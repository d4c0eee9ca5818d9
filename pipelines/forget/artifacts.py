"""A step's folder without what is forgotten: shards are written again, then their units' records, the manifest last.

Killed anywhere between, it is done again from the start and comes to the same. A shard is in memory at a time.
"""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa

from cluster.cache import cache_folder
from cluster.storage import Storage
from pipelines.artifact import MANIFEST, UNITS, Artifact, ArtifactFolder, Manifest, Shard, UnitRecord, content_digest, fingerprint
from pipelines.crawl.warc import FOLDER as WARC
from pipelines.crawl.warc import without
from pipelines.forget.rows import KNOWN, Gone
from pipelines.forget.tombstones import REASON, Tombstones
from pipelines.tables import ARTICLES, CORPUS, DROPPED, FAILURES, FRONTIER, PAGES, PAIRS, QA

NOTE = "rows of it were forgotten (gaokerena forget); what the facts count is from before"
COUNTED = frozenset(table.name for table in (PAGES, FAILURES, ARTICLES, QA, CORPUS, PAIRS, DROPPED))  # a row in is one of these
WITH_REASONS = frozenset(table.name for table in (FAILURES, DROPPED))


def folders(root: Storage, step: str) -> list[Storage]:
    """Every folder of a step, finished or not, of whatever fingerprint."""
    names = {path.split("/")[1] for path in root.list(step) if path.count("/") > 1}
    return [root.sub(step, name) for name in sorted(names - {"latest"})]


@dataclass(frozen=True)
class Eraser:
    """Goes through folders. `dry`: only counts. `again`: an earlier try may have been killed here, so trust no digest."""

    gone: Gone
    dry: bool
    again: bool

    def erase(self, folder: Storage) -> Counter[str]:
        """Rows (and WARC records) that go, by table."""
        removed: Counter[str] = Counter()
        units = ArtifactFolder(folder).sealed()
        for name, record in units.items():
            units[name] = self._unit(folder, record, removed)
            if units[name] != record:
                folder.write(f"{UNITS}/{name}.json", units[name].model_dump_json().encode())
        for path in folder.list(WARC):
            removed[WARC] += self._archive(folder, path)
        artifact = Artifact.load(folder)
        if artifact and not self.dry and (self.again or removed.total()):
            _amend(folder, artifact.manifest, units)
            _drop_copies(folder)
        return +removed

    def _unit(self, folder: Storage, record: UnitRecord, removed: Counter[str]) -> UnitRecord:
        shards, reasons = [], None
        for shard in record.shards:
            if shard.table not in KNOWN or not folder.exists(shard.path):
                shards.append(shard)
                continue
            shards.append(self._shard(folder, shard, removed))
            if shard.table in WITH_REASONS:
                reasons = Counter(ArtifactFolder(folder).read_shard(shard.path, ["reason"])["reason"].to_pylist())
        if self.dry or shards == record.shards:
            return record
        return record.model_copy(update={"shards": shards, "dropped": _dropped(record, shards, reasons)})

    def _shard(self, folder: Storage, shard: Shard, removed: Counter[str]) -> Shard:
        rows = ArtifactFolder(folder).read_shard(shard.path)
        table = replace(KNOWN[shard.table], schema=rows.schema)  # as it was when it was written
        left = self.gone.left(KNOWN[shard.table], rows)
        removed[shard.table] += _lost(shard, rows, left)
        if self.dry or (left is rows and not self.again):
            return shard
        return ArtifactFolder(folder).rewrite(table, shard, left)

    def _archive(self, folder: Storage, path: str) -> int:
        kept, number = without(folder.read(path), self.gone.addresses.covers)
        if number and not self.dry:
            folder.write(path, kept)
        return number


def name_of(folder: Storage) -> str:
    """A step's folder as a run calls it: `<step>/<fingerprint>`."""
    return "/".join(folder.url.rsplit("/", 2)[-2:])


def drop_frontiers(folder: Storage, addresses: Tombstones, dry: bool) -> None:
    """Files of this machine that know what is forgotten; a crawl makes them again from the journals."""
    for path in cache_folder("crawl", fingerprint(folder.url)).glob("*.sqlite"):
        if not dry and _knows(path, addresses):
            for suffix in ("", "-wal", "-shm"):
                Path(f"{path}{suffix}").unlink(missing_ok=True)


def _knows(path: Path, addresses: Tombstones) -> bool:
    try:
        with closing(sqlite3.connect(path)) as frontier:
            return any(addresses.covers(url) for (url,) in frontier.execute("SELECT url FROM urls"))
    except sqlite3.DatabaseError:  # damaged: a crawl would make it again, too
        return True


def throw_away(folder: Storage) -> None:
    """Work that is not finished, or that can be made again in a moment: the next run begins it anew."""
    for path in [MANIFEST, *folder.list()]:
        folder.delete(path)


def note(folder: Storage, text: str) -> None:
    """Say something in a finished artifact's manifest, once."""
    artifact = Artifact.load(folder)
    if artifact and text not in artifact.manifest.notes:
        _write(folder, artifact.manifest.model_copy(update={"notes": [*artifact.manifest.notes, text]}))


def _lost(shard: Shard, rows: pa.Table, left: pa.Table) -> int:
    """Rows that go; of a packed table the sequences that lose a document."""
    if "document_lengths" not in rows.column_names:
        return rows.num_rows - left.num_rows
    return _documents(rows) - _documents(left)


def _documents(rows: pa.Table) -> int:
    return sum(map(len, rows["ids"].to_pylist()))


def _dropped(record: UnitRecord, shards: list[Shard], reasons: Counter[str] | None) -> dict[str, int]:
    """Rows that are forgotten have that for their reason, so that the rows that came in are accounted for as before."""
    dropped = dict(reasons if reasons is not None else record.dropped)
    before, after = (sum(shard.rows for shard in these if shard.table in COUNTED) for these in (record.shards, shards))
    if forgotten := record.dropped.get(REASON, 0) + before - after:
        dropped[REASON] = forgotten
    return dropped


def _amend(folder: Storage, manifest: Manifest, units: dict[str, UnitRecord]) -> None:
    shards = {shard.path: shard for record in units.values() for shard in record.shards}
    tables = {
        name: record.over(shards[path] for path in record.shards if path in shards) for name, record in manifest.tables.items()
    }
    files = {path: _digest(folder, path) if _may_change(path) else digest for path, digest in manifest.files.items()}
    files_count = content_digest(manifest.tables, manifest.files) == manifest.digest  # else they are volatile
    changes = {
        "tables": tables,
        "files": files,
        "rows_out": sum(record.rows for record in tables.values()),
        "dropped": dict(sorted(sum((Counter(record.dropped) for record in units.values()), Counter()).items())),
        "digest": content_digest(tables, files if files_count else {}),
        "notes": list(dict.fromkeys([*manifest.notes, NOTE])),
    }
    _write(folder, manifest.model_copy(update=changes))


def _may_change(path: str) -> bool:
    return path.startswith((f"{WARC}/", f"{FRONTIER.name}/"))


def _digest(folder: Storage, path: str) -> str:
    return hashlib.sha256(folder.read(path)).hexdigest()


def _write(folder: Storage, manifest: Manifest) -> None:
    folder.write(MANIFEST, manifest.model_dump_json(indent=1).encode())


def _drop_copies(folder: Storage) -> None:
    """This machine's copies of what lies in an object store."""
    if "://" in folder.url:
        shutil.rmtree(cache_folder("runs") / folder.url.replace("://", "/"), ignore_errors=True)
