"""Takes out what surrounds a text: comments, advertisements, navigation, sharing, authors, related posts (0.3 ms)."""

from __future__ import annotations

import re

from selectolax.lexbor import LexborNode

TAGS = "script, style, noscript, template, nav, footer, aside, form, button, select, iframe, svg, dialog"
ROLES = (
    "[role=navigation], [role=complementary], [role=banner], [role=contentinfo], [role=search], "
    "[itemprop=author], [itemprop=comment]"
)
NEVER = frozenset({"html", "body", "main", "article"})
HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})


def _words(*words: str) -> re.Pattern[str]:
    """Whole words of class and id: `comment`, not `commentary`, and not what a layout `has` or has `no`."""
    return re.compile(rf"(?i)(?:^|[\s_-])(?<!has[_-])(?<!no[_-])(?<!with[_-])(?:{'|'.join(words)})(?=$|[\s_-])")


# What others wrote or what is about something else ...
ELSEWHERE = _words(
    "comments?|commentlist|respond|disqus|replies|didgah(?:ha)?|nazarat",
    "ads?|advert(?:s|isement|ising)?|tabligh(?:at)?|banner|sponsor(?:ed)?|promo",
    "related|recommended|sidebar|newsletter|subscribe|cookie|popup|modal|menu|nav(?:bar|igation)?",
)
# ... and what is about the text: who wrote it, what it is filed under, its parts.
LABELS = _words(
    "share|sharing|social|ratings?|breadcrumbs?|pager|pagination|tags|tag(?!-)|toc|footer|copyright",
    "authors?(?:box|info)?|writer|byline|vcard",
)


def drop(root: LexborNode) -> None:
    """Remove it from what is inside an element."""
    doomed = root.css(f"{TAGS}, {ROLES}") + [node for node in root.css("[class], [id]") if _is_boilerplate(node)]
    for node in doomed:
        if node.mem_id != root.mem_id:
            node.decompose()


def is_elsewhere(node: LexborNode) -> bool:
    """Whether an element is part of a comment, of the navigation and the like."""
    above: LexborNode | None = node
    while above is not None:
        if above.tag in ("nav", "aside") or (above.tag not in NEVER and ELSEWHERE.search(_names(above))):
            return True
        above = above.parent
    return False


def _is_boilerplate(node: LexborNode) -> bool:
    names = _names(node)
    if node.tag in NEVER or not (ELSEWHERE.search(names) or LABELS.search(names)):
        return False
    return node.css_first("h1, main, [itemprop=articleBody]") is None  # else it is a frame around the text


def _names(node: LexborNode) -> str:
    """Class and id; not a heading's id, which says what its section is about."""
    attributes = node.attributes
    id = "" if node.tag in HEADINGS else attributes.get("id")
    return f"{attributes.get('class') or ''} {id or ''}"
