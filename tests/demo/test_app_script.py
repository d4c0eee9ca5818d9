"""The JavaScript site in a real browser: the list grows by its button, a post shows its question and answer."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from pipelines.demo.content import posts
from pipelines.demo.web import DemoWeb

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")


@pytest.fixture
def page(web: DemoWeb) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    rules = ", ".join(f"MAP {name}:80 {address}" for name, address in web.resolve.items())
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[f"--host-resolver-rules={rules}", "--no-sandbox"])
        yield browser.new_page()
        browser.close()


def test_the_list_grows_by_ten_until_the_button_is_gone(page: Any) -> None:
    page.goto("http://app.demo.test/")
    page.wait_for_selector("#app[data-ready=list]")
    counts = [page.locator("#app li a").count()]
    while page.locator("#more").count():
        page.click("#more")
        page.wait_for_function("before => document.querySelectorAll('#app li a').length > before", arg=counts[-1])
        page.wait_for_function("() => !document.querySelector('#more:disabled')")
        counts.append(page.locator("#app li a").count())
    assert counts == [10, 20, 30]


def test_a_post_shows_its_question_and_answer(page: Any) -> None:
    post = posts()[6]
    page.goto(f"http://app.demo.test/post/{post.id}")
    page.wait_for_selector("html[data-ready=post]")
    assert page.title() == post.title
    assert page.inner_text("#app h1") == post.title
    assert page.inner_text("#app .question") == post.question
    assert page.inner_text("#app .answer") == post.answer


def test_a_post_that_is_not_there_says_so(page: Any) -> None:
    response = page.goto("http://app.demo.test/post/999")
    page.wait_for_selector("#app[data-ready=error]")
    assert response.status == 404
