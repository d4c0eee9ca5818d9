"""Windows and packing lose nothing, add nothing but BOS, and stay within the context."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.tables import CORPUS_TRAIN, QA_TRAIN
from pipelines.tokenization.encoding import NO_LABEL, encode_pairs
from pipelines.tokenization.layout import laid_out_length, pack, sequences, windows
from serving.engines.models import load_tokenizer
from tests.tiny_models import tiny_gemma3

BOS = 1
BODY = st.lists(st.integers(2, 99), min_size=1, max_size=60)
BODIES = st.lists(BODY, min_size=1, max_size=8)
CONTEXT = st.integers(2, 40)
LAYOUT = st.sampled_from(["windows", "packed"])


def documents(bodies: list[list[int]], prompts: list[int] | None = None) -> pa.Table:
    """As they are when they are laid out, in two chunks as tables from two files are."""
    columns = {
        "id": [f"d{number}" for number in range(len(bodies))],
        "source": [f"s{number % 2}" for number in range(len(bodies))],
        "prompt": pa.array(prompts or [0] * len(bodies), pa.int32()),
        "input_ids": pa.array(bodies, pa.list_(pa.int32())),
    }
    whole = pa.table(columns)
    return pa.concat_tables([whole.slice(0, 1), whole.slice(1)])


def by_hand(body: list[int], context: int, bos: int | None) -> list[list[int]]:
    """A document's windows, one after the other."""
    if bos is None:
        return [body[start : start + context] for start in range(0, len(body), context)]
    return [[bos, *body[1:][start : start + context - 1]] for start in range(0, len(body) - 1, context - 1)]


def pieces(table: pa.Table) -> Iterator[tuple[str, str, list[int], list[int]]]:
    """Id, source, tokens and labels of every document's part in every sequence."""
    for row in table.to_pylist():
        start = 0
        for name, source, length in zip(row["ids"], row["sources"], row["document_lengths"], strict=True):
            yield name, source, row["input_ids"][start : start + length], row["labels"][start : start + length]
            start += length
        assert start == len(row["input_ids"]) == len(row["labels"])


@given(BODIES, CONTEXT, LAYOUT, st.booleans())
def test_sequences_hold_the_windows_of_every_document(bodies: list[list[int]], context: int, layout: str, has_bos: bool) -> None:
    bos = BOS if has_bos else None
    texts = [[BOS, *body] for body in bodies] if has_bos else bodies
    table = sequences(CORPUS_TRAIN, documents(texts), context, layout, bos)
    assert table.schema == CORPUS_TRAIN.schema
    expected = [(f"d{n}", f"s{n % 2}", window, window) for n, text in enumerate(texts) for window in by_hand(text, context, bos)]
    found = list(pieces(table))
    assert found == expected if layout == "windows" else sorted(found) == sorted(expected)
    assert all(len(row) <= context for row in table["input_ids"].to_pylist())
    assert layout == "packed" or all(len(row) == 1 for row in table["ids"].to_pylist())
    laid_out = sum(laid_out_length(len(text), context, has_bos=has_bos) for text in texts)
    assert laid_out == sum(len(tokens) for _, _, tokens, _ in found)


@given(st.lists(st.lists(st.integers(2, 99), min_size=2, max_size=20), min_size=1, max_size=8), LAYOUT, st.data())
def test_nothing_of_a_prompt_is_a_label(pairs: list[list[int]], layout: str, data: st.DataObject) -> None:
    prompts = [data.draw(st.integers(1, len(pair) - 1)) for pair in pairs]
    table = sequences(QA_TRAIN, documents(pairs, prompts), 20, layout, None)
    for name, _, tokens, labels in pieces(table):
        number = int(name[1:])
        assert tokens == pairs[number]
        assert labels == [NO_LABEL] * prompts[number] + tokens[prompts[number] :]


def test_no_documents_are_no_sequences() -> None:
    assert sequences(CORPUS_TRAIN, documents([[2]]).slice(0, 0), 8, "packed", None).num_rows == 0


@given(st.lists(st.integers(1, 50), max_size=100), st.integers(50, 120))
def test_every_window_is_packed_once_and_no_sequence_is_too_long(lengths: list[int], context: int) -> None:
    plan = pack(lengths, context)
    assert sorted(window for together in plan for window in together) == list(range(len(lengths)))
    assert all(sum(lengths[window] for window in together) <= context for together in plan)


def test_a_window_longer_than_the_context_is_refused() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        pack([5], 4)


def fill(lengths: list[int], context: int) -> dict[str, float]:
    """Which share of the positions holds a token: packed, padded to the longest of two as they come, in fixed windows."""
    cut = windows(np.array(lengths), context, has_bos=False).length
    pairs = [max(two) * len(two) for two in (cut[n : n + 2] for n in range(0, len(cut), 2))]
    return {
        "packed": cut.sum() / (context * len(pack(cut, context))),
        "pairs": cut.sum() / sum(pairs),
        "fixed": cut.sum() / (context * len(cut)),
    }


def test_packing_leaves_hardly_any_room() -> None:
    """Lengths like those of MF3QA pairs: 200 tokens on average, log-normal."""
    source = random.Random(1)
    found = fill([min(1024, max(20, round(source.lognormvariate(5.1, 0.6)))) for _ in range(5000)], 1024)
    assert found["packed"] >= 0.97 > found["pairs"] > found["fixed"]


def test_packing_published_pairs_leaves_hardly_any_room(published: Path, tmp_path: Path) -> None:
    tokenizer: Any = load_tokenizer(tiny_gemma3(tmp_path))
    rows = pq.read_table(published / "forum_drhast.parquet", columns=["question", "answer"]).slice(0, 1000).to_pylist()
    examples = encode_pairs(tokenizer, [(row["question"], row["answer"]) for row in rows if all(row.values())], 1024)
    assert fill([len(example.input_ids) for example in examples if example], 1024)["packed"] >= 0.97
