"""Two Ray nodes that share no folder, with run storage on S3: the whole road, and the end of a node."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from cluster.storage import open_storage
from pipelines.crawl.segments import MAX_PAGES
from tests.acceptance.nodes import two_nodes
from tests.acceptance.replayed import SOURCES, Asked, compare, crawl_command
from tests.acceptance.request_log import before_robots, fetched_again, read_log, too_many
from tests.e2e.driver import RECIPE, Driver, digests
from tests.tiny_models import tiny_cohere

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(1800)]
SITES = ("forum", "magazine")


def test_the_road_on_two_nodes_without_a_common_folder(s3_url: str, tmp_path: Path) -> None:
    open_storage(s3_url).upload(tiny_cohere(tmp_path / "model"), "model")
    model = f"{s3_url}/model"
    arguments = ["run", "--recipe", str(RECIPE), "--set", f"model={model}", "--set", f"evaluate.judge.model={model}"]
    with two_nodes(tmp_path) as nodes:
        driver = Driver(
            [*arguments, "--out", f"{s3_url}/run", "--set", f"cluster.address={nodes.address}", "--set", "cluster.workers=2"],
            environment={"GAOKERENA_CACHE": str(tmp_path / "cache-1")},
        )
        assert driver.wait(800) == 0, driver.output
    assert list(digests(f"{s3_url}/run"))[-1] == "report"


def test_a_node_dies_in_the_middle_of_a_crawl(
    sites: Path, truth: list[dict[str, Any]], s3_url: str, tmp_path: Path, figures: list[str]
) -> None:
    """Its hosts go over to the other node when their leases are out, and nothing is missing or stored twice."""
    out = f"{s3_url}/crawl"
    with two_nodes(tmp_path) as nodes:
        command = crawl_command(SITES, out)
        driver = Driver(
            [*command, "--set", f"cluster.address={nodes.address}", "--set", "crawl.slice_seconds=600"],
            environment={"GAOKERENA_CACHE": str(tmp_path / "cache-1")},
        )
        asked = Asked(sites)
        assert driver.wait_until(lambda: min(asked.look()[site] for site in SITES) > 500, 300), driver.output
        nodes.kill_second()
        assert driver.wait(1200) == 0, driver.output
    requests = read_log(sites)
    again = Counter(r.site for r in fetched_again(requests) if not r.is_robots)
    missing, repeated = compare(out, truth, SITES)
    figures.append(", ".join(f"{site} {again[site]} pages fetched again" for site in SITES))
    assert (missing, repeated) == ([], [])
    limits = {site: SOURCES[site].concurrency for site in SITES}
    assert (too_many(requests, limits, timeout=5), before_robots(requests)) == ([], [])
    assert sum(again.values()) > 0  # the node that died had something to lose
    assert max(again.values()) <= MAX_PAGES  # what it had not sealed yet was on its disk
