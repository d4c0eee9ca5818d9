"""From tokens to text while they arrive: incremental decoding and stop strings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

CONTEXT_TOKENS = 6  # of the prompt before the answer: a tokenizer may write a first token differently (no space before it)


class TextStream:
    """Decodes tokens one after the other; incomplete characters wait for their other bytes. O(1) a token."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, prompt_ids: Sequence[int]) -> None:
        self.tokenizer = tokenizer
        self._ids = list(prompt_ids[-CONTEXT_TOKENS:])
        self._start, self._shown = 0, len(self._ids)  # decoding window; tokens whose text was given out

    def add(self, token_ids: Sequence[int]) -> str:
        """The text that these tokens add."""
        self._ids += token_ids
        text = self._new_text()
        if not text or text.endswith("\ufffd"):
            return ""
        self._start, self._shown = self._shown, len(self._ids)
        return text

    def rest(self) -> str:
        """What was held back, once nothing more comes."""
        return self._new_text()

    def _new_text(self) -> str:
        before = self._decode(self._ids[self._start : self._shown])
        return self._decode(self._ids[self._start :])[len(before) :]

    def _decode(self, ids: Sequence[int]) -> str:
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False))


class StopFilter:
    """Holds text back as long as it could be the beginning of a stop string."""

    def __init__(self, stops: Sequence[str]) -> None:
        self.stops = tuple(stops)
        self.stopped = False
        self._held = ""

    def add(self, text: str) -> str:
        """The text that can be shown now; sets `stopped` when a stop string came, which is not shown itself."""
        text = self._held + text
        found = [place for place in (text.find(stop) for stop in self.stops) if place >= 0]
        if found:
            self.stopped, self._held = True, ""
            return text[: min(found)]
        keep = max((self._overlap(text, stop) for stop in self.stops), default=0)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def rest(self) -> str:
        """What is still held back, once nothing more comes."""
        held, self._held = self._held, ""
        return held

    @staticmethod
    def _overlap(text: str, stop: str) -> int:
        """Length of the longest end of `text` that `stop` begins with."""
        longest = min(len(text), len(stop) - 1)
        return next((n for n in range(longest, 0, -1) if stop.startswith(text[-n:])), 0)
