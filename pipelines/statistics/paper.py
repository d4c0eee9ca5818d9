"""What is published of the paper's own data and of other medical sets, to stand beside ours, as the paper's Tables I and II do.

The paper's are arXiv 2505.16000 and its data on the Hub; their words are hazm's, words and marks. The others' are what their own
cards and papers say (looked up in November 2026), counted as they count: HiTZ/Multilingual-Medical-Corpus (arXiv 2404.07613), the
sum of its sources; MedQuAD (doi 10.1186/s12859-019-3119-4), MedDialog (arXiv 2004.03329), ChatDoctor's iCliniq (2303.14070).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """One published set; `words` is None where no figure is given."""

    name: str
    split: str
    words: int | None
    rows: str
    language: str = "Persian"


CORPORA = (
    Published("gaokerena/medical_corpus", "", 89_169_584, "about 100,000 articles"),
    Published("HiTZ/Multilingual-Medical-Corpus", "en", 1_107_800_000, "21,226,237 texts", "English"),
    Published("HiTZ/Multilingual-Medical-Corpus", "es", 956_050_000, "35,444,286 texts", "Spanish"),
    Published("HiTZ/Multilingual-Medical-Corpus", "fr", None, "7,192,779 texts", "French"),
    Published("HiTZ/Multilingual-Medical-Corpus", "it", None, "3,504,555 texts", "Italian"),
)
QUESTIONS = (
    Published("gaokerena/MF3QA", "train", 2_776_031, ""),
    Published("gaokerena/MF3QA", "dev", 320_422, ""),
    Published("gaokerena/MF3QA", "test", 194_670, "2,000 pairs, 201 of them K-QA translated"),
    Published("MedQuAD", "", None, "47,457 pairs", "English"),
    Published("MedDialog", "", None, "about 260,000 dialogues", "English"),
    Published("ChatDoctor-iCliniq", "", None, "7,321 pairs", "English"),
)
