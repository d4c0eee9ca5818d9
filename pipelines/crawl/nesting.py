"""Documents that take a parser or a selector the square of their length, seen before it is asked (0.1 ms for 10 KB).

They nest deeply, have an element with thousands of attributes, or never close formatting, which every block after it
repeats.
"""

from __future__ import annotations

import re
from collections import Counter

MAX_DEPTH = 2_000  # a parser needs 0.02 s for this, 20 s for 50,000; browsers stop at 512
MAX_ATTRIBUTES = 1_000  # a parser needs 0.01 s for this, 30 s for 50,000
MAX_REPEATED = 500_000  # elements, about 0.3 s
SHORT = 20_000  # characters; an element that is no longer has not attributes enough to take a second

_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]*)")
# An element without another in it, in the plain spelling that leaves no doubt where it ends: most of a page is such.
_LEAF = re.compile(r"""<([a-zA-Z][a-zA-Z0-9]*+)(?:\s++[^\s"'<>/=]++(?:="[^"<>]*+")?)*+\s*+>[^<]*+</\1>""")
_ATTRIBUTE = r"""[\s/]*+[^\s/>][^\s/>=]*+(?:\s*+=\s*+(?:"[^"]*+"|'[^']*+'|[^\s>"'][^\s>]*+)?+)?+"""
# As far as no element has more; one pass, since a search would begin again at every < in an attribute.
_FEW_ATTRIBUTES = re.compile(
    rf"(?:[^<]++|<(?![a-zA-Z])|<[a-zA-Z][^\s/>]*+(?>{_ATTRIBUTE}){{0,{MAX_ATTRIBUTES}}}+(?!{_ATTRIBUTE}))*+"
)
# Elements without an end tag, or whose end tag may be left out.
_NOT_NESTED = frozenset(
    "area base br col embed hr img input link meta param source track wbr p li dt dd option tr td th thead tbody tfoot".split()
)
_FORMATTING = frozenset("b big code em font i s small strike strong tt u".split())
# What end tags inside do not reach beyond.
_BARRIERS = frozenset("table object marquee applet template foreignobject desc title mi mo mn ms mtext".split())


def is_too_nested(html: str) -> bool:
    """Whether no page that is meant for people looks like this."""
    tags = html.count("<")
    if tags > MAX_DEPTH and _nests_too_deep(_without_leaves(html), MAX_REPEATED / tags):
        return True
    return len(html) > SHORT and _FEW_ATTRIBUTES.fullmatch(html) is None


def _without_leaves(html: str) -> str:
    """The same page with fewer elements, as deep but for the last few levels."""
    for _ in range(4):
        before = len(html)
        html = _LEAF.sub("", html)
        if len(html) > 0.9 * before:
            break
    return html


def _nests_too_deep(html: str, max_unclosed: float) -> bool:
    """Follows the open elements like a parser: an end tag closes what is open inside its element, and nothing else.

    `max_unclosed`: how much formatting may be open at a time.
    """
    is_open: list[str] = []
    levels: list[tuple[str, Counter[str]]] = [("", Counter())]  # of each barrier: how many elements are open inside, by name
    formatting: Counter[str] = Counter()
    for match in _TAG.finditer(html):
        name, (barrier, inside) = match[2].lower(), levels[-1]
        if name in _FORMATTING:
            formatting[name] += 1 if not match[1] else -1 if formatting[name] else 0
        elif match[1]:
            if name == barrier:
                levels.pop()
            elif not inside[name]:
                continue
            while (closed := is_open.pop()) != name:
                inside[closed] -= 1
            inside[name] -= 1
        elif _nests(name, inside, html, match.end()):
            is_open.append(name)
            if name in _BARRIERS:
                levels.append((name, Counter()))
            else:
                inside[name] += 1
        unclosed = formatting.total()
        if len(is_open) + unclosed > MAX_DEPTH or unclosed > max_unclosed:
            return True
    return False


def _nests(name: str, inside: Counter[str], html: str, at: int) -> bool:
    """Whether what follows is inside an element; among drawings and formulas every one that does not close itself."""
    if inside["svg"] or inside["math"]:
        end = html.find(">", at, at + SHORT)
        return end < 0 or html[end - 1] != "/"
    return name not in _NOT_NESTED
