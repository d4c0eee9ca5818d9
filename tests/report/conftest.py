"""A fabricated run: every step's artifact with a few rows, restricted text planted in it."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cluster.storage import open_storage
from pipelines import tables as t
from pipelines.artifact import Artifact, ArtifactFolder
from pipelines.evaluate.scores import Resampling, score_table
from pipelines.progress import Progress
from pipelines.recipe import load_recipe
from pipelines.steps import StepRun

SECRET_URL = "http://clinic.example/patient/1"
SECRET_NUMBER = "۰۹۱۲۳۴۵۶۷۸۹"
SECRET_TEXT = f"تلفن من {SECRET_NUMBER} است"
QUESTION = "برای <b>سردرد</b> چه کنم؟"

Rows = dict[t.Table, list[dict[str, Any]]]


def artifact(folder: Path, rows: Rows, files: dict[str, str] | None = None, **manifest: Any) -> Artifact:
    """A finished artifact with these rows and files."""
    out = ArtifactFolder(open_storage(folder))
    for path, text in (files or {}).items():
        out.folder.write(path, text.encode())
    unit = {name: manifest.pop(name) for name in ("rows_in", "dropped", "facts") if name in manifest}
    out.seal("rows", {table: table.table(part) for table, part in rows.items()}, **unit)
    return out.finish(
        step=folder.name, version=1, settings={}, inputs={}, tables=tuple(rows), started=time.time(), files=tuple(files or {}),
        peak_memory_bytes=3_000_000_000, **manifest,
    )  # fmt: skip


HELD_OUT = [
    {"step": step, "source": source, "loss": math.log(perplexity), "perplexity": perplexity, "labels": 900}
    for step, perplexity in ((0, 41.25), (2, 33.75))
    for source in ("all", "demo-forum")
]


ENERGY = {
    "hours": 19.0,
    "kg_co2_per_kwh": 0.56,
    "formula": {"watts": 250.0, "kwh": 4.75, "kg_co2": 2.66},
    "measured": {"kwh": 6.5, "kg_co2": 3.64, "kwh_by_part": {"cpu": 1.0, "gpu": 5.0, "ram": 0.5}, "method": "CPU estimated"},
}


def log(losses: list[float]) -> list[dict[str, Any]]:
    return [
        {"step": n, "loss": loss, "tokens": 4000 * n, "valid_loss": loss if n == 2 else None} for n, loss in enumerate(losses, 1)
    ]


def answers() -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for model, letters, loss in (("base", "ABA-", 3.2), ("trained", "AAAB", 2.9)):
        for n, letter in enumerate(letters):
            common = {"model": model, "item": f"i{n}", "prompt": QUESTION, "seconds": 0.1}
            prediction = "invalid" if letter == "-" else letter
            for method in ("likelihood", "generate"):
                rows.append(
                    {
                        **common,
                        "task": "demo-mcq",
                        "method": method,
                        "gold": "A",
                        "prediction": prediction,
                        "correct": letter == "A",
                    }
                )
            rows.append(
                {**common, "task": "held-out-answers", "method": "perplexity", "logprob": -loss * (40 + n), "tokens": 40 + n}
            )
        rows.append(
            {"task": "demo-free-form", "model": model, "method": "free-form", "item": "f1", "prompt": QUESTION, "gold": "ref",
             "text": f"پاسخ {model} <script>", "tokens": 9}
        )  # fmt: skip
    return rows


def judgements(consistent: bool) -> list[dict[str, Any]]:
    rows = []
    for n in range(10):
        for order in ("ab", "ba"):
            winner = "better" if consistent or order == "ab" else "worse"
            rows.append(
                {
                    "task": "judge-check",
                    "item": f"j{n}",
                    "order": order,
                    "winner": winner,
                    "verdict": "1",
                    "judge": "tiny",
                    "margin": 1.0,
                }
            )
    return rows


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., StepRun]:
    """A run with everything before the report done; `consistent` says whether its judge is."""

    def make(consistent: bool = False, name: str = "run") -> StepRun:
        base = tmp_path / name
        pairs = [
            {"id": f"p{n}", "source": "forum", "question": QUESTION, "answer": "آب بنوشید.", "words": 2, "split": "train"}
            for n in range(3)
        ]
        judged = judgements(consistent)
        scores = score_table(answers(), judged, groups={}, check="judge-check", resampling=Resampling(200, 0))
        sequence = {"input_ids": [1, 2], "labels": [1, 2], "document_lengths": [2], "ids": ["p1"]}
        page = {"url": SECRET_URL, "source": "forum", "status": 200, "body": SECRET_TEXT, "rendered": False}
        inputs = {
            "crawl": artifact(
                base / "crawl", {t.PAGES: [page, {**page, "rendered": True}], t.FAILURES: [{"url": SECRET_URL, "source": "forum", "reason": "404"}]}
            ),
            "extract": artifact(base / "extract", {t.ARTICLES: [], t.QA: [{"url": SECRET_URL, "question": SECRET_TEXT}], t.DROPPED: []}),
            "clean": artifact(
                base / "clean",
                {
                    t.CORPUS: [{"id": "a1", "source": "magazine", "title": "خواب", "text": "خواب خوب.", "words": 2, "split": "train"}],
                    t.PAIRS: pairs,
                    t.LINEAGE: [{"id": "p1", "kind": "pair", "source": "forum", "url": SECRET_URL}],
                    t.DROPPED: [{"kind": "qa", "source": "forum", "url": SECRET_URL, "reason": "short-answer", "text": SECRET_TEXT}] * 2,
                    t.CONTAMINATED: [
                        {"id": "c1", "kind": "qa", "source": "forum", "test_set": "exam", "item": 7, "item_text": "شایع‌ترین علت؟", "text": "علت‌ها"}
                    ],
                },
                rows_in=6, dropped={"short-answer": 2},
            ),
            "tokenize": artifact(
                base / "tokenize", {t.CORPUS_TRAIN: [sequence], t.QA_TRAIN: [sequence]}, facts={"qa_train tokens": 2, "qa_train sequences": 1}
            ),
            "finetune": artifact(base / "finetune", {t.TRAIN_LOG: log([3.4, 3.1])}, facts={"tokens": 8000}, notes=["train.max_tokens caps finetune"],
                files={"validation.json": json.dumps(HELD_OUT), "energy.json": json.dumps(ENERGY)}),
            "instruct": artifact(base / "instruct", {t.TRAIN_LOG: log([3.0, 2.7])}, facts={"tokens": 7000}),
            "evaluate": artifact(base / "evaluate", {t.ANSWERS: answers(), t.JUDGEMENTS: judged, t.SCORES: scores}),
            "ask": artifact(
                base / "ask", {},
                files={"transcript.json": json.dumps({"question": QUESTION, "answer": "آب بنوشید.", "seconds": 2.5, "ttft_seconds": 0.4, "tokens": 5})},
            ),
        }  # fmt: skip
        out = ArtifactFolder(open_storage(base / "report"))
        return StepRun(
            load_recipe("demo", ["evaluate.judge.model=tiny", "train.max_tokens=16000"]), inputs, out, Progress(), base / "cache"
        )

    return make


def expected_perplexity(loss: float) -> float:
    return math.exp(loss)
