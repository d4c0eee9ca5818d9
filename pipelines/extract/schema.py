"""What a page says about itself in schema.org terms: an article's title and date, a question and its answer.

JSON-LD is read directly (0.05 ms); `extruct` is asked only where that does not parse, and for microdata (5 ms).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from selectolax.lexbor import LexborHTMLParser

from pipelines.extract.text import one_line, tidy

ARTICLES = frozenset({"Article", "NewsArticle", "BlogPosting", "MedicalWebPage", "MedicalScholarlyArticle", "WebPage", "Report"})


@dataclass(frozen=True)
class Marked:
    """What was found; empty strings where nothing was."""

    title: str = ""
    published: str = ""
    question: str = ""
    answer: str = ""


def read_json_ld(tree: LexborHTMLParser, html: str) -> Marked:
    """Metadata, and a QAPage if there is one, from JSON-LD scripts."""
    items: list[Any] = []
    for script in tree.css('script[type="application/ld+json"]'):
        try:
            items.append(json.loads(script.text(), strict=False))  # raw newlines in strings are common
        except ValueError:
            items += _tolerant_json_ld(html)
            break
    return _from_items(list(_flatten(items)))


def read_microdata(html: str) -> Marked:
    """The same from microdata."""
    from extruct.w3cmicrodata import MicrodataExtractor

    items = MicrodataExtractor(add_html_node=False).extract(html)
    return _from_items([_plain(item) for item in items])


def _tolerant_json_ld(html: str) -> list[Any]:
    """Trailing commas, comments and the like. What still is no JSON is no metadata."""
    from extruct.jsonld import JsonLdExtractor

    try:
        found: list[Any] = JsonLdExtractor().extract(html)
    except ValueError:
        return []
    return found


def _flatten(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, list):
        for item in value:
            yield from _flatten(item)
    elif isinstance(value, dict):
        yield value
        yield from _flatten(value.get("@graph", []))


def _plain(item: Any) -> Any:
    """A microdata item in the shape of JSON-LD."""
    if isinstance(item, list):
        return [_plain(part) for part in item]
    if isinstance(item, dict) and "properties" in item:
        kind = item.get("type", "")
        kinds = kind if isinstance(kind, list) else [kind]
        properties = {name: _plain(value) for name, value in item["properties"].items()}
        return {"@type": [str(k).rstrip("/").rsplit("/", 1)[-1] for k in kinds], **properties}
    return item


def _from_items(items: list[dict[str, Any]]) -> Marked:
    title = published = question = answer = ""
    for item in items:
        if not isinstance(item, dict):
            continue
        kinds = _kinds(item)
        if kinds & {"QAPage", "Question"} and not question:
            asked = _first(item.get("mainEntity")) if "QAPage" in kinds else item
            if isinstance(asked, dict):
                question, answer = _question_and_answer(asked)
                title = title or one_line(_string(asked.get("name")))
        if kinds & ARTICLES:
            title = title or one_line(_string(item.get("headline")) or _string(item.get("name")))
            published = published or _string(item.get("datePublished"))
    return Marked(title, published.strip(), question, answer)


def _question_and_answer(asked: dict[str, Any]) -> tuple[str, str]:
    question = _string(asked.get("text")) or _string(asked.get("name"))
    for key in ("acceptedAnswer", "suggestedAnswer"):
        given = _first(asked.get(key))
        if isinstance(given, dict) and (text := _string(given.get("text"))):
            return tidy(question), tidy(text)
    return tidy(question), ""


def _kinds(item: dict[str, Any]) -> set[str]:
    kind = item.get("@type", [])
    return {str(k) for k in (kind if isinstance(kind, list) else [kind])}


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, list) and value else value


def _string(value: Any) -> str:
    value = _first(value)
    return value if isinstance(value, str) else ""
