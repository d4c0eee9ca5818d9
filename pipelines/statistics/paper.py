"""What is published of the paper's own data, to stand beside ours (arXiv 2505.16000 and its data on the Hub).

Words are hazm's, words and marks. The other corpora of the paper's tables are left out: their figures are theirs to give.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """One published set."""

    name: str
    split: str
    words: int | None
    rows: str


CORPORA = (Published("gaokerena/medical_corpus", "", 89_169_584, "about 100,000 articles"),)
QUESTIONS = (
    Published("gaokerena/MF3QA", "train", 2_776_031, ""),
    Published("gaokerena/MF3QA", "dev", 320_422, ""),
    Published("gaokerena/MF3QA", "test", 194_670, "2,000 pairs, 201 of them K-QA translated"),
)
