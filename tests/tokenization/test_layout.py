"""Windows and packing lose nothing, add nothing but BOS, and stay within the context."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.tokenization.layout import laid_out_length, pack, windows

BOS = 1
BODY = st.lists(st.integers(2, 99), max_size=200)
CONTEXT = st.integers(2, 40)


@given(BODY.filter(bool), CONTEXT)
def test_windows_give_a_document_back_and_each_starts_with_bos_once(body: list[int], context: int) -> None:
    found = windows(np.array([BOS, *body], dtype=np.int32), context, BOS)
    assert [token for window in found for token in window[1:]] == body
    assert all(window[0] == BOS and BOS not in window[1:] and len(window) <= context for window in found)
    assert all(len(window) == context for window in found[:-1])
    assert sum(map(len, found)) == laid_out_length(1 + len(body), context, has_bos=True)


@given(BODY, CONTEXT)
def test_windows_without_bos_are_the_document_cut_up(body: list[int], context: int) -> None:
    found = windows(np.array(body, dtype=np.int32), context, None)
    assert [token for window in found for token in window] == body
    assert sum(map(len, found)) == laid_out_length(len(body), context, has_bos=False)


@given(st.lists(st.integers(1, 50), max_size=100), st.integers(50, 120))
def test_every_piece_is_packed_once_and_no_sequence_is_too_long(lengths: list[int], context: int) -> None:
    plan = pack(lengths, context)
    assert sorted(piece for pieces in plan for piece in pieces) == list(range(len(lengths)))
    assert all(sum(lengths[piece] for piece in pieces) <= context for pieces in plan)


def test_packing_leaves_hardly_any_room() -> None:
    """Lengths like those of MF3QA pairs: 200 tokens on average, log-normal."""
    source = random.Random(1)
    lengths = [min(1024, max(20, round(source.lognormvariate(5.1, 0.6)))) for _ in range(5000)]
    assert sum(lengths) / (1024 * len(pack(lengths, 1024))) > 0.97


def test_a_piece_longer_than_the_context_is_refused() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        pack([5], 4)
