"""Sitemaps: indexes, lists of URLs, plain text, gzip; within size limits and without entities."""

from __future__ import annotations

from dataclasses import dataclass

from lxml import etree

from pipelines.crawl.body import TooLarge, gunzip

MAX_BYTES = 50 << 20  # sitemaps.org: at most 50 MB and 50,000 URLs in a file


@dataclass(frozen=True)
class Sitemap:
    """`sitemaps` to read next and `pages`, as written in the file."""

    sitemaps: tuple[str, ...]
    pages: tuple[str, ...]


def read_sitemap(body: bytes) -> Sitemap:
    """Raises ValueError for what is no sitemap."""
    if body[:2] == b"\x1f\x8b":
        try:
            body = gunzip(body, MAX_BYTES)
        except TooLarge as error:
            raise ValueError("unpacks to more than 50 MB") from error
    text = body.lstrip(b"\xef\xbb\xbf \t\r\n")
    if not text.startswith(b"<"):
        lines = text.decode("utf-8", errors="replace").split()
        return Sitemap((), tuple(line for line in lines if line.startswith(("http://", "https://"))))
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, recover=True, huge_tree=False)
    root = etree.fromstring(text, parser)
    if root is None or _name(root) not in ("sitemapindex", "urlset"):
        raise ValueError("neither a sitemap index nor a list of URLs")
    locations = tuple(
        child.text.strip() for entry in root for child in entry if _name(child) == "loc" and child.text and child.text.strip()
    )
    return Sitemap(locations, ()) if _name(root) == "sitemapindex" else Sitemap((), locations)


def _name(element: etree._Element) -> str:
    return etree.QName(element).localname.lower() if isinstance(element.tag, str) else ""
