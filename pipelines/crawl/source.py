"""A source: one YAML file that says where a site starts, what to follow and how to read its pages."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, Field, ValidationError, field_validator, model_validator
from selectolax.lexbor import LexborHTMLParser, SelectolaxError

from cluster.errors import UserError
from pipelines.crawl.filesource import FileSource
from pipelines.crawl.urls import canonical_url, host_of, path_of
from pipelines.recipe import explain
from pipelines.settings import Settings, execution

BUILT_IN = Path(__file__).parent / "sources"


class ListPages(Settings):
    """Numbered list pages, `.../page/{n}/` from first to last; each leads to the next until one is missing (404)."""

    url: str
    first: int = Field(1, ge=0)
    last: int = Field(ge=0)

    @field_validator("url")
    @classmethod
    def _has_number(cls, url: str) -> str:
        if "{n}" not in url:
            raise ValueError("write {n} where the page's number goes")
        return url

    def page(self, n: int) -> str:
        """The n-th page's canonical URL."""
        return _canonical(self.url.replace("{n}", str(n)))


def _check_selector(selector: str) -> str:
    try:
        LexborHTMLParser("").css_first(selector or "*")
    except SelectolaxError as error:
        raise ValueError(f"{selector!r} is not a CSS selector") from error
    return selector


Selector = Annotated[str, AfterValidator(_check_selector)]


class Rules(Settings):
    """How to read a page. `drop` is taken out first."""

    title: Selector = ""
    date: Selector = ""  # where the date of publication stands
    text: Selector = ""  # the article's body
    question: Selector = ""
    answer: Selector = ""
    drop: list[Selector] = []
    cut_at: list[str] = []  # the text ends where one of these begins
    question_prefix: str = ""  # `text` that begins with this is a question and its answer ...
    answer_prefix: str = ""  # ... which begins here


class Source(Settings):
    """`follow`, `skip` and `content` are regular expressions searched in the decoded path and query of a URL."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    kind: Literal["article", "qa", "mixed"]
    start: list[str] = Field(min_length=1)
    sitemaps: list[str] = []
    robots_sitemaps: bool = False  # read the sitemaps that robots.txt names, too
    pages: list[ListPages] = []
    links: list[Selector] = []  # CSS of the anchors to follow; empty: all of them
    follow: list[str] = []  # empty: every URL of the site
    skip: list[str] = []
    content: list[str] = []  # pages that extraction uses; empty: every page that is not a start or list page
    render: Literal["http", "browser", "auto"] = "http"  # auto: the browser where a page has no content without it
    ready: str = ""  # browser: CSS of what shows that the page is drawn
    more: str = ""  # browser: CSS of a button that loads more of a list
    scroll: bool = False  # browser: the page grows at its end as long as one scrolls
    delay: float = execution(1.0, ge=0)  # seconds between two requests to the host
    throttle: float = execution(1.0, ge=0)  # rest at least so many times as long as answers take; 0: only the delay
    concurrency: int = execution(1, ge=1, le=8)  # requests in flight at the host
    max_pages: int | None = Field(None, ge=1)  # content pages stored; None: all
    max_urls: int = Field(2_000_000, ge=1)  # URLs that are ever put in the queue
    max_alike: int = Field(5_000, ge=1)  # URLs that differ in numbers, ids or query values only, where `content` names none
    max_depth: int = Field(500, ge=0)  # links away from a start URL, sitemap or list page
    expected_pages: int | None = execution(None, ge=1)  # what `gaokerena crawl plan` counts with
    extract: Rules = Rules()
    selectors: Literal["none", "seen"] = "none"  # whether anybody saw the site's mark-up
    origin: str = execution("")  # where selectors and patterns come from
    verified: str = execution("not verified live")

    @field_validator("start", "sitemaps")
    @classmethod
    def _are_urls(cls, urls: list[str]) -> list[str]:
        return [_canonical(url) for url in urls]

    @field_validator("follow", "skip", "content")
    @classmethod
    def _are_patterns(cls, patterns: list[str]) -> list[str]:
        for pattern in patterns:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"{pattern!r} is not a regular expression: {error}") from error
        return patterns

    @model_validator(mode="after")
    def _one_host(self) -> Source:
        urls = [*self.start, *self.sitemaps, *(pages.page(pages.first) for pages in self.pages)]
        hosts = sorted({host_of(url) for url in urls})
        if len(hosts) > 1:
            raise ValueError(f"a source is one host, this one names {' and '.join(hosts)}; write a source for each")
        return self

    @property
    def host(self) -> str:
        """Name, and port where it is not the scheme's own."""
        return host_of(self.start[0])

    def wants(self, url: str) -> bool:
        """Whether a link of this site is to be followed."""
        path = path_of(url)
        if self._skip and self._skip.search(path):
            return False
        if not self._follow or self._follow.search(path):
            return True
        return self.names_as_content(url)

    def is_content(self, url: str) -> bool:
        """Whether extraction uses the page at this URL."""
        if self._content:
            return self.names_as_content(url)
        return url not in self.start and not any(pattern.fullmatch(url) for pattern in self._numbered)

    def names_as_content(self, url: str) -> bool:
        """Whether one of the `content` patterns is about this URL."""
        return bool(self._content and self._content.search(path_of(url)))

    def following_page(self, url: str) -> str | None:
        """The list page after this one; None for the last one and for a page that is no list page."""
        for pages, pattern in zip(self.pages, self._numbered, strict=True):
            if (match := pattern.fullmatch(url)) and pages.first <= int(match[1]) < pages.last:
                return pages.page(int(match[1]) + 1)
        return None

    def crawl_identity(self) -> dict[str, Any]:
        """What decides which pages are stored."""
        return {key: value for key, value in self.identity().items() if key not in ("extract", "selectors")}

    def extract_identity(self) -> dict[str, Any]:
        """What decides how a stored page is read."""
        whole = self.identity()
        return {key: whole[key] for key in ("kind", "start", "pages", "content", "extract")}

    @cached_property
    def _follow(self) -> re.Pattern[str] | None:
        return _any_of(self.follow)

    @cached_property
    def _skip(self) -> re.Pattern[str] | None:
        return _any_of(self.skip)

    @cached_property
    def _content(self) -> re.Pattern[str] | None:
        return _any_of(self.content)

    @cached_property
    def _numbered(self) -> list[re.Pattern[str]]:
        return [_numbered_urls(pages.url) for pages in self.pages]


