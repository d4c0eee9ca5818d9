"""Fetches single pages as the crawl would, and says what the crawl and the extraction would make of them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from cluster.errors import UserError
from pipelines.crawl.browser import Browser
from pipelines.crawl.decode import Decoded, decode
from pipelines.crawl.fetch import ANY_TYPE, Fetcher, FetchError, Response, check_document
from pipelines.crawl.gate import Gate
from pipelines.crawl.links import PageLinks, read_links
from pipelines.crawl.nesting import is_too_nested
from pipelines.crawl.permission import Permission
from pipelines.crawl.render import needs_browser
from pipelines.crawl.sitemap import MAX_BYTES as MAX_SITEMAP_BYTES
from pipelines.crawl.sitemap import read_sitemap
from pipelines.crawl.source import Source, load_source
from pipelines.crawl.step import check, crawl_settings
from pipelines.crawl.urls import absolute_url, host_of, path_of, same_site
from pipelines.extract.page import Article, NotUsed, Pair, read_page
from pipelines.extract.text import one_line
from pipelines.recipe import Recipe

SHOWN_LINKS = 20  # of each group
SHOWN_CHARACTERS = 300
SITEMAP_ENDINGS = (".xml", ".xml.gz")


@dataclass(frozen=True)
class Links:
    """`followed`, and the others by the reason why the crawl would not follow them."""

    followed: list[str] = field(default_factory=list)
    left: dict[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Fault:
    """A URL that gives no page. `passing`: the crawl would try it again."""

    url: str
    reason: str
    detail: str
    passing: bool


@dataclass(frozen=True)
class SitemapSeen:
    """A sitemap: the sitemaps that it names, and its pages."""

    url: str
    sitemaps: list[str]
    links: Links


@dataclass(frozen=True)
class PageSeen:
    """A page, what it says of itself, where it leads and what is extracted from it."""

    url: str
    response: Response
    page: Decoded
    rendered: bool
    is_content: bool
    said: PageLinks
    links: Links
    next_page: str
    found: Article | Pair | NotUsed


Seen = PageSeen | SitemapSeen | Fault


def look(recipe: Recipe, urls: Iterable[str], show: Callable[[Seen], None]) -> None:
    """Show what each URL of the recipe's only source gives, one after the other; its start pages when there are no URLs.

    Raises UserError for what the crawl would refuse before its start, and for a URL of another site.
    """
    (name,) = recipe.crawl.sources
    source = load_source(name)
    check(recipe)
    wanted = [_url_on(source, url) for url in urls] or source.start
    with crawl_settings(recipe) as settings:
        asyncio.run(_look(source, recipe.model_copy(update={"crawl": settings}), wanted, show))


async def _look(source: Source, recipe: Recipe, urls: Iterable[str], show: Callable[[Seen], None]) -> None:
    async with Fetcher(recipe.crawl) as fetcher, Browser(recipe.crawl.chromium) as browser:
        visitor = Visitor(source, recipe, fetcher, browser)
        for url in urls:
            show(await visitor.look_at(url))


def _url_on(source: Source, url: str) -> str:
    """A URL, or a path of the source's site. Raises UserError."""
    absolute = absolute_url(source.start[0], url)
    if absolute is None or not same_site(host_of(absolute), source.host):
        raise UserError(f"{url} is no page of {source.host}, which is the site of source {source.name}")
    return absolute


