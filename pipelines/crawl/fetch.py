"""Fetches one document over HTTP, safely: redirects by hand, bodies capped after unpacking, every fault a reason.

About 0.3 ms of CPU a page. Whether a URL may be requested is asked again at every redirect.
"""

from __future__ import annotations

import email.utils
import time
import zlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import aiohttp
from yarl import URL

from pipelines.crawl.addresses import Addresses, GuardedResolver, PrivateAddress
from pipelines.crawl.body import TooLarge, Unpacker
from pipelines.crawl.gate import Gate
from pipelines.crawl.links import ROBOTS_TAG
from pipelines.crawl.settings import CrawlSettings
from pipelines.crawl.urls import absolute_url, host_of
from pipelines.crawl.warc import Tape

HTML_TYPES = ("text/html", "application/xhtml+xml")
ANY_TYPE: tuple[str, ...] = ()
PASSING_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
REDIRECTS = frozenset({301, 302, 303, 307, 308})
NOT_TEXT = (b"%PDF", b"\x89PNG", b"GIF8", b"\xff\xd8\xff", b"PK\x03\x04", b"\x1f\x8b")
MAX_RETRY_AFTER = 600.0  # seconds; a site that wants longer is tried again after this

Permit = Callable[[str], Awaitable[None]]


class FetchError(Exception):
    """A document was not got. `passing`: it may be there later, so it is worth another try.

    `host_is_down`: it is not the page's fault, since nothing on its host answers.
    """

    def __init__(self, reason: str, detail: str = "", *, passing: bool = False, retry_after: float = 0.0) -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason, self.detail, self.passing, self.retry_after = reason, detail, passing, retry_after
        self.host_is_down = False


