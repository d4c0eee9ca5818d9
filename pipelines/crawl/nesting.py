"""How deep a document's elements are nested, before a parser is asked: parsing takes the square of it (0.3 ms if at all)."""

from __future__ import annotations

import re

MAX_DEPTH = 2_000  # a parser needs 0.02 s for this, 20 s for 50,000; browsers stop at 512
_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]*)")
# Elements without an end tag, or whose end tag may be left out.
_NOT_NESTED = frozenset(
    "area base br col embed hr img input link meta param source track wbr p li dt dd option tr td th thead tbody tfoot".split()
)


def is_too_nested(html: str) -> bool:
    """Whether elements are nested deeper than any page that is meant for people."""
    if html.count("<") <= MAX_DEPTH:
        return False
    depth = 0
    for match in _TAG.finditer(html):
        if match[2].lower() in _NOT_NESTED:
            continue
        depth = max(0, depth - 1) if match[1] else depth + 1
        if depth > MAX_DEPTH:
            return True
    return False
