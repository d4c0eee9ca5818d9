"""Pages to articles and pairs: by the source's rules, by schema.org, by the main text."""

from __future__ import annotations

import json
import time

import pytest

from pipelines.crawl.source import Source
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


def script(text: str, kind: str = "application/ld+json") -> str:
    return f'<script type="{kind}">{text}</script>'


BODY = f'<h1>دیگر</h1><div class="post"><p>{LONG}</p></div>'
PLAIN = '{"@context": "https://schema.org", "@type": "Article", "headline": "زخم معده", "datePublished": "2025-03-01"}'


@pytest.mark.parametrize(
    "head",
    [
        script(PLAIN),
        script(PLAIN, "Application/LD+JSON; charset=utf-8"),
        script(PLAIN.replace('"}', '",\n}')),  # a trailing comma
        script(PLAIN.replace("زخم معده", "زخم\nمعده")),  # a raw newline
        script(PLAIN.replace("زخم معده", "زخم\tمعده,]")).replace(",]", ""),
        script("/* yoast */ // new\n" + PLAIN.replace('"@type"', '/* kind */ "@type"')),
        script(f"//<![CDATA[\n{PLAIN}\n//]]>"),
        script(f"<![CDATA[{PLAIN}]]>"),
        script(f"<!-- {PLAIN} -->"),
        script(f"\ufeff {PLAIN};"),
        script(PLAIN.replace("زخم معده", "زخم&nbsp;معده")),
        script(PLAIN.replace("زخم معده", "&#1586;خم&#32;معده")),
        script(PLAIN.replace("زخم معده", "<b>زخم</b> معده")),
        script(PLAIN.replace("زخم معده", "&lt;b&gt;زخم&lt;/b&gt; معده")),
        script(PLAIN.replace('"', "&quot;")),
        script("{{{") + script(PLAIN) + script("هیچ"),  # one that can't be read does not spoil the others
        script('{"@type": "Organization", "name": "سایت"}') + script(PLAIN),
        script(f"[[{PLAIN}]]"),
        script(f'{{"@graph": [{{"@type": "WebPage", "name": "زخم معده | سایت"}}, {PLAIN}]}}'),
        script(f'{{"@type": "WebPage", "name": "x | سایت", "@graph": [], "mainEntity": {PLAIN}}}'),
        script(PLAIN.replace('"Article"', '["Thing", "MedicalWebPage"]')),
        script(PLAIN.replace('"Article"', '"https://schema.org/BlogPosting"')),
        script(PLAIN.replace('"Article"', '"schema:Article"')),
        script(PLAIN.replace('"زخم معده"', '[{"@value": "زخم معده", "@language": "fa"}]')),
        script(PLAIN.replace("2025-03-01", "۱۴۰۳/۱۲/۱۱")),  # 11 Esfand 1403
        script(PLAIN.replace("2025-03-01", "2025-03-01T23:30:00+03:30")),
    ],
    ids=range(26),
)
def test_json_ld_gives_title_and_date_however_sloppy_it_is(head: str) -> None:
    found = article(BODY, head, extract={"text": "div.post"})
    assert (found.title, found.text, found.published) == ("زخم معده", LONG.strip(), "2025-03-01")


@pytest.mark.parametrize(
    "text",
    [
        "{{{",
        "",
        "}",
        "[",
        "[" * 100_000,
        '{"@graph": ' * 100_000,
        '{"@type": "Article", "headline": 5, "datePublished": {}}',
        "null",
        '"x"',
        "[1, null]",
    ],
    ids=range(10),
)
def test_json_ld_that_says_nothing_does_no_harm(text: str) -> None:
    assert article(BODY, script(text), extract={"text": "div.post"}) == Article("دیگر", LONG.strip(), "")


def test_a_title_is_the_rules_then_the_metadatas_then_the_headings() -> None:
    rules = {"text": "div.post"}
    assert article(BODY + "<h3>قاعده</h3>", script(PLAIN), extract=rules | {"title": "h3"}).title == "قاعده"
    assert article(BODY, script(PLAIN), extract=rules | {"title": "h4"}).title == "زخم معده"
    assert article(BODY, extract=rules).title == "دیگر"
    assert article(BODY.replace("h1", "h2"), extract=rules).title == "عنوان صفحه | سایت"
    web_page = script('{"@type": "WebPage", "name": "دیگر | سایت", "datePublished": "2025-03-01"}')
    assert article(BODY, web_page, extract=rules) == Article("دیگر", LONG.strip(), "2025-03-01")


