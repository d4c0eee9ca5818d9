"""On the authors' own raw forum: our rule for answers is theirs, and the funnel accounts for every row."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipelines.clean.answers import pair_problem
from pipelines.clean.candidates import sift_pairs
from pipelines.clean.normalise import normalise
from pipelines.clean.privacy import redact
from pipelines.clean.settings import CleanSettings
from pipelines.clean.testsets import items_of


@pytest.fixture(scope="module")
def forum(published: Path) -> list[dict[str, Any]]:
    rows = pq.read_table(published / "forum_niniban_raw.parquet").to_pylist()
    return [{"url": f"https://forum.test/{n}", "source": "niniban", "title": "", **row} for n, row in enumerate(rows)]


def test_the_paper_s_preset_keeps_what_the_authors_kept(published: Path, forum: list[dict[str, Any]]) -> None:
    """They published 5,405 of 9,172 distinct questions, 2,000 of them as MF3QA's development set."""
    rules = CleanSettings.model_validate({"preset": "paper"}).pairs
    texts = ((row["question"], normalise(row["question"]), normalise(row["answer"])) for row in forum)
    kept = {raw for raw, question, answer in texts if pair_problem(question, answer, rules) is None}
    published_set = {item.question for item in items_of(published / "benchmarks" / "mf3qa_dev.xlsx")}
    assert len(published_set & kept) >= 0.999 * len(published_set)
    assert len({row["question"] for row in forum}) == 9172
    assert abs(len(kept) - 5405) <= 0.005 * 9172


def test_the_first_half_of_the_funnel_accounts_for_every_row(forum: list[dict[str, Any]]) -> None:
    rows = forum[:1500]
    sifted = sift_pairs(rows, CleanSettings())
    assert len(sifted.candidates) + sum(sifted.reasons().values()) == len(rows)
    assert sifted.reasons()["short-answer"] > 100
    assert sum(number for reason, number in sifted.reasons().items() if reason.startswith("language")) <= 2  # it is all Persian


def test_medical_articles_hold_nothing_to_redact_but_addresses(published: Path) -> None:
    """No number of 1,816 articles with doses, values and years is taken for a telephone number or an identity."""
    found: Counter[str] = Counter()
    for paragraphs in pq.read_table(published / "magazine_articles.parquet")["paragraphs"].to_pylist():
        found += redact(normalise("\n".join(paragraphs)))[1]
    assert set(found) <= {"url"}
