"""The demo web answers as its truth says, whatever the port, and ends with its process."""

from __future__ import annotations

import contextlib
import gzip
import html
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from protego import Protego

from cluster.errors import UserError
from pipelines.demo.app import token
from pipelines.demo.content import articles, forum, oddities, posts
from pipelines.demo.oddities import SLOW_SECONDS
from pipelines.demo.settings import DemoWebSettings
from pipelines.demo.truth import PLANTED, truth
from pipelines.demo.web import DemoWeb

ROOT = Path(__file__).parents[2]
MAGAZINE, FORUM, APP = "http://magazine.demo.test", "http://forum.demo.test", "http://app.demo.test"
Get = Callable[..., Any]


def links(page: str, prefix: str) -> list[str]:
    return [html.unescape(link) for link in re.findall(r'href="([^"]+)"', page) if link.startswith(prefix)]


# --- what the truth promises


def test_every_article_of_the_truth_is_on_its_page(web: DemoWeb, get: Get) -> None:
    get(f"{MAGAZINE}/post/{oddities()['fails_once'].slug}/")  # this page fails once
    for row in web.truth():
        if row.kind != "article":
            continue
        answer = get(row.url)
        assert answer.status == 200, row.url
        charset = answer.headers["content-type"].partition("charset=")[2]
        page = html.unescape(answer.body.decode(charset, "replace"))
        for paragraph in row.text.split("\n"):
            assert f"<p>{paragraph}</p>" in page, row.url


def test_every_pair_of_the_forum_is_on_its_page(web: DemoWeb, get: Get) -> None:
    rows = [row for row in web.truth() if row.kind == "qa" and row.site == "forum.demo.test"]
    assert len(rows) == len(forum())
    for row in rows:
        page = html.unescape(get(row.url).text)
        assert f'<h2 class="main-question__body" itemprop="text">{row.question}</h2>' in page
        assert f'<span itemprop="text">{row.answer}</span>' in page


def test_every_post_of_the_app_comes_from_its_api(web: DemoWeb, get: Get) -> None:
    rows = [row for row in web.truth() if row.site == "app.demo.test"]
    assert len(rows) == len(posts())
    for row in rows:
        assert row.answer not in get(row.url).text
        target = row.url.removeprefix(APP).replace("/post/", "/api/post/")
        assert row.answer in get(APP + target, X_Demo_Token=token(target)).text


def test_errors_of_the_truth_are_errors(web: DemoWeb, get: Get) -> None:
    found = {row.url: get(row.url) for row in web.truth() if row.kind == "error"}
    assert [answer.status for answer in found.values()] == [500, 404, 302]
    assert found[f"{MAGAZINE}/go/metadata"].headers["location"].startswith("http://169.254.169.254/")


def test_robots_txt_forbids_what_must_never_be_asked_for_and_nothing_else(web: DemoWeb, get: Get) -> None:
    rules = {site: Protego.parse(get(f"http://{site}/robots.txt").text) for site in web.resolve}
    for row in web.truth():
        assert rules[row.site].can_fetch(row.url, "gaokerena") == (row.kind != "never"), row.url


def test_planted_details_stand_where_they_are_said_to(get: Get) -> None:
    for planted in PLANTED:
        for article in articles():
            if planted.slug in ("*", article.slug):
                assert planted.value in get(f"{MAGAZINE}/post/{article.slug}/").text
                assert (planted.value in article.text) == planted.in_body


# --- what a crawler can find


def test_all_questions_are_reached_breadth_first_from_the_newest_60(get: Get) -> None:
    listed = {
        link for number in (1, 2, 3) for link in links(get(f"{FORUM}/q/page-{number}").text, f"{FORUM}/q/") if link[-1].isdigit()
    }
    level = {link for link in listed if "page-" not in link}
    assert len(level) == 60
    assert get(f"{FORUM}/q/page-4").status == 404
    seen, depth = set(level), 0
    while level:
        related = {
            link for question in level for link in links(get(question).text, f"{FORUM}/q/") if link.rpartition("/")[2].isdigit()
        }
        level = related - seen
        seen |= level
        depth += 1
    assert seen == {f"{FORUM}/q/{pair.id}" for pair in forum()}
    assert depth <= 6


