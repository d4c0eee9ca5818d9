"""What is done with one URL: fetch it, draw it in the browser if need be, store it, and put what it links to in the frontier."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial

from pipelines.crawl.browser import Browser
from pipelines.crawl.decode import Decoded, decode
from pipelines.crawl.fetch import ANY_TYPE, Fetcher, FetchError, Response, check_document
from pipelines.crawl.frontier import Entry, Frontier, State
from pipelines.crawl.gate import Gate
from pipelines.crawl.links import PageLinks, read_links
from pipelines.crawl.manners import Manners
from pipelines.crawl.nesting import is_too_nested
from pipelines.crawl.permission import Permission
from pipelines.crawl.render import needs_browser
from pipelines.crawl.segments import Segment
from pipelines.crawl.shapes import shape_of
from pipelines.crawl.sitemap import MAX_BYTES as MAX_SITEMAP_BYTES
from pipelines.crawl.sitemap import read_sitemap
from pipelines.crawl.source import Source
from pipelines.crawl.urls import absolute_url, host_of, same_site
from pipelines.forget.tombstones import REASON

MAX_BACKOFF = 60.0  # seconds between two tries of a URL
END_OF_LIST = frozenset({"http-404", "http-410", "duplicate"})
# What says more about the host than about the page.
HOST_FAULTS = frozenset({"dns", "connection", "timeout", "robots-unavailable", "http-429", "http-502", "http-503", "http-504"})


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
        manners: Manners,
        browser: Browser,
        segment: Segment,
    ) -> None:
        self.sources, self.frontier, self.fetcher, self.gate = sources, frontier, fetcher, gate
        self.permission, self.manners, self.browser = permission, manners, browser
        self.settings = fetcher.settings
        self.host_url = next(iter(sources.values())).start[0]
        self.segment = segment

    async def fetch(self, entry: Entry) -> Fetched | FetchError:
        """Get one document. A fault is a value, since it is one of the things that happen to a URL."""
        try:
            fetched = await self._fetch(entry)
        except FetchError as error:
            if error.reason in HOST_FAULTS:
                error.host_is_down = await self._is_host_down(error)
            return error
        self.manners.answered()
        self.gate.recover()
        return fetched

    async def _fetch(self, entry: Entry) -> Fetched:
        source = self.sources[entry.source]
        is_sitemap = entry.kind == "sitemap"
        validators = {} if source.render != "http" else _validators(entry)  # a script may fetch what changed
        get = partial(self.fetcher.get, entry.url, self.gate, self.permission.check, headers=validators)
        response = await (get(types=ANY_TYPE, max_bytes=MAX_SITEMAP_BYTES) if is_sitemap else get())
        response.raise_for_status()
        if response.status == 304 or is_sitemap:
            return Fetched(response)
        check_document(response)
        page = Fetched(response)
        if source.render != "http" and needs_browser(page.text().text, response.url, source):
            return Fetched(response, await self.browser.draw(response, source, self.fetcher, self.gate, self.permission))
        return page

    async def _is_host_down(self, error: FetchError) -> bool:
        """Whether nothing at all answers: some pages never do, and robots.txt tells one from the other."""
        now = time.time()
        self.manners.failed(now)
        if error.retry_after:
            self.gate.pause(error.retry_after)
        else:
            self.gate.back_off()
        return self.manners.is_down(now, self.settings.patience_seconds) and not await self.permission.answers(self.host_url)

    def settle(self, entry: Entry, outcome: Fetched | FetchError) -> None:
        """Say what became of a URL, and add what it leads to."""
        if not self.frontier.is_pending(entry.url):  # another URL led to this page while it was on its way
            return
        try:
            if isinstance(outcome, FetchError):
                raise outcome
            if outcome.response.status == 304:
                self._keep(entry)
            elif entry.kind == "sitemap":
                self._read_sitemap(entry, outcome.response)
            else:
                self._store(entry, outcome)
        except FetchError as error:
            self._retry_or_fail(entry, error)

    def fail(self, entry: Entry, reason: str, detail: str = "") -> None:
        """A URL that is not stored, and why."""
        self.frontier.settle(entry, "failed", now=time.time())
        self.segment.fail(entry.url, entry.source, reason, detail)

    def _retry_or_fail(self, entry: Entry, error: FetchError) -> None:
        now = time.time()
        if error.host_is_down:  # the page keeps its tries for when the host is back
            self.frontier.retry(entry, now + max(self.gate.resumes_in, error.retry_after), counts=False)
            return
        if error.passing and entry.attempts < self.settings.retries:
            backoff = min(2.0**entry.attempts, MAX_BACKOFF) * random.uniform(0.5, 1.0)
            self.frontier.retry(entry, now + max(backoff, error.retry_after))
            return
        self.fail(entry, error.reason, error.detail)
        if error.reason not in END_OF_LIST:
            self._next_list_page(entry)

    def _keep(self, entry: Entry) -> None:
        """The version that is stored still stands."""
        state: State = "stored" if entry.kind == "page" and self.sources[entry.source].is_content(entry.url) else "read"
        self.frontier.settle(entry, state, now=time.time(), etag=entry.etag, last_modified=entry.last_modified)
        self.segment.stands(entry.url)
        self._next_list_page(entry)

    def _read_sitemap(self, entry: Entry, response: Response) -> None:
        try:
            sitemap = read_sitemap(response.body)
        except ValueError as error:
            raise FetchError("bad-sitemap", str(error)) from error
        self.frontier.settle(entry, "read", now=time.time(), **_versions(response))
        inner = replace(entry, kind="sitemap", found_on=entry.url, depth=entry.depth + 1)
        self._find(inner, _absolute(response.url, sitemap.sitemaps))
        self._find(replace(entry, kind="page", found_on=entry.url, depth=0), _absolute(response.url, sitemap.pages))

    def _store(self, entry: Entry, fetched: Fetched) -> None:
        response, source = fetched.response, self.sources[entry.source]
        self._claim(entry, response.url)
        page = fetched.text()
        if is_too_nested(page.text):
            raise FetchError("too-nested")
        said = read_links(page.text, response.url, response.headers, source.links, self.settings.user_agent)
        if self.permission.forgotten.covers(said.canonical):
            raise FetchError(REASON)
        is_content = entry.kind == "page" and source.is_content(response.url)
        if is_content and said.canonical and source.is_content(said.canonical):  # list pages often name their first page
            self._claim(entry, said.canonical, response.url)
        self.segment.store(_page_row(entry, fetched, page, said))
        self.frontier.settle(entry, "stored" if is_content else "read", now=time.time(), **_versions(response))
        self._find(replace(entry, kind="page", found_on=entry.url, depth=entry.depth + 1), said.links)
        self._next_list_page(entry)

    def _claim(self, entry: Entry, url: str, *own: str) -> None:
        """The page is known under this address too. Raises FetchError when it was stored already."""
        if url == entry.url or url in own:
            return
        state = self.frontier.state(url)
        if state == "alias" and self.frontier.alias_of(url) == entry.url:  # found at the last visit
            return
        if state in ("stored", "read", "alias"):
            raise FetchError("duplicate", f"the same page as {url}")
        if state != "failed":
            self.frontier.settle(Entry(url, entry.source, found_on=entry.url), "alias", now=time.time())

    def _find(self, like: Entry, urls: Sequence[str]) -> None:
        """Add the URLs that the source wants, as entries like this one."""
        source = self.sources[like.source]
        for url in self.frontier.unknown(list(dict.fromkeys(urls))):
            if not same_site(host_of(url), self.permission.host) or (like.kind == "page" and not source.wants(url)):
                continue
            if self.permission.forgotten.covers(url):
                self._refuse(replace(like, url=self.permission.forgotten.pseudonym(url)), REASON)
                continue
            shape = "" if source.names_as_content(url) else shape_of(url)
            entry = Entry(url, like.source, like.kind, like.depth, like.found_on, shape=shape)
            if reason := self._why_not(entry, source):
                self._refuse(entry, reason)
            else:
                self.frontier.insert(entry)

    def _why_not(self, entry: Entry, source: Source) -> str:
        """Why a URL is not even queued: the limits that end traps."""
        if len(entry.url) > self.settings.max_url_length:
            return "url-too-long"
        if entry.depth > source.max_depth:
            return "too-deep"
        if entry.shape and self.frontier.alike[source.name, entry.shape] >= source.max_alike:
            return "too-many-alike"
        return "too-many-urls" if self.frontier.urls_of[source.name] >= source.max_urls else ""

    def _refuse(self, entry: Entry, reason: str) -> None:
        entry = replace(entry, url=entry.url[: self.settings.max_url_length])
        if self.frontier.state(entry.url) is None:
            self.fail(entry, reason)

    def _next_list_page(self, entry: Entry) -> None:
        if following := self.sources[entry.source].following_page(entry.url):
            self.frontier.add(Entry(following, entry.source, found_on=entry.url))


def _absolute(base: str, links: Iterable[str]) -> list[str]:
    return [url for link in links if (url := absolute_url(base, link))]


def _validators(entry: Entry) -> dict[str, str]:
    """The headers that ask for a page only where it changed."""
    said = {"If-None-Match": entry.etag, "If-Modified-Since": entry.last_modified}
    return {name: value for name, value in said.items() if value}


def _versions(response: Response) -> dict[str, str]:
    """What a site says of the version that it sent."""
    return {"etag": response.headers.get("etag", ""), "last_modified": response.headers.get("last-modified", "")}


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
        **_versions(response),
        "fetched_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
    }
