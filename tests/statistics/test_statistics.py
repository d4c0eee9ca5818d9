"""Statistics: words as the paper counts them, shares, lengths, tokens with their interval, a funnel that adds up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cluster.storage import open_storage
from pipelines.artifact import Artifact, ArtifactFolder
from pipelines.clean.paper_words import paper_words
from pipelines.rows import read_rows
from pipelines.statistics import paper
from pipelines.statistics.describe import Lengths, describe
from pipelines.statistics.funnel import dropped_samples, funnel
from pipelines.statistics.tokens import TokenSample
from pipelines.tables import CORPUS, DROPPED, PAIRS

PHONE, EMAIL, URL = "۰۹۱۲ ۱۲۳ ۴۵۶۷", "ali.rezaei@example.ir", "https://clinic.example/q1"


def test_the_papers_own_sets_have_as_many_words_as_the_paper_says(published: Path) -> None:
    for file, split in (("mf3qa_dev.xlsx", "dev"), ("mf3qa_test.xlsx", "test")):
        rows = read_rows(published / "benchmarks" / file, ["Question", "Answer"])
        words = sum(paper_words(str(row["Question"])) + paper_words(str(row["Answer"])) for row in rows)
        said = next(row.words for row in paper.QUESTIONS if row.split == split)
        assert said == pytest.approx(words, rel=0.01)


def cleaned(folder: Path, dropped: list[dict[str, Any]] | None = None, shards: int = 2) -> Artifact:
    out = ArtifactFolder(open_storage(folder / "clean" / "0"))
    articles = [
        {
            "id": f"a{n}",
            "source": "big" if n % 4 else "small",
            "title": "",
            "text": "آب " * 2 ** (n % 3),
            "words": 1,
            "split": "train",
        }
        for n in range(8)
    ]
    pairs = [
        {
            "id": f"p{n}",
            "source": "forum",
            "question": "چرا؟",
            "answer": "چون که آب.",
            "words": 4,
            "split": ("train", "test")[n % 2],
        }
        for n in range(6)
    ]
    for shard in range(shards):
        tables = {
            CORPUS: CORPUS.table(articles[shard::shards]),
            PAIRS: PAIRS.table(pairs[shard::shards]),
            DROPPED: DROPPED.table((dropped or [])[shard::shards]),
        }
        out.seal(f"s{shard}", tables)
    return out.finish(step="clean", version=1, settings={}, inputs={}, tables=(CORPUS, PAIRS, DROPPED), started=0.0)


def test_shares_and_splits_add_up(tmp_path: Path) -> None:
    found = describe(cleaned(tmp_path))
    # The texts have 1, 2, 4, 1, 2, 4, 1, 2 words; numbers 0 and 4 are of the small source
    assert found["corpus"]["sources"] == [{"source": "big", "rows": 6, "words": 14}, {"source": "small", "rows": 2, "words": 3}]
    assert found["pairs"]["splits"] == [{"split": "test", "rows": 3, "words": 18}, {"split": "train", "rows": 3, "words": 18}]
    assert found["corpus"]["lengths"] == {"text": [(1, 3), (2, 3), (4, 2)]}
    assert found["pairs"]["lengths"] == {"question": [(2, 6)], "answer": [(4, 6)]}


def test_sharding_changes_no_number(tmp_path: Path) -> None:
    assert describe(cleaned(tmp_path / "one", shards=1)) == describe(cleaned(tmp_path / "three", shards=3))


def test_an_empty_set_is_described(tmp_path: Path) -> None:
    out = ArtifactFolder(open_storage(tmp_path / "clean" / "0"))
    nothing = out.finish(step="clean", version=1, settings={}, inputs={}, tables=(CORPUS, PAIRS, DROPPED), started=0.0)
    assert describe(nothing)["pairs"] == {
        "rows": 0, "words": 0, "sources": [], "splits": [], "lengths": {"question": [], "answer": []}, "tokens": None,
    }  # fmt: skip
    assert funnel(nothing) == {"articles": {"kept": 0}, "question-answer pairs": {"kept": 0}}


def test_bins_of_lengths_double() -> None:
    lengths = Lengths()
    for words in (1, 3, 4, 7, 8, 60):
        lengths.add(words)
    assert lengths.bins() == [(1, 1), (2, 1), (4, 2), (8, 1), (16, 0), (32, 1)]


def test_all_texts_encoded_is_the_exact_number(tmp_path: Path) -> None:
    found = describe(cleaned(tmp_path), count_tokens=lambda texts: [3 * len(text.split()) for text in texts], token_texts=100)
    tokens = found["corpus"]["tokens"]
    assert tokens["tokens"] == tokens["low"] == tokens["high"] == 3 * 17 and not tokens["sampled"]


def test_the_interval_of_a_sample_holds_the_truth_19_times_in_20() -> None:
    random = np.random.default_rng(1)
    words = random.integers(20, 400, 2_000)
    tokens = (words * random.normal(1.5, 0.2, 2_000)).astype(int)
    held = 0
    for _ in range(400):
        sample = TokenSample()
        for place in random.choice(2_000, 200, replace=False):
            sample.add(int(tokens[place]), int(words[place]))
        estimate = sample.estimate(2_000, int(words.sum()))
        assert estimate and estimate["sampled"]
        held += estimate["low"] <= tokens.sum() <= estimate["high"]
    assert 0.91 <= held / 400 <= 0.98


def test_a_sample_takes_about_as_many_texts_as_it_is_asked_for(tmp_path: Path) -> None:
    asked: list[str] = []
    describe(cleaned(tmp_path), count_tokens=lambda texts: asked.extend(texts) or [1] * len(texts), token_texts=4)
    assert 0 < len(asked) < 14


DROPPED_ROWS = [
    {
        "kind": "qa",
        "source": "forum",
        "url": URL,
        "reason": "short-answer",
        "text": f"به {EMAIL} یا {URL} بنویسید",
        "question": f"شماره من {PHONE} است",
    },
    {"kind": "qa", "source": "forum", "url": URL, "reason": "short-answer", "text": f"{'آب ' * 200}{PHONE}"},
    {"kind": "qa", "source": "forum", "url": URL, "reason": "short-answer", "text": "بله"},
    {"kind": "article", "source": "big", "url": URL, "reason": "language-en", "text": f"call {EMAIL}"},
    {"kind": "article", "source": "big", "url": URL, "reason": "empty", "text": None},
]


def test_the_funnel_counts_every_dropped_row(tmp_path: Path) -> None:
    assert funnel(cleaned(tmp_path, DROPPED_ROWS)) == {
        "articles": {"kept": 8, "language-en": 1, "empty": 1},
        "question-answer pairs": {"kept": 6, "short-answer": 3},
    }


def test_samples_of_dropped_rows_are_redacted_before_they_are_cut(tmp_path: Path) -> None:
    artifact = cleaned(tmp_path, DROPPED_ROWS)
    for characters in (300, 602, 604, 606, 610):  # the number begins after 600 characters
        text = str(dropped_samples(artifact, 5, characters))
        assert not any(secret in text for secret in (PHONE, EMAIL, "clinic.example", "۰۹۱۲", "ali."))
    samples = dropped_samples(artifact, 5, 300)
    assert "[تلفن همراه]" in str(samples) and "[ایمیل]" in str(samples) and "[نشانی وب]" in str(samples)
    assert [(row["kind"], row["reason"]) for row in dropped_samples(artifact, 1, 300)] == [
        ("articles", "empty"), ("articles", "language-en"), ("question-answer pairs", "short-answer"),
    ]  # fmt: skip


def test_samples_do_not_depend_on_the_shards(tmp_path: Path) -> None:
    one, three = cleaned(tmp_path / "one", DROPPED_ROWS, shards=1), cleaned(tmp_path / "three", DROPPED_ROWS, shards=3)
    assert dropped_samples(one, 2, 300) == dropped_samples(three, 2, 300)
