"""What the report says, read from the artifacts: numbers and redacted text only, never a URL or raw patient text.

`Facts` hold the numbers that do not depend on when or how fast a run went; they are the report's `report.json`.
"""

from __future__ import annotations

import json
import math
import textwrap
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from pipelines.artifact import Artifact
from pipelines.evaluate.judging import is_trustworthy
from pipelines.evaluate.scores import BASE, COMPARED, TRAINED
from pipelines.evaluate.settings import EvaluateSettings
from pipelines.tables import (
    ANSWERS,
    CONTAMINATED,
    DROPPED,
    FAILURES,
    JUDGEMENTS,
    LINEAGE,
    PAGES,
    PAIRS,
    QA_TRAIN,
    SCORES,
    TRAIN_LOG,
)
from pipelines.train.job import ALL, ENERGY, VALIDATION

Row = dict[str, Any]
Inputs = Mapping[str, Artifact]
STAGES = {"finetune": "fine-tuning (corpus)", "instruct": "instruction tuning (questions and answers)"}
# Kept for the record, not what a step is for.
ASIDE = frozenset(table.name for table in (CONTAMINATED, DROPPED, FAILURES, LINEAGE))


def rows_kept(artifact: Artifact) -> int:
    """Rows that a step leaves for the next one."""
    return sum(table.rows for name, table in artifact.manifest.tables.items() if name not in ASIDE)


def steps(inputs: Inputs) -> list[Row]:
    """What each step took in, left, dropped, and needed."""
    found = []
    for name, artifact in inputs.items():
        manifest = artifact.manifest
        numbers = {"rows_in": manifest.rows_in, "rows_out": rows_kept(artifact), "dropped": sum(manifest.dropped.values())}
        found.append(
            {
                "step": name,
                **numbers,
                "seconds": manifest.seconds,
                "memory": manifest.peak_memory_bytes,
                "digest": manifest.digest,
            }
        )
    return found


def crawl(inputs: Inputs) -> Row:
    """Pages and failures by source, and failures by reason."""
    artifact = inputs["crawl"]
    pages = Counter(row["source"] for row in _rows(artifact, PAGES, ["source"]))
    rendered = Counter(row["source"] for row in _rows(artifact, PAGES, ["source", "rendered"]) if row["rendered"])
    failures = _rows(artifact, FAILURES, ["source", "reason"])
    failed = Counter(row["source"] for row in failures)
    sources = [
        {"source": name, "pages": pages[name], "rendered": rendered[name], "failures": failed[name]}
        for name in sorted(pages | failed)
    ]
    return {"sources": sources, "failures": dict(Counter(row["reason"] for row in failures).most_common())}


def tokens(inputs: Inputs) -> list[Row]:
    """Sequences and tokens of every table that tokenize left."""
    manifest = inputs["tokenize"].manifest
    names = ("documents", "sequences", "tokens", "label_tokens")
    return [
        {"table": table, **{name: int(manifest.facts.get(f"{table} {name}", 0)) for name in names}}
        for table in sorted(manifest.tables)
    ]


def training(inputs: Inputs) -> dict[str, list[Row]]:
    """The log of each stage."""
    return {title: sorted(_rows(inputs[stage], TRAIN_LOG), key=lambda row: row["step"]) for stage, title in STAGES.items()}


def training_totals(inputs: Inputs) -> list[Row]:
    """What each stage was trained on, and its loss at the beginning and the end."""
    found = []
    for stage, title in STAGES.items():
        log = sorted(_rows(inputs[stage], TRAIN_LOG), key=lambda row: row["step"])
        facts = inputs[stage].manifest.facts
        losses = [row["loss"] for row in log if row["loss"] is not None]
        valid = [row["loss"] for row in validation(inputs)[title] if row["source"] == ALL]
        found.append(
            {
                "stage": title,
                "sequences": int(facts.get("sequences", 0)),
                "tokens": int(facts.get("tokens", 0)),
                "label_tokens": int(facts.get("label_tokens", 0)),
                "steps": int(facts.get("steps", len(log))),
                "first_loss": losses[0] if losses else None,
                "last_loss": losses[-1] if losses else None,
                "first_valid_loss": valid[0] if valid else None,
                "last_valid_loss": valid[-1] if valid else None,
            }
        )
    return found


def validation(inputs: Inputs) -> dict[str, list[Row]]:
    """Loss and perplexity on held-out sequences, of each stage: a row a step (0: before the first) and source."""
    found: dict[str, list[Row]] = {}
    for stage, title in STAGES.items():
        measured = VALIDATION in inputs[stage].manifest.files
        found[title] = json.loads(inputs[stage].folder.read(VALIDATION)) if measured else []
    return found


def energy(inputs: Inputs) -> list[Row]:
    """What each stage drew and emitted, by the formula and as it was measured; of stages that wrote it down."""
    found = []
    for stage, title in STAGES.items():
        if ENERGY in inputs[stage].manifest.files:
            found.append({"stage": title, **json.loads(inputs[stage].folder.read(ENERGY))})
    return found