def test_the_day_of_publication_is_looked_for_in_this_order() -> None:
    rules = {"text": "div.post"}
    meta = '<meta property="article:published_time" content="2025-03-02T10:00:00Z">'
    when = '<p class="when">منتشر شده در ۱۰ اسفند ۱۴۰۳</p><time datetime="2025-03-03">دیروز</time>'
    comment = '<div class="comments"><time datetime="2025-03-04">امروز</time></div>'
    head = script(PLAIN) + meta
    assert article(comment + BODY + when, head, extract=rules | {"date": ".when"}).published == "2025-02-28"
    assert article(comment + BODY + when, head, extract=rules).published == "2025-03-01"
    assert article(comment + BODY + when, meta, extract=rules).published == "2025-03-02"
    assert article(comment + BODY + when, extract=rules).published == "2025-03-03"
    assert article(comment + BODY, extract=rules).published == ""


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


ASKED = f'{{"@type": "Question", "name": "سرفه", "text": "{QUESTION}", %s}}'
GIVEN = json.dumps({"@type": "Answer", "text": ANSWER}, ensure_ascii=False)
ANSWERED = ASKED % f'"acceptedAnswer": {GIVEN}'
EMPTY = '{"@type": "Answer", "text": ""}'


@pytest.mark.parametrize(
    "text",
    [
        ANSWERED,
        ASKED % f'"acceptedAnswer": [{GIVEN}]',
        ASKED % f'"suggestedAnswer": [{EMPTY}, {GIVEN}]',
        ASKED % f'"acceptedAnswer": {GIVEN}, "suggestedAnswer": {{"@type": "Answer", "text": "نه"}}',
        ASKED % f'"acceptedAnswer": {EMPTY}, "suggestedAnswer": [[{GIVEN}]]',
        f'{{"@type": ["WebPage", "QAPage"], "mainEntity": [[{ANSWERED}]]}}',
        f'{{"@graph": [{{"@type": "QAPage", "mainEntity": {{"@id": "#q"}}}}, {ANSWERED}]}}',
        f'{{"@type": "https://schema.org/QAPage", "mainEntity": {ANSWERED}}}',
        ASKED % f'"acceptedAnswer": {GIVEN.replace(ANSWER[:3], "<p>" + ANSWER[:3]).replace("صبر کنید.", "صبر کنید.</p><p>")}',
    ],
    ids=range(9),
)
def test_a_question_in_json_ld_is_read_however_it_is_nested(text: str) -> None:
    assert read_page(html("<h1>x</h1>", script(text)), source(kind="qa"), 5) == Pair("سرفه", QUESTION, ANSWER)


def test_a_mixed_page_is_a_pair_only_when_it_begins_with_the_question() -> None:
    mixed = source(kind="mixed", extract={"text": ".t", "question_prefix": "سوال:", "answer_prefix": "پاسخ:"})
    asked = f'<h1>سرفه</h1><div class="t"><p><b>سوال:</b> {QUESTION}</p><p><b>پاسخ:</b> {LONG}</p></div>'
    assert read_page(html(asked), mixed, 5) == Pair("سرفه", QUESTION, LONG.strip())
    told = f'<h1>سرفه</h1><div class="t"><p>{LONG}</p><p>سوال: {QUESTION}</p><p>پاسخ: بله</p></div>'
    assert isinstance(read_page(html(told), mixed, 5), Article)
    unanswered = f'<h1>سرفه</h1><div class="t"><p>سوال: {QUESTION}</p><p>{LONG}</p></div>'
    assert isinstance(read_page(html(unanswered), mixed, 5), Article)


