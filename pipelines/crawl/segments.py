"""A host's segments on run storage: pages, failures and the frontier's journal, sealed together or not at all."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from pipelines.artifact import UNITS, ArtifactFolder, UnitRecord
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


def sealed_segments(out: ArtifactFolder, host: str) -> list[UnitRecord]:
    """A host's segments, in the order in which they were sealed."""
    pattern = re.compile(rf"{UNITS}/{re.escape(unit_prefix(host))}-\d{{6}}\.json")
    paths = [path for path in out.folder.list(UNITS) if pattern.fullmatch(path)]
    return [UnitRecord.model_validate_json(out.folder.read(path)) for path in sorted(paths)]


def journals(out: ArtifactFolder, segments: list[UnitRecord]) -> Iterator[pa.Table]:
    """The frontier's journal of every segment."""
    for record in segments:
        for shard in record.shards:
            if shard.table == FRONTIER.name:
                yield out.read_shard(shard.path)


def seal(out: ArtifactFolder, host: str, number: int, epoch: int, segment: Segment, journal: list[dict[str, Any]]) -> UnitRecord:
    """Raises AlreadySealed when another owner was first with this number."""
    return out.seal(
        f"{unit_prefix(host)}-{number:06d}",
        {PAGES: PAGES.table(segment.pages), FAILURES: FAILURES.table(segment.failures), FRONTIER: FRONTIER.table(journal)},
        rows_in=len(segment.pages) + len(segment.failures),
        dropped=segment.reasons,
        facts=dict(segment.facts),
        attempt=f"e{epoch:06d}",
    )
