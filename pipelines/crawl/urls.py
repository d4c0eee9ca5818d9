"""Canonical URLs: one spelling for every address of a page (about 40 µs each, cached)."""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import parse_qsl, unquote, urlencode, urljoin, urlsplit, urlunsplit

from w3lib.url import canonicalize_url

# Query parameters that say where a visitor came from and never which page is meant.
TRACKERS = re.compile(r"(?i)^(utm_\w+|fbclid|gclid|dclid|yclid|msclkid|twclid|igshid|mc_[ce]id|_ga|_gl|_openstat|ref_src)$")
DEFAULT_PORTS = {"http": 80, "https": 443}
# An address that is canonical as it stands, which most are: it needs no parsing (1 µs).
PLAIN = re.compile(
    r"https?://[a-z0-9][a-z0-9-]*(?:\.[a-z0-9][a-z0-9-]*)*(?::[1-9][0-9]{3,4})?(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*/?"
)


@lru_cache(maxsize=1 << 16)
def canonical_url(url: str) -> str | None:
    """The one spelling of an http or https URL; None for anything else (other schemes, no host, a password in it)."""
    if PLAIN.fullmatch(url):
        return url if url.count("/") > 2 else f"{url}/"
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname or parts.username is not None:
        return None
    try:
        parts = urlsplit(canonicalize_url(urlunsplit(parts._replace(query=_without_trackers(parts.query), fragment=""))))
    except (ValueError, UnicodeError):
        return None
    host = (parts.hostname or "").rstrip(".")
    host = f"[{host}]" if ":" in host else host
    netloc = host if port in (None, DEFAULT_PORTS[parts.scheme]) else f"{host}:{port}"
    return urlunsplit((parts.scheme, netloc, _without_dots(parts.path or "/"), parts.query, ""))


def absolute_url(base: str, link: str) -> str | None:
    """A link's canonical URL as seen on the page at `base`; None for one that can't be fetched."""
    link = link.strip()
    if not link.startswith(("http://", "https://")):
        if not link or link.startswith(("#", "javascript:", "mailto:", "tel:", "data:")):
            return None
        try:
            link = urljoin(base, link)
        except ValueError:
            return None
    return canonical_url(link)


@lru_cache(maxsize=1 << 16)
def path_of(url: str) -> str:
    """Path and query, decoded: what a source's patterns are searched in."""
    parts = urlsplit(url)
    return unquote(f"{parts.path}?{parts.query}" if parts.query else parts.path)


def host_of(url: str) -> str:
    """The host a URL is fetched from, with its port where that is not the scheme's own."""
    return urlsplit(url).netloc


def same_site(a: str, b: str) -> bool:
    """Whether two hosts are one site: equal but for a leading `www.`."""
    return a.removeprefix("www.") == b.removeprefix("www.")


def _without_trackers(query: str) -> str:
    if not query or not any(TRACKERS.match(pair.partition("=")[0]) for pair in query.split("&")):
        return query
    pairs = parse_qsl(query, keep_blank_values=True, encoding="latin-1")
    return urlencode([(name, value) for name, value in pairs if not TRACKERS.match(name)], encoding="latin-1")


def _without_dots(path: str) -> str:
    """Dot segments removed as in RFC 3986, section 5.2.4."""
    if "/." not in path:
        return path
    kept: list[str] = []
    segments = path.split("/")[1:]
    for segment in segments:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in (".", ".."):
        kept.append("")
    return "/" + "/".join(kept)