def test_a_mixed_page_that_is_marked_up_as_both_is_a_pair_when_it_has_an_answer() -> None:
    body = f'<article><h1>سرفه</h1><div class="t"><p>{LONG}</p></div></article>'
    both = script(PLAIN) + script(ANSWERED)
    mixed = source(kind="mixed", extract={"text": ".t"})
    assert read_page(html(body, both), mixed, 5) == Pair("سرفه", QUESTION, ANSWER)
    open_question = script(PLAIN) + script(ASKED % '"answerCount": 0')
    assert read_page(html(body, open_question), mixed, 5) == Article("زخم معده", LONG.strip(), "2025-03-01")
    assert read_page(html(body, both), source(extract={"text": ".t"}), 5) == Article("زخم معده", LONG.strip(), "2025-03-01")


def test_each_part_that_a_selector_names_is_taken_once() -> None:
    body = f'<div class="t x"><p>{LONG}</p><div class="t">بند دوم</div></div><div class="t">بند سوم</div>'
    assert article(body, extract={"text": ".t, .x"}).text == f"{LONG.strip()}\nبند دوم\nبند سوم"


def test_what_a_rule_names_is_taken_wherever_it_stands() -> None:
    body = f'<aside class="related-content"><div class="t"><p>{LONG}</p>{AD}</div></aside>'
    assert article(body, extract={"text": ".t"}).text == LONG.strip()


ZWNJ_LINES = [f"می{ZWNJ}شود", f"به{ZWNJ}روزرسانی نرم{ZWNJ}افزار", f"{ZWNJ}آغاز", "پایان‌"]


@pytest.mark.parametrize("rules", [{"text": ".t"}, {}], ids=["rules", "fallback"])
def test_joiners_decimals_and_units_stay_as_they_are(rules: dict[str, str]) -> None:
    lines = [*ZWNJ_LINES, "۲٫۵ میلی‌گرم و 2.5 mg/kg", "۳۸–۴۰ °C", "(< 5 %) & «نقل»", "می&zwnj;گیرد، می&#8204;رود"]
    shown = [line.replace("&zwnj;", ZWNJ).replace("&#8204;", ZWNJ) for line in lines]
    body = "".join(f"<p>{line.replace(' & ', ' &amp; ').replace('<', '&lt;')}</p>" for line in lines)
    found = article(f'<article><h1>x</h1><div class="t"><p>{LONG}</p>{body}<p>{LONG}</p></div></article>', extract=rules)
    assert found.text.split("\n")[1:-1] == shown


SURROUNDINGS = {
    "comments": '<section class="comments-area"><ol class="comment-list"><li>بیگانه</li></ol></section>',
    "respond": '<div id="respond"><p>بیگانه</p></div>',
    "disqus": '<div id="disqus_thread">بیگانه</div>',
    "navigation": '<nav><a href="/">بیگانه</a></nav>',
    "menu": '<ul class="main-menu"><li><a href="/">بیگانه</a></li></ul>',
    "breadcrumb": '<div class="breadcrumb">بیگانه</div>',
    "ad": '<div class="ads-box"><p>بیگانه</p></div>',
    "tabligh": '<div class="box_tablighat"><p>بیگانه</p></div>',
    "sponsor": '<p class="sponsored">بیگانه</p>',
    "author": '<div class="entry-author">بیگانه</div>',
    "author property": '<span itemprop="author">بیگانه</span>',
    "byline": '<p class="byline">بیگانه</p>',
    "share": '<div class="post-share">بیگانه</div>',
    "rating": '<div class="rating">بیگانه</div>',
    "tags": '<div class="post-tags"><a href="/t">بیگانه</a></div>',
    "related": '<div class="related-posts"><article><h3>بیگانه</h3></article></div>',
    "contents": '<div id="toc"><p>بیگانه</p></div>',
    "aside": "<aside><p>بیگانه</p></aside>",
    "form": "<form><label>بیگانه</label><select><option>بیگانه</select><textarea>بیگانه</textarea></form>",
    "script": "<script>document.write('بیگانه')</script><noscript>بیگانه</noscript><template>بیگانه</template>",
    "style": "<style>p::before{content:'بیگانه'}</style>",
    "frame": '<iframe src="/x">بیگانه</iframe>',
    "copyright": '<p class="copyright">بیگانه</p>',
}


