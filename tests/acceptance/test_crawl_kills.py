"""A crawl whose driver, owners and Chromium are killed at random moments ends like one that was left alone."""

from __future__ import annotations

import random
import signal
from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.acceptance.replayed import SOURCES, Asked, compare, crawl_command
from tests.acceptance.request_log import before_robots, fetched_again, read_log, too_many
from tests.e2e.driver import Driver, digests

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(3600)]

SITES = ("forum", "magazine", "app")
SEED = 20261122
# Pages under way at a host when its owner dies: one on the wire and one that waits its turn; a browser's tabs, too.
UNDER_WAY = {"forum": 2, "magazine": 2, "app": 5}


@dataclass(frozen=True)
class Kill:
    """`target` dies as soon as `site` has been asked `requests` times."""

    target: str  # driver, owner or chromium
    site: str
    requests: int


def test_ten_kills_lose_nothing_and_repeat_little(
    sites: Path, truth: list[dict[str, Any]], tmp_path: Path, figures: list[str]
) -> None:
    dice = random.Random(SEED)
    kills = [Kill("chromium", "app", n) for n in dice.sample(range(20, 420), 3)]
    moments = dice.sample(range(200, 14_000), 7)
    kills += [Kill(target, "forum", n) for target, n in zip(["driver"] * 4 + ["owner"] * 3, moments, strict=True)]

    killed = tmp_path / "killed"
    crawl_through(kills, crawl_command(SITES, killed), sites, dice)
    requests = read_log(sites)
    whole = Driver(crawl_command(SITES, tmp_path / "whole"))
    assert whole.wait(1800) == 0, whole.output

    again = [r for r in fetched_again(requests) if not r.is_robots and not r.path.startswith(("/api/", "/app.js"))]
    by_site = Counter(r.site for r in again)
    deaths = sum(kill.target != "chromium" for kill in kills)
    under_way = {site: n * (len(kills) if site == "app" else deaths) for site, n in UNDER_WAY.items()}
    figures.append(", ".join(f"{n} kills of {target}" for target, n in Counter(kill.target for kill in kills).items()))
    figures += [f"{site} {by_site[site]} pages fetched again (under way at most {under_way[site]})" for site in SITES]

    missing, repeated = compare(killed, truth, SITES)
    assert (missing, repeated) == ([], [])
    assert digests(killed) == digests(tmp_path / "whole")
    limits = {site: source.concurrency for site, source in SOURCES.items()}
    assert (too_many(requests, limits, timeout=5), before_robots(requests)) == ([], [])
    assert {site: by_site[site] for site in SITES if by_site[site] > under_way[site]} == {}


def test_chromium_dies_and_no_page_is_lost(sites: Path, truth: list[dict[str, Any]], tmp_path: Path, figures: list[str]) -> None:
    dice = random.Random(SEED)
    kills = [Kill("chromium", "app", n) for n in dice.sample(range(5, 450), 5)]
    crawl_through(kills, crawl_command(["app"], tmp_path / "run"), sites, dice)
    missing, repeated = compare(tmp_path / "run", truth, ["app"])
    figures.append(f"{len(kills)} kills of Chromium, {len(missing)} of 240 posts missing")
    assert (missing, repeated) == ([], [])


def crawl_through(kills: list[Kill], command: list[str], log: Path, dice: random.Random) -> None:
    """Run the command to its end, with these kills; it is started again when its driver was the target.

    Raises AssertionError when a kill could not be done, when something outlived its driver or when the last run failed.
    """
    asked, pending, driver = Asked(log), list(kills), Driver(command)
    try:
        while pending:
            due = partial(_due, pending, asked, driver)
            assert driver.wait_until(lambda due=due: due() is not None, 1200), driver.output
            family = _family(driver)
            if (chosen := due()) is None:  # it ended by itself meanwhile
                continue
            kill, targets = chosen
            dice.choice(targets).kill()
            pending.remove(kill)
            if kill.target == "driver":
                assert driver.wait(60) == -signal.SIGKILL
                assert _survivors(family) == [], "something outlived its driver"
                driver = Driver(command)
        assert driver.wait(1800) == 0, driver.output
    finally:
        if driver.process.poll() is None:
            driver.kill()


def _due(pending: list[Kill], asked: Asked, driver: Driver) -> tuple[Kill, list[psutil.Process]] | None:
    """The next kill whose moment has come and whose target is there, and which processes it may hit."""
    times = asked.look()
    for kill in (kill for kill in pending if times[kill.site] >= kill.requests):
        if targets := [process for process in _family(driver) if _kind(process, driver) == kill.target]:
            return kill, targets
    return None


def _family(driver: Driver) -> list[psutil.Process]:
    """The driver and everything that it has started."""
    try:
        process = psutil.Process(driver.process.pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _kind(process: psutil.Process, driver: Driver) -> str:
    """What a process is: the driver, an owner of hosts at work, a Chromium (its first process), or something else."""
    if process.pid == driver.process.pid:
        return "driver"
    try:
        command = process.cmdline()
    except psutil.Error:
        return ""
    if not command or any(part.startswith("--type=") for part in command):
        return ""
    if command[0].startswith("ray::Map"):
        return "owner"
    return "chromium" if "chrom" in command[0].rsplit("/", 1)[-1] else ""


def _survivors(family: list[psutil.Process]) -> list[psutil.Process]:
    """Those that are still there a minute later, without Ray's own agents, which look for their parent now and then only."""
    ours = [process for process in family if _is_alive(process) and not _is_agent(process)]
    psutil.wait_procs(ours, timeout=60)
    return [process for process in ours if _is_alive(process)]


def _is_agent(process: psutil.Process) -> bool:
    try:
        return any("Agent" in part for part in process.cmdline()[:1])
    except psutil.Error:
        return False


def _is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
