"""What a page says about others: its links, its canonical address, and whether robots may index or follow (0.5 ms)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from selectolax.lexbor import LexborHTMLParser

from pipelines.crawl.urls import absolute_url, host_of, same_site


@dataclass(frozen=True)
class PageLinks:
    """`links` in the order of the page, each once; `canonical` only where it names a page of the same site."""

    links: tuple[str, ...]
    canonical: str
    noindex: bool
    nofollow: bool


def read_links(html: str, url: str, headers: Mapping[str, str], anchors: Sequence[str] = ()) -> PageLinks:
    """`anchors`: CSS of the anchors that count; all of them when empty."""
    tree = LexborHTMLParser(html)
    base = url
    if (element := tree.css_first("base[href]")) is not None:
        base = absolute_url(url, element.attributes.get("href") or "") or url
    directives = _directives(tree, headers)
    nofollow = "nofollow" in directives or "none" in directives
    links: dict[str, None] = {}
    if not nofollow:
        for node in tree.css(", ".join(anchors) if anchors else "a[href]"):
            if link := absolute_url(base, node.attributes.get("href") or ""):
                links[link] = None
    return PageLinks(tuple(links), _canonical(tree, base, url), "noindex" in directives or "none" in directives, nofollow)


def _canonical(tree: LexborHTMLParser, base: str, url: str) -> str:
    element = tree.css_first('link[rel="canonical"][href]')
    if element is None:
        return ""
    canonical = absolute_url(base, element.attributes.get("href") or "") or ""
    return canonical if canonical and same_site(host_of(canonical), host_of(url)) else ""


def _directives(tree: LexborHTMLParser, headers: Mapping[str, str]) -> set[str]:
    texts = [headers.get("x-robots-tag", "")]
    texts += [node.attributes.get("content") or "" for node in tree.css('meta[name="robots" i]')]
    return {word.strip().lower() for text in texts for word in text.replace(":", ",").split(",")}
