"""Finds texts that contain an item of a test set: a 13-word run, or most of a short item in one place; 0.1 ms a text.

13-word runs as in GPT-3 (arXiv 2005.14165, appendix C). Half of all test questions are shorter, and one changed word can
leave an item of under 26 words without any run: those are looked for by character 5-grams without spaces, so that
ZWNJ, space or nothing between the parts of a word makes no difference.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.sparse import csr_array

from pipelines.clean.identity import fold, spellings
from pipelines.clean.normalise import normalise
from pipelines.clean.shingles import SHINGLE as GRAM
from pipelines.clean.shingles import shingles_of

RUN = 13
PROBE = 7  # any 13 words hold 7 that start at a multiple of 7, so only those have to be looked up
CONTAINMENT = 0.8
EVIDENCE = 5  # of an item's rarest grams have to be in a text before it is looked at itself; the shortest item needs 5
# Shorter items are everyday phrases ("what is diabetes?"): only a text that is nothing else counts as a copy.
MIN_WORDS_FOR_CONTAINMENT = 5
_TEXTS_AT_ONCE = 200
_KNOWN_BITS = 22  # a table of four million places says of most grams of a text that no item has them


@dataclass(frozen=True)
class ShortItem:
    """A test question of under 26 words."""

    name: str
    joined: str  # folded, without spaces

    @property
    def grams(self) -> set[str]:
        return {self.joined[i : i + GRAM] for i in range(len(self.joined) - GRAM + 1)}


class ShortItems:
    """All short items, looked for in many texts at once by the hashes of their 5-grams."""

    def __init__(self, items: Sequence[ShortItem]) -> None:
        self.items = items
        self.needed = [math.ceil(CONTAINMENT * len(item.grams)) for item in items]
        rarest = self._rarest_grams()
        self.grams, places = np.unique(np.concatenate(rarest), return_inverse=True)
        holders = np.repeat(np.arange(len(items)), [len(grams) for grams in rarest])
        self.holders = _ones(places, holders, (len(self.grams), len(items)))
        self.known = np.zeros(1 << _KNOWN_BITS, dtype=bool)
        self.known[_table_place(self.grams)] = True

    def _rarest_grams(self) -> list[np.ndarray]:
        """Of an item's n grams 0.8 n have to be there, so EVIDENCE of any n - 0.8 n + EVIDENCE are: its rarest, say."""
        shingles = shingles_of([item.joined for item in self.items], by_words=False)
        grams, places, frequency = np.unique(shingles.hashes, return_inverse=True, return_counts=True)
        of_items = [np.unique(part) for part in np.split(places, shingles.starts[1:])]
        by_rarity = [part[np.argsort(frequency[part], kind="stable")] for part in of_items]
        return [grams[part[: len(part) - needed + EVIDENCE]] for part, needed in zip(by_rarity, self.needed, strict=True)]

    def in_texts(self, joined: Sequence[str]) -> dict[int, str]:
        """Texts (folded, without spaces) with at least 0.8 of an item's 5-grams in a stretch not longer than twice the item."""
        found: dict[int, str] = {}
        for text, number in self._suspects(joined):
            item, needed = self.items[number], self.needed[number]
            if text in found or sum(gram in joined[text] for gram in item.grams) < needed:
                continue
            if _most_in_one_place(joined[text], item) >= needed:
                found[text] = item.name
        return found

    def _suspects(self, joined: Sequence[str]) -> list[tuple[int, int]]:
        """Texts and items of whose rarest grams they hold enough, wherever those stand."""
        shingles = shingles_of(joined, by_words=False)
        known = self.known[_table_place(shingles.hashes)]
        hashes, texts = shingles.hashes[known], shingles.owners[known]
        places = np.minimum(np.searchsorted(self.grams, hashes), len(self.grams) - 1)
        same = self.grams[places] == hashes
        common = (_ones(texts[same], places[same], (len(joined), len(self.grams))) @ self.holders).tocoo()
        enough = common.data >= EVIDENCE
        return sorted(zip(common.row[enough].tolist(), common.col[enough].tolist(), strict=True))


