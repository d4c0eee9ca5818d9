"""A host's frontier: every URL it knows and what became of it, first found first fetched.

It is an SQLite file on the owner's node (about 0.3 KB a URL on disk, flat in memory), which also holds what was fetched
since the last segment was sealed (`keep`): a killed owner's successor on the node loses nothing but what was on the wire.
For the other nodes it is only a cache: one that has no file, or an old one, reads the journals of the sealed segments.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from pipelines.tables import FRONTIER

# stored: a content page; read: a list page or sitemap; alias: another URL led to the same page
State = Literal["found", "retry", "stored", "read", "failed", "alias"]
Note = tuple[str, bytes]  # something that was got: its kind and its content
AHEAD = 256  # entries read from the file at once

_COLUMNS = FRONTIER.schema.names
_ENTRY = "url, source, kind, depth, found_on, attempts, retry_at, etag, last_modified, shape"
_SCHEMA = """
    PRAGMA locking_mode = EXCLUSIVE;  -- one owner's until it is closed or its process ends
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = OFF;  -- after a power cut the journals are read again
    PRAGMA cache_size = -16000;  -- KiB
    CREATE TABLE IF NOT EXISTS urls (
        seq INTEGER PRIMARY KEY, url TEXT NOT NULL UNIQUE, source TEXT NOT NULL, kind TEXT NOT NULL, depth INTEGER NOT NULL,
        found_on TEXT NOT NULL, state TEXT NOT NULL, attempts INTEGER NOT NULL, retry_at REAL NOT NULL,
        checked_at REAL NOT NULL, etag TEXT NOT NULL, last_modified TEXT NOT NULL, shape TEXT NOT NULL);
    CREATE INDEX IF NOT EXISTS waiting ON urls (retry_at) WHERE state = 'retry';
    CREATE TABLE IF NOT EXISTS sealed (number INTEGER NOT NULL, digest TEXT NOT NULL, next_seq INTEGER NOT NULL);
    -- since the last seal: which of the URLs known by then changed, and what was got
    CREATE TABLE IF NOT EXISTS changed (seq INTEGER PRIMARY KEY);
    CREATE TABLE IF NOT EXISTS kept (kind TEXT NOT NULL, data BLOB NOT NULL);
