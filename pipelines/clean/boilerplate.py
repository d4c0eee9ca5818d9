"""Finds answers that are put together from sentences which many others have, too: 10 µs and 80 bytes an answer.

A task leaves the hashes of an answer's sentences; only all of them together tell which are common. Of the answers made of the
same common sentences the best one stays.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.clean.answers import SENTENCE_END
from pipelines.clean.duplicates import firsts
from pipelines.clean.identity import hash64
from pipelines.clean.normalise import count_words
from pipelines.clean.ranking import Ranking

MIN_WORDS = 4  # of a sentence; shorter ones are turns of phrase


def sentences_of(answer: str) -> tuple[list[int], list[int]]:
    """Hashes of a normalised answer's longer sentences, each once, and the number of words in each."""
    sentences = [(count_words(sentence), sentence) for sentence in map(str.strip, SENTENCE_END.split(answer))]
    words = {hash64(sentence): number for number, sentence in sentences if number >= MIN_WORDS}
    return list(words), list(words.values())


def repeating(
    sentences: pa.ListArray,
    lengths: pa.ListArray,
    texts: np.ndarray,
    words: np.ndarray,
    ranking: Ranking,
    *,
    least: int,
    most: float,
) -> np.ndarray:
    """Which answers only repeat: more than `most` of their words are in common sentences that better answers have, which stay.

    A sentence is common when at least `least` different answers have it; `texts` are their hashes, so that copies count once.
    `sentences` and `lengths`: hashes and words of the sentences of each answer; `words` of each answer. Shape (answers,).
    """
    owners = np.repeat(np.arange(len(texts)), pc.list_value_length(sentences).to_numpy(zero_copy_only=False))
    hashes, sizes = sentences.flatten().to_numpy(), lengths.flatten().to_numpy()
    _, places = np.unique(hashes, return_inverse=True)
    counts = np.bincount(places[np.isin(owners, firsts(texts))], minlength=places.max(initial=-1) + 1)
    common = counts[places] >= least
    share = np.bincount(owners, sizes * common, minlength=len(texts)) / np.maximum(words, 1)
    repeats = np.zeros(len(texts), dtype=bool)
    said: set[int] = set()
    starts = sentences.offsets.to_numpy() - sentences.offsets[0].as_py()
    for answer in ranking.best_first(np.flatnonzero(share > most)).tolist():
        own = slice(starts[answer], starts[answer + 1])
        known = [place in said for place in places[own].tolist()]
        repeats[answer] = int(sizes[own][known].sum()) > most * words[answer]
        if not repeats[answer]:
            said.update(places[own][common[own]].tolist())
    return repeats
