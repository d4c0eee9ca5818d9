"""The first half of the funnel, a shard of extracted rows at a time: what survives by itself is a candidate.

Candidates are left in two tables: their texts, and the numbers by which duplicates are found.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from pipelines.clean.answers import pair_problem
from pipelines.clean.boilerplate import sentences_of
from pipelines.clean.duplicates import exact_hash
from pipelines.clean.folding import fold_all
from pipelines.clean.identity import content_id, hash64
from pipelines.clean.language import UNKNOWN, language_of
from pipelines.clean.normalise import count_words, normalise
from pipelines.clean.people import DROP, EDIT, KEEP, Decision
from pipelines.clean.privacy import redact
from pipelines.clean.quality import article_problem
from pipelines.clean.settings import CleanSettings
from pipelines.clean.signatures import VALUES, signature_pair
from pipelines.tables import DROPPED, Table

ARTICLE, PAIR = "article", "qa"
TEXTS = ("question", "text")
RAW = ("raw_question", "raw")  # the same as they were found
EMPTY = "empty"
VOTE = {"": 0, KEEP: 1, EDIT: 1, DROP: -1}

# Working rows of the step, swept away when it is finished. An article has its text in `text`, a pair its answer.
CANDIDATES = Table(
    "candidates",
    pa.schema(
        [
            *(pa.field(name, pa.string()) for name in ("kind", "id", "source", "url", "title", *TEXTS, *RAW)),
            pa.field("decided", pa.string()),  # by people: keep, drop, edit or ""
            pa.field("words", pa.int64()),
        ]
    ),
    restricted=True,
    working=True,
)
# Rows that people decided on, and which filter would drop them ("" for none).
REVIEWED = Table("reviewed", pa.schema([pa.field("id", pa.string()), pa.field("reason", pa.string())]), restricted=True)
# What duplicates and boilerplate are found by, row by row as in CANDIDATES: at most 570 bytes a row, and 12 a sentence of an
# answer. A signature is null where the text is too long (by characters) or too short (by words) for it.
SIGNATURES = Table(
    "signatures",
    pa.schema(
        [
            *(pa.field(name, pa.uint64()) for name in ("id", "url")),  # of the URL a hash
            *(pa.field(f"{name}_hash", pa.uint64()) for name in TEXTS),
            *(pa.field(f"{name}_size", pa.int32()) for name in TEXTS),  # characters
            *(pa.field(f"{name}_{by}", pa.binary(VALUES)) for name in TEXTS for by in ("characters", "words")),
            pa.field("sentences", pa.list_(pa.uint64())),  # of an answer
            pa.field("sentence_words", pa.list_(pa.uint32())),
            pa.field("words", pa.int32()),  # of the answer
            pa.field("vote", pa.int8()),  # of people: 1 to keep, -1 to drop, 0 none
        ]
    ),
    restricted=True,
    working=True,
)


@dataclass
class Sifted:
    """What came of a shard: every row is either a candidate or dropped. `people`: their decisions by content id."""

    people: Mapping[str, Decision] = field(default_factory=dict)
    candidates: list[dict[str, Any]] = field(default_factory=list)
    dropped: list[dict[str, Any]] = field(default_factory=list)
    redacted: Counter[str] = field(default_factory=Counter)
    reviewed: list[dict[str, str]] = field(default_factory=list)

    def add(self, row: dict[str, Any], problem: str | None) -> None:
        """A row with its normalised texts, and what the filters have against it; people's word counts more.

        Dropped rows, too, have their id of the redacted texts: where the rest of a text is seen, an id of the raw one would
        give its telephone number away, by trying all there are.
        """
        texts, found = _redacted(row)
        row["id"] = content_id(row["kind"], row["source"], *texts.values())
        decision = self.people.get(row["id"]) if problem != EMPTY else None
        if decision:
            self.reviewed.append({"id": row["id"], "reason": problem or ""})
            row["decided"] = decision.word
        if decision and decision.word != DROP:
            texts, found = _redacted(row | decision.edited(row))
        elif problem:
            self.dropped.append(dropped_row(row, problem))
            return
        title, found_in_title = redact(row["title"])
        if found or found_in_title:  # in most rows there is nothing, and adding that takes as long
            self.redacted += found + found_in_title
        words = sum(map(count_words, texts.values()))
        self.candidates.append(row | texts | {"title": title, "words": words})

    def reasons(self) -> dict[str, int]:
        return dict(Counter(row["reason"] for row in self.dropped))

    def tables(self) -> dict[Table, pa.Table]:
        return {
            CANDIDATES: CANDIDATES.table(self.candidates),
            SIGNATURES: _signatures(self.candidates),
            REVIEWED: REVIEWED.table(self.reviewed),
            DROPPED: DROPPED.table(self.dropped),
        }


def _signatures(candidates: list[dict[str, Any]]) -> pa.Table:
    columns: dict[str, list[Any]] = {
        "id": [int(row["id"], 16) for row in candidates],
        "url": [hash64(row["url"] or "") for row in candidates],
    }
    for name in TEXTS:
        folded = fold_all([row[name] for row in candidates])
        columns[f"{name}_hash"] = [exact_hash(text) for text in folded]
        columns[f"{name}_size"] = [len(row[name]) for row in candidates]
        columns[f"{name}_characters"], columns[f"{name}_words"] = signature_pair(folded)
    found = [sentences_of(row["text"]) if row["kind"] == PAIR else ([], []) for row in candidates]
    columns["sentences"], columns["sentence_words"] = [hashes for hashes, _ in found], [words for _, words in found]
    columns["words"] = [count_words(row["text"]) for row in candidates]
    columns["vote"] = [VOTE[row["decided"]] for row in candidates]
    return pa.table(columns, schema=SIGNATURES.schema)


def sift_articles(rows: list[dict[str, Any]], settings: CleanSettings, people: Mapping[str, Decision] | None = None) -> Sifted:
    """Rows of the extracted articles."""
    sifted = Sifted(people or {})
    for row in rows:
        raw = row["text"] or ""
        text = normalise(raw)
        problem = _language_problem(settings, text) or article_problem(text, settings.documents)
        sifted.add(_row(ARTICLE, row, ("", text), ("", raw)) | {"title": normalise(row["title"] or "")}, problem)
    return sifted


def sift_pairs(rows: list[dict[str, Any]], settings: CleanSettings, people: Mapping[str, Decision] | None = None) -> Sifted:
    """Rows of the extracted question-answer pairs; a question without a body is its title."""
    sifted = Sifted(people or {})
    for row in rows:
        raw = (row["question"] or row["title"] or "", row["answer"] or "")
        question, answer = map(normalise, raw)
        problem = _language_problem(settings, question, answer) or pair_problem(question, answer, settings.pairs)
        sifted.add(_row(PAIR, row, (question, answer), raw), problem)
    return sifted


def dropped_row(row: dict[str, Any], reason: str) -> dict[str, Any]:
    """A row of DROPPED, with the texts as they were found."""
    same = {name: row[name] for name in ("id", "kind", "source", "url")}
    return same | {"reason": reason, **{name: row[raw] for name, raw in zip(TEXTS, RAW, strict=True)}}


def _row(kind: str, row: dict[str, Any], texts: tuple[str, str], raw: tuple[str, str]) -> dict[str, Any]:
    """What a candidate begins as. An article has no question."""
    named = zip((*TEXTS, *RAW), (*texts, *raw), strict=True)
    return {"kind": kind, "source": row["source"], "url": row["url"], "title": "", "decided": "", **dict(named)}


def _redacted(row: dict[str, Any]) -> tuple[dict[str, str], Counter[str]]:
    (question, found), (text, more) = (redact(row[name]) for name in TEXTS)
    return dict(zip(TEXTS, (question, text), strict=True)), found + more if more else found


def _language_problem(settings: CleanSettings, *texts: str) -> str | None:
    """EMPTY, or `language-xx` for the first text that is in none of the languages wanted."""
    for text in texts:
        if not text:
            return EMPTY
        if not settings.languages:
            continue
        language = language_of(text)
        if language not in (*settings.languages, UNKNOWN):  # digits alone are for the length rules
            return f"language-{language}"
    return None
