"""Every site of the paper: hand-made pages of the structure that was seen there, read and followed as its source says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from pipelines.crawl.links import read_links
from pipelines.crawl.source import BUILT_IN, load_source
from pipelines.crawl.urls import absolute_url, host_of, path_of, same_site
from pipelines.extract.page import Article, NotUsed, Pair, read_page

ZWNJ = "\u200c"
TITLE = f"کم{ZWNJ}آبی بدن در تابستان"
FIRST = f"کم{ZWNJ}آبی زمانی رخ می{ZWNJ}دهد که بدن بیش از آنچه می{ZWNJ}گیرد آب از دست بدهد. تشنگی، خستگی و ادرار تیره از نشانه{ZWNJ}های آن است."
SECOND = f"هر روز ۸ لیوان آب بنوشید و اگر تب بالای ۳۸٫۵ درجه دارید، نوشیدن ۲٫۵ میلی{ZWNJ}لیتر محلول به ازای هر کیلوگرم را فراموش نکنید."
THIRD = "در سالمندان و نوزادان، خشکی دهان و گیجی را جدی بگیرید و به پزشک مراجعه کنید."
TEXT = f"{FIRST}\nچه باید کرد؟\n{SECOND}\n{THIRD}"
QUESTION = f"سلام، دو روز است که سرگیجه دارم و آب زیاد نمی{ZWNJ}خورم. آیا کم{ZWNJ}آبی است؟"
ANSWER = f"ممکن است. روزی دو لیتر آب بنوشید.\nاگر تا فردا بهتر نشدید، آزمایش خون بدهید؛ شاید کم{ZWNJ}خونی باشد."
ANSWER_HTML = ANSWER.replace("\n", "<br>")

HEAD = f"<head><title>{TITLE} | نام سایت</title><style>p{{}}</style><script>var a = '<p>کد</p>';</script></head>"
TOP = '<header><nav class="menu"><ul><li><a href="/">خانه</a></li><li><a href="/contact">تماس با ما</a></li></ul></nav></header>'
AD = '<div class="banner-ads"><a href="https://ads.invalid/">تخفیف ویژه، همین حالا تماس بگیرید</a></div>'
AUTHOR = '<div class="author-box"><img src="a.jpg" alt="">نویسنده: دکتر نمونه</div>'
SHARE = '<div class="share-buttons">اشتراک در شبکه‌های اجتماعی</div>'
RELATED = '<div class="related-posts"><h3>مطالب مرتبط</h3><ul><li><a href="/other">مطلب دیگر</a></li></ul></div>'
COMMENTS = '<div id="comments"><h3>دیدگاه‌ها</h3><p>من هم همین مشکل را دارم، شماره‌ام ۰۹۱۲۰۰۰۰۰۰۰ است.</p></div>'
BOTTOM = "<aside><p>پربازدیدها</p></aside><footer><p>همه حقوق محفوظ است</p></footer>"
PARAGRAPHS = f"<p>{FIRST}</p>{AD}<h2>چه باید کرد؟</h2><p>{SECOND}</p><script>x()</script><p>{THIRD}</p>"


def page(body: str) -> str:
    """Everything that surrounds a text, around it."""
    return f"<!DOCTYPE html><html>{HEAD}<body>{TOP}<h1>{TITLE}</h1>{body}{COMMENTS}{RELATED}{BOTTOM}</body></html>"


def article(frame: str, after: str = "") -> str:
    """A page with an article where the frame says {}, and with what else stands in there."""
    return page(frame.format(f"{AUTHOR}{PARAGRAPHS}{after}{SHARE}{RELATED}"))


ARTICLES = {
    "hidoctor": article('<article><div class="post-content typography single-post-body">{}</div></article>'),
    "niniban": article('<div id="echo_detail">{}</div>'),
    "darmankade": article('<article><div class="entry-content">{}</div></article>', "<p>آیا این مقاله برای شما مفید بود؟</p><p>بله</p><p>خیر</p>"),
    "doctoreto": article('<div class="start-content">{}</div>'),
    "hamrah-teb": article('<div class="article-content">{}</div>'),
    "seebmagazine": article('<div id="cont_p">{}</div>'),
    "extern": article(
        '<div class="paper__content">{}</div>',
        '<figure><img src="a.jpg"><figcaption>زیرنویس عکس</figcaption></figure><form>نظر شما<input></form><div class="comments">نظر</div>',
    ),
    "paziresh24": article(
        '<div class="entry-content">{}</div>',
        '<div class="ez-toc-container-direction">فهرست</div><div class="aiosrs-rating-wrap">امتیاز ۴ از ۵</div>'
        '<div class="stream-item-below-post-content">آگهی</div><p class="post-bottom-source">منبع: نمونه</p>',
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ARTICLES)
def test_of_an_article_its_text_is_taken_and_nothing_else(name: str) -> None:
    assert read_page(ARTICLES[name], load_source(name), 20) == Article(TITLE, TEXT)


PAIRS = {
    "drhast": f'<main><h2 class="main-question__body" itemprop="text">{QUESTION}</h2>{AD}<b itemprop="author">دکتر نمونه</b>'
    f'<span itemprop="text">{ANSWER_HTML}<b class="author-name">دکتر نمونه</b></span>{RELATED}</main>',
    "doctor-yab": f'<div class="faq-text" itemprop="text">{QUESTION}{SHARE}</div><div class="doctor">دکتر نمونه</div>'
    f'<p class="alert-warning2" itemprop="text">{ANSWER_HTML}</p><p class="alert-warning2">پرسش خود را بفرستید</p>',
    "niniban": f'<div id="echo_detail"><p><b>سوال مخاطب نی{ZWNJ}نی{ZWNJ}بان:</b> {QUESTION}</p>{AD}<p><b>پاسخ:</b> {ANSWER_HTML}</p>{SHARE}</div>',
}  # fmt: skip


@pytest.mark.parametrize("name", PAIRS)
def test_of_a_question_page_question_and_answer_are_taken_and_nothing_else(name: str) -> None:
    assert read_page(page(PAIRS[name]), load_source(name), 20) == Pair(TITLE, QUESTION, ANSWER)


def test_an_article_with_a_readers_question_in_it_is_an_article() -> None:
    asked = f"<p><b>سوال مخاطب نی{ZWNJ}نی{ZWNJ}بان:</b> {QUESTION}</p><p><b>پاسخ:</b> {ANSWER_HTML}</p>"
    found = read_page(page(f'<div id="echo_detail">{PARAGRAPHS}{asked}</div>'), load_source("niniban"), 20)
    assert isinstance(found, Article)
    assert found.text == f"{TEXT}\nسوال مخاطب نی{ZWNJ}نی{ZWNJ}بان: {QUESTION}\nپاسخ: {ANSWER}"


@pytest.mark.parametrize("name", ["drhast", "doctor-yab"])
def test_a_question_without_an_answer_is_counted(name: str) -> None:
    body = PAIRS[name].replace("<span itemprop", "<span class").replace("alert-warning2", "x")
    assert read_page(page(body), load_source(name), 20) == NotUsed("no-answer", "qa")


@pytest.mark.parametrize("name", ["majalepezeshki", "nabz", "salammag"])
def test_where_no_selector_was_seen_the_main_text_is_taken(name: str) -> None:
    body = f'<div class="layout"><article><header><h1>{TITLE}</h1>{AUTHOR}</header><div class="x">{PARAGRAPHS}</div>{SHARE}</article></div>'
    html = f"<!DOCTYPE html><html>{HEAD}<body>{TOP}{body}{COMMENTS}{RELATED}{BOTTOM}</body></html>"
    assert read_page(html, load_source(name), 20) == Article(TITLE, TEXT)


def test_where_nothing_was_seen_a_question_page_must_say_so_itself() -> None:
    body = (
        f'<div itemscope itemtype="https://schema.org/QAPage"><div itemprop="mainEntity" itemscope itemtype="https://schema.org/Question">'
        f'<p itemprop="text">{QUESTION}</p><div itemprop="acceptedAnswer" itemscope itemtype="https://schema.org/Answer">'
        f'<p itemprop="text">{ANSWER_HTML}</p></div></div></div>'
    )
    assert read_page(page(body), load_source("isovisit"), 20) == Pair(TITLE, QUESTION, ANSWER)
    assert read_page(page(PARAGRAPHS), load_source("isovisit"), 20) == NotUsed("no-question", "qa")


@dataclass(frozen=True)
class List:
    """A list page: its address, its HTML and which links are followed, in the order of the page."""

    url: str
    html: str
    followed: tuple[str, ...]


def anchors(*links: str) -> str:
    return "".join(f'<a href="{link}">{link}</a>' for link in links)


FAQ = [f"/faq/{n}/پرسش" for n in range(1, 4)]
POPULAR = [f"/faq/{n}/پرسش" for n in range(901, 908)]
LISTS = {
    "hidoctor": List(
        "https://www.hidoctor.ir/page/3/",
        f"<article>{anchors('https://www.hidoctor.ir/1-a.html')}<p>{anchors('https://www.hidoctor.ir/tag/a')}</p></article>"
        f"<article>{anchors('https://www.hidoctor.ir/2-b.html', 'https://ads.invalid/')}</article>{anchors('https://www.hidoctor.ir/about')}",
        ("https://www.hidoctor.ir/1-a.html", "https://www.hidoctor.ir/2-b.html"),
    ),
    "niniban": List(
        "https://niniban.com/بخش-بارداری-59?page=2",
        f"<h3>{anchors('https://niniban.com/خبر-1', '/مقاله-2')}</h3><h4>{anchors('/خبر-9')}</h4>"
        f"{anchors('/بخش-نوزاد-94', '?page=3', '/tag/1', 'https://other.ir/بخش-1')}",
        ("https://niniban.com/خبر-1", "https://niniban.com/مقاله-2", "https://niniban.com/بخش-نوزاد-94", "https://niniban.com/بخش-بارداری-59?page=3"),
    ),
    "drhast": List(
        "https://drhast.com/q/page-2",
        anchors("https://drhast.com/q/101", "https://drhast.com/q/102", "https://drhast.com/doctors/1", "https://drhast.com/q/ask"),
        ("https://drhast.com/q/101", "https://drhast.com/q/102"),
    ),
    "doctor-yab": List(
        "https://doctor-yab.ir/faq/?page=2",
        anchors("/doctor/5", *FAQ, "/faq/1/پرسش", *POPULAR, "/login"),
        tuple(f"https://doctor-yab.ir{link}" for link in (*FAQ, *POPULAR)),  # the last seven are popular, and questions too
    ),
    "darmankade": List(
        "https://www.darmankade.com/blog/diseases/page/2/",
        f"<article>{anchors('https://www.darmankade.com/blog/dehydration/')}<div>{anchors('https://www.darmankade.com/blog/author/x/')}</div></article>"
        f"{anchors('https://www.darmankade.com/blog/diseases/page/3/', 'https://www.darmankade.com/doctors/')}",
        ("https://www.darmankade.com/blog/dehydration/",),
    ),
    "doctoreto": List(
        "https://doctoreto.com/blog/all-posts/page/2",
        anchors("https://doctoreto.com/blog/dehydration/", "https://doctoreto.com/blog/all-posts/page/3", "https://doctoreto.com/doctors", "/blog/x"),
        ("https://doctoreto.com/blog/dehydration/",),
    ),
    "hamrah-teb": List(
        "https://hamrah-teb.com/blogs?page=2",
        f"<div class='post-content'>{anchors('https://hamrah-teb.com/blog/1', 'https://hamrah-teb.com/doctors', 'https://x.ir/blog/1')}</div>"
        f"{anchors('https://hamrah-teb.com/blog/popular')}",
        ("https://hamrah-teb.com/blog/1",),
    ),
    "seebmagazine": List(
        "https://seebmagazine.com/category/medical-articles/page/2/",
        f"<div class='grid_img'>{anchors('https://seebmagazine.com/dehydration/')}</div><div class='grid_img'>{anchors('/category/other/')}</div>"
        f"{anchors('/about/')}",
        ("https://seebmagazine.com/dehydration/",),
    ),
    "extern": List(
        "https://extern.ir/",
        anchors("/health/dehydration", "https://extern.ir/health/a/b", "/news/1", "/login"),
        ("https://extern.ir/health/dehydration", "https://extern.ir/health/a/b"),
    ),
    "paziresh24": List(
        "https://www.paziresh24.com/blog/",
        anchors("/blog/dehydration/", "/blog/wp-content/uploads/a.html", "/dr/1"),
        ("https://www.paziresh24.com/blog/dehydration/",),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LISTS)
def test_of_a_list_page_the_right_links_are_followed(name: str) -> None:
    source, listed = load_source(name), LISTS[name]
    url = absolute_url(listed.url, listed.url)
    assert url
    assert source.wants(url) or source.following_page(url) or url in source.start
    said = read_links(f"<html><body>{listed.html}{BOTTOM}</body></html>", url, {}, source.links)
    followed = [link for link in said.links if same_site(host_of(link), source.host) and source.wants(link)]
    assert followed == [absolute_url(url, link) for link in listed.followed]
    assert all(source.is_content(link) for link in followed if "بخش-" not in path_of(link))
    assert not source.is_content(url)


SEEN = {path.stem for path in BUILT_IN.glob("*.yaml") if load_source(path.stem).selectors == "seen"}


def test_every_source_whose_mark_up_was_seen_has_its_pages_here() -> None:
    own = {"demo-app", "demo-forum", "demo-magazine"}  # the tests of the crawl read these
    assert {*ARTICLES, *PAIRS} == set(LISTS) == SEEN - own


@pytest.mark.parametrize("path", sorted(BUILT_IN.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_file_says_where_it_is_from_and_whether_it_was_tried(path: Path) -> None:
    source = load_source(path.stem)
    assert source.origin
    if not source.name.startswith("demo-"):
        assert source.verified == "not verified live"


@pytest.mark.parametrize("name", ["isovisit", "majalepezeshki", "nabz", "salammag"])
def test_where_nothing_was_seen_nothing_is_made_up(name: str) -> None:
    source = load_source(name)
    assert source.selectors == "none"
    assert source.extract == type(source.extract)()
    assert source.links == []


@pytest.mark.parametrize(
    ("name", "lists", "pages"),
    [
        ("hidoctor", 14_700, None),
        ("drhast", 20, 200_000),
        ("doctor-yab", 5_100, None),
        ("darmankade", 6 * 83, None),  # at most
        ("doctoreto", 264, None),
        ("hamrah-teb", 53, None),
        ("seebmagazine", 39, None),
    ],
)
def test_the_counts_that_are_known_are_there(name: str, lists: int, pages: int | None) -> None:
    source = load_source(name)
    assert sum(pages.last for pages in source.pages) == lists
    assert source.expected_pages == pages