def _numbered_urls(template: str) -> re.Pattern[str]:
    stand_in = "7777777"  # for the number, while the URL is made canonical
    left, _, right = _canonical(template.replace("{n}", stand_in)).partition(stand_in)
    return re.compile(f"{re.escape(left)}(\\d+){re.escape(right)}")


def _any_of(patterns: list[str]) -> re.Pattern[str] | None:
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns)) if patterns else None


def _canonical(url: str) -> str:
    canonical = canonical_url(url)
    if canonical is None:
        raise ValueError(f"{url!r} is not an http or https URL")
    return canonical


def load_source(name: str) -> Source:
    """A site's source by built-in name or path of a YAML file. Raises UserError with one line."""
    source = _load(name)
    if isinstance(source, FileSource):
        raise UserError(f"source {source.name} is files: there is nothing to crawl, `gaokerena extract` reads them")
    return source


def load_sources(names: Iterable[str]) -> list[Source]:
    """The sites among several sources, each name once. Raises UserError with one line."""
    return [source for source in _load_all(names) if isinstance(source, Source)]


def load_file_sources(names: Iterable[str]) -> list[FileSource]:
    """The others: sources that are files and need no crawl. Raises UserError with one line."""
    return [source for source in _load_all(names) if isinstance(source, FileSource)]


def _load(name: str) -> Source | FileSource:
    path = BUILT_IN / f"{name}.yaml"
    if not path.is_file():
        path = Path(name)
    if not path.is_file():
        raise UserError(f"no source {name!r}: name a YAML file or one of {', '.join(built_in_sources())}")
    return _read(str(path), path.stat().st_mtime_ns)


def _load_all(names: Iterable[str]) -> list[Source | FileSource]:
    sources = [_load(name) for name in names]
    seen: set[str] = set()
    for source in sources:
        if source.name in seen:
            raise UserError(f"crawl.sources: two sources are called {source.name!r}; rename one")
        seen.add(source.name)
    return sources


def built_in_sources() -> list[str]:
    """Names of the sources that ship with the project."""
    return sorted(path.stem for path in BUILT_IN.glob("*.yaml"))


@lru_cache(maxsize=256)
def _read(path: str, _changed: int) -> Source | FileSource:
    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"source {path} is not readable YAML: {error}") from error
    if not isinstance(values, dict):
        raise UserError(f"source {path}: expected keys and values, found {type(values).__name__}")
    model = FileSource if {"files", "hub"} & values.keys() else Source
    try:
        source = model.model_validate(values)
    except ValidationError as error:
        raise UserError(f"source {path}: {explain(error, model)}") from error
    return source.beside(Path(path).parent) if isinstance(source, FileSource) else source
