"""The main text of a page of which nothing is known, by resiliparse's rules (0.3 ms; ZWNJ stays)."""

from __future__ import annotations

from resiliparse.extract.html2text import extract_plain_text
from selectolax.lexbor import LexborHTMLParser

from pipelines.extract.text import tidy


def main_text(tree: LexborHTMLParser) -> str:
    """Of a tree without its boilerplate; empty when there is none."""
    html = tree.html
    if not html:
        return ""
    text: str = extract_plain_text(html, main_content=True, list_bullets=False, alt_texts=False)
    return tidy(text)
