"""The same job on real text: the replay web sites, the published tests."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from cluster.storage import open_storage
from pipelines import tables
from pipelines.steps import latest
from tests.acceptance.test_demo import peak_memory, perplexities
from tests.benchmarks.plain_loop import measure
from tests.e2e.driver import REPOSITORY, Driver

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(7200)]
RECIPE = REPOSITORY / "tests" / "replay" / "replay.yaml"


def test_the_replay(sites: Path, published: Path, tmp_path: Path, figures: list[str]) -> None:
    out, started = tmp_path / "run", time.monotonic()
    driver = Driver(["run", "--recipe", str(RECIPE), "--out", str(out), "--set", f"evaluate.data={published / 'benchmarks'}"])
    assert driver.wait(7000) == 0, driver.output
    figures += [f"{time.monotonic() - started:.0f} s", f"peak {peak_memory(out) / 1e9:.1f} GB"]

    extract = latest(open_storage(out), "extract")
    assert extract is not None
    urls: dict[str, set[str]] = {source: set() for source in ("magazine", "app", "forum-2000", "family")}
    for table in (tables.ARTICLES, tables.QA):
        for row in extract.read(table, ["source", "url"]).to_pylist():
            urls[row["source"]].add(row["url"])
    figures.append(", ".join(f"{source} {len(found)}" for source, found in urls.items()))
    assert len(urls["magazine"]) == 1816
    assert len(urls["app"]) == 240
    assert len(urls["forum-2000"]) >= 2000
    assert len(urls["family"]) >= 9728

    disallowed = ("/admin", "/search", "/wp-admin", "replytocom=", "/panel", "/private/")
    requests = [json.loads(line) for line in sites.read_text(encoding="utf-8").splitlines()]
    assert not [r["path"] for r in requests if any(word in r["path"] for word in disallowed) and "open.html" not in r["path"]]
    assert max(r["inflight"] for r in requests if r["site"] != "app") == 1

    before, after = (perplexities(out, "mf3qa-dev")[model] for model in ("base", "trained"))
    figures.append(f"MF3QA dev perplexity {before:.1f} -> {after:.1f}")
    assert after < before


def test_one_forum_teaches_as_much_as_a_plain_loop(sites: Path, published: Path, tmp_path: Path, figures: list[str]) -> None:
    """Trained on the pairs of the forum that MF3QA is from, on equal tokens."""
    out, data = tmp_path / "run", published / "benchmarks"
    sources = f"crawl.sources=[{RECIPE.parent / 'sources' / 'family.yaml'}]"
    changes = ["--set", sources, "--set", f"evaluate.data={data}", "--set", "evaluate.tasks=[mf3qa-dev]"]
    driver = Driver(["run", "--recipe", str(RECIPE), "--out", str(out), *changes, "--until", "evaluate"])
    assert driver.wait(7000) == 0, driver.output
    before, after = (perplexities(out, "mf3qa-dev")[model] for model in ("base", "trained"))
    plain = measure(str(out), data)
    figures += [f"MF3QA dev perplexity {before:.1f} -> {after:.1f}, ratio {after / before:.3f}", f"plain loop: {plain}"]
    assert after / before < 1.02 * plain.ratio
