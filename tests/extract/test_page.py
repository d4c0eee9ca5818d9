"""Pages to articles and pairs: by the source's rules, by schema.org, by the main text."""

from __future__ import annotations

import pytest

from pipelines.crawl.source import Source, load_source
from pipelines.extract.page import Article, NotUsed, Pair, read_page

ZWNJ = "\u200c"
LONG = f"معده درد می{ZWNJ}گیرد و با غذا بهتر می{ZWNJ}شود. " * 12
COMMENT = '<section class="comments"><p>سلام شماره من ۰۹۱۲۰۰۰۰۰۰۰ است</p></section>'
AD = '<div class="banner-ad"><a href="#">تخفیف ویژه</a></div>'
NAV = "<header><nav><ul><li><a href='/'>خانه</a></li></ul></nav></header>"
FOOTER = "<footer><p>تمام حقوق محفوظ است</p></footer>"


def source(**values: object) -> Source:
    return Source.model_validate({"name": "s", "kind": "article", "start": ["http://e.ir/"]} | values)


def html(body: str, head: str = "") -> str:
    return f"<html><head><title>عنوان صفحه | سایت</title>{head}</head><body>{NAV}{body}{FOOTER}</body></html>"


def article(body: str, head: str = "", **values: object) -> Article:
    found = read_page(html(body, head), source(**values), 5)
    assert isinstance(found, Article)
    return found


def test_a_ruled_article_is_its_paragraphs_and_nothing_else() -> None:
    body = f'<article><h1>زخم معده</h1><div class="post"><p>{LONG}</p>{AD}<p>بند <b>دوم</b>.</p><span class="author">دکتر رضایی</span></div></article>{COMMENT}'
    found = article(body, extract={"text": "div.post", "title": "article h1"})
    assert found == Article("زخم معده", f"{LONG.strip()}\nبند دوم.", "")


def test_a_source_can_drop_and_cut() -> None:
    body = f'<div class="post"><div class="rating">امتیاز</div><p>{LONG}</p><p>آیا مفید بود؟</p><p>بله</p></div>'
    found = article(body, extract={"text": "div.post", "drop": [".rating"], "cut_at": ["آیا مفید بود؟"]})
    assert found.text == LONG.strip()


def test_an_unknown_page_gives_its_main_text() -> None:
    body = f"<main><article><h1>زخم معده</h1><p>{LONG}</p><p>{LONG}</p>{AD}</article></main>{COMMENT}"
    text = article(body).text
    assert text == f"{LONG.strip()}\n{LONG.strip()}"
    assert ZWNJ in text
    for other in ("تخفیف", "۰۹۱۲", "خانه", "حقوق"):
        assert other not in text


def test_json_ld_gives_title_and_date_even_when_it_is_sloppy() -> None:
    body = f'<h1>دیگر</h1><div class="post"><p>{LONG}</p></div>'
    good = '<script type="application/ld+json">{"@graph": [{"@type": "MedicalWebPage", "headline": "زخم\nمعده", "datePublished": "2025-03-01"}]}</script>'
    sloppy = (
        '<script type="application/ld+json">{"@type": "Article", "headline": "زخم معده", "datePublished": "2025-03-01",}</script>'
    )
    hopeless = '<script type="application/ld+json">{{{</script>'
    rules = {"text": "div.post"}
    for head in (good, sloppy):
        found = article(body, head, extract=rules)
        assert (found.title, found.published) == ("زخم معده", "2025-03-01")
    assert article(body, hopeless, extract=rules).title == "دیگر"


QUESTION, ANSWER = "دو هفته است سرفه می‌کنم؛ چه کنم؟", "اگر تب ندارید صبر کنید.\nاگر خون دیدید به پزشک مراجعه کنید."
MICRODATA = (
    '<main itemscope itemtype="https://schema.org/QAPage"><div itemprop="mainEntity" itemscope itemtype="https://schema.org/Question">'
    f'<h1 itemprop="name">سرفه</h1><h2 itemprop="text">{QUESTION}</h2><div itemprop="acceptedAnswer" itemscope '
    'itemtype="https://schema.org/Answer"><b>پاسخ پزشک</b><span itemprop="text">اگر تب ندارید صبر کنید.<br>اگر خون دیدید به پزشک مراجعه کنید.'
    "</span></div></div></main>"
)
JSON_LD = (
    '<script type="application/ld+json">{"@type": "QAPage", "mainEntity": {"@type": "Question", "name": "سرفه", "text": "'
    + QUESTION
    + '", "suggestedAnswer": [{"@type": "Answer", "text": "'
    + ANSWER.replace("\n", "\\n")
    + '"}]}}</script>'
)


