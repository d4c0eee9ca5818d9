"""One page to an article, a question-answer pair, or the reason why it is neither (1 ms where the source has rules)."""

from __future__ import annotations

from dataclasses import dataclass

from selectolax.lexbor import LexborHTMLParser

from pipelines.crawl.source import Source
from pipelines.extract.boilerplate import drop
from pipelines.extract.maintext import main_text
from pipelines.extract.rules import cut, first_text, split_prefixed, title_of
from pipelines.extract.schema import Marked, read_json_ld, read_microdata
from pipelines.extract.text import text_of


@dataclass(frozen=True)
class Article:
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
    tree = LexborHTMLParser(html)
    marked = read_json_ld(tree, html) if "ld+json" in html else Marked()
    title = title_of(tree, source.extract)
    if source.kind in ("qa", "mixed") and (pair := _pair(tree, html, source, marked, title)):
        return pair if pair.question and pair.answer else NotUsed("no-answer" if pair.question else "no-question", "qa")
    if source.kind == "qa":
        return NotUsed("no-question", "qa")
    return _article(tree, source, marked, title, min_article_words)


def _pair(tree: LexborHTMLParser, html: str, source: Source, marked: Marked, title: str) -> Pair | None:
    rules = source.extract
    if rules.question:
        question, answer = first_text(tree, rules.question), first_text(tree, rules.answer)
        if question or answer:
            return Pair(title, question, cut(answer, rules.cut_at))
    if marked.question:
        return Pair(marked.title or title, marked.question, marked.answer)
    if "schema.org/Question" in html or "schema.org/QAPage" in html:
        found = read_microdata(html)
        if found.question:
            return Pair(found.title or title, found.question, found.answer)
    if rules.text and rules.question_prefix and (split := split_prefixed(_ruled_text(tree, source), rules)):
        return Pair(title, *split)
    return None


def _article(tree: LexborHTMLParser, source: Source, marked: Marked, title: str, min_words: int) -> Article | NotUsed:
    text = _ruled_text(tree, source)
    if not text:
        drop(tree, source.extract.drop)
        text = cut(_without_title(main_text(tree), title), source.extract.cut_at)
    if not text:
        return NotUsed("no-text", "article")
    if len(text.split()) < min_words:
        return NotUsed("too-short", "article")
    return Article(marked.title or title, text, marked.published)


def _ruled_text(tree: LexborHTMLParser, source: Source) -> str:
    """The text that the source's selector names, without what does not belong; empty when it names nothing here."""
    rules = source.extract
    if not rules.text or tree.css_first(rules.text) is None:
        return ""
    drop(tree, rules.drop)
    return cut("\n".join(text_of(node) for node in tree.css(rules.text)), rules.cut_at)


def _without_title(text: str, title: str) -> str:
    """The main text often begins with the page's heading, which has a column of its own."""
    first, _, rest = text.partition("\n")
    return rest if first == title else text
