"""How long a real crawl takes: what each host has to be asked for, times the delay between two requests. No network."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.console import Group
from rich.table import Table

from pipelines.crawl.source import Source

UNITS = (("days", 86_400), ("hours", 3_600), ("minutes", 60))


@dataclass(frozen=True)
class HostForecast:
    """`pages` with content, None where the sources don't say how many; `others`: start and list pages, sitemaps."""

    host: str
    sources: tuple[str, ...]
    pages: int | None
    others: int
    delay: float  # seconds

    @property
    def seconds(self) -> float | None:
        """At least: what the site needs for its answers comes on top."""
        return None if self.pages is None else (self.pages + self.others) * self.delay


def forecast(sources: Iterable[Source]) -> list[HostForecast]:
    """For every host, in the order of the sources. Sources of one host share its turn, at the longest of their delays."""
    by_host: dict[str, list[Source]] = {}
    for source in sources:
        by_host.setdefault(source.host, []).append(source)
    return [_of_host(host, group) for host, group in by_host.items()]


def _of_host(host: str, sources: Sequence[Source]) -> HostForecast:
    known = [pages for source in sources if (pages := content_pages(source)) is not None]
    return HostForecast(
        host,
        tuple(source.name for source in sources),
        sum(known) if len(known) == len(sources) else None,
        sum(map(other_pages, sources)),
        max(source.delay for source in sources),
    )


def content_pages(source: Source) -> int | None:
    """How many pages with content it stores; None when nobody said."""
    limits = [limit for limit in (source.expected_pages, source.max_pages) if limit is not None]
    return min(limits, default=None)


def other_pages(source: Source) -> int:
    """Start pages, list pages (those that exist at most) and the sitemaps that the source names."""
    lists = {pages.page(pages.first) for pages in source.pages}
    beyond = sum(pages.last - pages.first for pages in source.pages)
    return len({*source.start, *source.sitemaps, *lists}) + beyond


def table(hosts: Sequence[HostForecast]) -> Group:
    """Something that a console prints."""
    rows = Table("host", "sources", box=None, header_style="bold", pad_edge=False)
    for title in ("pages", "lists", "delay", "at least"):
        rows.add_column(title, justify="right")
    for host in hosts:
        pages = "unknown" if host.pages is None else f"{host.pages:,}"
        rows.add_row(host.host, ", ".join(host.sources), pages, f"{host.others:,}", f"{host.delay:g} s", _time(host.seconds))
    return Group(rows, "", *_total(hosts))


def _total(hosts: Sequence[HostForecast]) -> Iterable[str]:
    known = [host for host in hosts if host.seconds is not None]
    if known:
        longest = max(known, key=lambda host: host.seconds or 0.0)
        yield f"hosts side by side: {_time(longest.seconds)} or more, as long as {longest.host} takes"
    if unknown := [name for host in hosts if host.pages is None for name in host.sources]:
        yield f"unknown without `expected_pages` (or `max_pages`) in the source: {', '.join(unknown)}"


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "unknown"
    for unit, length in UNITS:
        if seconds >= length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} seconds"