def test_each_question_links_to_twelve_others(get: Get) -> None:
    for pair in forum():
        related = links(get(f"{FORUM}/q/{pair.id}").text.partition("<aside")[2], f"{FORUM}/q/")
        assert len(set(related)) == 12
        assert f"{FORUM}/q/{pair.id}" not in related


def test_the_sitemap_named_in_robots_txt_lists_every_article(get: Get) -> None:
    index = next(iter(Protego.parse(get(f"{MAGAZINE}/robots.txt").text).sitemaps))
    space = "{http://www.sitemaps.org/schemas/sitemap/0.9}"
    parts = [node.text for node in ElementTree.fromstring(get(index).text).iter(f"{space}loc")]
    listed = [node.text for part in parts for node in ElementTree.fromstring(gzip.decompress(get(part).body)).iter(f"{space}loc")]
    assert listed == [f"{MAGAZINE}/post/{article.slug}/" for article in articles()]


def test_the_list_pages_lead_to_every_article_by_rel_next(get: Get) -> None:
    found: set[str] = set()
    page: str | None = f"{MAGAZINE}/"
    while page:
        text = get(page).text
        found |= set(links(text, f"{MAGAZINE}/post/"))
        following = re.search(r'<link rel="next" href="([^"]+)"', text)
        page = following and following[1]
    assert found >= {f"{MAGAZINE}/post/{article.slug}/" for article in articles()}


def test_the_front_page_links_to_every_odd_page(web: DemoWeb, get: Get) -> None:
    found = links(get(f"{MAGAZINE}/").text, "")
    odd = [row.url for row in truth() if row.site == "magazine.demo.test" and row.kind in ("error", "none")]
    assert set(odd) <= set(found)
    assert {"mailto", "javascript"} <= {link.partition(":")[0] for link in found}
    assert f"{MAGAZINE}/admin/" in found


def test_sections_lead_to_their_articles(get: Get) -> None:
    menu = links(get(f"{MAGAZINE}/").text, f"{MAGAZINE}/section/")
    found = {link for section in menu for link in links(get(section).text, f"{MAGAZINE}/post/")}
    assert found == {f"{MAGAZINE}/post/{article.slug}/" for article in articles()}


# --- the odd pages


def test_one_page_fails_once_and_then_works(ask: Get) -> None:
    with DemoWeb() as fresh:
        url = f"{MAGAZINE}/post/{oddities()['fails_once'].slug}/"
        assert [ask(fresh, url).status for _ in range(3)] == [500, 200, 200]


def test_the_slow_page_is_slow(get: Get) -> None:
    began = time.monotonic()
    assert get(f"{MAGAZINE}/post/{oddities()['slow'].slug}/").status == 200
    assert time.monotonic() - began >= SLOW_SECONDS


def test_a_chain_of_two_redirects_ends_at_an_article(get: Get) -> None:
    url, hops = f"{MAGAZINE}/go/1", 0
    while (answer := get(url)).status == 302:
        url, hops = answer.headers["location"], hops + 1
    assert (hops, answer.status, url) == (2, 200, f"{MAGAZINE}/post/migraine/")


def test_the_broken_page_is_not_utf_8(get: Get) -> None:
    with pytest.raises(UnicodeDecodeError):
        get(f"{MAGAZINE}/post/{oddities()['broken_bytes'].slug}/").text.encode()


def test_the_noindex_page_says_so_and_no_other_does(get: Get) -> None:
    mark = '<meta name="robots" content="noindex">'
    assert mark in get(f"{MAGAZINE}/post/{oddities()['noindex'].slug}/").text
    assert mark not in get(f"{MAGAZINE}/post/migraine/").text


