"""A crawl in this process: the same slices as in a run, without Ray around them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cluster.storage import LocalStorage
from pipelines.artifact import Artifact, ArtifactFolder
from pipelines.crawl.settings import CrawlSettings
from pipelines.crawl.source import Source, load_sources
from pipelines.crawl.step import crawl_slice, plan_hosts
from pipelines.demo.web import DemoWeb
from pipelines.tables import FAILURES, PAGES

Crawl = Callable[..., Artifact]


@pytest.fixture
def demo() -> Iterator[DemoWeb]:
    with DemoWeb() as web:
        yield web


@pytest.fixture
def crawl_here(tmp_path: Path) -> Crawl:
    """`crawl_here(sources, settings, folder)` crawls to the end and returns the finished artifact."""

    def crawl(sources: list[Source], settings: CrawlSettings, folder: str = "a") -> Artifact:
        out = ArtifactFolder(LocalStorage(str(tmp_path / folder)))
        to_do = {plan.host: plan for plan in plan_hosts(sources)}
        while to_do:
            for report in crawl_slice(list(to_do.values()), out=out, settings=settings):
                if report.finished:
                    del to_do[report.host]
        return out.finish(step="crawl", version=1, settings={}, inputs={}, tables=(PAGES, FAILURES), started=time.time())

    return crawl


@pytest.fixture
def demo_sources() -> list[Source]:
    """The demo sites that need no browser."""
    return load_sources(["demo-magazine", "demo-forum"])
