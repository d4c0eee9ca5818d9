"""Finds short items of test sets in texts: most of an item in one place, or all of it but for a word; 0.1 ms a text.

Both are looked for in texts without spaces, so that ZWNJ, space or nothing between the parts of a word makes no difference.
Of an item of under 13 words a changed word is often more than a fifth, which a share of its 5-grams cannot forgive; but it
leaves the first half of the item or the second as it was, and from there the rest is read word by word.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate

from pipelines.clean.everyday import say_something
from pipelines.clean.rare_grams import RareGrams
from pipelines.clean.shingles import SHINGLE as GRAM
from pipelines.clean.testsets import HeldOutItem

CONTAINMENT = 0.8
LONGEST_WORD = 12  # characters that may stand in the place of the changed word
INTACT = 14  # characters that have to be left beside it


@dataclass(frozen=True)
class ShortItem:
    """An item by its question: at least two words and GRAM characters."""

    item: HeldOutItem
    words: tuple[str, ...]  # folded

    @cached_property
    def joined(self) -> str:
        return "".join(self.words)

    @cached_property
    def grams(self) -> set[str]:
        return {self.joined[i : i + GRAM] for i in range(len(self.joined) - GRAM + 1)}

    @property
    def share(self) -> float:
        """How much of its grams make a copy: all of them where it has none but everyday words."""
        return CONTAINMENT if say_something(self.words, 0) else 1.0

    @property
    def middle(self) -> int:
        """The number of words in the first half: the halves are about equal in characters."""
        ends = list(accumulate(map(len, self.words)))[:-1]
        return 1 + min(range(len(ends)), key=lambda place: abs(2 * ends[place] - len(self.joined)))


@dataclass
class Half:
    """Text that some items begin with, or some end with."""

    text: str
    is_first: bool
    items: list[ShortItem] = field(default_factory=list)

    def item_around(self, joined: str) -> ShortItem | None:
        """An item that has this half and is in the text but for a word."""
        places = list(_places(joined, self.text))
        return next((item for item in self.items if any(self._goes_on(joined, place, item) for place in places)), None)

    def _goes_on(self, joined: str, place: int, item: ShortItem) -> bool:
        first, second = item.words[: item.middle], item.words[item.middle :]
        if self.is_first:
            left = _left_of(second, joined[place + len(self.text) :][: _reach(second)])
            return left is not None and say_something([*first, *left], INTACT)
        before = joined[:place][-_reach(first) :]
        left = _left_of([word[::-1] for word in reversed(first)], before[::-1])
        return left is not None and say_something([*second, *(word[::-1] for word in left)], INTACT)


class ShortItems:
    """All short items, looked for in many texts at once."""

    def __init__(self, items: Sequence[ShortItem]) -> None:
        self.items, self.halves = items, _halves(items)
        passages = [item.joined for item in items] + [half.text for half in self.halves]
        self.index = RareGrams(passages, [item.share for item in items] + [1.0] * len(self.halves))

    def in_texts(self, joined: Sequence[str]) -> dict[int, HeldOutItem]:
        """By the number of a text (folded, without spaces) the first item found in it."""
        found: dict[int, HeldOutItem] = {}
        for text, passage in self.index.suspects(joined):
            if text not in found and (item := self._look(joined[text], passage)):
                found[text] = item.item
        return found

    def _look(self, joined: str, passage: int) -> ShortItem | None:
        """What a suspicion comes to."""
        if passage >= len(self.items):
            return self.halves[passage - len(self.items)].item_around(joined)
        item = self.items[passage]
        return item if _is_mostly_in(joined, item) else None


def _halves(items: Sequence[ShortItem]) -> list[Half]:
    """Those that are long enough to be looked for."""
    halves: dict[tuple[str, bool], Half] = {}
    for item in items:
        for words, is_first in ((item.words[: item.middle], True), (item.words[item.middle :], False)):
            text = "".join(words)
            if len(text) >= GRAM:
                halves.setdefault((text, is_first), Half(text, is_first)).items.append(item)
    return list(halves.values())


def _places(text: str, part: str) -> Iterator[int]:
    """Where the part begins in the text, every time."""
    place = text.find(part)
    while place >= 0:
        yield place
        place = text.find(part, place + 1)


def _reach(words: Sequence[str]) -> int:
    return sum(map(len, words)) + LONGEST_WORD


def _left_of(words: Sequence[str], joined: str) -> Sequence[str] | None:
    """Those of the words that the text begins with, if it does but for one, which is changed, missing or added."""
    known = 0
    while known < len(words) and joined.startswith(words[known]):
        joined, known = joined[len(words[known]) :], known + 1
    for others in (words[known:], words[known + 1 :]):
        rest = "".join(others)
        if joined.find(rest, 0, len(rest) + LONGEST_WORD) >= 0:
            return [*words[:known], *others]
    return None


def _is_mostly_in(joined: str, item: ShortItem) -> bool:
    """Whether a stretch of the text not longer than twice the item holds most of the item's grams."""
    needed = math.ceil(item.share * len(item.grams))
    return sum(gram in joined for gram in item.grams) >= needed and _most_in_one_place(joined, item) >= needed


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