"""


class FrontierInUse(RuntimeError):
    """Another process of this node has the file: an owner that was replaced and has not noticed yet."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One URL to fetch. `kind`: page or sitemap.

    `etag` and `last_modified`: what the site said of the version that is stored. `shape`: see `shapes.py`.
    """

    url: str
    source: str
    kind: str = "page"
    depth: int = 0
    found_on: str = ""
    attempts: int = 0
    retry_at: float = 0.0  # unix seconds
    etag: str = ""
    last_modified: str = ""
    shape: str = ""


class Frontier:
    """`Frontier(path)` opens or makes the file. Raises FrontierInUse.

    `sealed`: number and digest of the last segment that it knows (0 and "" when none).
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._open()
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError) and "locked" in str(error):
                raise FrontierInUse(str(path)) from error
            self._remove()  # damaged, for example by a power cut, or of another version
            self._open()

    def _open(self) -> None:
        # one thread at a time uses it, but not always the same one
        self._db = sqlite3.connect(self.path, timeout=0, isolation_level=None, check_same_thread=False, cached_statements=64)
        try:
            self._db.executescript(_SCHEMA)
            self._db.execute("BEGIN IMMEDIATE")
            self._load()
        except sqlite3.Error:
            self._db.close()
            raise

    def _load(self) -> None:
        sealed = self._db.execute("SELECT number, digest, next_seq FROM sealed").fetchone()
        self.sealed: tuple[int, str] = sealed[:2] if sealed else (0, "")
        self._first_new: int = sealed[2] if sealed else 1
        self._next_seq: int = self._db.execute("SELECT coalesce(max(seq), 0) + 1 FROM urls").fetchone()[0]
        self._count()
        self._rewind()

    def _count(self) -> None:
        self.counts: Counter[str] = Counter()  # URLs by state
        self.stored: Counter[str] = Counter()  # content pages of each source
        self.urls_of: Counter[str] = Counter()  # URLs of each source
        for source, state, n in self._db.execute("SELECT source, state, count(*) FROM urls GROUP BY source, state"):
            self.counts[state] += n
            self.urls_of[source] += n
            self.stored[source] += n if state == "stored" else 0
        alike = self._db.execute("SELECT source, shape, count(*) FROM urls WHERE shape != '' GROUP BY source, shape")
        self.alike: Counter[tuple[str, str]] = Counter({(source, shape): n for source, shape, n in alike})

    def _rewind(self) -> None:
        """Read the queue from its beginning."""
        self._queue: deque[tuple[int, Entry]] = deque()
        self._cursor = 0
        self._retried: set[int] = set()  # given out again since; the queue must not give them once more

    # what is known --------------------------------------------------------------------------------

    def unknown(self, urls: Sequence[str]) -> list[str]:
        """Those that were never found, in their order (about 2 µs each)."""
        question = "SELECT value FROM json_each(?) WHERE value NOT IN (SELECT url FROM urls)"
        return [url for (url,) in self._db.execute(question, (json.dumps(urls),))]

    def state(self, url: str) -> State | None:
        """What became of a URL; None for one that was never found."""
        row = self._db.execute("SELECT state FROM urls WHERE url = ?", (url,)).fetchone()
        return row[0] if row else None

    def is_pending(self, url: str) -> bool:
        return self.state(url) in ("found", "retry")

    def alias_of(self, url: str) -> str:
        """The URL whose page this one is; empty when it is no alias."""
        row = self._db.execute("SELECT found_on FROM urls WHERE url = ? AND state = 'alias'", (url,)).fetchone()
        return row[0] if row else ""

    @property
    def queued(self) -> int:
        """URLs that are not settled, those under way among them."""
        return self.counts["found"] + self.counts["retry"]

    @property
    def wakes_at(self) -> float:
        """When there is a URL to try: 0 for now, else the first retry's time (unix seconds)."""
        if self._queue or self._fill():
            return 0.0
        row = self._db.execute("SELECT min(retry_at) FROM urls WHERE state = 'retry'").fetchone()
        return float(row[0] or 0.0)

    # what happens ---------------------------------------------------------------------------------

    def add(self, entry: Entry) -> bool:
        """A URL was found; False when it is known already."""
        if self.state(entry.url) is not None:
            return False
        self.insert(entry)
        return True

    def insert(self, entry: Entry) -> None:
        """A URL was found that is not known (see `unknown`). Raises sqlite3.IntegrityError when it is."""
        self._insert(entry, "found")

    def next(self, now: float) -> Entry | None:
        """The next URL that may be tried now."""
        columns = f"seq, {_ENTRY}"
        due = f"SELECT {columns} FROM urls WHERE state = 'retry' AND retry_at <= ? ORDER BY retry_at, seq LIMIT 1"
        if self.counts["retry"] and (row := self._db.execute(due, (now,)).fetchone()):
            self._update(row[0], "retry", "found")
            self._retried.add(row[0])
            return Entry(*row[1:])
        while self._queue or self._fill():
            seq, entry = self._queue.popleft()
            if seq in self._retried:
                continue
            # another URL may have led to it since it was read
            if self._db.execute("SELECT state FROM urls WHERE seq = ?", (seq,)).fetchone()[0] == "found":
                return entry
        return None

    def retry(self, entry: Entry, at: float, *, counts: bool = True) -> None:
        """Try again, not before `at` (unix seconds). `counts`: it used up one of its tries."""
        seq, state = self._row(entry.url)
        self._update(seq, state, "retry", attempts=entry.attempts + counts, retry_at=at)

    def settle(self, entry: Entry, state: State, *, now: float, etag: str = "", last_modified: str = "") -> None:
        """What became of a URL, known or not. `now`: unix seconds."""
        said: dict[str, Any] = {"checked_at": now, "etag": etag, "last_modified": last_modified}
        known = self._row(entry.url, missing_ok=True)
        if known is None:
            self._insert(entry, state, **said)
            return
        if state == "alias":
            said["found_on"] = entry.found_on
        self._update(known[0], known[1], state, source=entry.source, **said)

    def reopen(self, before: float) -> int:
        """Put what was last looked at before then (unix seconds) into the queue again; how many."""
        old = "checked_at < ? AND state IN ('stored', 'read', 'failed')"
        known = f"SELECT seq FROM urls WHERE {old} AND seq < ?"
        self._db.execute(f"INSERT OR IGNORE INTO changed {known}", (before, self._first_new))
        reopened = self._db.execute(f"UPDATE urls SET state = 'found', attempts = 0, retry_at = 0 WHERE {old}", (before,))
        self._count()
        self._rewind()
        return reopened.rowcount

    # segments -------------------------------------------------------------------------------------

    def keep(self, notes: Iterable[Note]) -> None:
        """Write down everything that happened, and what was got by it: from here on the end of the process loses none of it."""
        self._db.executemany("INSERT INTO kept VALUES (?, ?)", notes)
        self._db.execute("COMMIT")
        self._db.execute("BEGIN IMMEDIATE")

    def kept(self) -> list[Note]:
        """What was got since the last seal, in its order."""
        return self._db.execute("SELECT kind, data FROM kept ORDER BY rowid").fetchall()

    @property
    def is_ahead(self) -> bool:
        """Whether it knows more than the last sealed segment."""
        new = "SELECT seq FROM changed UNION ALL SELECT seq FROM urls WHERE seq >= ?"
        return bool(self._db.execute(f"SELECT EXISTS ({new})", (self._first_new,)).fetchone()[0])

    def journal(self) -> pa.Table:
        """The rows that changed since the last seal: applied to the frontier of then, they give this one."""
        names = ", ".join(_COLUMNS)
        question = f"SELECT {names} FROM urls WHERE seq >= ? OR seq IN (SELECT seq FROM changed) ORDER BY seq"
        rows = self._db.execute(question, (self._first_new,)).fetchall()
        columns = zip(*rows, strict=True) if rows else ([] for _ in _COLUMNS)
        return pa.table([pa.array(c, f.type) for c, f in zip(columns, FRONTIER.schema, strict=True)], schema=FRONTIER.schema)

    def commit(self, number: int, digest: str) -> None:
        """The segment with this number holds the journal; `digest` tells it from another run's."""
        for table in ("sealed", "changed", "kept"):
            self._db.execute(f"DELETE FROM {table}")
        self._db.execute("INSERT INTO sealed VALUES (?, ?, ?)", (number, digest, self._next_seq))
        self.keep([])
        self.sealed, self._first_new = (number, digest), self._next_seq

    def apply(self, journals: Iterable[tuple[int, str, pa.Table]]) -> None:
        """Sealed segments that this file does not know: number, digest and journal of each, in their order."""
        places = ", ".join("?" * len(_COLUMNS))
        for number, digest, journal in journals:
            columns = [journal.column(name).to_pylist() for name in _COLUMNS]
            self._next_seq = max([self._next_seq, *(seq + 1 for seq in columns[0])])
            self._db.executemany(
                f"INSERT OR REPLACE INTO urls ({', '.join(_COLUMNS)}) VALUES ({places})", zip(*columns, strict=True)
            )
            self.commit(number, digest)
        self._load()

    def clear(self) -> None:
        """Forget everything: the file is of another run, or somebody else sealed what it was about to."""
        for table in ("urls", "sealed", "changed", "kept"):
            self._db.execute(f"DELETE FROM {table}")
        self._load()

    def close(self, *, delete: bool = False) -> None:
        """What was not written down by `keep` or `commit` is forgotten. `delete`: the file too; it can be made again."""
        self._db.close()
        if delete:
            self._remove()

    # the file -------------------------------------------------------------------------------------

    def _fill(self) -> bool:
        """Read a few more of the queue; False at its end."""
        question = f"SELECT seq, {_ENTRY} FROM urls WHERE seq > ? AND state = 'found' ORDER BY seq LIMIT ?"
        for row in self._db.execute(question, (self._cursor, AHEAD)):
            self._queue.append((row[0], Entry(*row[1:])))
        if self._queue:
            self._cursor = self._queue[-1][0]
        return bool(self._queue)

    def _row(self, url: str, *, missing_ok: bool = False) -> Any:
        row = self._db.execute("SELECT seq, state FROM urls WHERE url = ?", (url,)).fetchone()
        if row is None and not missing_ok:
            raise KeyError(url)
        return row

    def _insert(self, entry: Entry, state: State, *, checked_at: float = 0.0, etag: str = "", last_modified: str = "") -> None:
        values = (
            self._next_seq, entry.url, entry.source, entry.kind, entry.depth, entry.found_on, state, entry.attempts,
            entry.retry_at, checked_at, etag, last_modified, entry.shape,
        )  # fmt: skip
        self._db.execute("INSERT INTO urls VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
        self._next_seq += 1
        self.counts[state] += 1
        self.urls_of[entry.source] += 1
        self.stored[entry.source] += state == "stored"
        if entry.shape:
            self.alike[entry.source, entry.shape] += 1

    def _update(self, seq: int, before: str, state: State, **values: Any) -> None:
        assignments = "".join(f", {name} = ?" for name in values)
        self._db.execute(f"UPDATE urls SET state = ?{assignments} WHERE seq = ?", (state, *values.values(), seq))
        self.counts[before] -= 1
        self.counts[state] += 1
        if state == "stored":
            self.stored[values["source"]] += 1
        if seq < self._first_new:
            self._db.execute("INSERT OR IGNORE INTO changed VALUES (?)", (seq,))

    def _remove(self) -> None:
        for suffix in ("", "-wal", "-shm"):
            with suppress(FileNotFoundError):
                Path(f"{self.path}{suffix}").unlink()
