"""A source's own rules applied to a page (0.3 ms)."""

from __future__ import annotations

from collections.abc import Sequence

from selectolax.lexbor import LexborHTMLParser, LexborNode

from pipelines.crawl.source import Rules
from pipelines.extract.boilerplate import drop
from pipelines.extract.text import one_line, text_of


def drop_ruled(tree: LexborHTMLParser, rules: Rules) -> None:
    """Take out what the source says."""
    for selector in rules.drop:
        for node in tree.css(selector):
            if node.tag != "html":  # which can't be taken out
                node.decompose()


def ruled_text(tree: LexborHTMLParser, selector: str, *, only_first: bool = False) -> str:
    """The text of the elements that a selector names, without what does not belong; empty when it names nothing."""
    nodes = _outermost(tree.css(selector)) if selector else []
    texts = []
    for node in nodes[:1] if only_first else nodes:
        drop(node)
        texts.append(text_of(node))
    return "\n".join(filter(None, texts))


def ruled_title(tree: LexborHTMLParser, rules: Rules) -> str:
    node = tree.css_first(rules.title) if rules.title else None
    return one_line(text_of(node)) if node is not None else ""


def usual_title(tree: LexborHTMLParser) -> str:
    """The first heading, else the document's title."""
    for selector in ("h1", "head title"):
        node = tree.css_first(selector)
        if node is not None and (title := one_line(node.text())):
            return title
    return ""


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
    return (question.strip(": \n"), answer.strip(": \n")) if found and rules.answer_prefix else None


def _outermost(nodes: Sequence[LexborNode]) -> list[LexborNode]:
    """Each element once, and none that is inside another."""
    chosen = {node.mem_id: node for node in nodes}
    return [node for node in chosen.values() if not _is_inside(node, chosen)]


def _is_inside(node: LexborNode, others: dict[int, LexborNode]) -> bool:
    if len(others) == 1:
        return False
    above = node.parent
    while above is not None:
        if above.mem_id in others:
            return True
        above = above.parent
    return False
