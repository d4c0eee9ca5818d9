"""Near-duplicates are found and nothing else, in long texts and in short ones, in any order."""

from __future__ import annotations

import random
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.clean.duplicates import clusters, exact_hash, firsts, near, proposed
from pipelines.clean.folding import fold
from pipelines.clean.shingles import shingles_of
from pipelines.clean.signatures import signature_pair
from tests.tiny_models import SENTENCES

VOCABULARY = sorted({word for sentence in SENTENCES for word in sentence.split()})


def near_pairs(texts: list[str], threshold: float = 0.8) -> set[tuple[int, int]]:
    """What the funnel does: distinct texts, by characters and by words, proposed and compared."""
    found: set[tuple[int, int]] = set()
    rows = firsts(hashes_of(texts))
    for signatures, by_words in zip(signature_pair([fold(texts[row]) for row in rows]), (False, True), strict=True):
        known = [place for place, signature in enumerate(signatures) if signature]
        matrix = np.array([list(signatures[place] or b"") for place in known], dtype=np.uint8).reshape(-1, 128)
        pairs = rows[known][proposed(matrix, threshold)] if known else np.empty((0, 2), dtype=np.int64)
        found |= {(min(a, b), max(a, b)) for a, b in near(pairs, lambda of: [texts[i] for i in of], threshold, by_words).tolist()}
    return found


def hashes_of(texts: list[str]) -> np.ndarray:
    return np.array([exact_hash(fold(text)) for text in texts], dtype=np.uint64)


def cluster(texts: list[str], threshold: float = 0.8) -> list[int]:
    pairs = np.array(sorted(near_pairs(texts, threshold)), dtype=np.int64).reshape(-1, 2)
    return clusters(hashes_of(texts), pairs).tolist()


def shingle_set(folded: str, by_words: bool) -> set[str]:
    parts, join = (folded.split(), " ".join) if by_words else (list(folded), "".join)
    return {join(parts[i : i + 5]) for i in range(len(parts) - 4)} if len(parts) > 5 else {folded}


def jaccard(first: str, second: str) -> float:
    """The definition, on sets of texts."""
    a, b = fold(first), fold(second)
    by_words = min(len(a.split()), len(b.split())) >= 60
    one, other = shingle_set(a, by_words), shingle_set(b, by_words)
    return len(one & other) / len(one | other)


def random_text(words: int, seed: int) -> str:
    return " ".join(random.Random(seed).choices(VOCABULARY, k=words))


def with_changed_words(text: str, number: int) -> str:
    words = text.split()
    for place in np.linspace(0, len(words) - 1, number).astype(int):
        words[place] = "دگرگون"
    return " ".join(words)


def planted(count: int, shortest: int, longest: int, changes: int) -> list[str]:
    """Texts of made-up words, each with a copy after it in which up to so many words are others."""
    letters, dice = "ابپتجچحخدرزسشعفقکگلمنوهی", random.Random(7)
    vocabulary = ["".join(dice.choices(letters, k=dice.randint(2, 7))) for _ in range(5000)]
    texts = []
    for _ in range(count):
        words = dice.choices(vocabulary, k=dice.randint(shortest, longest))
        copy = list(words)
        for place in dice.sample(range(len(copy)), min(len(copy), dice.randint(1, changes))):
            copy[place] = dice.choice(vocabulary)
        texts += [" ".join(words), " ".join(copy)]
    return texts


@pytest.mark.parametrize(("shortest", "longest", "changes"), [(8, 55, 4), (100, 400, 12), (50, 80, 4)])
def test_recall_and_precision_on_planted_pairs(shortest: int, longest: int, changes: int) -> None:
    texts = planted(600, shortest, longest, changes)
    wanted = {(i, i + 1) for i in range(0, len(texts), 2) if jaccard(texts[i], texts[i + 1]) >= 0.8}
    found = near_pairs(texts)
    assert 100 < len(wanted) < 550  # some on either side of the threshold
    assert len(found & wanted) >= 0.99 * len(wanted)
    assert sum(jaccard(texts[a], texts[b]) >= 0.8 for a, b in found) >= 0.99 * len(found)


def test_copies_are_found_among_many_texts_of_one_template() -> None:
    """Each shares bands with many that are no copies of it."""
    template = random_text(40, 1).split()
    dice = random.Random(2)
    texts = []
    for _ in range(600):
        own = [f"ویژه{dice.randrange(10**6)}" if place % 13 == 6 else word for place, word in enumerate(template)]
        texts += [" ".join(own), " ".join([*own, "ممنون"])]
    assert 0.6 < max(jaccard(texts[0], text) for text in texts[2:40]) < 0.8
    wanted = {(i, i + 1) for i in range(0, len(texts), 2)}
    assert len(near_pairs(texts) & wanted) >= 0.99 * len(wanted)


@settings(max_examples=50)
@given(st.lists(st.text(alphabet="ابپ ت9ک", max_size=12).map(fold).filter(bool), min_size=2, max_size=6), st.booleans())
def test_jaccard_of_hashes_is_that_of_the_texts(folded: list[str], by_words: bool) -> None:
    pairs = np.array(list(combinations(range(len(folded)), 2)))
    sets = [shingle_set(text, by_words) for text in folded]
    expected = [len(sets[a] & sets[b]) / len(sets[a] | sets[b]) for a, b in pairs]
    assert shingles_of(folded, by_words).jaccard(pairs).tolist() == expected


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
