"""Finds near-duplicates: bands of signatures propose pairs, the exact Jaccard of their shingles decides.

Proposing needs 128 bytes a text (256 for one of 60 to 75 words) and about 20 µs; comparing a proposed pair of 100 words,
its texts read and folded, about 0.1 ms.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from pipelines.clean.folding import fold_all
from pipelines.clean.identity import hash64
from pipelines.clean.shingles import SHORT_WORDS, shingles_of, word_count
from pipelines.clean.signatures import BAND_VALUES, BANDS, VALUES

# A band is found in eight bytes: its own five and the three that follow, by which its rows are sorted. So near-duplicates
# stand close to each other among thousands of rows of one template, and only so many neighbours have to be looked at.
_BAND_KEY = ">u8"
_REACH = 20
_PAIRS_AT_ONCE = 1 << 16
_DEVIATIONS = 3.3  # of a pair at the threshold, 1 of 2,000 has an estimate that is lower than that
NO_PAIRS = np.empty((0, 2), dtype=np.int64)


def exact_hash(folded: str) -> int:
    """The same for texts that differ in no letter or digit; 0 for a text without any."""
    return hash64(folded) if folded else 0


def firsts(hashes: np.ndarray) -> np.ndarray:
    """The first row of every text that has a letter, in the order of the texts' hashes: whatever the order of the rows."""
    values, rows = np.unique(hashes, return_index=True)
    return rows[values != 0]


def proposed(signatures: np.ndarray, threshold: float) -> np.ndarray:
    """Pairs of rows of signatures, shape (rows, 128), that may have a Jaccard of the threshold: (pairs, 2), int64, sorted."""
    needed = VALUES * threshold - _DEVIATIONS * math.sqrt(VALUES * threshold * (1 - threshold))
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # numpy sorts and compares without the interpreter's lock
        bands = pool.map(partial(_alike, signatures, needed), range(BANDS))
        found = [pairs for band in bands for pairs in band]
    return np.unique(np.concatenate(found), axis=0) if found else NO_PAIRS


def near(pairs: np.ndarray, texts_of: Callable[[np.ndarray], Sequence[str]], threshold: float, by_words: bool) -> np.ndarray:
    """Those of the pairs whose exact Jaccard is at least the threshold. `texts_of` gives the texts of sorted rows.

    By characters only pairs with a short text are compared: two longer ones are compared by words, and never both ways.
    """
    if not len(pairs):
        return NO_PAIRS
    rows, places = np.unique(pairs, return_inverse=True)
    folded = fold_all(texts_of(rows))
    long = np.array([word_count(text) >= SHORT_WORDS for text in folded])
    alike = shingles_of(folded, by_words).jaccard(places.reshape(-1, 2)) >= threshold
    return pairs[alike & (long[places.reshape(-1, 2)].all(axis=1) == by_words)]


def clusters(hashes: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """For every row the smallest row that it is joined with, by equal hashes or by pairs. A row whose hash is 0 is alone."""
    _, first, places = np.unique(hashes, return_index=True, return_inverse=True)
    equal = np.flatnonzero(hashes != 0)
    return joined(len(hashes), np.concatenate([pairs, np.stack([first[places[equal]], equal], axis=1)]))


def joined(size: int, pairs: np.ndarray) -> np.ndarray:
    """For every row the smallest of all that pairs join it with, directly or by others."""
    graph = coo_array((np.ones(len(pairs), dtype=np.int8), (pairs[:, 0], pairs[:, 1])), shape=(size, size))
    _, labels = connected_components(graph, directed=False)
    _, smallest = np.unique(labels, return_index=True)
    return smallest[labels]


def _alike(signatures: np.ndarray, needed: float, band: int) -> list[np.ndarray]:
    """Pairs of rows that share a band, and agree in so many values."""
    return [pairs[_agreeing(signatures, pairs) >= needed] for pairs in _sharing(signatures, band)]


def _sharing(signatures: np.ndarray, band: int) -> Iterator[np.ndarray]:
    """Pairs of rows that share a band, the smaller row first: all of a small group, close neighbours in a large one."""
    start = band * BAND_VALUES
    keys = np.ascontiguousarray(signatures[:, start : start + 8]).view(_BAND_KEY).ravel().astype(np.uint64)
    order = np.argsort(keys, kind="stable")
    bands = keys[order] >> np.uint64(24)
    for distance in range(1, _REACH + 1):
        places = np.flatnonzero(bands[distance:] == bands[:-distance])
        if not len(places):
            return
        pairs = np.sort(np.stack([order[places], order[places + distance]], axis=1), axis=1)
        yield from np.split(pairs, range(_PAIRS_AT_ONCE, len(pairs), _PAIRS_AT_ONCE))


def _agreeing(signatures: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """In how many values the two rows of each pair agree."""
    return np.count_nonzero(signatures[pairs[:, 0]] == signatures[pairs[:, 1]], axis=1)