def test_the_api_refuses_a_request_without_the_token(get: Get) -> None:
    assert get(f"{APP}/api/posts?page=1").status == 403
    assert get(f"{APP}/api/posts?page=1", X_Demo_Token=token("/api/posts?page=2")).status == 403


# --- the server


def test_pages_do_not_depend_on_the_port(web: DemoWeb, ask: Get) -> None:
    with DemoWeb() as other:
        assert set(other.resolve.values()).isdisjoint(web.resolve.values())
        for url in (f"{MAGAZINE}/", f"{MAGAZINE}/post/migraine/", f"{MAGAZINE}/post-sitemap1.xml.gz", f"{FORUM}/q/5", f"{APP}/"):
            assert ask(web, url).body == ask(other, url).body


def test_an_unchanged_page_is_not_sent_again(get: Get) -> None:
    first = get(f"{FORUM}/q/7")
    again = get(f"{FORUM}/q/7", If_None_Match=first.headers["etag"])
    assert (again.status, again.body) == (304, b"")


def test_the_log_tells_who_asked_for_what_and_how_many_at_once(ask: Get) -> None:
    with DemoWeb(delay=1.0) as slow, ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda number: ask(slow, f"{FORUM}/q/{number}?a=b", User_Agent="polite"), (1, 2, 3)))
        ask(slow, f"{MAGAZINE}/nothing")
        log = slow.log
    assert sorted(request.path for request in log) == ["/nothing", "/q/1?a=b", "/q/2?a=b", "/q/3?a=b"]
    assert sorted(request.in_flight for request in log if request.site == "forum.demo.test") == [1, 2, 3]
    assert {request.user_agent for request in log} == {"polite", "test"}
    assert (log[-1].site, log[-1].status, log[-1].in_flight) == ("magazine.demo.test", 404, 1)


def test_a_port_in_use_is_one_line_that_names_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UserError) as caught, DemoWeb(port=port):
            pass
    message = str(caught.value)
    assert "\n" not in message
    assert f"127.0.0.1:{port}" in message
    assert "--set demo_web.port=" in message


def three_in_a_row() -> tuple[int, socket.socket]:
    """The first of two free ports, and a socket that holds the third.

    They lie below the ports that the system gives to anybody's outgoing connection: one of those sat on the second
    port once.
    """
    for first in range(20_000, 32_000, 3):
        with contextlib.suppress(OSError), contextlib.ExitStack() as free:
            for port in (first, first + 1):
                free.enter_context(socket.create_server(("127.0.0.1", port)))
            return first, socket.create_server(("127.0.0.1", first + 2))
    raise AssertionError("no three free ports in a row")


def test_when_the_third_port_is_taken_the_first_two_are_given_back() -> None:
    port, taken = three_in_a_row()
    with taken:
        for _ in range(2):
            with pytest.raises(UserError, match=str(port + 2)), DemoWeb(port=port):
                pass


def test_where_it_listens_is_no_part_of_a_fingerprint() -> None:
    assert DemoWebSettings(port=8750, delay_ms=20).identity() == {}


def test_it_ends_with_its_process_and_frees_its_ports() -> None:
    command = [sys.executable, "-m", "pipelines.demo.web", "--port", "0"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    ports = [int(re.search(r"is at 127\.0\.0\.1:(\d+)", process.stdout.readline())[1]) for _ in range(3)]  # type: ignore[index]
    for port in ports:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    os.kill(process.pid, signal.SIGKILL)
    process.wait(timeout=10)
    process.stdout.close()
    for port in ports:
        socket.create_server(("127.0.0.1", port)).close()


def test_from_the_command_line_a_port_in_use_is_exit_code_2() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "pipelines.demo.web", "--port", str(port)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert str(port) in done.stderr
