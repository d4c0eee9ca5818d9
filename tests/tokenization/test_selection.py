"""Which documents are used depends on their ids, the seed and the budget, and on nothing else."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipelines.tokenization.selection import Share, in_fraction, order_key, shares

KEYS = st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=60, unique=True)
Document = tuple[int, int]  # key, length


def parts_of(documents: list[Document], number: int) -> list[list[Document]]:
    """The documents in so many parts, each by key."""
    return [sorted(documents[part::number]) for part in range(number)]


def shared(parts: list[list[Document]], budget: int | None, size: int) -> list[list[Document]]:
    """The documents of every share."""
    keys = [np.array([key for key, _ in part], np.uint64) for part in parts]
    lengths = [np.array([length for _, length in part], np.int64) for part in parts]
    found: list[list[Document]] = []
    for share in shares(keys, lengths, budget, size):
        assert isinstance(share, Share)
        found.append(sorted(document for run in share.runs for document in parts[run.part][run.start : run.stop]))
        assert share.tokens == sum(length for _, length in found[-1])
    return found


@given(KEYS, st.data(), st.integers(1, 8), st.integers(1, 60), st.none() | st.integers(0, 500))
def test_shares_are_stretches_of_the_order_however_documents_are_parted(
    keys: list[int], data: st.DataObject, number: int, size: int, budget: int | None
) -> None:
    documents = [(key, data.draw(st.integers(1, 30))) for key in keys]
    found = shared(parts_of(documents, number), budget, size)
    assert found == shared(parts_of(documents, 1), budget, size)
    used = [document for share in found for document in share]
    order = sorted(documents)
    assert used == order[: len(used)]
    tokens = sum(length for _, length in used)
    assert budget is None or tokens <= budget
    assert len(used) == len(order) or (budget is not None and tokens + order[len(used)][1] > budget)
    # the last document of a share may pass its end, so the next one may be smaller by that document
    assert all(size - 30 < sum(length for _, length in share) < size + 30 for share in found[:-1])


def test_no_documents_are_no_shares() -> None:
    assert shares([], [], None, 10) == []


def test_a_fraction_is_of_the_documents_and_a_larger_one_only_adds() -> None:
    keys = {f"{number:016x}": order_key(1, f"{number:016x}") for number in range(10_000)}
    chosen = {fraction: {name for name, key in keys.items() if in_fraction(key, fraction)} for fraction in (0.3, 0.6, 1.0)}
    # binomial: the share of 10,000 has a standard deviation of half a percent
    assert all(abs(len(names) / len(keys) - fraction) < 0.02 for fraction, names in chosen.items())
    assert chosen[0.3] < chosen[0.6] < chosen[1.0]
    other = {name for name in keys if in_fraction(order_key(2, name), 0.6)}
    assert 0.3 < len(other & chosen[0.6]) / len(keys) < 0.42  # 0.36 where seeds are independent
