"""Visible text: blocks are lines, inline elements are not, ZWNJ stays."""

from __future__ import annotations

import pytest
from selectolax.lexbor import LexborHTMLParser

from pipelines.extract.boilerplate import drop
from pipelines.extract.text import text_of


def text(html: str) -> str:
    body = LexborHTMLParser(f"<body>{html}</body>").body
    assert body is not None
    return text_of(body)


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("<p>یک <b>دو</b>سه</p><p>چهار</p>", "یک دوسه\nچهار"),
        ("یک<br>دو", "یک\nدو"),
        ("<ul><li>یک<li>دو</ul>", "یک\nدو"),
        ("<table><tr><td>قند<td>۱۰۰</table>", "قند ۱۰۰"),
        ("<p>می\u200cشود\n  و   بود</p>", "می\u200cشود و بود"),
        ("<p>a</p><script>x()</script><style>y</style><noscript>z</noscript><p>b &amp; c</p>", "a\nb & c"),
        ("", ""),
    ],
)
def test_text_reads_like_the_page(html: str, expected: str) -> None:
    assert text(html) == expected


def test_deep_nesting_needs_no_deep_stack() -> None:
    assert text("<div>" * 1900 + "متن" + "</div>" * 1900) == "متن"


@pytest.mark.parametrize(
    "name", ["comments", "comment-list", "banner-ad", "share", "related-posts", "post author", "sidebar left", "ads"]
)
def test_what_surrounds_a_text_goes(name: str) -> None:
    tree = LexborHTMLParser(f'<body><div class="text">keep</div><div class="{name}">gone</div><div id="{name}">gone</div></body>')
    assert tree.body is not None
    drop(tree.body)
    assert text_of(tree.body) == "keep"


@pytest.mark.parametrize(
    "name", ["commentary", "shadow", "adsorption-text", "headline", "article-content", "loads", "vitamin-tagged"]
)
def test_words_that_only_look_like_it_stay(name: str) -> None:
    tree = LexborHTMLParser(f'<body><div class="{name}">keep</div></body>')
    assert tree.body is not None
    drop(tree.body)
    assert text_of(tree.body) == "keep"
