"""The texts of the demo web are enough, are Persian, and a broken file is named."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from pipelines.demo import content
from pipelines.demo.content import ContentError, articles, forum, oddities, posts
from pipelines.demo.magazine import SECTIONS

ARABIC_LETTERS = re.compile("[يكىة]")


def persian_share(text: str) -> float:
    """The share of a text's letters that are of the Persian script."""
    letters = [letter for letter in text if letter.isalpha()]
    return sum("\u0600" <= letter <= "\u06ff" for letter in letters) / len(letters)


def test_there_are_enough_articles_and_each_has_150_words() -> None:
    assert len(articles()) == 48
    assert min(len(article.text.split()) for article in articles()) >= 150


def test_there_are_enough_pairs_and_posts() -> None:
    assert len(forum()) == 176
    assert len(posts()) == 30


def test_most_answers_are_of_natural_length_and_a_few_are_too_short_to_keep() -> None:
    lengths = sorted(len(pair.answer.split()) for pair in forum())
    assert lengths[len(lengths) // 2] >= 80
    assert 10 <= sum(length < 42 for length in lengths) <= 25


def test_two_stock_answers_repeat_and_no_other_does() -> None:
    repeated = [count for count in Counter(pair.answer for pair in forum()).values() if count > 1]
    assert repeated == [2, 2]
    assert len({pair.question for pair in forum()}) == len(forum())


def test_titles_are_unique() -> None:
    for titles in ([row.title for row in rows] for rows in (articles(), forum(), posts())):
        assert len(set(titles)) == len(titles)


def test_articles_and_answers_are_written_with_persian_letters() -> None:
    texts = [article.text for article in articles()] + [pair.answer for pair in forum()] + [post.answer for post in posts()]
    assert [text[:40] for text in texts if ARABIC_LETTERS.search(text)] == []
    assert min(persian_share(text) for text in texts) > 0.75


def test_some_questions_are_typed_on_an_arabic_keyboard() -> None:
    assert sum(bool(ARABIC_LETTERS.search(pair.question)) for pair in forum()) >= 5


def test_every_section_of_the_articles_is_in_the_menu() -> None:
    assert {article.section for article in articles()} == set(SECTIONS)
    assert {article.section for article in oddities().values()} <= set(SECTIONS)


@pytest.mark.parametrize(
    ("yaml", "complaint"),
    [
        ("- {id: 1, title: a, question: b}", "has the keys"),
        ("- {id: 1, title: a, question: b, answer: ''}", "answer is ''"),
        ("- {id: 1, title: 7, question: b, answer: c}", "title is 7"),
        ("- {id: 2, title: a, question: b, answer: c}", "ids must be 1 to 1"),
    ],
)
def test_a_wrong_row_is_refused_and_its_file_named(
    yaml: str, complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "posts.yaml").write_text(yaml)
    monkeypatch.setattr(content, "CONTENT", tmp_path)
    with pytest.raises(ContentError, match=rf"posts\.yaml.*{re.escape(complaint)}"):
        posts.__wrapped__()
