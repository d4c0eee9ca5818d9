"""Takes out what surrounds a text: comments, advertisements, navigation, sharing, authors, related posts."""

from __future__ import annotations

import re
from collections.abc import Sequence

from selectolax.lexbor import LexborHTMLParser, LexborNode

TAGS = "script, style, noscript, template, nav, footer, aside, form, button, iframe, svg, dialog"
ROLES = (
    "[role=navigation], [role=complementary], [role=banner], [role=contentinfo], [role=search], "
    "[itemprop=author], [itemprop=comment]"
)
# Whole words of class and id: `comment`, not `commentary`.
WORDS = re.compile(
    r"(?i)(?:^|[\s_-])(?:comments?|commentlist|respond|disqus|replies|ads?|advert(?:s|isement|ising)?|banner|sponsor(?:ed)?|promo|"
    r"share|sharing|social|related|recommended|breadcrumbs?|sidebar|newsletter|subscribe|author(?:box|info)?|byline|cookie|popup|modal|"
    r"pager|pagination|tags?|toc)(?=$|[\s_-])"
)


def drop(tree: LexborHTMLParser, selectors: Sequence[str] = ()) -> None:
    """Remove it from the tree. `selectors`: what a source wants removed, too."""
    for node in tree.css(", ".join([TAGS, ROLES, *selectors])):
        node.decompose()
    doomed = [node for node in tree.css("body [class], body [id]") if _is_boilerplate(node)]
    for node in doomed:
        node.decompose()


def _is_boilerplate(node: LexborNode) -> bool:
    attributes = node.attributes
    names = f"{attributes.get('class') or ''} {attributes.get('id') or ''}"
    return bool(WORDS.search(names)) and node.tag not in ("html", "body", "main", "article")
