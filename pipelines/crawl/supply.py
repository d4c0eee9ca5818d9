"""What one page gets in the browser: its document, once, and what its scripts fetch from the same site."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pipelines.crawl.fetch import ANY_TYPE, PASSING_STATUS, Fetcher, FetchError, Response
from pipelines.crawl.gate import Gate
from pipelines.crawl.patience import Patience
from pipelines.crawl.permission import Permission
from pipelines.crawl.urls import canonical_url

if TYPE_CHECKING:
    from playwright.async_api import Request

NEEDED = frozenset({"document", "script", "xhr", "fetch"})  # not images, fonts, styles, media, sockets, beacons
NOT_PASSED_ON = frozenset({"host", "user-agent", "accept-encoding", "connection", "cookie", "if-none-match", "if-modified-since"})
REQUESTS_PER_PAGE = 100
REQUESTS_PER_PART = 20  # a list may make so many more each time that it grows
BODIES_PER_PAGE = 10  # times the limit of one body
TRIES_PER_REQUEST = 3
LONGEST_REST = 10.0  # seconds; a site that wants more gets the whole page asked for again later
SECONDS_PER_PAGE = 900.0

Answer = asyncio.Task[Response]


class Supply:
    """Every answer is kept until the page is done: a page that is drawn again after a crash asks the site for nothing twice.

    `fault`: what a script asked for and could not get although it may be there later.
    """

    def __init__(
        self, document: Response, fetcher: Fetcher, gate: Gate, permission: Permission, scripts: dict[str, Answer]
    ) -> None:
        self.document, self.fetcher, self.gate, self.permission = document, fetcher, gate, permission
        self._scripts = scripts  # of all pages: a site's pages share them
        self._answers: dict[str, list[Answer]] = {}  # to the first, second ... request for a URL
        self._own: set[Answer] = set()
        self._bytes = 0
        self.begin()

    def begin(self) -> None:
        """The page is drawn from its document, for the first time or again."""
        self.patience = Patience(self.fetcher.settings.timeout_seconds, SECONDS_PER_PAGE)
        self.fault: FetchError | None = None
        self._has_document = False
        self._asked = Counter[str]()
        self._allowed = REQUESTS_PER_PAGE
        self._new = set[str]()  # asked for for the first time and under way
        self._quiet_since = time.monotonic()

    def end(self) -> None:
        """Nothing more is fetched for this page."""
        for answer in self._own:
            answer.cancel()
            if answer.done() and not answer.cancelled():
                answer.exception()  # nobody else may have asked

    def grow(self) -> None:
        """The page is about to load a further part."""
        self._allowed = max(self._allowed, REQUESTS_PER_PART)
        self._quiet_since = time.monotonic()
        self.patience.renew()

    @property
    def quiet_seconds(self) -> float:
        """How long the page has asked for nothing new. A URL that is asked for again and again is a poll, not a part."""
        return 0.0 if self._new else time.monotonic() - self._quiet_since

    async def get(self, request: Request) -> Response:
        """The answer to one request of the page. Raises FetchError for what it may not have or cannot get."""
        url = canonical_url(request.url)
        if url is None or request.method != "GET" or request.resource_type not in NEEDED:
            raise FetchError("not-needed")
        if request.is_navigation_request():
            return self._give_document(url)
        if not self._has_document:  # the page that was in the tab before is not gone yet
            raise FetchError("not-needed")
        self._allowed -= 1
        if self._allowed < 0:
            raise FetchError("too-many-requests")
        number, new = self._asked[url], self._new
        self._asked[url] += 1
        if number == 0:
            new.add(url)
        try:
            with self.patience.waiting():
                await self.permission.check(url)  # a script may be there already, asked for by another site's page
                return await self._answer(url, number, _headers(request), is_script=request.resource_type == "script")
        except FetchError as error:
            if error.passing:
                self.fault = error
            raise
        finally:
            if number == 0:
                new.remove(url)
                self._quiet_since = time.monotonic()

    def _give_document(self, url: str) -> Response:
        """The first navigation is ours; any other would lead the page away, a popup or a frame to somewhere else."""
        if self._has_document or url != canonical_url(self.document.url):
            raise FetchError("not-needed")
        self._has_document = True
        return self.document

    async def _answer(self, url: str, number: int, headers: Mapping[str, str], is_script: bool) -> Response:
        while True:
            answer = self._script(url, headers) if is_script else self._numbered(url, number, headers)
            await asyncio.wait({answer})
            if not answer.cancelled():
                return answer.result()
            if answer in self._own:
                raise FetchError("not-needed")  # the page is done
            # A script that another page had asked for, which is done: now this page asks for it.

    def _script(self, url: str, headers: Mapping[str, str]) -> Answer:
        answer = self._scripts.get(url)
        if answer is None or (answer.done() and (answer.cancelled() or answer.exception())):
            answer = self._scripts[url] = self._ask(url, headers)
        return answer

    def _numbered(self, url: str, number: int, headers: Mapping[str, str]) -> Answer:
        answers = self._answers.setdefault(url, [])
        if number == len(answers):
            answers.append(self._ask(url, headers))
        return answers[number]

    def _ask(self, url: str, headers: Mapping[str, str]) -> Answer:
        answer = asyncio.create_task(self._fetch(url, headers))
        self._own.add(answer)
        return answer

    async def _fetch(self, url: str, headers: Mapping[str, str]) -> Response:
        """Raises FetchError, for what may pass only after some tries: a script seldom tries again."""
        for last in (False,) * (TRIES_PER_REQUEST - 1) + (True,):
            try:
                response = await self.fetcher.get(url, self.gate, self.permission.check, types=ANY_TYPE, headers=headers)
                if response.status in PASSING_STATUS:
                    response.raise_for_status()
                break
            except FetchError as error:
                if last or not error.passing or error.retry_after > LONGEST_REST:
                    raise
                if error.retry_after:
                    self.gate.pause(error.retry_after)
                else:
                    self.gate.back_off()
        self._bytes += len(response.body)
        if self._bytes > BODIES_PER_PAGE * self.fetcher.settings.max_body_bytes:
            raise FetchError("too-large", "all that the page asked for")
        return response


def _headers(request: Request) -> dict[str, str]:
    """What a script says to its server; the rest is said as for any other page."""
    wanted = {k: v for k, v in request.headers.items() if k not in NOT_PASSED_ON and not k.startswith((":", "sec-"))}
    return {name.title(): value for name, value in wanted.items()}  # written as our client writes them: each once
