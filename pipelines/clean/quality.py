"""Is a text worth learning from? Thresholds of FineWeb-2 for Persian documents, length rules for pairs; 1 ms a document.

Each rule is a function that returns the reason for a drop, or None.
Thresholds: huggingface/fineweb-2 `configs/fas_Arab.yml`; definitions: Gopher (arXiv 2112.11446, table A1) and FineWeb.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from pipelines.clean.settings import CleanSettings
from pipelines.clean.zwnj import ZWNJ

STOPWORDS = frozenset("در و ، به از که است این را با یک".split())
MIN_STOPWORDS = 2
AVERAGE_WORD_LENGTH = (2, 9)
MIN_ALPHABETIC_WORDS = 0.812
MAX_DUPLICATE_LINES = 0.246
MIN_LINES_WITH_PUNCTUATION = 0.2
MAX_NEW_LINES_PER_WORD = 0.15
MIN_LINES_OF_A_LIST = 5  # ours: a paragraph or two that end in a reference are no menu
MAX_TOP_NGRAM = ((2, 0.189), (3, 0.164), (4, 0.143))
MAX_DUPLICATE_NGRAMS = ((5, 0.157), (6, 0.147), (7, 0.137), (8, 0.127), (9, 0.117), (10, 0.107))
TERMINAL_PUNCTUATION = (".", "!", "?", "؟", "…", ":", "؛", "»", '"', ")")


def article_problem(text: str, settings: CleanSettings) -> str | None:
    """Why a normalised article is dropped, if it is."""
    words = text.split()
    if len(words) < settings.min_article_words:
        return "short-article"
    return next((reason for rule in _DOCUMENT_RULES if (reason := rule(text, words))), None)


def pair_problem(question: str, answer: str, settings: CleanSettings) -> str | None:
    """Why a normalised question-answer pair is dropped, if it is."""
    if count_words(question) < settings.min_question_words:
        return "short-question"
    if count_words(answer) < settings.min_answer_words:
        return "short-answer"
    return None


def count_words(text: str) -> int:
    """Words between white space or ZWNJ: `می شود` counts as it did before it had one spelling, as the authors counted."""
    return len(text.replace(ZWNJ, " ").split())


def odd_words(text: str, words: list[str]) -> str | None:
    low, high = AVERAGE_WORD_LENGTH
    return None if low <= sum(map(len, words)) / len(words) <= high else "word-length"


def few_letters(text: str, words: list[str]) -> str | None:
    alphabetic = sum(any(map(str.isalpha, word)) for word in words)
    return "few-letters" if alphabetic < MIN_ALPHABETIC_WORDS * len(words) else None


def no_stopwords(text: str, words: list[str]) -> str | None:
    return "no-stopwords" if len(STOPWORDS.intersection(words)) < MIN_STOPWORDS else None


def repeated_lines(text: str, words: list[str]) -> str | None:
    lines = _lines(text)
    return "repeated-lines" if len(lines) - len(set(lines)) > MAX_DUPLICATE_LINES * len(lines) else None


def list_like(text: str, words: list[str]) -> str | None:
    """Menus and tables: lines that end in no sentence, or hardly any words between line ends."""
    lines = _lines(text)
    if len(lines) < MIN_LINES_OF_A_LIST:
        return None
    if len(lines) > MAX_NEW_LINES_PER_WORD * len(words):
        return "list-like"
    sentences = sum(line.endswith(TERMINAL_PUNCTUATION) for line in lines)
    return "list-like" if sentences < MIN_LINES_WITH_PUNCTUATION * len(lines) else None


def repeated_phrases(text: str, words: list[str]) -> str | None:
    size = len(text)
    if any(_top_ngram(words, n) > limit * size for n, limit in MAX_TOP_NGRAM):
        return "repeated-phrases"
    for n, limit in MAX_DUPLICATE_NGRAMS:
        repeated = _duplicate_ngrams(words, n)
        if repeated > limit * size:
            return "repeated-phrases"
        if not repeated:  # a longer phrase that repeats would hold one of these
            return None
    return None


_DOCUMENT_RULES: tuple[Callable[[str, list[str]], str | None], ...] = (
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
