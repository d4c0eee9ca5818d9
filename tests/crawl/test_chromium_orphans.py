"""However a process ends that draws pages, no Chromium and no driver of it stays behind."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from pipelines.crawl.browser import Browser
from pipelines.crawl.fetch import Response
from tests.conftest import heeds_ctrl_c

from .app_site import AppSite
from .family import family, processes

# Draws three pages at a time until it is told otherwise, each of which waits for data that never come.
DRAWING = """
    import asyncio, sys
    from pipelines.crawl.browser import Browser
    from pipelines.crawl.fetch import Fetcher
    from pipelines.crawl.gate import Gate
    from pipelines.crawl.permission import Permission
    from pipelines.crawl.settings import CrawlSettings
    from pipelines.crawl.source import Source

    host = sys.argv[1]
    source = Source(name="app", kind="article", start=[f"http://{host}/"], render="browser")
    settings = CrawlSettings(sources=["x"], allow_private=[host], user_agent="ours")

    async def draw():
        gate = Gate(0, concurrency=8)
        async with Fetcher(settings) as fetcher, Browser() as browser:
            permission = Permission(fetcher, gate, host, {})
            document = await fetcher.get(f"http://{host}/", gate, permission.check)
            await asyncio.gather(*(browser.draw(document, source, fetcher, gate, permission) for _ in range(3)))

    asyncio.run(draw())
"""
PAGES = {
    "waiting": "<script>fetch('/data.json')</script>",
    "hanging": "<script>fetch('/data.json'); setTimeout(() => { while (true) {} }, 50)</script>",
}


@pytest.fixture(autouse=True)
def _own_temporary_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A driver that is killed leaves Chromium's profile there."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))


def kill_all_but_chromium(process: psutil.Process) -> None:
    """As when a container or a worker's process group ends."""
    for victim in [process, *processes("driver", process)]:
        victim.kill()


ENDS: dict[str, Callable[[psutil.Process], None]] = {
    "SIGKILL": lambda process: process.kill(),
    "SIGTERM": lambda process: process.terminate(),
    "SIGINT": lambda process: process.send_signal(signal.SIGINT),
    "SIGKILL, the driver too": kill_all_but_chromium,
}


@pytest.mark.parametrize(
    ("end", "page"), [*((end, "waiting") for end in ENDS), ("SIGKILL", "hanging"), ("SIGKILL, the driver too", "hanging")]
)
def test_a_killed_process_leaves_nothing_behind(end: str, page: str) -> None:
    async def scenario() -> None:
        async with AppSite({"/": PAGES[page], "/data.json": "{}"}) as site:
            site.hold("/data.json")
            command = [sys.executable, "-c", textwrap.dedent(DRAWING), site.host]
            process = subprocess.Popen(command, stderr=subprocess.DEVNULL, preexec_fn=heeds_ctrl_c)
            await site.asked("/data.json", times=3)
            parent = psutil.Process(process.pid)
            assert len(processes("renderer", parent)) >= 3
            members = [parent, *family(parent)]
            ENDS[end](parent)
            _, alive = await asyncio.to_thread(psutil.wait_procs, members, 120)
            process.wait()
            assert alive == []

    asyncio.run(scenario())


@pytest.mark.parametrize("when", ["at the end", "in the middle of a page", "while it starts"])
def test_a_browser_leaves_nothing_behind(when: str) -> None:
    async def draw() -> None:
        async with AppSite({"/": PAGES["waiting"], "/data.json": "{}"}) as site:
            if when != "at the end":
                site.hold("/data.json")
            async with Browser() as browser:
                drawing = asyncio.create_task(site.draw(browser))
                if when == "at the end":
                    await drawing
                elif when == "in the middle of a page":
                    await site.asked("/data.json")
                else:
                    while not family():
                        await asyncio.sleep(0)
                members = family()
                drawing.cancel()
        _, alive = await asyncio.to_thread(psutil.wait_procs, members, 60)
        assert alive == []
        assert family() == []

    asyncio.run(draw())


def test_a_cancelled_page_asks_for_nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its requests that wait for their turn behind the one that is answered are taken back."""
    parts = [f"/{n}.json" for n in range(8)]
    page = f"<script>for (const part of {parts}) fetch(part)</script>"

    async def draw() -> None:
        async with AppSite({"/": page} | dict.fromkeys(parts, "{}"), concurrency=1) as site, Browser() as browser:
            release, queued, get = site.hold("/0.json"), asyncio.Semaphore(0), site.fetcher.get

            async def get_noted(*arguments: Any, **options: Any) -> Response:
                queued.release()
                return await get(*arguments, **options)

            drawing = asyncio.create_task(site.draw(browser))
            await site.asked("/")
            monkeypatch.setattr(site.fetcher, "get", get_noted)
            await site.asked("/0.json")
            for _ in parts:
                await queued.acquire()
            drawing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await drawing
            release.set()
            await site.fetcher.get(f"http://{site.host}/last", site.gate, site.permission.check)
            assert site.requests == ["/robots.txt", "/", "/0.json", "/last"]

    asyncio.run(draw())
