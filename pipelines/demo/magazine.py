"""The magazine: articles with all that surrounds them on real sites (menus, advertisements, comments, related posts).

Its front page also links to the odd pages: broken, slow, duplicated, forbidden or in another language.
"""

from __future__ import annotations

import gzip
import random

from pipelines.demo.content import Article, articles
from pipelines.demo.oddities import OddPages
from pipelines.demo.pages import HTML, XML, Ask, Reply, html, render, text

PER_PAGE = 12
RELATED = 5
SECTIONS = {
    "mother-child": "مادر و کودک",
    "skin": "پوست و مو",
    "digestion": "گوارش",
    "infection": "بیماری‌های عفونی",
    "metabolism": "قند و هورمون",
    "mind": "روان",
    "heart": "قلب و رگ‌ها",
    "bones": "استخوان و مفصل",
    "brain": "مغز و اعصاب",
    "lungs": "ریه و تنفس",
    "prevention": "پیشگیری",
    "senses": "چشم و گوش",
}
ROBOTS = """User-agent: *
Disallow: /admin/
Disallow: /*?replytocom=

Sitemap: http://magazine.demo.test/sitemap_index.xml
"""


class Magazine:
    """magazine.demo.test"""

    name = "magazine.demo.test"
    origin = f"http://{name}"

    def __init__(self) -> None:
        self.articles = {article.slug: article for article in articles()}
        self.odd = OddPages(self.origin, self.article_page)

    def answer(self, ask: Ask) -> Reply:
        first, _, rest = ask.path.strip("/").partition("/")
        if (odd := self.odd.answer(ask.path)) is not None:
            return odd
        if ask.path == "/robots.txt":
            return text(ROBOTS)
        if ask.path == "/sitemap_index.xml":
            return text(render("sitemap_index.xml.j2", origin=self.origin), XML)
        if ask.path == "/post-sitemap1.xml.gz":
            return self.sitemap()
        if ask.path == "/":
            return self.list_page(1)
        if first == "page" and rest.isdecimal():
            return self.list_page(int(rest))
        if first == "section" and rest in SECTIONS:
            return self.section_page(rest)
        if first == "post" and rest in self.articles:
            return text(self.article_page(self.articles[rest]), HTML)
        if first == "admin":
            return html("message.html.j2", site=self.layout(), title="ورود مدیران", message="نام کاربری و گذرواژه را وارد کنید.")
        return html("message.html.j2", 404, site=self.layout(), title="یافت نشد", message="صفحه‌ای با این نشانی نداریم.")

    def list_page(self, number: int) -> Reply:
        """Twelve articles, newest first; the first page also links to the odd ones."""
        shown = list(self.articles.values())[(number - 1) * PER_PAGE : number * PER_PAGE]
        if number < 1 or not shown:
            return html("message.html.j2", 404, site=self.layout(), title="یافت نشد", message="این صفحه خالی است.")
        more = number * PER_PAGE < len(self.articles)
        links = self.odd.links() if number == 1 else []
        return html(
            "list.html.j2",
            site=self.layout(),
            title="تازه‌ترین مطالب",
            articles=shown,
            next=number + 1 if more else None,
            odd=links,
        )

    def section_page(self, section: str) -> Reply:
        shown = [article for article in self.articles.values() if article.section == section]
        return html("list.html.j2", site=self.layout(), title=SECTIONS[section], articles=shown, next=None, odd=[])

    def article_page(self, article: Article, lang: str = "fa-IR", charset: str = "utf-8", noindex: bool = False) -> str:
        """The page of an article; the odd pages use it too."""
        return render(
            "article.html.j2",
            site=self.layout(),
            article=article,
            section=SECTIONS[article.section],
            related=self.related(article),
            lang=lang,
            charset=charset,
            noindex=noindex,
        )

    def related(self, article: Article) -> list[Article]:
        """Other articles, of the same section first, the same ones every time."""
        others = [other for other in self.articles.values() if other.slug != article.slug]
        random.Random(article.slug).shuffle(others)
        return sorted(others, key=lambda other: other.section != article.section)[:RELATED]

    def sitemap(self) -> Reply:
        body = render("sitemap.xml.j2", origin=self.origin, articles=self.articles.values())
        return Reply(gzip.compress(body.encode(), mtime=0), content_type="application/gzip")

    def layout(self) -> dict[str, object]:
        """What the frame of every page needs."""
        return {"origin": self.origin, "sections": SECTIONS}
