"""What a good crawl of the demo web finds and what it must keep away from, for tests and for the report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pipelines.demo.app import App
from pipelines.demo.content import articles, forum, posts
from pipelines.demo.forum import Forum
from pipelines.demo.magazine import Magazine
from pipelines.demo.oddities import BROKEN_BYTES, TO_1256, odd_articles, post_path

Kind = Literal["article", "qa", "none", "never", "error"]

REFUSED_BY_CLEAN = {"english": "language", "arabic": "language", "duplicate": "duplicate", "near_duplicate": "near duplicate"}


@dataclass(frozen=True)
class Expected:
    """What one URL should come to.

    `article` and `qa` give a row with the text, or question and answer; `none` may be fetched but gives no row;
    `never` must not be requested at all; `error` ends as a counted failure.
    """

    site: str
    url: str
    kind: Kind
    text: str = ""
    question: str = ""
    answer: str = ""
    refused_by_clean: str = ""
    """Why the row does not outlive cleaning; empty when it does."""


@dataclass(frozen=True)
class Planted:
    """A made-up personal detail on the magazine, where it stands and whether extraction keeps that part of the page."""

    kind: Literal["phone", "email"]
    value: str
    slug: str
    """The article's slug; * where it is on every article."""
    in_body: bool


PLANTED = (
    Planted("phone", "۰۹۱۲۰۰۰۰۰۷۱", "low-back-pain", in_body=True),
    Planted("email", "nobat@clinic.example", "low-back-pain", in_body=True),
    Planted("phone", "۰۹۳۵۰۰۰۰۰۴۲", "*", in_body=False),
    Planted("email", "zahra.m@mail.example", "*", in_body=False),
)


def truth() -> list[Expected]:
    """Every URL with an expectation; pages that only carry links (lists, sections, redirects) are left out."""
    return [*_magazine(), *_forum(), *_app()]


def _magazine() -> list[Expected]:
    site, origin = Magazine.name, Magazine.origin
    rows = [Expected(site, f"{origin}{post_path(article)}", "article", text=article.text) for article in articles()]
    for kind, article in odd_articles().items():
        url = f"{origin}{post_path(article)}"
        if kind == "noindex":
            rows.append(Expected(site, url, "none"))
        else:
            rows.append(
                Expected(
                    site, url, "article", text=_as_served(kind, article.text), refused_by_clean=REFUSED_BY_CLEAN.get(kind, "")
                )
            )
    rows.append(Expected(site, f"{origin}/post/empty/", "none"))
    rows += [
        Expected(site, f"{origin}{path}", "error") for path in ("/post/server-error/", "/post/removed-long-ago/", "/go/metadata")
    ]
    rows.append(Expected(site, f"{origin}/admin/", "never"))
    rows += [Expected(site, f"{origin}{post_path(article)}?replytocom=1", "never") for article in articles()]
    return rows


def _as_served(kind: str, text: str) -> str:
    if kind == "windows_1256":
        return text.translate(TO_1256)
    return text.replace("⁂", BROKEN_BYTES.decode("utf-8", "replace"))


def _forum() -> list[Expected]:
    site, origin = Forum.name, Forum.origin
    pairs = [Expected(site, f"{origin}/q/{pair.id}", "qa", question=pair.question, answer=pair.answer) for pair in forum()]
    return [*pairs, Expected(site, f"{origin}/q/ask", "none"), Expected(site, f"{origin}/search?q=تب", "never")]


def _app() -> list[Expected]:
    return [
        Expected(App.name, f"{App.origin}/post/{post.id}", "qa", question=post.question, answer=post.answer) for post in posts()
    ]
