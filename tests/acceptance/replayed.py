"""Crawls of the replay sites: the command, how often each site was asked meanwhile, and what is missing in the end."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from cluster.storage import open_storage
from pipelines import tables
from pipelines.crawl.source import load_sources
from pipelines.steps import latest
from tests.e2e.driver import REPOSITORY

REPLAY = REPOSITORY / "tests" / "replay"
# A site's source is called like the site.
SOURCES = {
    source.name: source
    for source in load_sources(str(REPLAY / "sources" / f"{site}.yaml") for site in ("forum", "magazine", "app"))
}


class Asked:
    """How often each site was asked so far, from the log as it grows."""

    def __init__(self, log: Path) -> None:
        self._file, self._rest, self.times = log.open(encoding="utf-8"), "", Counter[str]()

    def look(self) -> Counter[str]:
        *lines, self._rest = (self._rest + self._file.read()).split("\n")
        self.times.update(json.loads(line)["site"] for line in lines)
        return self.times


def compare(out: Path | str, truth: list[dict[str, Any]], sites: Iterable[str]) -> tuple[list[str], list[str]]:
    """URLs of truth that are missing, and URLs that are in an output twice."""
    crawl, extract = (latest(open_storage(out), step) for step in ("crawl", "extract"))
    assert crawl
    assert extract
    pages = crawl.read(tables.PAGES, ["url"])["url"].to_pylist()
    found = [row for table in (tables.ARTICLES, tables.QA) for row in extract.read(table, ["url"])["url"].to_pylist()]
    wanted = {
        f"{SOURCES[row['site']].start[0]}{row['path'][1:]}"
        for row in truth
        if row["site"] in sites and row["kind"] in ("qa", "article")
    }
    twice = [url for urls in (pages, found) for url, n in Counter(urls).items() if n > 1]
    return sorted(wanted - set(map(unquote, found))), twice


def crawl_command(sites: Iterable[str], out: Path | str) -> list[str]:
    """What crawls these sites to the end and extracts them."""
    sources = ",".join(str(REPLAY / "sources" / f"{site}.yaml") for site in sites)
    recipe = ["--recipe", str(REPLAY / "full.yaml"), "--set", f"crawl.sources=[{sources}]"]
    return ["run", *recipe, "--until", "extract", "--out", str(out)]
