"""Is an article worth learning from? Thresholds of FineWeb-2 for Persian; 1 ms an article.

Each rule is a function of the text, its words and the thresholds that returns the reason for a drop, or None.
Definitions: Gopher (arXiv 2112.11446, table A1) and FineWeb.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from pipelines.clean.settings import DocumentRules

STOPWORDS = frozenset("در و ، به از که است این را با یک".split())
MIN_LINES_OF_A_LIST = 5  # ours: a paragraph or two that end in a reference are no menu
TERMINAL_PUNCTUATION = (".", "!", "?", "؟", "…", ":", "؛", "»", '"', ")")


def article_problem(text: str, rules: DocumentRules) -> str | None:
    """Why a normalised article is dropped, if it is."""
    words = text.split()
    if len(words) < rules.min_words:
        return "short-article"
    return next((reason for rule in _DOCUMENT_RULES if (reason := rule(text, words, rules))), None)


def odd_words(text: str, words: list[str], rules: DocumentRules) -> str | None:
    low, high = rules.average_word_length
    return None if low <= sum(map(len, words)) / len(words) <= high else "word-length"


def few_letters(text: str, words: list[str], rules: DocumentRules) -> str | None:
    alphabetic = sum(any(map(str.isalpha, word)) for word in words)
    return "few-letters" if alphabetic < rules.min_alphabetic_words * len(words) else None


def no_stopwords(text: str, words: list[str], rules: DocumentRules) -> str | None:
    return "no-stopwords" if len(STOPWORDS.intersection(words)) < rules.min_stopwords else None


def repeated_lines(text: str, words: list[str], rules: DocumentRules) -> str | None:
    lines = _lines(text)
    return "repeated-lines" if len(lines) - len(set(lines)) > rules.max_duplicate_lines * len(lines) else None


def list_like(text: str, words: list[str], rules: DocumentRules) -> str | None:
    """Menus and tables: lines that end in no sentence, or hardly any words between line ends."""
    lines = _lines(text)
    if len(lines) < MIN_LINES_OF_A_LIST:
        return None
    if len(lines) > rules.max_new_lines_per_word * len(words):
        return "list-like"
    sentences = sum(line.endswith(TERMINAL_PUNCTUATION) for line in lines)
    return "list-like" if sentences < rules.min_lines_with_punctuation * len(lines) else None


def repeated_phrases(text: str, words: list[str], rules: DocumentRules) -> str | None:
    size = len(text)
    if any(_top_ngram(words, n) > limit * size for n, limit in rules.max_top_ngram.items()):
        return "repeated-phrases"
    for n, limit in sorted(rules.max_duplicate_ngrams.items()):
        repeated = _duplicate_ngrams(words, n)
        if repeated > limit * size:
            return "repeated-phrases"
        if not repeated:  # a longer phrase that repeats would hold one of these
            return None
    return None


_DOCUMENT_RULES: tuple[Callable[[str, list[str], DocumentRules], str | None], ...] = (
    odd_words,
    few_letters,
    no_stopwords,
    repeated_lines,
    list_like,
    repeated_phrases,
)


def _lines(text: str) -> list[str]:
    return [line for line in text.split("\n") if line]


def _ngrams(words: list[str], n: int) -> list[tuple[str, ...]]:
    return list(zip(*(words[i:] for i in range(n)), strict=False))


def _top_ngram(words: list[str], n: int) -> int:
    """Characters in the most frequent n-gram, all its occurrences together; 0 when none repeats."""
    counts = Counter(_ngrams(words, n)).most_common(1)
    return len(" ".join(counts[0][0])) * counts[0][1] if counts and counts[0][1] > 1 else 0


def _duplicate_ngrams(words: list[str], n: int) -> int:
    """Characters in n-grams that were there before, none counted twice."""
    seen: set[tuple[str, ...]] = set()
    ngrams = _ngrams(words, n)
    characters, index = 0, 0
    while index < len(ngrams):
        ngram = ngrams[index]
        if ngram in seen:
            characters += sum(map(len, ngram))
            index += n
        else:
            seen.add(ngram)
            index += 1
    return characters
