"""The pages of the magazine that a crawler must survive: broken, slow, duplicated, redirected or in another language."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

from pipelines.demo.content import Article, articles, oddities
from pipelines.demo.pages import HTML, Reply, redirect, text

SLOW_SECONDS = 1.5
BROKEN_BYTES = b"\xff\xfe\x80"
DUPLICATED = "tension-headache"
NEARLY_DUPLICATED = "kidney-stones"
METADATA_SERVICE = "http://169.254.169.254/latest/meta-data/"
LANGUAGES = {"english": "en", "arabic": "ar"}
TO_1256 = str.maketrans({"ی": "ي", "\u0654": "", **{chr(ord("۰") + digit): str(digit) for digit in range(10)}})
"""Code page 1256 has neither the Persian yeh, nor the hamza above, nor Persian digits: sites of its time wrote these instead."""


@dataclass(frozen=True)
class Link:
    """A link of the front page's last box."""

    href: str
    label: str


class OddPages:
    """The odd pages of one running site; it remembers which page has failed once."""

    def __init__(self, origin: str, article_page: Callable[..., str]) -> None:
        self.origin = origin
        self.article_page = article_page
        self.articles = {post_path(article): (kind, article) for kind, article in odd_articles().items()}
        self.has_failed = False

    def answer(self, path: str) -> Reply | None:
        """The reply to an odd path, None when the path is an ordinary one."""
        if path in self.articles:
            return self.article(*self.articles[path])
        if path == "/post/server-error/":
            return text("Internal Server Error", status=500)
        if path == "/post/empty/":
            return Reply(b"")
        if path == "/go/1":
            return redirect(f"{self.origin}/go/2")
        if path == "/go/2":
            return redirect(f"{self.origin}/post/migraine/")
        if path == "/go/metadata":
            return redirect(METADATA_SERVICE)
        return None

    def article(self, kind: str, article: Article) -> Reply:
        """An article, served in the way its kind says."""
        if kind == "fails_once" and not self.has_failed:
            self.has_failed = True
            return text("Internal Server Error", status=500)
        if kind == "windows_1256":
            page = self.article_page(article, charset="windows-1256")
            return Reply(page.translate(TO_1256).encode("cp1256"), content_type="text/html; charset=windows-1256")
        page = self.article_page(article, lang=LANGUAGES.get(kind, "fa-IR"), noindex=kind == "noindex")
        body = page.encode()
        if kind == "broken_bytes":
            body = body.replace("⁂".encode(), BROKEN_BYTES)
        return Reply(body, content_type=HTML, delay=SLOW_SECONDS if kind == "slow" else 0.0)

    def links(self) -> list[Link]:
        """What the front page links to."""
        return [
            *(Link(f"{self.origin}{path}", article.title) for path, (_, article) in self.articles.items()),
            Link(f"{self.origin}/post/server-error/", "پرونده‌ای که باز نمی‌شود"),
            Link(f"{self.origin}/post/removed-long-ago/", "مطلبی که برداشته شده است"),
            Link(f"{self.origin}/post/empty/", "صفحهٔ خالی"),
            Link(f"{self.origin}/go/1", "کوتاه‌شده: میگرن"),
            Link(f"{self.origin}/go/metadata", "کوتاه‌شده: آمار بازدید"),
            Link(f"{self.origin}/admin/", "ورود مدیران"),
            Link("mailto:tahririye@magazine.demo.test", "نامه به تحریریه"),
            Link("javascript:window.print()", "چاپ این صفحه"),
        ]


def odd_articles() -> dict[str, Article]:
    """The articles behind odd pages, by what is odd about them."""
    known = {article.slug: article for article in articles()}
    return {
        **oddities(),
        "duplicate": duplicate_of(known[DUPLICATED]),
        "near_duplicate": near_duplicate_of(known[NEARLY_DUPLICATED]),
    }


def duplicate_of(article: Article) -> Article:
    return dataclasses.replace(article, slug=f"{article.slug}-2")


def near_duplicate_of(article: Article) -> Article:
    """The article under another title, with a sentence added at its end."""
    paragraphs = (*article.paragraphs[:-1], f"{article.paragraphs[-1]} این مطلب پیش‌تر هم در مجله منتشر شده بود.")
    return dataclasses.replace(article, slug=f"{article.slug}-again", title=f"بازنشر: {article.title}", paragraphs=paragraphs)


def post_path(article: Article) -> str:
    return f"/post/{article.slug}/"