def test_a_question_page_is_read_by_rules_by_microdata_and_by_json_ld() -> None:
    ruled = source(kind="qa", extract={"question": "h2[itemprop=text]", "answer": "span[itemprop=text]", "title": "h1"})
    assert read_page(html(MICRODATA), ruled, 5) == Pair("سرفه", QUESTION, ANSWER)
    found = read_page(html(MICRODATA), source(kind="qa"), 5)
    assert isinstance(found, Pair)
    assert (found.question, found.answer.replace("\n", " ")) == (QUESTION, ANSWER.replace("\n", " "))
    assert read_page(html("<p>x</p>", JSON_LD), source(kind="qa"), 5) == Pair("سرفه", QUESTION, ANSWER)


def test_a_mixed_page_is_a_pair_only_when_it_begins_with_the_question() -> None:
    niniban = load_source("niniban")
    asked = f'<h1>سرفه</h1><div id="echo_detail"><p><b>سوال مخاطب نی‌نی‌بان:</b> {QUESTION}</p><p><b>پاسخ:</b> {LONG}</p></div>'
    assert read_page(html(asked), niniban, 5) == Pair("سرفه", QUESTION, LONG.strip())
    told = f'<h1>سرفه</h1><div id="echo_detail"><p>{LONG}</p><p>سوال مخاطب نی‌نی‌بان: {QUESTION}</p><p>پاسخ: بله</p></div>'
    assert isinstance(read_page(html(told), niniban, 5), Article)


@pytest.mark.parametrize(
    ("values", "body", "reason"),
    [
        ({"kind": "qa", "extract": {"question": "h2", "answer": "h3"}}, "<h2>سوال</h2>", NotUsed("no-answer", "qa")),
        ({"kind": "qa"}, "<p>هیچ</p>", NotUsed("no-question", "qa")),
        ({}, "<p>کوتاه است</p>", NotUsed("too-short", "article")),
        ({}, "", NotUsed("no-text", "article")),
    ],
)
def test_a_page_that_gives_nothing_says_why(values: dict[str, object], body: str, reason: NotUsed) -> None:
    assert read_page(f"<html><body>{body}</body></html>", source(**values), 5) == reason


# Hand-made pages of the structure that the authors' scripts knew, one for each source with selectors.
ARTICLE_PAGES = {
    "hidoctor": '<div class="post-content single-post-body"><p>{text}</p></div>',
    "darmankade": '<article><div class="entry-content"><p>{text}</p><p>آیا این مقاله برای شما مفید بود؟</p><p>بله</p></div></article>',
    "doctoreto": '<div class="start-content"><p>{text}</p></div>',
    "hamrah-teb": '<div class="article-content"><p>{text}</p></div>',
    "seebmagazine": '<div id="cont_p"><p>{text}</p></div>',
    "extern": '<div class="paper__content"><figure><figcaption>شکل</figcaption></figure><p>{text}</p><form>نظر</form></div>',
    "paziresh24": '<div class="entry-content"><div class="ez-toc-container-direction">فهرست</div><p>{text}</p>'
    '<div class="post-bottom-source">منبع</div></div>',
    "niniban": '<div id="echo_detail"><p>{text}</p></div>',
}


@pytest.mark.parametrize("name", sorted(ARTICLE_PAGES))
def test_each_sites_selector_reads_its_structure(name: str) -> None:
    found = read_page(html(f"<h1>زخم معده</h1>{ARTICLE_PAGES[name].format(text=LONG)}{COMMENT}"), load_source(name), 5)
    assert isinstance(found, Article)
    assert (found.title, found.text) == ("زخم معده", LONG.strip())


def test_the_forums_selectors_read_their_structure() -> None:
    drhast = f'<h2 class="main-question__body" itemprop="text">{QUESTION}</h2><span itemprop="text">{LONG}</span>'
    yab = f'<div class="faq-text" itemprop="text">{QUESTION}</div><p class="alert-warning2" itemprop="text">{LONG}</p>'
    for name, body in (("drhast", drhast), ("doctor-yab", yab)):
        found = read_page(html(body), load_source(name), 5)
        assert isinstance(found, Pair)
        assert (found.question, found.answer) == (QUESTION, LONG.strip())
