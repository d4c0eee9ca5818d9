"""One page to an article, a question-answer pair, or the reason why it is neither (1 ms where the source has rules)."""

from __future__ import annotations

from dataclasses import dataclass

from selectolax.lexbor import LexborDocumentOptions, LexborHTMLParser

from pipelines.crawl.nesting import is_too_nested
from pipelines.crawl.source import Source
from pipelines.extract.boilerplate import drop
from pipelines.extract.dates import published_on
from pipelines.extract.maintext import main_text
from pipelines.extract.rules import cut, drop_ruled, ruled_text, ruled_title, split_prefixed, usual_title
from pipelines.extract.schema import Marked, read_json_ld, read_microdata
from pipelines.extract.text import sound


@dataclass(frozen=True)
class Article:
    """`published`: `YYYY-MM-DD`, or empty."""

    title: str
    text: str
    published: str = ""


@dataclass(frozen=True)
class Pair:
    title: str
    question: str
    answer: str


@dataclass(frozen=True)
class NotUsed:
    """Why a page gives nothing."""

    reason: str
    kind: str = "page"


def read_page(html: str, source: Source, min_article_words: int) -> Article | Pair | NotUsed:
    """The source's rules first, since they were written for its pages; then schema.org; then the main text."""
    html = sound(html)
    if is_too_nested(html):
        return NotUsed("too-nested")
    tree = LexborHTMLParser(html, options=LexborDocumentOptions.WO_EVENTS)
    marked = read_json_ld(tree)
    drop_ruled(tree, source.extract)
    pair = _pair(tree, html, source, marked) if source.kind in ("qa", "mixed") else None
    if pair and pair.question and pair.answer:
        return pair
    if source.kind == "qa":
        return NotUsed("no-answer" if pair and pair.question else "no-question", "qa")
    return _article(tree, source, marked, min_article_words)


def _pair(tree: LexborHTMLParser, html: str, source: Source, marked: Marked) -> Pair | None:
    """What there is of a question and its answer; None where nothing is."""
    rules = source.extract
    title = ruled_title(tree, rules)
    if rules.question:
        usual = usual_title(tree)
        question = ruled_text(tree, rules.question, only_first=True)
        answer = cut(ruled_text(tree, rules.answer, only_first=True), rules.cut_at)
        if question or answer:
            return Pair(title or usual, question, answer)
    if not marked.question and ("schema.org/Question" in html or "schema.org/QAPage" in html):
        marked = read_microdata(html)
    if marked.question:
        return Pair(title or marked.asked_as or usual_title(tree), marked.question, marked.answer)
    if rules.question_prefix and (split := split_prefixed(cut(ruled_text(tree, rules.text), rules.cut_at), rules)):
        return Pair(title or usual_title(tree), *split)
    return None


def _article(tree: LexborHTMLParser, source: Source, marked: Marked, min_words: int) -> Article | NotUsed:
    rules = source.extract
    usual = usual_title(tree)
    title = ruled_title(tree, rules) or marked.title or usual
    published = published_on(tree, rules.date, marked.published)
    text = ruled_text(tree, rules.text)
    if not text and tree.body is not None:
        drop(tree.body)
        text = _without_title(main_text(tree), {title, usual})
    text = cut(text, rules.cut_at)
    if not text:
        return NotUsed("no-text", "article")
    if len(text.split()) < min_words:
        return NotUsed("too-short", "article")
    return Article(title, text, published)


def _without_title(text: str, titles: set[str]) -> str:
    """The main text often begins with the page's heading, which has a column of its own."""
    first, _, rest = text.partition("\n")
    return rest if first in titles else text
