"""The first half of the funnel, a shard of extracted rows at a time: what survives by itself is a candidate.

Candidates are left in two tables: their texts, and the numbers by which duplicates are found.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from pipelines.clean.duplicates import exact_hash
from pipelines.clean.identity import content_id, fold, hash64
from pipelines.clean.language import UNKNOWN, language_of
from pipelines.clean.normalise import normalise
from pipelines.clean.privacy import redact
from pipelines.clean.quality import article_problem, pair_problem
from pipelines.clean.settings import CleanSettings
from pipelines.clean.signatures import VALUES, signature_pair
from pipelines.tables import DROPPED, Table

ARTICLE, PAIR = "article", "qa"
TEXTS = ("question", "text")
RAW_PARTS = "\n\n"  # between question and answer in the raw text of a pair

# Working rows of the step, swept away when it is finished. An article has its text in `text`, a pair its answer.
CANDIDATES = Table(
    "candidates",
    pa.schema(
        [
            *(pa.field(name, pa.string()) for name in ("kind", "id", "source", "url", "title", "question", "text", "raw")),
            pa.field("words", pa.int64()),
        ]
    ),
    restricted=True,
)
# What duplicates are found by, row by row as in CANDIDATES: at most 570 bytes a row. A signature is null where the text is
# too long (by characters) or too short (by words) for it.
SIGNATURES = Table(
    "signatures",
    pa.schema(
        [
            *(pa.field(name, pa.uint64()) for name in ("id", "url")),  # of the URL a hash
            *(pa.field(f"{name}_hash", pa.uint64()) for name in TEXTS),
            *(pa.field(f"{name}_size", pa.int32()) for name in TEXTS),  # characters
            *(pa.field(f"{name}_{by}", pa.binary(VALUES)) for name in TEXTS for by in ("characters", "words")),
        ]
    ),
    restricted=True,
)


@dataclass
class Sifted:
    """What came of a shard: every row is either a candidate or dropped."""

    candidates: list[dict[str, Any]] = field(default_factory=list)
    dropped: list[dict[str, Any]] = field(default_factory=list)
    redacted: Counter[str] = field(default_factory=Counter)

    def reasons(self) -> dict[str, int]:
        return dict(Counter(row["reason"] for row in self.dropped))

    def tables(self) -> dict[Table, pa.Table]:
        return {
            CANDIDATES: CANDIDATES.table(self.candidates),
            SIGNATURES: _signatures(self.candidates),
            DROPPED: DROPPED.table(self.dropped),
        }


def _signatures(candidates: list[dict[str, Any]]) -> pa.Table:
    columns: dict[str, list[Any]] = {
        "id": [int(row["id"], 16) for row in candidates],
        "url": [hash64(row["url"] or "") for row in candidates],
    }
    for name in TEXTS:
        folded = [fold(row[name]) for row in candidates]
        columns[f"{name}_hash"] = [exact_hash(text) for text in folded]
        columns[f"{name}_size"] = [len(row[name]) for row in candidates]
        columns[f"{name}_characters"], columns[f"{name}_words"] = signature_pair(folded)
    return pa.table(columns, schema=SIGNATURES.schema)


def sift_articles(rows: list[dict[str, Any]], settings: CleanSettings) -> Sifted:
    """Rows of the extracted articles."""
    sifted = Sifted()
    for row in rows:
        raw = row["text"] or ""
        text = normalise(raw)
        reason = _language_problem(settings, text) or article_problem(text, settings)
        if reason:
            sifted.dropped.append(dropped_row(ARTICLE, row["source"], row["url"], reason, raw))
            continue
        text, found = redact(text)
        title, found_in_title = redact(normalise(row["title"] or ""))
        sifted.redacted += found + found_in_title
        sifted.candidates.append(_candidate(ARTICLE, row, title=title, question="", text=text, raw=raw))
    return sifted


def sift_pairs(rows: list[dict[str, Any]], settings: CleanSettings) -> Sifted:
    """Rows of the extracted question-answer pairs; a question without a body is its title."""
    sifted = Sifted()
    for row in rows:
        raw_question, raw_answer = row["question"] or row["title"] or "", row["answer"] or ""
        raw = raw_question + RAW_PARTS + raw_answer
        question, answer = normalise(raw_question), normalise(raw_answer)
        reason = _language_problem(settings, question, answer) or pair_problem(question, answer, settings)
        if reason:
            sifted.dropped.append(dropped_row(PAIR, row["source"], row["url"], reason, raw))
            continue
        question, found = redact(question)
        answer, found_in_answer = redact(answer)
        sifted.redacted += found + found_in_answer
        sifted.candidates.append(_candidate(PAIR, row, title="", question=question, text=answer, raw=raw))
    return sifted


def dropped_row(kind: str, source: str, url: str, reason: str, raw: str) -> dict[str, Any]:
    return {"kind": kind, "source": source, "url": url, "reason": reason, "text": raw}


def _candidate(kind: str, row: dict[str, Any], *, title: str, question: str, text: str, raw: str) -> dict[str, Any]:
    return {
        "kind": kind,
        "id": content_id(kind, row["source"], question, text),
        "source": row["source"],
        "url": row["url"],
        "title": title,
        "question": question,
        "text": text,
        "raw": raw,
        "words": len(question.split()) + len(text.split()),
    }


def _language_problem(settings: CleanSettings, *texts: str) -> str | None:
    """`empty`, or `language-xx` for the first text that is in none of the languages wanted."""
    for text in texts:
        if not text:
            return "empty"
        language = language_of(text)
        if language not in (*settings.languages, UNKNOWN):  # digits alone are for the length rules
            return f"language-{language}"
    return None
