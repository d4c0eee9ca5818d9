"""Persian-like texts of any number for the benchmarks: made-up words among real function words, the same for the same seed."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterator
from functools import cache
from itertools import accumulate
from typing import Any

FUNCTION_WORDS = "و در به از که این را با است برای آن شما هم تا اگر باید یا می‌شود دارد بر نیز هر کنید چه من شود یک بود".split()
FUNCTION_SHARE = 0.4
VOCABULARY = 20_000
SYLLABLES = ("", "ا", "ی", "و", "ان", "ار", "ین", "ور")
CONSONANTS = "بپتجچحخدرزسشفقکگلمنه"
SENTENCE = (8, 22)  # words
SENTENCES_A_LINE = 4

COPIES, EXACT = 0.08, 0.02  # of the rows: near-duplicates of an earlier one, exact ones
IDENTIFIERS = 0.05  # of the texts have a telephone number
DOSES = 0.2  # of the sentences have a number
RECENT = 2000  # an earlier row is one of the last so many, so that a generator's memory has a bound


class Writer:
    """Writes texts."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)

    def text(self, words: int) -> str:
        """Sentences of about so many words together, four a line."""
        dice, lines, written = self.dice, [], 0
        while written < words:
            sentences = []
            for _ in range(SENTENCES_A_LINE):
                size = min(dice.randint(*SENTENCE), max(3, words - written))
                sentences.append(self.sentence(size))
                written += size
                if written >= words:
                    break
            lines.append(" ".join(sentences))
        if dice.random() < IDENTIFIERS:
            lines[-1] += f" تماس: 0912{dice.randrange(10**7):07}."
        return "\n".join(lines)

    def sentence(self, words: int) -> str:
        dice = self.dice
        vocabulary, weights = _vocabulary()
        content = dice.choices(vocabulary, cum_weights=weights, k=words)
        text = [dice.choice(FUNCTION_WORDS) if dice.random() < FUNCTION_SHARE else word for word in content]
        if dice.random() < DOSES:
            text[-1] = f"{dice.randint(1, 900)} میلی‌گرم"
        return " ".join(text) + "."

    def copy(self, text: str) -> str:
        """The text with 1 word of 40 changed."""
        parts = text.split(" ")
        for place in self.dice.sample(range(len(parts)), max(1, len(parts) // 40)):
            parts[place] = self.dice.choice(_vocabulary()[0])
        return " ".join(parts)


def texts(number: int, words: tuple[int, int], seed: int) -> Iterator[str]:
    """So many texts of between so many words, some of which are copies of earlier ones."""
    writer, recent = Writer(seed), deque[str](maxlen=RECENT)
    for _ in range(number):
        chance = writer.dice.random()
        if chance < COPIES + EXACT and recent:
            old = writer.dice.choice(recent)
            text = old if chance < EXACT else writer.copy(old)
        else:
            text = writer.text(writer.dice.randint(*words))
        recent.append(text)
        yield text


def article_rows(number: int, seed: int) -> list[dict[str, Any]]:
    """As the extract step leaves articles: 100 to 600 words."""
    return [
        {
            "url": f"https://mag.example/{seed}/{n}",
            "source": "mag",
            "title": text[:40].split("\n")[0],
            "text": text,
            "published": "",
        }
        for n, text in enumerate(texts(number, (100, 600), seed))
    ]


def pair_rows(number: int, seed: int) -> list[dict[str, Any]]:
    """As the extract step leaves pairs: questions of 8 to 60 words, answers of 45 to 150."""
    both = zip(texts(number, (8, 60), 2 * seed), texts(number, (45, 150), 2 * seed + 1), strict=True)
    return [
        {"url": f"https://forum.example/{seed}/{n}", "source": "forum", "title": "", "question": question, "answer": answer}
        for n, (question, answer) in enumerate(both)
    ]


@cache
def _vocabulary() -> tuple[list[str], list[float]]:
    """Words with their cumulative weights by Zipf."""
    dice = random.Random(0)
    words: dict[str, None] = {}
    while len(words) < VOCABULARY:
        syllables = dice.randint(1, 3)  # so that a text has 5 characters a word, spaces included, as those of the forums
        parts = (dice.choice(CONSONANTS) + dice.choice(SYLLABLES) for _ in range(syllables))
        words["".join(parts)] = None
    return list(words), list(accumulate(1 / rank for rank in range(10, VOCABULARY + 10)))