def validation_by_source(inputs: Inputs) -> list[Row]:
    """Held-out perplexity of each stage and source, before the first step and after the last."""
    found = []
    for title, rows in validation(inputs).items():
        for source in sorted({row["source"] for row in rows} - {ALL}):
            of_source = [row for row in rows if row["source"] == source]
            ends = {"before": of_source[0]["perplexity"], "after": of_source[-1]["perplexity"]}
            found.append({"stage": title, "source": source, "labels": of_source[0]["labels"], **ends})
    return found


def scores(inputs: Inputs) -> list[Row]:
    """The score table."""
    return _rows(inputs["evaluate"], SCORES)


def comparisons(table: Iterable[Row], metric: str) -> list[Row]:
    """Base beside trained for one metric: a row a task and method, with the row that compares them where there is one."""
    cells: dict[tuple[str, str], Row] = defaultdict(dict)
    for row in table:
        key = (row["task"], row["method"])
        if row["metric"] == metric:
            cells[key][row["model"]] = row
        elif row["model"] == COMPARED:
            cells[key][row["metric"]] = row
    return [
        {"task": task, "method": method, **models}
        for (task, method), models in cells.items()
        if BASE in models and TRAINED in models
    ]


def judge(table: Iterable[Row], settings: EvaluateSettings) -> Row | None:
    """How the judge did on pairs with a known winner, what it said of the answers, and whether that may be read."""
    if settings.judge is None:
        return None
    rows = [row for row in table if row["method"] == "judge"]
    check = {row["metric"]: row for row in rows if row["model"] != COMPARED}
    verdicts: dict[str, Row] = defaultdict(dict)
    for row in rows:
        if row["model"] == COMPARED:
            verdicts[row["task"]][row["metric"]] = row
    consistency = check.get("position_consistency")
    least = settings.judge.min_position_consistency
    trusted = is_trustworthy(consistency["value"] if consistency else None, least)
    return {"name": settings.judge.model, "check": check, "verdicts": dict(verdicts), "trusted": trusted, "least": least}


def free_form(inputs: Inputs) -> list[Row]:
    """Free-form answers of both models side by side, with what the judge said in both orders."""
    winners: dict[tuple[str, str], list[str]] = defaultdict(list)
    for row in _rows(inputs["evaluate"], JUDGEMENTS):
        winners[row["task"], row["item"]].append(row["winner"])
    found: dict[tuple[str, str], Row] = {}
    for row in _rows(inputs["evaluate"], ANSWERS):
        if row["method"] == "free-form":
            key = (row["task"], row["item"])
            entry = found.setdefault(key, {"question": row["prompt"], "reference": row["gold"], "winners": winners[key]})
            entry[row["model"]] = row["text"]
    return list(found.values())


def answer_perplexities(inputs: Inputs, number: int) -> list[tuple[str, float, float]]:
    """The first held-out answers: the beginning of the question, perplexity before and after."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for row in _rows(inputs["evaluate"], ANSWERS):
        if row["method"] == "perplexity" and row["tokens"]:
            entry = found.setdefault((row["task"], row["item"]), {"question": row["prompt"]})
            entry[row["model"]] = math.exp(-row["logprob"] / row["tokens"])
    whole = [entry for entry in found.values() if BASE in entry and TRAINED in entry]
    return [(_beginning(entry["question"]), entry[BASE], entry[TRAINED]) for entry in whole[:number]]


def lineage(inputs: Inputs) -> Row | None:
    """One row's way from its source to the sequence that the model learned from; its URL stays in the restricted table."""
    pairs = _rows(inputs["clean"], PAIRS, ["id", "source", "question", "split"])
    learned = _rows(inputs["tokenize"], QA_TRAIN, ["ids"])
    place = {name: number for number, row in enumerate(learned, 1) for name in row["ids"]}
    for row in pairs:
        if row["id"] in place:
            return {**row, "question": _beginning(row["question"], 90), "sequence": place[row["id"]], "sequences": len(learned)}
    return None


def transcript(inputs: Inputs) -> Row | None:
    """What the served model was asked, what it answered, and how fast it came."""
    artifact = inputs["ask"]
    for path in artifact.manifest.files:
        if path.endswith("transcript.json"):
            return {**json.loads(artifact.folder.read(path)), **artifact.manifest.facts}
    return None


def facts(inputs: Inputs, data: Row, settings: EvaluateSettings) -> Row:
    """Everything that is the same for the same work: no time, no memory, no text."""
    table = scores(inputs)
    judged = judge(table, settings)
    return {
        "steps": [{name: row[name] for name in ("step", "rows_in", "rows_out", "dropped", "digest")} for row in steps(inputs)],
        "dropped": {name: artifact.manifest.dropped for name, artifact in inputs.items()},
        "crawl": crawl(inputs),
        "funnel": data["funnel"],
        "data": data["kinds"],
        "tokens": tokens(inputs),
        "training": training_totals(inputs),
        "validation": validation(inputs),
        "scores": table,
        "judge": None if judged is None else {"name": judged["name"], "trusted": judged["trusted"]},
    }


def _rows(artifact: Artifact, table: Any, columns: list[str] | None = None) -> list[Row]:
    rows: list[Row] = artifact.read(table, columns).to_pylist()
    return rows


def _beginning(text: str, characters: int = 45) -> str:
    """So much of a text, cut between words where it has words."""
    return textwrap.shorten(text, characters, placeholder=" …") if " " in text[:characters] else text[:characters]
