"""What a site's answers for /robots.txt mean for its other addresses (RFC 9309, section 2.3)."""

from __future__ import annotations

import asyncio
import gzip
import socket
import time
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web

from pipelines.crawl.fetch import Fetcher, FetchError
from pipelines.crawl.gate import Gate
from pipelines.crawl.permission import Permission
from pipelines.crawl.robots import MAX_AGE, MAX_BYTES, Robots
from pipelines.crawl.settings import CrawlSettings

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
RULES = "User-agent: *\nDisallow: /private/\n"


class Site:
    """Two names, e.test and www.e.test, and a third, other.test, answered by one handler on loopback."""

    def __init__(self, permission: Permission, fetcher: Fetcher, requests: list[str]) -> None:
        self.permission, self.fetcher, self.requests = permission, fetcher, requests

    async def verdict(self, path: str, host: str = "e.test") -> str:
        """Why an address must not be requested; empty when it may."""
        fault = await self.fault(path, host)
        return fault.reason if fault else ""

    async def fault(self, path: str, host: str = "e.test") -> FetchError | None:
        try:
            await self.permission.check(f"http://{host}{path}")
        except FetchError as error:
            return error
        return None


def visit(
    handler: Handler,
    script: Callable[[Site], Awaitable[None]],
    kept: dict[str, Robots] | None = None,
    gate: Gate | None = None,
    **changes: object,
) -> None:
    """Run a script against a site whose every address is answered by the handler."""

    async def talk() -> None:
        requests: list[str] = []

        async def recorded(request: web.Request) -> web.StreamResponse:
            requests.append(f"{request.host}{request.path_qs}")
            return await handler(request)

        app = web.Application()
        app.router.add_get("/{tail:.*}", recorded)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        address = f"127.0.0.1:{runner.addresses[0][1]}"
        options = {
            "sources": ["x"],
            "resolve": dict.fromkeys(("e.test", "www.e.test", "other.test"), address),
            "retries": 0,
            "timeout_seconds": 0.5,
        }
        try:
            async with Fetcher(CrawlSettings.model_validate(options | changes)) as fetcher:
                own_gate = gate or Gate(0)
                permission = Permission(fetcher, own_gate, "e.test", {} if kept is None else kept)
                await script(Site(permission, fetcher, requests))
        finally:
            await runner.cleanup()

    asyncio.run(talk())


def answers(body: str | bytes = RULES, status: int = 200, **headers: str) -> Handler:
    async def handle(_request: web.Request) -> web.StreamResponse:
        data = body.encode() if isinstance(body, str) else body
        return web.Response(body=data, status=status, headers={name.replace("_", "-"): value for name, value in headers.items()})

    return handle


def verdicts(handler: Handler, **changes: object) -> tuple[str, str]:
    """Of an ordinary address, and of one that RULES forbid."""
    found: list[str] = []

    async def script(site: Site) -> None:
        found.extend([await site.verdict("/post/1"), await site.verdict("/private/1")])

    visit(handler, script, **changes)
    return found[0], found[1]


def test_rules_hold_whatever_type_they_are_sent_as() -> None:
    assert verdicts(answers()) == ("", "robots")
    assert verdicts(answers(Content_Type="text/html")) == ("", "robots")
    assert verdicts(answers(gzip.compress(RULES.encode()), Content_Encoding="gzip")) == ("", "robots")
    assert verdicts(answers("<html><body>Disallow nothing</body></html>")) == ("", "")
    assert verdicts(answers("", 204)) == ("", "")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 451])
def test_a_site_without_robots_txt_allows_everything(status: int) -> None:
    assert verdicts(answers("User-agent: *\nDisallow: /", status)) == ("", "")


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_server_that_can_not_say_is_put_off(status: int) -> None:
    async def script(site: Site) -> None:
        fault = await site.fault("/post/1")
        assert fault and (fault.reason, fault.passing) == ("robots-unavailable", True)
        assert f"http-{status}" in fault.detail
        assert 6 < fault.retry_after <= 7
        assert site.permission.gate.resumes_in > 6
        assert await site.verdict("/post/2") == "robots-unavailable"
        assert site.requests == ["e.test/robots.txt"]  # it is left alone until then

    visit(answers("busy", status, Retry_After="7"), script)


