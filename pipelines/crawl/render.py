"""Whether a page as it was fetched has its content, or shows it only after its scripts ran (0.5 ms for 50 KB).

For sources that say `render: auto`. In this order:

1. A page without scripts is as it is.
2. Where the source names `ready`, that decides: it is there, or the browser is needed.
3. A list that grows only in the browser needs it: one with the source's `more` button, and with `scroll` every page
   that is no content page.
4. A page that shows `ENOUGH_WORDS` or more has its content.
5. Any other has it when it shows at least `FEW_WORDS`: in the mount point of its app (`#app`, `#root` ...) where there
   is one, else anywhere.

What counts as shown is text outside of scripts, noscript, navigation, header, footer, buttons, forms and what is
hidden. A wrong guess costs a drawing where it was not needed (a very short page), or the content (a shell that comes
with much text of its own): then name `ready`, or say `browser`.
"""

from __future__ import annotations

from selectolax.lexbor import LexborHTMLParser, LexborNode

from pipelines.crawl.nesting import is_too_nested
from pipelines.crawl.source import Source

FEW_WORDS = 12  # fewer are a title, a "loading", a line of a menu; the shortest answers have more
ENOUGH_WORDS = 100  # no shell says so much
# React, Vue, Next, Nuxt, Gatsby, Quasar, Angular, AngularJS.
MOUNT_POINTS = "#root, #app, #__next, #__nuxt, #___gatsby, #q-app, app-root, [ng-app]"
NOT_SHOWN = "script, style, noscript, template, iframe, svg, nav, header, footer, button, form, [hidden]"


def needs_browser(html: str, url: str, source: Source) -> bool:
    """Whether the page at this URL is to be drawn, as its source says or as the rules above find."""
    if source.render != "auto":
        return source.render == "browser"
    if "<script" not in html.lower() or is_too_nested(html):
        return False
    tree = LexborHTMLParser(html)
    if source.ready:
        return tree.css_first(source.ready) is None
    if source.more and tree.css_first(source.more) is not None:
        return True
    if source.scroll and not source.is_content(url):
        return True
    for node in tree.css(NOT_SHOWN):
        node.decompose()
    words = _words(tree.body)
    if words >= ENOUGH_WORDS:
        return False
    mount = tree.css_first(MOUNT_POINTS)
    return (words if mount is None else _words(mount)) < FEW_WORDS


def _words(node: LexborNode | None) -> int:
    return len(node.text(separator=" ").split()) if node else 0
