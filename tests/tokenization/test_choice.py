"""Every row of a clean shard is chosen or counted with its reason; what is no text is left out and harms no other row."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from pipelines.tables import CORPUS, PAIRS
from pipelines.tokenization.choice import choose

LONE_SURROGATE = b"\xd8\xb3\xed\xa0\x80"  # a letter, and what some programs write for half a character


def document(name: str, text: str | None, split: str | None = "train") -> dict[str, Any]:
    return {"id": name, "source": "s", "title": "", "text": text, "words": 1, "split": split}


def test_rows_that_are_not_used_are_counted() -> None:
    rows = [
        document("a", "متن"),
        document("b", "متن", "valid"),
        document("c", "متن", "test"),
        document("d", None),
        document("e", " \n"),
        document("f", "متن", None),
    ]
    choice = choose(CORPUS.table(rows), ["text"], seed=1, fraction=1.0)
    assert {row.id: row.split for row in choice.rows} == {"a": "train", "b": "valid"}
    assert choice.dropped == {"split-test": 1, "no-text": 2, "split-": 1}


def test_a_pair_needs_both_texts() -> None:
    texts = [("پرسش", "پاسخ"), ("پرسش", None), ("", "پاسخ")]
    rows = [
        {"id": f"p{n}", "source": "s", "question": q, "answer": a, "words": 1, "split": "train"} for n, (q, a) in enumerate(texts)
    ]
    choice = choose(PAIRS.table(rows), ["question", "answer"], seed=1, fraction=1.0)
    assert [row.texts for row in choice.rows] == [("پرسش", "پاسخ")]
    assert choice.dropped == {"no-text": 2}


def test_bytes_that_are_no_text_are_dropped_and_the_others_kept() -> None:
    table = CORPUS.table([document("a", "x"), document("b", "x"), document("c", "x")])
    texts = pa.array(["متن".encode(), LONE_SURROGATE, None], pa.binary()).view(pa.string())
    table = table.set_column(table.schema.get_field_index("text"), "text", texts)
    choice = choose(table, ["text"], seed=1, fraction=1.0)
    assert [(row.id, row.texts) for row in choice.rows] == [("a", ("متن",))]
    assert choice.dropped == {"no-text": 2}


def test_a_fraction_is_of_what_trains_only_and_rows_come_in_the_seeded_order() -> None:
    rows = [document(f"d{n}", "متن", ("train", "valid")[n % 2]) for n in range(200)]
    choice = choose(CORPUS.table(rows), ["text"], seed=1, fraction=0.5)
    splits = [row.split for row in choice.rows]
    assert splits.count("valid") == 100
    assert 25 < splits.count("train") < 75
    assert choice.dropped == {"outside-fraction": 100 - splits.count("train")}
    positions = [row.position for row in choice.rows]
    assert positions == sorted(positions)
