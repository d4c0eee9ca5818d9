"""Answers put together from what many others say are dropped but for the best; a copied answer alone is not boilerplate."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from pipelines.clean.boilerplate import repeating, sentences_of
from pipelines.clean.identity import hash64
from pipelines.clean.ranking import Ranking

CANNED = "پاسخ شما را کارشناسان سامانه بررسی و برای شما آماده کرده‌اند"
ADVICE = "برای سرماخوردگی آب گرم فراوان بنوشید و چند روز خوب استراحت کنید"


def repeats(answers: list[str], least: int, most: float = 0.5) -> list[bool]:
    found = [sentences_of(answer) for answer in answers]
    hashes = pa.array([pair[0] for pair in found], pa.list_(pa.uint64()))
    lengths = pa.array([pair[1] for pair in found], pa.list_(pa.uint32()))
    texts = np.array([hash64(answer) for answer in answers], dtype=np.uint64)
    ranking = Ranking(np.arange(len(answers)), texts, np.array([len(answer) for answer in answers]))
    words = np.array([len(answer.split()) for answer in answers])
    return repeating(hashes, lengths, texts, words, ranking, least=least, most=most).tolist()


def test_of_answers_made_of_common_sentences_the_best_stays() -> None:
    answers = [f"{CANNED}. سخن {n} است" for n in range(3)] + [f"{CANNED}. این یکی پاسخ درازتری است"]
    assert repeats(answers, least=4) == [True, True, True, False]
    assert repeats(answers, least=5) == [False] * 4


def test_a_common_sentence_beside_more_of_its_own_is_no_boilerplate() -> None:
    answers = [f"{CANNED}. {'سخنی تازه که کسی نگفته است ' * (n + 3)}" for n in range(4)]
    assert repeats(answers, least=4) == [False] * 4


def test_another_common_sentence_is_worth_keeping_once() -> None:
    answers = [f"{CANNED}. شماره {n}" for n in range(3)] + [f"{ADVICE}. شماره {n}" for n in range(3)]
    assert sum(repeats(answers, least=3)) == 4


def test_copies_of_one_answer_count_once() -> None:
    assert repeats([CANNED] * 5, least=2) == [False] * 5


def test_a_sentence_that_an_answer_repeats_counts_once() -> None:
    assert repeats([f"{CANNED}. {CANNED}", "چیزی دیگر که هیچ کس نگفته است"], least=2) == [False, False]


def test_turns_of_phrase_and_empty_answers_are_no_sentences() -> None:
    assert repeats(["موفق باشید. سلام", "موفق باشید! بله", ""], least=2) == [False, False, False]
    assert repeats([], least=2) == []


def test_the_order_of_the_answers_does_not_matter() -> None:
    answers = [f"{CANNED}. سخن {'دیگر ' * n}" for n in range(5)]
    assert repeats(answers[::-1], least=3) == repeats(answers, least=3)[::-1]
