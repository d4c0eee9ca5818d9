"""Finds test items of a few words, which many texts hold by chance: only a text that is nothing else is a copy; 1 µs a text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from pipelines.clean.everyday import say_something
from pipelines.clean.testsets import HeldOutItem

INTACT = 7  # characters that have to be left beside a changed word
LONGEST_TEXT = 8  # words, since the parts of one may be parted


@dataclass
class WholeItems:
    """Items by what they are without spaces, and by that with a gap for any one word."""

    whole: dict[str, HeldOutItem] = field(default_factory=dict)
    gapped: dict[tuple[str, str], HeldOutItem] = field(default_factory=dict)

    def add(self, item: HeldOutItem, words: Sequence[str]) -> None:
        """`words`: the item's question, folded."""
        self.whole.setdefault("".join(words), item)
        for place in range(len(words)):
            if say_something([*words[:place], *words[place + 1 :]], INTACT):
                self.gapped.setdefault(_gapped(words, place), item)

    def match(self, folded: str, joined: str) -> HeldOutItem | None:
        """The item that a text is, as it stands or with one word changed, missing or added; folded, and without its spaces."""
        if folded.count(" ") >= LONGEST_TEXT:
            return self.whole.get(joined)
        return self.whole.get(joined) or next(self._but_for_a_word(folded.split()), None)

    def _but_for_a_word(self, words: Sequence[str]) -> Iterator[HeldOutItem]:
        for place in range(len(words)):
            changed, missing = _gapped(words, place), ("".join(words[:place]), "".join(words[place:]))
            added = "".join(changed) if say_something([*words[:place], *words[place + 1 :]], INTACT) else ""
            for found in (self.gapped.get(changed), self.gapped.get(missing), self.whole.get(added)):
                if found:
                    yield found


def _gapped(words: Sequence[str], place: int) -> tuple[str, str]:
    return "".join(words[:place]), "".join(words[place + 1 :])