@dataclass
class HeldOut:
    """What every item of the test sets looks like to a search. An item's name is its test set's."""

    runs: dict[str, str] = field(default_factory=dict)  # 13 folded words -> item
    probes: set[str] = field(default_factory=set)  # every 7 words of the runs
    whole: dict[str, str] = field(default_factory=dict)  # a very short item without spaces -> item
    short: ShortItems | None = None

    @classmethod
    def of(cls, items: Iterable[tuple[str, str, Sequence[str]]]) -> HeldOut:
        """An index of (test set, question, longer texts that belong to it); of the latter only runs are looked for."""
        index = cls()
        short: list[ShortItem] = []
        for name, question, others in items:
            short += index._add_question(name, normalise(question))
            for text in (question, *others):
                index._add_runs(name, normalise(text))
        index.short = ShortItems(short) if short else None
        return index

    def match(self, text: str) -> str | None:
        """The test set of an item that a normalised text contains, or None."""
        return self.matches([text])[0]

    def matches(self, texts: Sequence[str]) -> list[str | None]:
        """The same of many texts, which is much faster."""
        if not self.runs and not self.short and not self.whole:
            return [None] * len(texts)
        parts = [texts[start : start + _TEXTS_AT_ONCE] for start in range(0, len(texts), _TEXTS_AT_ONCE)]
        return [name for part in parts for name in self._matches(part)]

    def _matches(self, texts: Sequence[str]) -> list[str | None]:
        spelled = [spellings(text) for text in texts]
        joined = [spelling[0].replace(" ", "") for spelling in spelled]
        short: Mapping[int, str] = self.short.in_texts(joined) if self.short else {}
        in_runs = (next(filter(None, (self._run_in(words.split()) for words in spelling)), None) for spelling in spelled)
        return [run or self.whole.get(joined[text]) or short.get(text) for text, run in enumerate(in_runs)]

    def _run_in(self, words: list[str]) -> str | None:
        for start in range(0, len(words) - PROBE + 1, PROBE):
            if " ".join(words[start : start + PROBE]) in self.probes:
                around = words[max(0, start + PROBE - RUN) : start + RUN]
                if run := next((run for run in _stretches(around, RUN) if run in self.runs), None):
                    return self.runs[run]
        return None

    def _add_runs(self, name: str, text: str) -> None:
        for words in spellings(text):
            parts = words.split()
            for run in _stretches(parts, RUN):
                self.runs.setdefault(run, name)
            if len(parts) >= RUN:
                self.probes.update(_stretches(parts, PROBE))

    def _add_question(self, name: str, text: str) -> list[ShortItem]:
        """The item to look for by its grams, if this question is one."""
        words = len(text.split())
        joined = fold(text).replace(" ", "")
        if not joined or words >= 2 * RUN:
            return []
        if words < MIN_WORDS_FOR_CONTAINMENT or len(joined) < 2 * GRAM:
            self.whole.setdefault(joined, name)
            return []
        return [ShortItem(name, joined)]


def _table_place(hashes: np.ndarray) -> np.ndarray:
    return hashes >> np.uint64(64 - _KNOWN_BITS)


def _ones(rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int]) -> csr_array:
    """A sparse matrix with a 1 at these places, however often each is named."""
    matrix = csr_array((np.ones(len(rows), dtype=np.int32), (rows, columns)), shape=shape)
    matrix.sum_duplicates()
    matrix.data[:] = 1
    return matrix


def _stretches(words: list[str], length: int) -> Iterable[str]:
    return (" ".join(words[i : i + length]) for i in range(len(words) - length + 1))


def _most_in_one_place(joined: str, item: ShortItem) -> int:
    """The largest number of the item's distinct grams in a stretch of the text twice as long as the item."""
    own, width = item.grams, 2 * len(item.joined)
    grams = ((i, joined[i : i + GRAM]) for i in range(len(joined) - GRAM + 1))
    found = [(position, gram) for position, gram in grams if gram in own]
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
