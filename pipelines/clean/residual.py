"""How much the redaction misses, measured on labelled sentences, with its interval.

A labelled sentence marks what identifies a person as `{kind|as it is written}`, with the kinds of `privacy.PLACEHOLDERS`;
a sentence without a mark holds nothing to redact, however much its numbers look like it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from math import sqrt
from pathlib import Path

from pipelines.clean.normalise import normalise
from pipelines.clean.privacy import PLACEHOLDERS, redact

NUMBERS_AND_EMAIL = ("mobile", "landline", "phone", "national-id", "card", "iban", "medical-council", "email")

_MARK = re.compile(r"\{(?P<kind>[a-z-]+)\|(?P<secret>[^{}]+)\}")
_Z = 1.959964  # of a two-sided interval of 95%

SAMPLES = Path(__file__).parent / "samples"


def labelled_samples() -> dict[str, list[str]]:
    """The labelled sentences that this project wrote: `first` was in sight when the rules were written, `second` was not."""
    names = ("first", "second")
    texts = ((SAMPLES / f"privacy_{name}.txt").read_text(encoding="utf-8") for name in names)
    return {name: [line for line in text.splitlines() if line.strip()] for name, text in zip(names, texts, strict=True)}


@dataclass
class Residual:
    """What redacting the labelled sentences came to, by kind."""

    labelled: Counter[str] = field(default_factory=Counter)
    missed: Counter[str] = field(default_factory=Counter)  # something of it is still there
    redacted: Counter[str] = field(default_factory=Counter)  # placeholders, right ones or not
    wrong: Counter[str] = field(default_factory=Counter)  # placeholders that no label asked for
    misses: list[str] = field(default_factory=list)  # sentences with a miss or a wrong placeholder

    def rate(self, *kinds: str) -> tuple[float, float, float]:
        """The share of labelled identifiers of these kinds (of all, without any) that stays, and its 95% interval."""
        return with_interval(*(sum(counts[kind] for kind in kinds or counts) for counts in (self.missed, self.labelled)))

    def precision(self, *kinds: str) -> tuple[float, float, float]:
        """The share of placeholders of these kinds (of all, without any) that a label asked for, and its 95% interval."""
        wrong, redacted = (sum(counts[kind] for kind in kinds or counts) for counts in (self.wrong, self.redacted))
        return with_interval(redacted - wrong, redacted)


def residual(sentences: Iterable[str]) -> Residual:
    """Redact labelled sentences, as the funnel does after normalising, and count. Raises ValueError for a kind that is none."""
    result = Residual()
    for sentence in filter(str.strip, sentences):
        _count(normalise(sentence), result)
    return result


def with_interval(successes: int, trials: int) -> tuple[float, float, float]:
    """A share with its Wilson score interval of 95% (Wilson 1927, JASA 22); of nothing tried 0 in [0, 1]."""
    if not trials:
        return 0.0, 0.0, 1.0
    share = successes / trials
    centre = share + _Z**2 / (2 * trials)
    half = _Z * sqrt(share * (1 - share) / trials + _Z**2 / (4 * trials**2))
    scale = 1 + _Z**2 / trials
    return share, max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale)


def _count(sentence: str, result: Residual) -> None:
    labels = [(mark["kind"], mark["secret"]) for mark in _MARK.finditer(sentence)]
    if unknown := {kind for kind, _ in labels} - PLACEHOLDERS.keys():
        raise ValueError(f"no kind of identifier: {', '.join(sorted(unknown))}; known are {', '.join(PLACEHOLDERS)}")
    redacted, found = redact(_MARK.sub(r"\g<secret>", sentence))
    kept = _MARK.split(sentence)[::3]  # what stands around the identifiers
    asked = Counter(kind for kind, _ in labels)
    missed = Counter(kind for kind, secret in labels if _remains(secret, redacted))
    result.labelled += asked
    result.missed += missed
    result.redacted += found
    result.wrong += found - asked
    damaged = bool(found) and not found - asked and _lost_words(kept, redacted)
    if damaged:  # a placeholder of the right kind took more than it should
        result.wrong[next(iter(found))] += 1
    if missed or damaged or found != asked:
        result.misses.append(f"{sentence} -> {redacted}")


def _remains(secret: str, redacted: str) -> bool:
    """Whether any run of four letters or digits of it is still there."""
    runs = re.findall(r"\w{4,}", secret) or re.findall(r"\w+", secret)
    return secret in redacted or any(run in redacted for run in runs)


def _lost_words(kept: list[str], redacted: str) -> bool:
    return any(word not in redacted for part in kept for word in re.findall(r"\w+", part))
