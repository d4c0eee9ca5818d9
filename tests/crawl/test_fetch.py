"""Every fault of a server becomes a reason, and no redirect leads where it must not."""

from __future__ import annotations

import asyncio
import gzip
import time
from collections.abc import Awaitable, Callable
from itertools import pairwise

import pytest
from aiohttp import web

from pipelines.crawl.fetch import Fetcher, FetchError, Response, check_document
from pipelines.crawl.gate import Gate
from pipelines.crawl.settings import CrawlSettings

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def anywhere(_url: str) -> None:
    return None


def get(handler: Handler, path: str = "/", **changes: object) -> Response:
    """Fetch a path from a server that answers everything with this handler."""

    async def talk() -> Response:
        app = web.Application()
        app.router.add_get("/{tail:.*}", handler)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        options = {"sources": ["x"], "resolve": {"e.test": f"127.0.0.1:{port}"}, "timeout_seconds": 0.5, "max_body_bytes": 10_000}
        try:
            async with Fetcher(CrawlSettings.model_validate(options | changes)) as fetcher:
                response = await fetcher.get(f"http://e.test{path}", Gate(0), anywhere)
                response.raise_for_status()
                check_document(response)
                return response
        finally:
            await runner.cleanup()

    return asyncio.run(talk())


def reason(handler: Handler, path: str = "/", **changes: object) -> str:
    with pytest.raises(FetchError) as caught:
        get(handler, path, **changes)
    return caught.value.reason


async def page(_request: web.Request) -> web.StreamResponse:
    return web.Response(text="<p>سلام</p>", content_type="text/html")


def redirect_to(location: str) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        if request.path == "/end":
            return await page(request)
        return web.Response(status=302, headers={"Location": location.replace("{next}", f"/{int(request.path[1:] or 0) + 1}")})

    return handle


def test_a_page_comes_with_its_address_after_redirects() -> None:
    response = get(redirect_to("/end"))
    assert (response.url, response.body.decode()) == ("http://e.test/end", "<p>سلام</p>")


@pytest.mark.parametrize(
    ("location", "why"),
    [
        ("/", "redirect-loop"),
        ("{next}", "too-many-redirects"),
        ("http://169.254.169.254/latest/meta-data/", "private-address"),
        ("http://127.0.0.1:1/secret", "private-address"),
        ("http://localhost/", "private-address"),
        ("file:///etc/passwd", "redirect-forbidden"),
    ],
)
def test_redirects_that_lead_nowhere_good_end(location: str, why: str) -> None:
    assert reason(redirect_to(location)) == why


def test_statuses_and_empty_and_binary_answers_are_reasons() -> None:
    async def status(request: web.Request) -> web.StreamResponse:
        return web.Response(status=int(request.path[1:]), headers={"Retry-After": "7"})

    async def empty(_request: web.Request) -> web.StreamResponse:
        return web.Response(text=" \n", content_type="text/html")

    async def pdf(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=b"%PDF", content_type="application/pdf")

    async def mislabelled(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=b"\x89PNG\r\n" + bytes(50), content_type="text/html")

    assert reason(status, "/404") == "http-404"
    assert reason(status, "/500") == "http-500"
    assert reason(empty) == "empty-body"
    assert reason(pdf) == "bad-type"
    assert reason(mislabelled) == "bad-type"
    with pytest.raises(FetchError) as caught:
        get(status, "/429")
    assert (caught.value.passing, caught.value.retry_after) == (True, 7.0)


def test_bodies_that_do_not_end_well_end() -> None:
    async def bomb(_request: web.Request) -> web.StreamResponse:
        packed = gzip.compress(bytes(10 << 20))
        return web.Response(body=packed, content_type="text/html", headers={"Content-Encoding": "gzip"})

    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/html"})
        await response.prepare(request)
        for _ in range(50):
            await response.write(b"x")
            await asyncio.sleep(0.05)
        return response

    async def cut(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/html", "Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b"x")
        request.transport.close()  # type: ignore[union-attr]
        return response

    async def silent(_request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(2)
        return web.Response()

    assert reason(bomb) == "too-large"
    assert reason(drip) == "timeout"
    assert reason(cut) == "truncated"
    assert reason(silent) == "timeout"


def test_a_gate_keeps_requests_apart_and_one_by_one() -> None:
    starts: list[float] = []
    in_flight = most = 0

    async def use(gate: Gate) -> None:
        nonlocal in_flight, most
        async with gate:
            starts.append(time.monotonic())
            in_flight += 1
            most = max(most, in_flight)
            await asyncio.sleep(0.01)
            in_flight -= 1

    async def several() -> float:
        began = time.monotonic()
        gate = Gate(0.05)
        await asyncio.gather(*(use(gate) for _ in range(4)))
        return began

    began = asyncio.run(several())
    assert most == 1
    assert starts[0] - began >= 0.05  # another process may have used the host just now
    assert min(b - a for a, b in pairwise(starts)) >= 0.06  # the answer's time, and the delay


def test_a_connection_that_breaks_is_not_asked_again_past_the_hosts_turn() -> None:
    """The server answers the first request and cuts the kept connection at the second."""

    async def talk() -> int:
        asked = 0

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal asked
            while await reader.readuntil(b"\r\n\r\n"):
                asked += 1
                if asked > 1:
                    writer.transport.abort()
                    return
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nok")

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        resolve = {"e.test": f"127.0.0.1:{server.sockets[0].getsockname()[1]}"}
        async with server, Fetcher(CrawlSettings(sources=["x"], resolve=resolve)) as fetcher:
            await fetcher.get("http://e.test/1", Gate(0), anywhere)
            with pytest.raises(FetchError, match="connection"):
                await fetcher.get("http://e.test/2", Gate(0), anywhere)
        return asked

    assert asyncio.run(talk()) == 2