@dataclass(frozen=True)
class Response:
    """An answer. `url` is where it came from after redirects; header names are in lower case."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def content_type(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def raise_for_status(self) -> None:
        """Raises FetchError for 4xx and 5xx."""
        if self.status < 400:
            return
        passing = self.status in PASSING_STATUS
        raise FetchError(f"http-{self.status}", passing=passing, retry_after=_retry_after(self.headers) if passing else 0.0)


class Fetcher:
    """One HTTP client for every host of a worker: `async with Fetcher(settings) as fetcher`."""

    def __init__(self, settings: CrawlSettings) -> None:
        self.settings = settings
        self.addresses = Addresses(settings.allow_private, settings.resolve)
        self.headers = {
            "User-Agent": full_user_agent(settings),
            "Accept": "text/html,application/xhtml+xml,*/*;q=0.5",
            "Accept-Encoding": "gzip, deflate",
            "Accept-Language": "fa,en;q=0.5",
        }
        self.tapes: dict[str, Tape] = {}  # by host: where its exchanges are recorded

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(resolver=GuardedResolver(self.addresses), limit=0, ttl_dns_cache=300)
        self._session = aiohttp.ClientSession(
            connector=connector, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False
        )
        # aiohttp would ask again by itself, at once and past the host's turn, where a connection that was kept breaks.
        self._session._retry_connection = False
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._session.close()

    async def get(
        self,
        url: str,
        gate: Gate,
        permit: Permit,
        *,
        types: tuple[str, ...] = HTML_TYPES,
        max_bytes: int | None = None,
        may_cut: bool = False,
        max_redirects: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """The final answer of a URL, whatever its status. Raises FetchError.

        `permit` raises FetchError for a URL that must not be requested; it is asked before every request.
        `may_cut`: of a body that is too large its first `max_bytes` are taken.
        """
        seen = {url}
        for _ in range((self.settings.max_redirects if max_redirects is None else max_redirects) + 1):
            self._check_address(url)
            await permit(url)
            async with gate:
                limit = max_bytes or self.settings.max_body_bytes
                exchange = Exchange(url, {**self.headers, **(headers or {})}, types, limit, may_cut)
                response = await self._exchange(exchange, gate)
            if response.status not in REDIRECTS:
                return response
            target = absolute_url(url, response.headers.get("location", ""))
            if target is None:
                raise FetchError("redirect-forbidden", response.headers.get("location", "")[:200])
            if target in seen:
                raise FetchError("redirect-loop", target)
            seen.add(target)
            url = target
        raise FetchError("too-many-redirects", url)

    def _check_address(self, url: str) -> None:
        parts = URL(url, encoded=True)
        try:
            self.addresses.check_literal(parts.host or "", parts.port or 80)
        except PrivateAddress as error:
            raise FetchError("private-address", str(error)) from error

    async def _exchange(self, exchange: Exchange, gate: Gate) -> Response:
        timeout = aiohttp.ClientTimeout(total=self.settings.timeout_seconds)
        target = URL(exchange.url, encoded=True)
        try:
            async with self._session.get(target, allow_redirects=False, timeout=timeout, headers=exchange.headers) as answer:
                gate.answered_in(time.monotonic() - exchange.began)
                return await exchange.receive(answer)
        except TooLarge as error:
            exchange.truncated = "length"
            raise FetchError("too-large", str(error)) from error
        except zlib.error as error:
            raise FetchError("bad-encoding", str(error), passing=True) from error
        except TimeoutError as error:
            exchange.truncated = "time"
            raise FetchError("timeout", f"{self.settings.timeout_seconds} s", passing=True) from error
        except aiohttp.ClientConnectorDNSError as error:
            if isinstance(error.os_error, PrivateAddress):
                raise FetchError("private-address", str(error.os_error)) from error
            raise FetchError("dns", str(error), passing=True) from error
        except aiohttp.ClientPayloadError as error:
            exchange.truncated = "disconnect"
            raise FetchError("truncated", str(error), passing=True) from error
        except (aiohttp.ClientConnectionError, ConnectionError) as error:
            exchange.truncated = "disconnect"
            raise FetchError("connection", str(error) or type(error).__name__, passing=True) from error
        except aiohttp.InvalidURL as error:
            raise FetchError("bad-url", str(error)) from error
        except aiohttp.ClientError as error:
            raise FetchError("bad-response", str(error)) from error
        finally:
            if tape := self.tapes.get(host_of(exchange.url)):
                exchange.record(tape)


class Exchange:
    """One request and what came back, as far as it came."""

    def __init__(self, url: str, headers: Mapping[str, str], types: tuple[str, ...], max_bytes: int, may_cut: bool) -> None:
        self.url, self.headers, self.types, self.max_bytes, self.may_cut = url, headers, types, max_bytes, may_cut
        self.began = time.monotonic()
        self.truncated = ""
        self._answer: aiohttp.ClientResponse | None = None
        self._pieces: list[bytes] = []

    async def receive(self, answer: aiohttp.ClientResponse) -> Response:
        """The whole answer; the body only of a 200. Raises FetchError, TooLarge and what aiohttp raises."""
        self._answer = answer
        fields = {name.lower(): value for name, value in answer.headers.items()}
        fields[ROBOTS_TAG] = "\n".join(answer.headers.getall(ROBOTS_TAG, []))  # each may name the crawler that it is for
        response = Response(self.url, answer.status, fields, b"")
        if answer.status != 200:
            return response
        if self.types and response.content_type and response.content_type not in self.types:
            self.truncated = "unspecified"
            raise FetchError("bad-type", response.content_type)
        unpacker = Unpacker(fields.get("content-encoding", ""), self.max_bytes)
        try:
            async for piece in answer.content.iter_any():
                self._pieces.append(piece)
                unpacker.add(piece)
        except TooLarge:
            if not self.may_cut:
                raise
            self.truncated = "length"
            return Response(self.url, answer.status, fields, b"".join(unpacker.pieces))
        return Response(self.url, answer.status, fields, unpacker.body())

    def record(self, tape: Tape) -> None:
        """Put it on a tape."""
        if self._answer is None:
            tape.write(self.url, self.headers)
            return
        status = f"{self._answer.status} {self._answer.reason or ''}".rstrip()
        tape.write(self.url, self.headers, status, self._answer.headers.items(), b"".join(self._pieces), self.truncated)


def full_user_agent(settings: CrawlSettings) -> str:
    """Name and contact, as sites see them."""
    return f"{settings.user_agent}/0.1 (+{settings.contact})" if settings.contact else f"{settings.user_agent}/0.1"


def check_document(response: Response) -> None:
    """Refuse what is empty or no text, whatever its type says. Raises FetchError."""
    if not response.body.strip():
        raise FetchError("empty-body")
    start = response.body[:512]
    if start.startswith(NOT_TEXT) or (b"\x00" in start and not start.startswith((b"\xff\xfe", b"\xfe\xff"))):
        raise FetchError("bad-type", "binary data")


def _retry_after(headers: Mapping[str, str]) -> float:
    """Seconds until the site wants to be asked again: a number or a date."""
    text = headers.get("retry-after", "").strip()
    if text.isdecimal():
        return min(float(text), MAX_RETRY_AFTER)
    try:
        return min(max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time()), MAX_RETRY_AFTER)
    except ValueError:
        return 0.0
