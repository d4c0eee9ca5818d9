"""The funnel of the clean step: rows in, dropped by reason, kept; and what dropped rows look like, redacted.

A shard of dropped rows at a time; redacting the few rows shown costs what the funnel spends on them, 1 ms each.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

from pipelines.artifact import Artifact
from pipelines.clean.candidates import ARTICLE, PAIR
from pipelines.clean.identity import hash64
from pipelines.clean.normalise import normalise
from pipelines.clean.privacy import redact
from pipelines.tables import CORPUS, DROPPED, PAIRS

KINDS = {ARTICLE: "articles", PAIR: "question-answer pairs"}
TEST_SET = "test-set "  # a reason that begins so names the test set


def funnel(clean: Artifact) -> dict[str, dict[str, int]]:
    """Of the rows that came in: kept, and dropped by reason, for articles and for pairs."""
    dropped: dict[str, Counter[str]] = defaultdict(Counter)
    for batch in clean.batches(DROPPED, ["kind", "reason"]):
        for group in batch.group_by(["kind", "reason"]).aggregate([([], "count_all")]).to_pylist():
            dropped[group["kind"]][group["reason"]] += group["count_all"]
    kept = {ARTICLE: clean.rows(CORPUS), PAIR: clean.rows(PAIRS)}
    return {title: {"kept": kept[kind], **dict(dropped[kind].most_common())} for kind, title in KINDS.items()}


def dropped_samples(clean: Artifact, number: int, characters: int) -> list[dict[str, Any]]:
    """Up to `number` dropped rows of each kind and reason, chosen by a hash of the text: normalised, redacted, then cut."""
    chosen: dict[tuple[str, str], list[tuple[int, str, str]]] = defaultdict(list)
    for batch in clean.batches(DROPPED, ["kind", "source", "reason", "question", "text"]):
        for row in batch.to_pylist():
            best = chosen[KINDS[row["kind"]], row["reason"]]
            raw = "\n\n".join(filter(None, (row["question"], row["text"])))
            best.append((hash64(raw), row["source"], raw))
            best.sort()
            del best[number:]
    return [
        {"kind": kind, "reason": reason, "source": source, "text": shown(text, characters)}
        for (kind, reason), rows in sorted(chosen.items())
        for _, source, text in rows
    ]


def shown(raw: str, characters: int) -> str:
    """The beginning of a raw text as a page may show it. Redacted before it is cut: half a number would stay."""
    text, _ = redact(normalise(raw))
    return text if len(text) <= characters else text[:characters].rsplit(maxsplit=1)[0] + " …"
