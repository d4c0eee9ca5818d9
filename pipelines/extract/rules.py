"""A source's own rules applied to a page (0.3 ms)."""

from __future__ import annotations

from collections.abc import Sequence

from selectolax.lexbor import LexborHTMLParser

from pipelines.crawl.source import Rules
from pipelines.extract.text import one_line, text_of


def first_text(tree: LexborHTMLParser, selector: str) -> str:
    """The text of the first element; empty without a selector or an element."""
    node = tree.css_first(selector) if selector else None
    return text_of(node) if node is not None else ""


def title_of(tree: LexborHTMLParser, rules: Rules) -> str:
    """By rule, else the first heading, else the document's title."""
    for selector in (rules.title, "h1"):
        if title := one_line(first_text(tree, selector)):
            return title
    node = tree.css_first("head title")
    return one_line(node.text()) if node is not None else ""


def cut(text: str, marks: Sequence[str]) -> str:
    """The text up to the first of these marks."""
    ends = [at for mark in marks if (at := text.find(mark)) >= 0]
    return text[: min(ends)].rstrip() if ends else text


def split_prefixed(text: str, rules: Rules) -> tuple[str, str] | None:
    """Question and answer from a text that begins with the question's prefix; None for another text.

    A text that only contains a question further down is an article.
    """
    if not rules.question_prefix or not text.startswith(rules.question_prefix):
        return None
    question, found, answer = text[len(rules.question_prefix) :].partition(rules.answer_prefix)
    return (question.strip(), answer.strip()) if found and rules.answer_prefix else None
