"""The crawl step: what is checked before it, and what it says about sources that gave nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.errors import UserError
from cluster.storage import LocalStorage
from pipelines.artifact import ArtifactFolder
from pipelines.crawl.source import load_source, load_sources
from pipelines.crawl.step import _notes_on_empty, check, plan_hosts, share_out
from pipelines.recipe import Recipe, load_recipe
from pipelines.tables import FAILURES, PAGES


def recipe(*overrides: str) -> Recipe:
    return load_recipe("demo", overrides)


def test_a_crawl_of_others_needs_a_contact() -> None:
    with pytest.raises(UserError, match=r"crawl\.contact is empty, and drhast\.com is somebody else's site"):
        check(recipe("crawl.sources=[drhast]"))
    check(recipe("crawl.sources=[drhast]", "crawl.contact=mailto:a@b.ir"))
    check(recipe())


def test_a_missing_browser_is_said_before_the_work() -> None:
    with pytest.raises(UserError, match=r"crawl\.chromium = '/nonexistent'"):
        check(recipe("crawl.chromium=/nonexistent"))
    check(recipe("crawl.chromium=/nonexistent", "crawl.sources=[demo-forum]"))


def test_sources_of_one_host_have_one_owner(tmp_path: Path) -> None:
    forum = load_source("demo-forum")
    plans = plan_hosts([forum, forum.model_copy(update={"name": "again"}), load_source("drhast")])
    assert [[source.name for source in plan.sources] for plan in plans] == [["demo-forum", "again"], ["drhast"]]


def test_browser_hosts_are_spread_over_the_workers() -> None:
    plans = plan_hosts(load_sources(["demo-magazine", "demo-forum", "demo-app"]))
    assert [[plan.host.split(".")[0] for plan in group] for group in share_out(plans, 2)] == [["app", "forum"], ["magazine"]]
    assert len(share_out(plans, 8)) == 3


def failure(source: str) -> dict[str, str]:
    return {"url": f"http://{source}/", "source": source, "reason": "dns", "detail": "no such name"}


def test_one_empty_source_is_a_note_and_the_run_goes_on(tmp_path: Path) -> None:
    out = ArtifactFolder(LocalStorage(str(tmp_path)))
    out.seal("a-000001", {FAILURES: FAILURES.table([failure("demo-forum")])})
    out.seal("b-000001", {}, facts={"pages of demo-magazine": 3})
    notes = _notes_on_empty(out, load_sources(["demo-magazine", "demo-forum"]))
    assert notes == ["source demo-forum: no page could be fetched: http://demo-forum/: dns (no such name)"]


def test_when_all_are_empty_the_attempt_is_forgotten(tmp_path: Path) -> None:
    out = ArtifactFolder(LocalStorage(str(tmp_path)))
    out.seal("a-000001", {PAGES: PAGES.table([]), FAILURES: FAILURES.table([failure("demo-forum")])})
    with pytest.raises(UserError, match=r"no page could be fetched: http://demo-forum/: dns"):
        _notes_on_empty(out, load_sources(["demo-forum"]))
    assert out.sealed() == {}