class Visitor:
    """Looks at pages of one source, with the crawl's own client, turn, permission and browser."""

    def __init__(self, source: Source, recipe: Recipe, fetcher: Fetcher, browser: Browser) -> None:
        self.source, self.settings, self.min_article_words = source, recipe.crawl, recipe.extract.min_article_words
        self.fetcher, self.browser = fetcher, browser
        self.gate = Gate(source.delay, source.concurrency, source.throttle)
        self.permission = Permission(fetcher, self.gate, source.host, {})

    async def look_at(self, url: str) -> Seen:
        """One page or sitemap."""
        try:
            if url in self.source.sitemaps or url.endswith(SITEMAP_ENDINGS):
                return await self._sitemap(url)
            return await self._page(url)
        except FetchError as error:
            return Fault(url, error.reason, error.detail, error.passing)

    async def _sitemap(self, url: str) -> SitemapSeen:
        response = await self.fetcher.get(url, self.gate, self.permission.check, types=ANY_TYPE, max_bytes=MAX_SITEMAP_BYTES)
        response.raise_for_status()
        try:
            sitemap = read_sitemap(response.body)
        except ValueError as error:
            raise FetchError("bad-sitemap", str(error)) from error
        pages = [page for link in sitemap.pages if (page := absolute_url(response.url, link))]
        return SitemapSeen(url, list(sitemap.sitemaps), await self._sort(pages))

    async def _page(self, url: str) -> PageSeen:
        response = await self.fetcher.get(url, self.gate, self.permission.check)
        response.raise_for_status()
        check_document(response)
        page = decode(response.body, response.headers.get("content-type", ""))
        rendered = needs_browser(page.text, response.url, self.source)
        if rendered:
            drawn = await self.browser.draw(response, self.source, self.fetcher, self.gate, self.permission)
            page = Decoded(drawn, "utf-8", 0)
        if is_too_nested(page.text):
            raise FetchError("too-nested")
        said = read_links(page.text, response.url, response.headers, self.source.links, self.settings.user_agent)
        links = await self._sort(said.links)
        if self.source.links:
            every = read_links(page.text, response.url, response.headers, user_agent=self.settings.user_agent).links
            chosen = set(said.links)
            links.left["no match for `links`"] = [link for link in every if link not in chosen]
        is_content = self.source.is_content(response.url)
        return PageSeen(
            url=url,
            response=response,
            page=page,
            rendered=rendered,
            is_content=is_content,
            said=said,
            links=links,
            next_page=self.source.following_page(url) or "",
            found=self._extract(page.text, is_content, said.noindex),
        )

    def _extract(self, html: str, is_content: bool, noindex: bool) -> Article | Pair | NotUsed:
        if not is_content:
            return NotUsed("not-content")
        return NotUsed("noindex") if noindex else read_page(html, self.source, self.min_article_words)

    async def _sort(self, urls: Iterable[str]) -> Links:
        links = Links()
        for url in urls:
            reason = await self._why_not(url)
            (links.left.setdefault(reason, []) if reason else links.followed).append(url)
        return links

    async def _why_not(self, url: str) -> str:
        """Why the crawl would not follow a link; empty when it would."""
        if not same_site(host_of(url), self.source.host):
            return "other site"
        if not self.source.wants(url):
            skipped = any(re.search(pattern, path_of(url)) for pattern in self.source.skip)
            return "`skip`" if skipped else "no match for `follow`"
        if len(url) > self.settings.max_url_length:
            return "url-too-long"
        try:
            await self.permission.check(url)
        except FetchError as error:
            return error.reason
        return ""


def describe(seen: Seen) -> Iterator[str]:
    """It as lines of text."""
    yield seen.url
    if isinstance(seen, Fault):
        detail = f" ({seen.detail})" if seen.detail else ""
        yield _line("no page", f"{seen.reason}{detail}{'; the crawl would try again' if seen.passing else ''}")
    elif isinstance(seen, SitemapSeen):
        yield _line("sitemap", f"{len(seen.sitemaps):,} sitemaps, {_count(seen.links)} pages")
        yield from _links({"sitemaps": seen.sitemaps, "followed": seen.links.followed, **seen.links.left})
    else:
        yield from _describe_page(seen)
    yield ""


def _describe_page(seen: PageSeen) -> Iterator[str]:
    response, page, said = seen.response, seen.page, seen.said
    broken = f", {page.replaced:,} broken places" if page.replaced else ""
    drawn = ", drawn in the browser" if seen.rendered else ""
    yield _line("answer", f"{response.status}, {page.charset}, {len(page.text):,} characters{broken}{drawn}")
    if response.url != seen.url:
        yield _line("leads to", response.url)
    yield _line("page", "content: extraction reads it" if seen.is_content else "list page: only its links count")
    if said.noindex or said.nofollow:
        yield _line("robots", ", ".join(word for word in ("noindex", "nofollow") if getattr(said, word)))
    if said.canonical:
        yield _line("canonical", said.canonical)
    if seen.next_page:
        yield _line("next page", seen.next_page)
    yield _line("links", f"{_count(seen.links)}, {len(seen.links.followed):,} to follow")
    yield from _links({"followed": seen.links.followed, **seen.links.left})
    yield from _describe_found(seen.found)


def _describe_found(found: Article | Pair | NotUsed) -> Iterator[str]:
    if isinstance(found, NotUsed):
        yield _line("extracted", f"nothing: {found.reason}")
        return
    yield _line("extracted", "an article" if isinstance(found, Article) else "a question and its answer")
    for name, value in vars(found).items():
        if value:
            text = one_line(value)
            yield _line(f"  {name}", text[:SHOWN_CHARACTERS] + ("..." if len(text) > SHOWN_CHARACTERS else ""))


def _links(groups: Mapping[str, list[str]]) -> Iterator[str]:
    for name, urls in groups.items():
        if not urls:
            continue
        yield f"    {name}: {len(urls):,}"
        yield from (f"      {url}" for url in urls[:SHOWN_LINKS])
        if len(urls) > SHOWN_LINKS:
            yield f"      ... and {len(urls) - SHOWN_LINKS:,} more"


def _count(links: Links) -> str:
    return f"{len(links.followed) + sum(map(len, links.left.values())):,}"


def _line(name: str, text: str) -> str:
    return f"  {name:<12}{text}"