@pytest.mark.parametrize("rules", [{"text": ".t"}, {}], ids=["rules", "fallback"])
@pytest.mark.parametrize("name", SURROUNDINGS)
def test_what_surrounds_a_text_is_not_taken_wherever_it_stands(name: str, rules: dict[str, str]) -> None:
    other = SURROUNDINGS[name]
    body = f'<main>{other}<article><h1>زخم معده</h1><div class="t">{other}<p>{LONG}</p>{other}<p>{LONG}</p>{other}</div></article>{other}</main>'
    assert article(body, extract=rules).text == f"{LONG.strip()}\n{LONG.strip()}"


@pytest.mark.parametrize(
    "frame",
    [
        '<div class="layout has-sidebar"><main><h1>x</h1>{}</main></div>',
        '<div class="content no-sidebar">{}</div>',
        '<div id="post-1" class="post type-post tag-diabetes category-x">{}</div>',
        '<div class="page-with-comments comments-open"><h1>x</h1>{}</div>',
        '<article class="post related">{}</article>',
        '<div class="vitamin-tagged commentary">{}</div>',
    ],
)
def test_a_frame_around_the_text_is_no_surrounding(frame: str) -> None:
    assert (
        article(frame.format(f"<p>{LONG}</p><h2 id='toc'>بخش</h2><p>{LONG}</p>")).text == f"{LONG.strip()}\nبخش\n{LONG.strip()}"
    )


QA_RULES = {"kind": "qa", "extract": {"question": ".q", "answer": ".a"}}
HOSTILE = {
    "nested": "<div>" * 50_000 + "متن" + "</div>" * 50_000,
    "nested, never closed": "<div class='t'>" * 50_000 + "متن",
    "nested inside tables": '<div class="t"><table><tr><td></div>' * 50_000,
    "four megabytes in a line": f'<div class="t"><p>{"درد معده " * 250_000}</p></div>',
    "a hundred thousand words in lines": f'<div class="t">{"<p>درد معده</p>" * 40_000}</div>',
    "many classes": f'<div class="t">{"<p class=ads>درد</p>" * 20_000}</div>',
    "NUL": f'<div class="t">{LONG}\0{LONG}&#0;</div>',
    "lone surrogates": f'<div class="t q a">\ud800{LONG}\udfff&#xD800;</div>',
    "lone surrogates in JSON": script('{"@type": "Article", "headline": "\\ud800x\\u0000", "datePublished": "\\udfff"}')
    + f'<p class="t">{LONG}',
    "NUL in microdata": f'<div itemscope itemtype="https://schema.org/Question"><p itemprop=text>a\0{LONG}</p></div>',
    "deep microdata": '<div itemscope itemtype="https://schema.org/Question"><div itemprop=acceptedAnswer>' * 900,
    "never closed": f'<p class=t><b><i><a href="x><p>{LONG}<ul><li>x<table><tr><td>' * 200,
    "formatting that is never closed": "<p>" + "".join(f"<b id={n}>" for n in range(1_000)) + "<p>x" * 50_000,
    "attributes": "<p class=t " + " ".join(f"a{n}=1" for n in range(50_000)) + f">{LONG}",
    "options": "<select>" + "<option>x" * 50_000,
    "options without a list": "<option>x" * 50_000,
    "markup in JSON": script('{"@type": "Article", "headline": "' + "<div>" * 50_000 + '"}'),
    "lists in lists": script('{"@type": ' + "[" * 900 + '"Article"' + "]" * 900 + ', "headline": "x"}'),
    "a long script": script('{"a": "' + "x,]" * 100_000),
    "commas": script('{"@type": "Article"' + ",   " * 200_000),
    "comments": "<!--" * 100_000,
    "not closed": "<" * 1_000_000,
    "frames": "<frameset><frame src=a></frameset>",
    "XML": "<?xml version='1.0'?><!DOCTYPE html [<!ENTITY x 'y'>]><html xmlns='http://www.w3.org/1999/xhtml'><p class='t'/>&x;</html>",
    "nothing": "",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_page_gives_something_or_a_reason_in_time(name: str) -> None:
    for read_by in ({}, {"extract": {"text": ".t", "date": "time"}}, QA_RULES, {"kind": "mixed"}):
        started = time.process_time()
        found = read_page(HOSTILE[name], source(**read_by), 5)
        assert time.process_time() - started < 5
        for text in vars(found).values():
            text.encode()
            assert "\0" not in text


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
