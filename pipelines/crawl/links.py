"""What a page says about others: its links, its canonical address, and whether robots may index or follow (0.5 ms)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from selectolax.lexbor import LexborDocumentOptions, LexborHTMLParser

from pipelines.crawl.robots_rules import product_token
from pipelines.crawl.urls import absolute_url, host_of, same_site

ROBOTS_TAG = "x-robots-tag"
# Directives with a value of their own: what stands before the colon is no crawler's name.
WITH_VALUE = frozenset({"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"})
_CANONICAL_HEADER = re.compile(r"""(?i)<([^>]*)>[^,<]*;\s*rel\s*=\s*["']?\s*canonical\b""")


@dataclass(frozen=True)
class PageLinks:
    """`links` in the order of the page, each once; `canonical` only where it names a page of the same site."""

    links: tuple[str, ...]
    canonical: str
    noindex: bool
    nofollow: bool


def read_links(html: str, url: str, headers: Mapping[str, str], anchors: Sequence[str] = (), user_agent: str = "") -> PageLinks:
    """`anchors`: CSS of the anchors that count; all of them when empty. `user_agent`: as it is called in robots.txt."""
    tree = LexborHTMLParser(html, options=LexborDocumentOptions.WO_EVENTS)  # events take the square of a list of options
    base = url
    if (element := tree.css_first("base[href]")) is not None:
        base = absolute_url(url, element.attributes.get("href") or "") or url
    said = set(_directives(tree, headers, product_token(user_agent)))
    nofollow = bool(said & {"nofollow", "none"})
    links: dict[str, None] = {}
    if not nofollow:
        for node in tree.css(", ".join(anchors) if anchors else "a[href]"):
            if link := absolute_url(base, node.attributes.get("href") or ""):
                links[link] = None
    return PageLinks(tuple(links), _canonical(tree, headers, base, url), bool(said & {"noindex", "none"}), nofollow)


def _canonical(tree: LexborHTMLParser, headers: Mapping[str, str], base: str, url: str) -> str:
    """By `<link>` or by header field; none where they disagree."""
    named = [node.attributes.get("href") or "" for node in tree.css('link[rel~="canonical" i][href]')]
    named += _CANONICAL_HEADER.findall(headers.get("link", ""))
    addresses = {absolute_url(base, link) for link in named}
    canonical = addresses.pop() if len(addresses) == 1 else None
    return canonical if canonical and same_site(host_of(canonical), host_of(url)) else ""


def _directives(tree: LexborHTMLParser, headers: Mapping[str, str], agent: str) -> Iterator[str]:
    """What robots meta elements and X-Robots-Tag say to all, or to us by name."""
    for line in headers.get(ROBOTS_TAG, "").split("\n"):
        yield from _tag_directives(line, agent)
    for node in tree.css("meta[name][content]"):
        if (node.attributes.get("name") or "").strip().lower() in {"robots", agent or "robots"}:
            yield from _words(node.attributes.get("content") or "")


def _tag_directives(line: str, agent: str) -> Iterator[str]:
    """Of one X-Robots-Tag field: a crawler's name and a colon say whom the directives after it are for."""
    is_for_us = True
    for part in line.split(","):
        name, colon, rest = part.partition(":")
        if colon and name.strip().lower() not in WITH_VALUE:
            is_for_us, part = product_token(name) in {agent, "*"}, rest
        if is_for_us:
            yield from _words(part)


def _words(text: str) -> list[str]:
    return [word.strip().lower() for word in text.split(",")]
