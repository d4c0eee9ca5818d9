"""A host's segments on run storage: pages, failures and the frontier's journal, sealed together or not at all."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from pipelines.artifact import UNITS, ArtifactFolder, Shard, UnitRecord
from pipelines.crawl.frontier import Note
from pipelines.tables import FAILURES, FRONTIER, PAGES

HOSTS = "hosts"  # a folder for each host: its lease, its manners, how far it is
MAX_PAGES = 1_000  # a segment is sealed at the latest when it holds so many pages ...
MAX_CHARACTERS = 24 << 20  # ... or so much text, since it is in memory until then
PAGES_OF = "pages of "  # a fact: how many of each source
UNCHANGED = "unchanged since the last visit"  # a fact: answers 304 to a refresh


class Segment:
    """What an owner has got since its last seal. `kept`: what an owner before it got (see `Frontier.keep`)."""

    def __init__(self, kept: Iterable[Note] = ()) -> None:
        self.pages: list[dict[str, Any]] = []
        self.failures: list[dict[str, Any]] = []
        self.unchanged: list[dict[str, Any]] = []
        self.exchanges: list[bytes] = []  # WARC records
        self.characters = 0
        self._by_kind: dict[str, list[Any]] = {
            "page": self.pages, "failure": self.failures, "unchanged": self.unchanged, "exchange": self.exchanges
        }  # fmt: skip
        self._fresh: list[Note] = []
        for kind, data in kept:
            self._add(kind, data if kind == "exchange" else json.loads(data))

    def store(self, page: dict[str, Any]) -> None:
        self._note("page", page)

    def fail(self, url: str, source: str, reason: str, detail: str = "") -> None:
        self._note("failure", {"url": url, "source": source, "reason": reason, "detail": detail[:500]})

    def stands(self, url: str) -> None:
        """The version that is stored is still what the site has."""
        self._note("unchanged", {"url": url})

    def record(self, exchange: bytes) -> None:
        self._note("exchange", exchange)

    def fresh(self) -> list[Note]:
        """What came since the last time that somebody asked."""
        fresh, self._fresh = self._fresh, []
        return fresh

    def _note(self, kind: str, what: Any) -> None:
        self._add(kind, what)
        self._fresh.append((kind, what if kind == "exchange" else json.dumps(what, ensure_ascii=False).encode()))

    def _add(self, kind: str, what: Any) -> None:
        self._by_kind[kind].append(what)
        self.characters += len(what["body"]) if kind == "page" else 0

    @property
    def is_full(self) -> bool:
        return len(self.pages) >= MAX_PAGES or self.characters >= MAX_CHARACTERS

    @property
    def reasons(self) -> Counter[str]:
        return Counter(failure["reason"] for failure in self.failures)

    @property
    def facts(self) -> dict[str, int]:
        pages = Counter(f"{PAGES_OF}{page['source']}" for page in self.pages)
        return {**pages, UNCHANGED: len(self.unchanged)} if self.unchanged else dict(pages)


def unit_prefix(host: str) -> str:
    """How a host is called in file names."""
    return re.sub(r"[^a-z0-9.-]", "_", host.lower())


def number_sealed(out: ArtifactFolder, host: str) -> int:
    """How many segments of a host are sealed; they are numbered from 1."""
    pattern = re.compile(rf"{UNITS}/{re.escape(unit_prefix(host))}-\d{{6}}\.json")
    return sum(1 for path in out.folder.list(UNITS) if pattern.fullmatch(path))


def journal_of(out: ArtifactFolder, host: str, number: int) -> tuple[int, str, pa.Table]:
    """A sealed segment's number, the digest of its journal, and the journal."""
    shard = _journal_shard(out.record(_unit(host, number)))
    return number, shard.digest, out.read_shard(shard.path)


def is_sealed_as(out: ArtifactFolder, host: str, number: int, digest: str) -> bool:
    """Whether the segment with this number holds the journal with this digest."""
    return number <= number_sealed(out, host) and (not number or _journal_shard(out.record(_unit(host, number))).digest == digest)


def seal(out: ArtifactFolder, host: str, number: int, epoch: int, segment: Segment, journal: pa.Table) -> str:
    """The digest of the journal. Raises AlreadySealed when another owner was first with this number."""
    record = out.seal(
        _unit(host, number),
        {PAGES: PAGES.table(segment.pages), FAILURES: FAILURES.table(segment.failures), FRONTIER: journal},
        rows_in=len(segment.pages) + len(segment.failures),
        dropped=segment.reasons,
        facts=segment.facts,
        attempt=f"e{epoch:06d}",
    )
    return _journal_shard(record).digest


def _unit(host: str, number: int) -> str:
    return f"{unit_prefix(host)}-{number:06d}"


def _journal_shard(record: UnitRecord) -> Shard:
    return next(shard for shard in record.shards if shard.table == FRONTIER.name)
