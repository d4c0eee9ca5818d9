"""Near-duplicates are found and nothing else, in long texts and in short ones, in any order."""

from __future__ import annotations

import random
from itertools import combinations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.clean.duplicates import band_keys, clusters, exact_hash, jaccard
from tests.tiny_models import SENTENCES

VOCABULARY = sorted({word for sentence in SENTENCES for word in sentence.split()})


def cluster(texts: list[str], threshold: float = 0.8) -> list[int]:
    return clusters([exact_hash(text) for text in texts], band_keys(texts), texts.__getitem__, threshold).tolist()


def random_text(words: int, seed: int) -> str:
    return " ".join(random.Random(seed).choices(VOCABULARY, k=words))


def with_changed_words(text: str, number: int) -> str:
    words = text.split()
    for place in np.linspace(0, len(words) - 1, number).astype(int):
        words[place] = "دگرگون"
    return " ".join(words)


def test_long_texts_with_a_changed_word_are_one_cluster() -> None:
    texts = [random_text(200, seed) for seed in range(20)]
    copies = [with_changed_words(text, 2) for text in texts]
    assert all(jaccard(a, b) > 0.8 for a, b in zip(texts, copies, strict=True))
    assert cluster([*texts, *copies]) == [*range(20), *range(20)]


def test_short_texts_are_compared_by_characters() -> None:
    text = "از دیروز سرم درد می‌کند و تب دارم، آیا باید به پزشک مراجعه کنم یا صبر کنم"
    changed = text.replace("دیروز", "پریروز")
    assert jaccard(text, changed) >= 0.8
    assert cluster([text, changed, random_text(16, 1)]) == [0, 0, 2]


def test_neighbours_on_both_sides_of_the_short_limit_meet() -> None:
    long = random_text(62, 5)
    short = " ".join(long.split()[:58])
    assert cluster([long, short]) == [0, 0]


def test_spelling_that_is_not_content_does_not_part_copies() -> None:
    assert cluster(["فشار خون ۱۴۰ بود.", "فشار خون 140 بود!", "فشار خون 150 بود!"]) == [0, 0, 2]


def test_texts_without_a_letter_are_no_duplicates_of_each_other() -> None:
    assert cluster(["؟؟؟", "؟؟؟", ""]) == [0, 1, 2]


def test_what_bands_propose_the_exact_jaccard_decides() -> None:
    base = random_text(300, 9)
    texts = [base, *(with_changed_words(base, changed) for changed in range(1, 40))]
    found = cluster(texts)
    near = [(a, b) for a, b in combinations(range(len(texts)), 2) if jaccard(texts[a], texts[b]) >= 0.8]
    expected = list(range(len(texts)))  # connected components of the exact relation
    for a, b in near:
        low, high = sorted((expected[a], expected[b]))
        expected = [low if root == high else root for root in expected]
    assert found == expected


def as_groups(found: list[int], names: list[int]) -> set[frozenset[int]]:
    return {frozenset(name for name, root in zip(names, found, strict=True) if root == group) for group in found}


@settings(max_examples=10)
@given(st.permutations(range(12)))
def test_clusters_do_not_depend_on_the_order(order: list[int]) -> None:
    originals = [random_text(30 + 10 * seed, seed) for seed in range(4)]
    texts = [variant for text in originals for variant in (text, text + " پایان", with_changed_words(text, 1))]
    assert as_groups(cluster([texts[i] for i in order]), order) == as_groups(cluster(texts), list(range(12)))
