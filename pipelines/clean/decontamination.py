"""Finds texts that contain an item of a test set: a 13-word run, or a short item but for a word; 0.1 ms a text.

13-word runs as in GPT-3 (arXiv 2005.14165, appendix C). Half of all test questions are shorter, and one changed word can
leave an item of under 26 words without any run: those are looked for as `short_items.py` says.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pipelines.clean.folding import fold, spell_all, spellings
from pipelines.clean.normalise import normalise
from pipelines.clean.shingles import SHINGLE as GRAM
from pipelines.clean.short_items import ShortItem, ShortItems
from pipelines.clean.testsets import HeldOutItem
from pipelines.clean.whole_items import WholeItems

RUN = 13
PROBE = 7  # any 13 words hold 7 that start at a multiple of 7, so only those have to be looked up
# Shorter items are everyday phrases ("what is diabetes?"): only a text that is nothing else counts as a copy.
MIN_WORDS_IN_A_TEXT = 5
_TEXTS_AT_ONCE = 200
_PROBES = re.compile(rf"[^ ]++(?: [^ ]++){{0,{PROBE - 1}}}")  # the words of a folded text, PROBE at a time


@dataclass
class HeldOut:
    """What every item of the test sets looks like to a search; of items that look the same, the first."""

    runs: dict[str, HeldOutItem] = field(default_factory=dict)  # by 13 folded words
    probes: set[str] = field(default_factory=set)  # every 7 words of the runs
    whole: WholeItems = field(default_factory=WholeItems)
    short: ShortItems | None = None

    @classmethod
    def of(cls, items: Iterable[HeldOutItem]) -> HeldOut:
        """An index of items. Of the texts that belong to one only runs are looked for."""
        index = cls()
        short: list[ShortItem] = []
        for item in items:
            short += index._add_question(item, normalise(item.question))
            for text in (item.question, *item.others):
                index._add_runs(item, normalise(text))
        index.short = ShortItems(short) if short else None
        return index

    def match(self, text: str) -> HeldOutItem | None:
        """An item that a normalised text contains, or None."""
        return self.matches([text])[0]

    def matches(self, texts: Sequence[str]) -> list[HeldOutItem | None]:
        """The same of many texts, which is much faster."""
        if not self.runs and not self.short and not self.whole.whole:
            return [None] * len(texts)
        parts = [texts[start : start + _TEXTS_AT_ONCE] for start in range(0, len(texts), _TEXTS_AT_ONCE)]
        return [item for part in parts for item in self._matches(part)]

    def _matches(self, texts: Sequence[str]) -> list[HeldOutItem | None]:
        spelled = spell_all(texts)
        joined = [spelling[0].replace(" ", "") for spelling in spelled]
        short: Mapping[int, HeldOutItem] = self.short.in_texts(joined) if self.short else {}
        in_runs = (next(filter(None, map(self._run_in, spelling)), None) for spelling in spelled)
        return [run or self.whole.match(spelled[text][0], joined[text]) or short.get(text) for text, run in enumerate(in_runs)]

    def _run_in(self, folded: str) -> HeldOutItem | None:
        if self.probes.isdisjoint(probes := _PROBES.findall(folded)):
            return None
        words = folded.split()
        for start in (PROBE * place for place, probe in enumerate(probes) if probe in self.probes):
            around = words[max(0, start + PROBE - RUN) : start + RUN]
            if run := next((run for run in _stretches(around, RUN) if run in self.runs), None):
                return self.runs[run]
        return None

    def _add_runs(self, item: HeldOutItem, text: str) -> None:
        for words in spellings(text):
            parts = words.split()
            for run in _stretches(parts, RUN):
                self.runs.setdefault(run, item)
            if len(parts) >= RUN:
                self.probes.update(_stretches(parts, PROBE))

    def _add_question(self, item: HeldOutItem, text: str) -> list[ShortItem]:
        """The short item to look for, if this question is one."""
        words = tuple(fold(text).split())
        joined = "".join(words)
        if not joined or len(words) >= 2 * RUN:
            return []
        if len(words) < MIN_WORDS_IN_A_TEXT or len(joined) < 2 * GRAM:
            self.whole.add(item, words)
            return []
        return [ShortItem(item, words)]


def _stretches(words: list[str], length: int) -> Iterable[str]:
    return (" ".join(words[i : i + length]) for i in range(len(words) - length + 1))
