"""Finds texts that contain an item of a test set: a 13-word run, or most of a short item in one place; 0.5 ms a text.

13-word runs as in GPT-3 (arXiv 2005.14165, appendix C). Half of all test questions are shorter, and one changed word can
leave an item of under 26 words without any run: those are looked for by character 5-grams without spaces, so that
ZWNJ, space or nothing between the parts of a word makes no difference.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from pipelines.clean.identity import fold
from pipelines.clean.normalise import ZWNJ, normalise

RUN = 13
PROBE = 7  # any 13 words hold 7 that start at a multiple of 7, so only those have to be looked up
GRAM = 5
CONTAINMENT = 0.8
# Shorter items are everyday phrases ("what is diabetes?"): only a text that is nothing else counts as a copy.
MIN_WORDS_FOR_CONTAINMENT = 5


@dataclass(frozen=True)
class ShortItem:
    """A test question of under 26 words."""

    name: str
    grams: frozenset[str]
    length: int  # in characters, without spaces

    @property
    def needed(self) -> int:
        return math.ceil(CONTAINMENT * len(self.grams))


@dataclass
class HeldOut:
    """What every item of the test sets looks like to a search. An item's name is its test set's."""

    runs: dict[str, str] = field(default_factory=dict)  # 13 folded words -> item
    probes: set[str] = field(default_factory=set)  # every 7 words of the runs
    whole: dict[str, str] = field(default_factory=dict)  # a very short item without spaces -> item
    short: list[ShortItem] = field(default_factory=list)
    rare: dict[str, list[int]] = field(
        default_factory=dict
    )  # 5 characters -> short items that can't be there without some of these

    @classmethod
    def of(cls, items: Iterable[tuple[str, str, Sequence[str]]]) -> HeldOut:
        """An index of (test set, question, longer texts that belong to it); of the latter only runs are looked for."""
        index = cls()
        for name, question, others in items:
            index._add_question(name, normalise(question))
            for text in (question, *others):
                index._add_runs(name, normalise(text))
        index._index_rarest_grams()
        return index

    def match(self, text: str) -> str | None:
        """The test set of an item that a normalised text contains, or None."""
        if not self.runs and not self.short and not self.whole:
            return None
        folded, spelled = fold(text), fold(text.replace(ZWNJ, " "))
        for words in {folded, spelled}:
            if found := self._run_in(words.split()):
                return found
        joined = folded.replace(" ", "")
        return self.whole.get(joined) or self._short_item(joined)

    def _run_in(self, words: list[str]) -> str | None:
        for start in range(0, len(words) - PROBE + 1, PROBE):
            if " ".join(words[start : start + PROBE]) in self.probes:
                around = words[max(0, start + PROBE - RUN) : start + RUN]
                if run := next((run for run in _stretches(around, RUN) if run in self.runs), None):
                    return self.runs[run]
        return None

    def _add_runs(self, name: str, text: str) -> None:
        for words in {fold(text), fold(text.replace(ZWNJ, " "))}:
            parts = words.split()
            for run in _stretches(parts, RUN):
                self.runs.setdefault(run, name)
            if len(parts) >= RUN:
                self.probes.update(_stretches(parts, PROBE))

    def _add_question(self, name: str, text: str) -> None:
        words = len(text.split())
        joined = fold(text).replace(" ", "")
        if not joined or words >= 2 * RUN:
            return
        if words < MIN_WORDS_FOR_CONTAINMENT or len(joined) < 2 * GRAM:
            self.whole.setdefault(joined, name)
            return
        self.short.append(ShortItem(name, frozenset(_grams(joined)), len(joined)))

    def _index_rarest_grams(self) -> None:
        """Of n grams 0.8 n have to be there, so one of any n - 0.8 n + 1 is: the rarest propose the fewest items."""
        frequency = Counter(gram for item in self.short for gram in item.grams)
        for number, item in enumerate(self.short):
            by_rarity = sorted(item.grams, key=lambda gram: (frequency[gram], gram))
            for gram in by_rarity[: len(item.grams) - item.needed + 1]:
                self.rare.setdefault(gram, []).append(number)

    def _short_item(self, joined: str) -> str | None:
        """An item of whose 5-grams at least 0.8 stand in a stretch of the text not longer than twice the item."""
        grams = [joined[i : i + GRAM] for i in range(len(joined) - GRAM + 1)]
        proposed = {number for gram in self.rare.keys() & set(grams) for number in self.rare[gram]}
        for item in (self.short[number] for number in sorted(proposed)):
            found = [(position, gram) for position, gram in enumerate(grams) if gram in item.grams]
            if len(found) >= item.needed and _most_in_one_place(found, 2 * item.length) >= item.needed:
                return item.name
        return None


def _stretches(words: list[str], length: int) -> Iterable[str]:
    return (" ".join(words[i : i + length]) for i in range(len(words) - length + 1))


def _grams(joined: str) -> set[str]:
    return {joined[i : i + GRAM] for i in range(len(joined) - GRAM + 1)}


def _most_in_one_place(found: list[tuple[int, str]], width: int) -> int:
    """The largest number of distinct grams within `width` characters."""
    inside: dict[str, int] = defaultdict(int)
    best, left = 0, 0
    for position, gram in found:
        inside[gram] += 1
        while found[left][0] < position - width:
            old = found[left][1]
            inside[old] -= 1
            if not inside[old]:
                del inside[old]
            left += 1
        best = max(best, len(inside))
    return best
