"""Lists that grow in the browser: by a button, by scrolling, by both; and how they end."""

from __future__ import annotations

import json
import logging
import re

import pytest

from pipelines.crawl import growth
from pipelines.crawl.fetch import FetchError

from .app_site import AppSite, drawn, drawn_all

# A list of 5 parts with 4 links each, which `part(done)` adds one after the other.
LIST = """<!DOCTYPE html><html><body><ul></ul>BUTTON<script>
let next = 1, busy = false;
const part = async () => {
  if (busy || next > LAST) return;
  busy = true;
  const items = await fetch(`/part-${next}.json`).then(answer => answer.json());
  for (const item of items) document.querySelector("ul").insertAdjacentHTML("beforeend", `<li><a href="/${item}">${item}</a></li>`);
  next++;
  busy = false;
};
SCRIPT
</script></body></html>"""
BUTTON = "<button>more</button>"
PRESSED = "const button = document.querySelector('button'); button.onclick = async () => { AT_PRESS };"
PARTS = {f"/part-{n}.json": json.dumps([f"item-{n}-{i}" for i in range(4)]) for n in range(1, 6)}
ALL = [f"item-{n}-{i}" for n in range(1, 6) for i in range(4)]


def growing(script: str, button: str = "", last: int = 5) -> AppSite:
    page = LIST.replace("SCRIPT", script).replace("BUTTON", button).replace("LAST", str(last))
    return AppSite({"/": page} | PARTS)


def items(html: str) -> list[str]:
    return re.findall(r'<a href="/(item-[0-9-]+)">', html)


def test_a_button_is_pressed_to_the_end() -> None:
    presses = {
        "it goes": "await part(); if (next > 5) button.remove()",
        "it hides": "await part(); if (next > 5) button.style.display = 'none'",
        "it is disabled": "button.disabled = true; await part(); button.disabled = next > 5",
        "it rests": "button.disabled = true; await part(); setTimeout(() => button.disabled = false, 300)",
        "it does nothing more": "await part()",
    }
    sites = [growing("part();" + PRESSED.replace("AT_PRESS", press), BUTTON) for press in presses.values()]
    lists = dict(zip(presses, drawn_all(*sites, more="button"), strict=True))
    assert [name for name, html in lists.items() if items(html) != ALL] == []
    assert [site.requests for site in sites if len(site.requests) != len(set(site.requests))] == []


def test_a_page_is_scrolled_to_its_end() -> None:
    tall = "document.querySelector('ul').style.lineHeight = '300px'; part();"
    scripts = {
        "at the scroll event": f"{tall} addEventListener('scroll', part)",
        "at the scroll event, all in view": "part(); addEventListener('scroll', part)",
        "when its end is seen": f"{tall} document.body.insertAdjacentHTML('beforeend', '<hr>');"
        "new IntersectionObserver(seen => { if (seen.some(one => one.isIntersecting)) part() })"
        ".observe(document.querySelector('hr'))",
        "in a box of its own": "document.querySelector('ul').style = 'height: 40px; overflow: auto'; part();"
        "document.querySelector('ul').addEventListener('scroll', part)",
    }
    lists = dict(zip(scripts, drawn_all(*map(growing, scripts.values()), scroll=True), strict=True))
    assert [name for name, html in lists.items() if items(html) != ALL] == []


def test_button_and_scrolling_are_used_together() -> None:
    """Scrolling loads the first three parts, then there is a button."""
    script = (
        "part(); addEventListener('scroll', () => next < 4 ? part() : document.querySelector('button').hidden = false);"
        + PRESSED.replace("AT_PRESS", "await part(); if (next > 5) button.remove()")
    )
    assert items(drawn(growing(script, "<button hidden>more</button>"), more="button", scroll=True)) == ALL


def test_without_the_declaration_nothing_is_pressed_or_scrolled() -> None:
    script = "part(); addEventListener('scroll', part);" + PRESSED.replace("AT_PRESS", "await part()")
    assert items(drawn(growing(script, BUTTON))) == ALL[:4]


def test_a_part_that_fails_is_no_end() -> None:
    site = growing("part();" + PRESSED.replace("AT_PRESS", "await part()"), BUTTON)
    site.statuses["/part-3.json"] = [502] * 3
    with pytest.raises(FetchError) as caught:
        drawn(site, more="button")
    assert (caught.value.reason, caught.value.passing) == ("http-502", True)


@pytest.mark.parametrize("limit", ["parts", "size"])
def test_a_list_without_an_end_is_cut(limit: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    grow = (
        "const add = () => document.body.insertAdjacentHTML('beforeend', `<p><a href=/x>${'word '.repeat(2000)}</a></p>`); add();"
    )
    settings = {"max_body_bytes": 50_000} if limit == "size" else {}
    if limit == "parts":
        monkeypatch.setattr(growth, "PARTS", 3)
    site = AppSite(
        {"/": f"<body><script>{grow} addEventListener('scroll', event => event.isTrusted || add())</script>"}, **settings
    )
    with caplog.at_level(logging.WARNING):
        html = drawn(site, scroll=True)
    assert html.count('<p><a href="/x">') == 4  # of 10,000 characters: a fifth would just fit, but nobody knew before
    assert "source app: a list that was still growing was cut" in caplog.text
