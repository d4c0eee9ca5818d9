"""Source files: what they may say, and what is said about a mistake in one."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from cluster.errors import UserError
from pipelines.crawl.source import BUILT_IN, Source, built_in_sources, load_source, load_sources

SITES = (
    "hidoctor niniban drhast doctor-yab isovisit darmankade doctoreto hamrah-teb seebmagazine extern paziresh24 "
    "majalepezeshki nabz salammag"
).split()


def write(folder: Path, **values: object) -> str:
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump({"name": "mine", "kind": "qa", "start": ["http://e.ir/"]} | values), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"dealy": 1}, ["mine.yaml", "dealy", "did you mean 'delay'"]),
        ({"kind": "blog"}, ["kind", "'blog'", "article"]),
        ({"follow": ["("]}, ["follow", "not a regular expression"]),
        ({"extract": {"text": "div["}}, ["extract.text", "'div['", "not a CSS selector"]),
        ({"links": ["a >"]}, ["links", "not a CSS selector"]),
        ({"start": ["ftp://e.ir/"]}, ["start", "not an http or https URL"]),
        ({"sitemaps": ["http://other.ir/s.xml"]}, ["one host", "other.ir"]),
        ({"pages": [{"url": "http://e.ir/page/", "last": 3}]}, ["pages.0.url", "{n}"]),
        ({"extract": {"titel": "h1"}}, ["extract.titel", "title"]),
    ],
)
def test_a_mistake_is_one_line_with_file_and_key(tmp_path: Path, values: dict[str, object], words: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        load_source(write(tmp_path, **values))
    assert "\n" not in str(caught.value)
    assert [word for word in words if word not in str(caught.value)] == []


def test_a_missing_and_a_broken_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no source 'nowhere'.*drhast"):
        load_source("nowhere")
    broken = tmp_path / "b.yaml"
    broken.write_text("a: [", encoding="utf-8")
    with pytest.raises(UserError, match=r"b\.yaml is not readable YAML"):
        load_source(str(broken))


def test_two_sources_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="two sources are called 'mine'"):
        load_sources([write(tmp_path), write(tmp_path)])


def test_every_site_of_the_paper_has_a_source_that_says_what_is_not_known() -> None:
    assert set(SITES) <= set(built_in_sources())
    for source in load_sources(SITES):
        assert source.verified == "not verified live"
        assert "authors' scripts" in source.origin
        assert source.selectors == ("none" if source.name in ("isovisit", "majalepezeshki", "nabz", "salammag") else "seen")
        if source.selectors == "none":
            rules = source.extract
            assert (rules.text, rules.question, rules.answer, source.links) == ("", "", "", [])
        assert source.delay >= 1
        assert not source.is_content(source.start[0])


@pytest.mark.parametrize("path", sorted(BUILT_IN.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_file_is_called_like_its_source(path: Path) -> None:
    assert load_source(path.stem).name == path.stem


@pytest.mark.parametrize(
    ("name", "path", "wanted", "content"),
    [
        ("hidoctor", "/123-some-post", True, True),
        ("hidoctor", "/page/2/", True, False),
        ("niniban", "/%D8%A8%D8%AE%D8%B4-%D8%A8%D8%A7%D8%B1%D8%AF%D8%A7%D8%B1%DB%8C-59?page=2", True, False),
        ("drhast", "/q/123", True, True),
        ("drhast", "/q/page-7", True, False),
        ("drhast", "/q/ask", False, False),
        ("drhast", "/about", False, False),
        ("doctor-yab", "/faq/77/title", True, True),
        ("doctor-yab", "/faq/?page=9", True, False),
        ("extern", "/health/x", True, True),
        ("paziresh24", "/blog/wp-content/x.html", False, True),
        ("paziresh24", "/blog/some-post/", True, True),
        ("darmankade", "/blog/diseases/page/2/", False, False),
    ],
)
def test_patterns_say_what_is_followed_and_what_is_used(name: str, path: str, wanted: bool, content: bool) -> None:
    source = load_source(name)
    url = f"https://{source.host}{path}"
    assert (source.wants(url), source.is_content(url)) == (wanted, content)


def test_numbered_lists_lead_on_until_their_last_page() -> None:
    drhast = load_source("drhast")
    assert drhast.following_page("https://drhast.com/q/page-19") == "https://drhast.com/q/page-20"
    assert drhast.following_page("https://drhast.com/q/page-20") is None
    assert drhast.following_page("https://drhast.com/q/19") is None


def test_how_fast_is_no_identity_and_what_is(tmp_path: Path) -> None:
    plain = load_source(write(tmp_path))
    slow = plain.model_copy(update={"delay": 9.0, "concurrency": 4})
    other = plain.model_copy(update={"skip": ["^/x"]})
    ruled = Source.model_validate(plain.model_dump() | {"extract": {"question": "h2"}})
    assert plain.crawl_identity() == slow.crawl_identity() == ruled.crawl_identity() != other.crawl_identity()
    assert plain.extract_identity() == slow.extract_identity() == other.extract_identity() != ruled.extract_identity()
