"""Tokens of a tokenizer, from a sample: so many texts are encoded, and their tokens a word estimate the whole.

About a million tokens a second. Of every text encoded only numbers are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from typing import Any

from pipelines.clean.identity import hash64

CountTokens = Callable[[Sequence[str]], list[int]]
_Z = 1.959964  # of a two-sided interval of 95%


def token_counter(model: str) -> CountTokens:
    """Counts the tokens of texts, without those that only begin or end a sequence. Raises UserError for an unknown model."""
    from serving.engines.models import load_tokenizer, local_model

    tokenizer = load_tokenizer(local_model(model))

    def count(texts: Sequence[str]) -> list[int]:
        return [len(ids) for ids in tokenizer(list(texts), add_special_tokens=False)["input_ids"]] if texts else []

    return count


def is_here(model: str) -> bool:
    """Whether a model's tokenizer can be had on this machine without a download."""
    from serving.engines.entries import entries
    from serving.engines.hub import HubId, cached

    entry = entries().get(model)
    if (entry and entry.gguf) or Path(model).expanduser().is_dir():
        return True
    name = HubId.parse(entry.hub if entry and entry.hub else model)
    return name is not None and cached(name) is not None


def in_sample(row_id: str, wanted: int, rows: int) -> bool:
    """Whether a row is one of about `wanted` among `rows`, by a hash of its id: the same ones in every pass."""
    return wanted >= rows or hash64(f"tokens:{row_id}") < wanted / rows * 2**64


@dataclass
class TokenSample:
    """Sums over the encoded texts, which are all that an estimate needs."""

    texts: int = 0
    tokens: int = 0
    words: int = 0
    tokens_squared: int = 0
    words_squared: int = 0
    tokens_times_words: int = 0

    def add(self, tokens: int, words: int) -> None:
        self.texts += 1
        self.tokens += tokens
        self.words += words
        self.tokens_squared += tokens**2
        self.words_squared += words**2
        self.tokens_times_words += tokens * words

    def estimate(self, texts: int, words: int) -> dict[str, Any] | None:
        """Tokens of all `texts`, which have so many words, with a 95% interval; None when nothing was encoded.

        The ratio estimator (Cochran, Sampling Techniques, 1977, section 6.3), exact when every text was encoded.
        """
        if not self.words:
            return None
        ratio = self.tokens / self.words
        squares = self.tokens_squared - 2 * ratio * self.tokens_times_words + ratio**2 * self.words_squared
        unseen = 1 - self.texts / texts
        error = sqrt(max(0.0, unseen * squares / max(1, self.texts - 1) / self.texts)) * texts if unseen else 0.0
        value = ratio * words
        return {
            "tokens": round(value),
            "low": round(value - _Z * error),
            "high": round(value + _Z * error),
            "a_word": ratio,
            "texts": self.texts,
            "sampled": self.texts < texts,
        }
