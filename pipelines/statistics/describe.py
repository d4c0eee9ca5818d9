"""Counts the kept rows, a shard at a time: by source, split and length. Only numbers stay in memory; 7 MB of text a second."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pipelines.artifact import Artifact
from pipelines.clean.paper_words import paper_words
from pipelines.clean.zwnj import ZWNJ
from pipelines.statistics.tokens import CountTokens, TokenSample, in_sample
from pipelines.tables import CORPUS, PAIRS, Table

Row = Mapping[str, Any]
TEXTS = {CORPUS: ("text",), PAIRS: ("question", "answer")}


@dataclass
class Lengths:
    """How many texts have how many words, in bins that double."""

    counts: Counter[int] = field(default_factory=Counter)  # bin n holds 2**(n-1) to 2**n - 1 words, bin 0 the empty texts

    def add(self, words: int) -> None:
        self.counts[words.bit_length()] += 1

    def bins(self) -> list[tuple[int, int]]:
        """From the first bin with a text to the last: its smallest length, and how many texts it has."""
        places = range(min(self.counts, default=0), max(self.counts, default=-1) + 1)
        return [(1 << place >> 1, self.counts[place]) for place in places]


@dataclass
class Description:
    """One table of kept rows."""

    table: Table
    total: int  # rows that will come, which says how many of them a sample takes
    count_tokens: CountTokens | None = None
    token_texts: int = 0
    rows: Counter[tuple[str, str]] = field(default_factory=Counter)  # by source and split
    words: Counter[tuple[str, str]] = field(default_factory=Counter)
    lengths: dict[str, Lengths] = field(default_factory=dict)
    tokens: TokenSample = field(default_factory=TokenSample)

    def add(self, rows: Iterable[Row]) -> None:
        sample: list[tuple[str, int]] = []
        for row in rows:
            words = 0
            for name in TEXTS[self.table]:
                length = paper_words(row[name].replace(ZWNJ, " "))  # where the sites write it, they write a space as often
                self.lengths.setdefault(name, Lengths()).add(length)
                words += length
            place = row["source"], row["split"]
            self.rows[place] += 1
            self.words[place] += words
            if self.count_tokens and in_sample(row["id"], self.token_texts, self.total):
                sample.append(("\n".join(row[name] for name in TEXTS[self.table]), words))
        if self.count_tokens:
            for (_, words), tokens in zip(sample, self.count_tokens([text for text, _ in sample]), strict=True):
                self.tokens.add(tokens, words)

    def numbers(self) -> dict[str, Any]:
        """Everything counted as plain values, the largest source first."""
        rows, words = sum(self.rows.values()), sum(self.words.values())
        return {
            "rows": rows,
            "words": words,
            "sources": self._by(lambda place: place[0], "source"),
            "splits": self._by(lambda place: place[1], "split"),
            "lengths": {name: self.lengths.get(name, Lengths()).bins() for name in TEXTS[self.table]},
            "tokens": self.tokens.estimate(rows, words),
        }

    def _by(self, key: Callable[[tuple[str, str]], str], name: str) -> list[dict[str, Any]]:
        rows: Counter[str] = Counter()
        words: Counter[str] = Counter()
        for place, number in self.rows.items():
            rows[key(place)] += number
            words[key(place)] += self.words[place]
        ordered = sorted(rows, key=lambda part: (-words[part], part))
        return [{name: part, "rows": rows[part], "words": words[part]} for part in ordered]


def descriptions(clean: Artifact, count_tokens: CountTokens | None = None, token_texts: int = 0) -> dict[Table, Description]:
    """An empty description of each table that training reads."""
    return {table: Description(table, clean.rows(table), count_tokens, token_texts) for table in TEXTS}


def describe(clean: Artifact, count_tokens: CountTokens | None = None, token_texts: int = 0) -> dict[str, dict[str, Any]]:
    """The numbers of `corpus` and of `pairs`, in one pass over their shards."""
    found = descriptions(clean, count_tokens, token_texts)
    for table, description in found.items():
        for batch in clean.batches(table, ["id", "source", "split", *TEXTS[table]]):
            description.add(batch.to_pylist())
    return {table.name: description.numbers() for table, description in found.items()}
