"""What is done with one URL: fetch it, draw it in the browser if need be, store it, and put what it links to in the frontier."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial

from pipelines.crawl.browser import Browser
from pipelines.crawl.decode import Decoded, decode
from pipelines.crawl.fetch import ANY_TYPE, Fetcher, FetchError, Response, check_document
from pipelines.crawl.frontier import Entry, Frontier
from pipelines.crawl.gate import Gate
from pipelines.crawl.links import PageLinks, read_links
from pipelines.crawl.nesting import is_too_nested
from pipelines.crawl.permission import Permission
from pipelines.crawl.segments import Segment
from pipelines.crawl.sitemap import MAX_BYTES as MAX_SITEMAP_BYTES
from pipelines.crawl.sitemap import read_sitemap
from pipelines.crawl.source import Source
from pipelines.crawl.urls import absolute_url, host_of, same_site

MAX_BACKOFF = 60.0  # seconds between two tries of a URL
PAGES_OF = "pages of "  # a segment's fact: how many of each source
END_OF_LIST = frozenset({"http-404", "http-410", "duplicate"})


@dataclass(frozen=True)
class Fetched:
    """An answer, and the page as the browser drew it where the source wants that."""

    response: Response
    drawn: str | None = None

    def text(self) -> Decoded:
        if self.drawn is not None:
            return Decoded(self.drawn, "utf-8", 0)
        return decode(self.response.body, self.response.headers.get("content-type", ""))


class Harvest:
    """`segment` is replaced by the owner when it was sealed."""

    def __init__(
        self,
        sources: Mapping[str, Source],
        frontier: Frontier,
        fetcher: Fetcher,
        gate: Gate,
        permission: Permission,
        browser: Browser,
    ) -> None:
        self.sources, self.frontier, self.fetcher, self.gate = sources, frontier, fetcher, gate
        self.permission, self.browser = permission, browser
        self.settings = fetcher.settings
        self.segment = Segment()

    async def fetch(self, entry: Entry) -> Fetched | FetchError:
        """Get one document. A fault is a value, since it is one of the things that happen to a URL."""
        get = partial(self.fetcher.get, entry.url, self.gate, self.permission.check)
        try:
            if entry.kind == "sitemap":
                response = await get(types=ANY_TYPE, max_bytes=MAX_SITEMAP_BYTES)
                response.raise_for_status()
                return Fetched(response)
            response = await get()
            response.raise_for_status()
            check_document(response)
            source = self.sources[entry.source]
            if source.render == "browser":
                return Fetched(response, await self.browser.draw(response, source, self.fetcher, self.gate, self.permission))
            return Fetched(response)
        except FetchError as error:
            return error

    def settle(self, entry: Entry, outcome: Fetched | FetchError) -> None:
        """Say what became of a URL, and add what it leads to."""
        if not self.frontier.is_pending(entry.url):  # another URL led to this page while it was on its way
            return
        try:
            if isinstance(outcome, FetchError):
                raise outcome
            if entry.kind == "sitemap":
                self._read_sitemap(entry, outcome.response)
            else:
                self._store(entry, outcome)
        except FetchError as error:
            self._retry_or_fail(entry, error)

    def fail(self, entry: Entry, reason: str, detail: str = "") -> None:
        """A URL that is not stored, and why."""
        self.frontier.settle(entry, "failed")
        self.segment.fail(entry.url, entry.source, reason, detail)

    def _retry_or_fail(self, entry: Entry, error: FetchError) -> None:
        self.gate.pause(error.retry_after)
        if error.passing and entry.attempts < self.settings.retries:
            backoff = min(2.0**entry.attempts, MAX_BACKOFF) * random.uniform(0.5, 1.0)
            self.frontier.retry(entry, time.time() + max(backoff, error.retry_after))
            return
        self.fail(entry, error.reason, error.detail)
        if error.reason not in END_OF_LIST:
            self._next_list_page(entry)

    def _read_sitemap(self, entry: Entry, response: Response) -> None:
        try:
            sitemap = read_sitemap(response.body)
        except ValueError as error:
            raise FetchError("bad-sitemap", str(error)) from error
        self.frontier.settle(entry, "read")
        inner = replace(entry, kind="sitemap", found_on=entry.url, depth=entry.depth + 1)
        self._find(inner, filter(None, (absolute_url(response.url, link) for link in sitemap.sitemaps)))
        pages = filter(None, (absolute_url(response.url, link) for link in sitemap.pages))
        self._find(replace(entry, kind="page", found_on=entry.url, depth=0), pages)

    def _store(self, entry: Entry, fetched: Fetched) -> None:
        response, source = fetched.response, self.sources[entry.source]
        self._claim(entry, response.url)
        page = fetched.text()
        if is_too_nested(page.text):
            raise FetchError("too-nested")
        said = read_links(page.text, response.url, response.headers, source.links)
        is_content = entry.kind == "page" and source.is_content(response.url)
        if is_content and said.canonical and source.is_content(said.canonical):  # list pages often name their first page
            self._claim(entry, said.canonical, response.url)
        self.segment.store(_page_row(entry, fetched, page, said))
        self.segment.facts[f"{PAGES_OF}{entry.source}"] += 1
        self.frontier.settle(entry, "stored" if is_content else "read")
        self._find(replace(entry, kind="page", found_on=entry.url, depth=entry.depth + 1), said.links)
        self._next_list_page(entry)

    def _claim(self, entry: Entry, url: str, *own: str) -> None:
        """The page is known under this address too. Raises FetchError when it was stored already."""
        if url == entry.url or url in own:
            return
        state = self.frontier.states.get(url)
        if state in ("stored", "read", "alias"):
            raise FetchError("duplicate", f"the same page as {url}")
        if state != "failed":
            self.frontier.settle(Entry(url, entry.source), "alias")

    def _find(self, like: Entry, urls: Iterable[str]) -> None:
        """Add the URLs that the source wants, as entries like this one."""
        source, known = self.sources[like.source], self.frontier.states
        for url in urls:
            if url in known or not same_site(host_of(url), self.permission.host):
                continue
            if like.kind == "page" and not source.wants(url):
                continue
            if len(url) > self.settings.max_url_length:
                self._refuse(replace(like, url=url[: self.settings.max_url_length]), "url-too-long")
            elif like.depth > source.max_depth:
                self._refuse(replace(like, url=url), "too-deep")
            else:
                self.frontier.add(Entry(url, like.source, like.kind, like.depth, like.found_on))

    def _refuse(self, entry: Entry, reason: str) -> None:
        if entry.url not in self.frontier.states:
            self.fail(entry, reason)

    def _next_list_page(self, entry: Entry) -> None:
        if following := self.sources[entry.source].following_page(entry.url):
            self.frontier.add(Entry(following, entry.source, found_on=entry.url))


def _page_row(entry: Entry, fetched: Fetched, page: Decoded, said: PageLinks) -> dict[str, object]:
    response = fetched.response
    return {
        "url": entry.url,
        "final_url": response.url,
        "source": entry.source,
        "status": response.status,
        "content_type": response.content_type,
        "charset": page.charset,
        "replaced_bytes": page.replaced,
        "body": page.text,
        "depth": entry.depth,
        "found_on": entry.found_on,
        "rendered": fetched.drawn is not None,
        "canonical": said.canonical,
        "noindex": said.noindex,
        "etag": response.headers.get("etag", ""),
        "last_modified": response.headers.get("last-modified", ""),
        "fetched_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
