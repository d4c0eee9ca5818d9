"""`gaokerena crawl check`: pages as the crawl sees them, as politely as the crawl asks for them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import pytest
import yaml
from pydantic import BaseModel

from cluster.errors import UserError
from pipelines.crawl.preview import Fault, PageSeen, Seen, SitemapSeen, describe, look
from pipelines.crawl.source import BUILT_IN, ListPages, Rules, Source, load_source
from pipelines.demo.web import DemoWeb
from pipelines.extract.page import Article, NotUsed, Pair
from pipelines.recipe import Recipe, load_recipe

from .small_site import HOST, Page, SmallSite

Kind = TypeVar("Kind", bound=Seen)
DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "sources.md"


def recipe(resolve: dict[str, str], source: str, *more: str) -> Recipe:
    changes = [f"crawl.sources=[{source}]", f"crawl.resolve={json.dumps(resolve)}", "demo_web=null", *more]
    return load_recipe("demo", changes)


def seen(recipe: Recipe, *urls: str) -> list[Seen]:
    found: list[Seen] = []
    look(recipe, urls, found.append)
    return found


def only(kind: type[Kind], found: list[Seen]) -> Kind:
    (one,) = found
    assert isinstance(one, kind)
    return one


def words(pair: Pair) -> tuple[list[str], list[str]]:
    return pair.question.split(), pair.answer.split()


def write(folder: Path, **values: Any) -> str:
    path = folder / "mine.yaml"
    like = {"name": "mine", "kind": "article", "start": [f"http://{HOST}/"], "delay": 0, "throttle": 0}
    path.write_text(yaml.safe_dump(like | values), encoding="utf-8")
    return str(path)


@pytest.fixture
def site() -> Iterator[SmallSite]:
    with SmallSite({"/": Page("home", ["/a", "/b/1", "http://www.small.test/c", "http://elsewhere.test/"])}) as small:
        yield small


def test_a_question_page_gives_its_pair_and_what_would_be_followed(demo: DemoWeb) -> None:
    page = only(PageSeen, seen(recipe(demo.resolve, "demo-forum"), "/q/12"))
    expected = next(row for row in demo.truth() if row.url == "http://forum.demo.test/q/12")
    assert isinstance(page.found, Pair)
    assert words(page.found) == (expected.question.split(), expected.answer.split())
    assert page.is_content and page.response.status == 200 and page.page.charset == "utf-8"
    assert "http://forum.demo.test/q/11" in page.links.followed
    assert page.links.left["other site"] == ["http://ads.demo.test/click?id=7"]
    assert len(page.links.left["no match for `follow`"]) == 2
    assert [r.path for r in demo.log] == ["/robots.txt", "/q/12"]


def test_each_link_that_is_left_has_its_reason(demo: DemoWeb) -> None:
    page = only(PageSeen, seen(recipe(demo.resolve, "demo-magazine"), "/post/migraine/"))
    assert isinstance(page.found, Article)
    assert all("replytocom" in url for url in page.links.left["robots"])
    assert all("/section/" in url for url in page.links.left["`skip`"])
    assert "http://magazine.demo.test/post/acne/" in page.links.followed
    text = "\n".join(describe(page))
    assert "    `skip`: 12" in text and "extracted   an article" in text and page.found.text[:40] in text


def test_nothing_is_asked_that_robots_txt_forbids(demo: DemoWeb) -> None:
    faults = seen(recipe(demo.resolve, "demo-forum"), "/search?q=1", "/q/999999")
    assert [(fault.reason, fault.passing) for fault in faults if isinstance(fault, Fault)] == [
        ("robots", False),
        ("http-404", False),
    ]
    assert [r.path for r in demo.log] == ["/robots.txt", "/q/999999"]


def test_the_delay_is_kept_and_start_pages_are_the_default(site: SmallSite, tmp_path: Path) -> None:
    site.pages |= {"/a": Page("a"), "/b": Page("b")}
    source = write(tmp_path, delay=0.05, start=[f"http://{HOST}/a", f"http://{HOST}/b"])
    assert [page.url for page in seen(recipe(site.resolve, source))] == [f"http://{HOST}/a", f"http://{HOST}/b"]
    assert site.paths() == ["/robots.txt", "/a", "/b"]
    times = [time for _, _, time in site.requests]
    assert min(b - a for a, b in pairwise(times)) >= 0.05


def test_anchors_that_links_does_not_name_are_told_apart(site: SmallSite, tmp_path: Path) -> None:
    page = only(PageSeen, seen(recipe(site.resolve, write(tmp_path, links=['a[href^="/b"]']))))
    assert page.links.followed == [f"http://{HOST}/b/1"]
    assert f"http://{HOST}/a" in page.links.left["no match for `links`"]


def test_what_robots_directives_say_is_shown(site: SmallSite, tmp_path: Path) -> None:
    site.pages["/a"] = Page("text " * 80, ["/b/1"], headers={"X-Robots-Tag": "noindex, nofollow"})
    page = only(PageSeen, seen(recipe(site.resolve, write(tmp_path)), "/a"))
    assert page.found == NotUsed("noindex") and page.links.followed == []
    assert "  robots      noindex, nofollow" in list(describe(page))


def test_a_list_page_names_the_next_one(demo: DemoWeb) -> None:
    page = only(PageSeen, seen(recipe(demo.resolve, "demo-forum"), "/q/page-1"))
    assert not page.is_content and page.found == NotUsed("not-content")
    assert page.next_page == "http://forum.demo.test/q/page-2"


def test_a_sitemap_is_read_as_one(demo: DemoWeb) -> None:
    index, pages = seen(recipe(demo.resolve, "demo-magazine"), "/sitemap_index.xml", "/post-sitemap1.xml.gz")
    assert isinstance(index, SitemapSeen) and isinstance(pages, SitemapSeen)
    assert index.sitemaps == ["http://magazine.demo.test/post-sitemap1.xml.gz"]
    assert "http://magazine.demo.test/post/migraine/" in pages.links.followed


def test_a_javascript_page_is_drawn_also_where_the_browser_is_taken_only_when_needed(demo: DemoWeb, tmp_path: Path) -> None:
    path = tmp_path / "auto.yaml"
    path.write_text((BUILT_IN / "demo-app.yaml").read_text().replace("render: browser", "render: auto"), encoding="utf-8")
    page = only(PageSeen, seen(recipe(demo.resolve, str(path)), "/post/1"))
    assert page.rendered and isinstance(page.found, Pair)


def test_somebody_elses_site_needs_a_contact_as_in_a_crawl() -> None:
    with pytest.raises(UserError, match=r"crawl\.contact is empty, and drhast\.com is somebody else's site"):
        seen(recipe({}, "drhast"))


def test_a_private_address_is_a_fault_unless_it_is_named(site: SmallSite, tmp_path: Path) -> None:
    here = f"127.0.0.1:{site.port}"
    source = write(tmp_path, start=[f"http://{here}/"])
    fault = only(Fault, seen(recipe({}, source)))
    assert fault.reason in ("robots-unavailable", "private-address") and site.requests == []
    assert only(PageSeen, seen(recipe({}, source, f'crawl.allow_private=["{here}"]'))).response.status == 200


def test_a_page_of_another_site_is_refused(demo: DemoWeb) -> None:
    with pytest.raises(UserError, match="http://magazine.demo.test/ is no page of forum.demo.test"):
        seen(recipe(demo.resolve, "demo-forum"), "http://magazine.demo.test/")
    assert demo.log == []


def test_the_example_of_the_documentation_is_as_it_says(demo: DemoWeb, tmp_path: Path) -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    first, last = (block for block in blocks if "name: my-forum" in block)
    path = tmp_path / "my-forum.yaml"

    path.write_text(first, encoding="utf-8")
    start = only(PageSeen, seen(recipe(demo.resolve, str(path), "crawl.timeout_seconds=5")))
    assert [url.partition("?")[0] for url in start.links.left["robots"]] == ["http://forum.demo.test/search"]

    path.write_text(last, encoding="utf-8")
    question, listing = seen(recipe(demo.resolve, str(path)), "/q/12", "/q/page-1")
    expected = next(row for row in demo.truth() if row.url == "http://forum.demo.test/q/12")
    assert isinstance(question, PageSeen) and isinstance(question.found, Pair) and isinstance(listing, PageSeen)
    assert words(question.found) == (expected.question.split(), expected.answer.split())
    assert "http://forum.demo.test/q/ask" in question.links.left["`skip`"]
    assert listing.next_page == "http://forum.demo.test/q/page-2"

    known = [row for row in demo.truth() if row.site == "forum.demo.test" and row.kind == "qa"]
    assert load_source(str(path)).expected_pages == len(known)


def test_every_key_is_explained_with_its_default() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    tables = re.findall(r"\| key \| default \| what it says \|\n\|[-|]+\|\n((?:\|.*\n)+)", text)
    for model, table in zip((Source, ListPages, Rules), tables[:3], strict=True):
        rows = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", table, re.MULTILINE))
        fields = model.model_fields.items()
        assert rows == {name: "required" if field.is_required() else f"`{plain(field.default)}`" for name, field in fields}


def plain(default: Any) -> str:
    return json.dumps({} if isinstance(default, BaseModel) else default)