def test_a_server_that_does_not_answer_is_asked_later_and_later() -> None:
    async def silent(_request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(5)
        return web.Response()

    async def script(site: Site) -> None:
        waits = []
        for _ in range(3):
            fault = await site.fault("/post/1")
            assert fault and fault.passing and "timeout" in fault.detail
            waits.append(fault.retry_after)
            site.permission.robots_of.clear()  # as if the time had passed
        assert 0.4 < waits[0] <= 1 < waits[2] <= 4
        assert len(site.requests) == 3

    visit(silent, script, timeout_seconds=0.05)


def test_a_site_without_a_server_is_put_off() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        nobody = f"127.0.0.1:{listening.getsockname()[1]}"

    async def script(site: Site) -> None:
        fault = await site.fault("/post/1")
        assert fault and (fault.reason, fault.passing) == ("robots-unavailable", True)

    visit(answers(), script, resolve={"e.test": nobody})


def test_one_that_fails_once_is_asked_again_at_once() -> None:
    failures = [503]

    async def handle(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=failures.pop()) if failures else web.Response(text=RULES)

    assert verdicts(handle, retries=1) == ("", "robots")


def test_when_it_answers_again_its_rules_hold() -> None:
    failures = [503]

    async def handle(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=failures.pop()) if failures else web.Response(text=RULES)

    async def script(site: Site) -> None:
        fault = await site.fault("/post/1")
        assert fault and fault.passing
        await asyncio.sleep(fault.retry_after)
        assert (await site.verdict("/post/1"), await site.verdict("/private/1")) == ("", "robots")

    visit(handle, script)


def redirects(count: int, end: str = "/rules") -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        hop = (
            0
            if request.path == "/robots.txt"
            else int(request.path.rpartition("/")[2] or 0)
            if request.path.startswith("/hop/")
            else None
        )
        if hop is None:
            return web.Response(text=RULES)
        return web.Response(status=302, headers={"Location": f"/hop/{hop + 1}" if hop + 1 < count else end})

    return handle


def test_five_redirects_are_followed_and_more_mean_that_there_is_none() -> None:
    assert verdicts(redirects(1)) == ("", "robots")
    assert verdicts(redirects(5)) == ("", "robots")
    assert verdicts(redirects(6)) == ("", "")
    assert verdicts(redirects(2, "/robots.txt")) == ("", "")  # round and round


def test_the_rules_of_another_host_hold_where_it_is_redirected_to() -> None:
    async def script(site: Site) -> None:
        assert await site.verdict("/private/1") == "robots"
        assert site.requests == ["e.test/robots.txt", "other.test/rules"]

    visit(redirects(1, "http://other.test/rules"), script)


@pytest.mark.parametrize("target", ["http://169.254.169.254/robots.txt", "http://127.0.0.1:1/robots.txt", "file:///etc/passwd"])
def test_a_redirect_to_where_nobody_may_go_forbids_for_good(target: str) -> None:
    async def script(site: Site) -> None:
        fault = await site.fault("/post/1")
        assert fault and (fault.reason, fault.passing) == ("robots-unavailable", False)

    visit(redirects(1, target), script, retries=3)


def test_a_large_file_counts_up_to_the_limit() -> None:
    assert verdicts(answers(RULES + "#" * 20 * MAX_BYTES + "\nDisallow: /\n")) == ("", "robots")


def test_each_name_of_a_site_has_its_own_and_is_asked_once() -> None:
    async def handle(request: web.Request) -> web.StreamResponse:
        return web.Response(text=RULES if request.host.startswith("www.") else "")

    async def script(site: Site) -> None:
        addresses = [("/private/1", host) for host in ("e.test", "www.e.test") for _ in range(20)]
        found = await asyncio.gather(*(site.verdict(*address) for address in addresses))
        assert found == [""] * 20 + ["robots"] * 20
        assert sorted(site.requests) == ["e.test/robots.txt", "www.e.test/robots.txt"]
        assert await site.verdict("/", "other.test") == "redirect-forbidden"
        assert len(site.requests) == 2

    visit(handle, script)


def test_it_is_kept_for_a_day_and_not_longer() -> None:
    async def script(site: Site) -> None:
        assert await site.verdict("/post/1") == "robots"
        assert site.requests == []

    forbids_all = b"User-agent: *\nDisallow: /\n"
    visit(answers(), script, kept={"http://e.test": Robots.answered(forbids_all, time.time() - MAX_AGE + 60)})

    async def script_after(site: Site) -> None:
        assert await site.verdict("/post/1") == ""
        assert site.requests == ["e.test/robots.txt"]

    visit(answers(), script_after, kept={"http://e.test": Robots.answered(forbids_all, time.time() - MAX_AGE - 60)})


@pytest.mark.parametrize("is_kept", [False, True])
def test_the_delay_that_it_asks_for_is_kept_also_when_an_earlier_slice_read_it(is_kept: bool) -> None:
    text = "User-agent: *\nCrawl-delay: 3\n"
    gate = Gate(0)

    async def script(site: Site) -> None:
        assert await site.verdict("/post/1") == ""
        assert gate.delay == 3.0

    visit(answers(text), script, {"http://e.test": Robots.answered(text.encode(), time.time())} if is_kept else {}, gate)


def test_a_page_that_leads_to_a_forbidden_one_is_not_followed_there() -> None:
    async def handle(request: web.Request) -> web.StreamResponse:
        if request.path == "/post/1":
            return web.Response(status=301, headers={"Location": "/private/1"})
        return web.Response(text=RULES)

    async def script(site: Site) -> None:
        with pytest.raises(FetchError, match="robots"):
            await site.fetcher.get("http://e.test/post/1", site.permission.gate, site.permission.check)
        assert site.requests == ["e.test/robots.txt", "e.test/post/1"]

    visit(handle, script)
