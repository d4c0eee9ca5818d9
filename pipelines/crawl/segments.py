"""A host's segments on run storage: pages, failures and the frontier's journal, sealed together or not at all."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import pyarrow as pa

from pipelines.artifact import UNITS, ArtifactFolder, Shard, UnitRecord
from pipelines.tables import FAILURES, FRONTIER, PAGES

MAX_PAGES = 1_000  # a segment is sealed at the latest when it holds so many pages ...
MAX_CHARACTERS = 24 << 20  # ... or so much text, since it is in memory until then


class Segment:
    """What an owner has got since its last seal."""

    def __init__(self) -> None:
        self.pages: list[dict[str, Any]] = []
        self.failures: list[dict[str, Any]] = []
        self.facts: Counter[str] = Counter()
        self.characters = 0

    def store(self, page: dict[str, Any]) -> None:
        self.pages.append(page)
        self.characters += len(page["body"])

    def fail(self, url: str, source: str, reason: str, detail: str = "") -> None:
        self.failures.append({"url": url, "source": source, "reason": reason, "detail": detail[:500]})

    @property
    def is_full(self) -> bool:
        return len(self.pages) >= MAX_PAGES or self.characters >= MAX_CHARACTERS

    @property
    def reasons(self) -> Counter[str]:
        return Counter(failure["reason"] for failure in self.failures)


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
        facts=dict(segment.facts),
        attempt=f"e{epoch:06d}",
    )
    return _journal_shard(record).digest


def _unit(host: str, number: int) -> str:
    return f"{unit_prefix(host)}-{number:06d}"


def _journal_shard(record: UnitRecord) -> Shard:
    return next(shard for shard in record.shards if shard.table == FRONTIER.name)
