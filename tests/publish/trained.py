"""A run whose model is really trained in small: clean data, tokens, and two stages of LoRA on a tiny model, merged."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from cluster.storage import Storage
from pipelines.artifact import Artifact, ArtifactFolder, Input
from pipelines.evaluate.scores import BASE, TRAINED, Resampling, score_table
from pipelines.evaluate.settings import JudgeSettings
from pipelines.progress import Progress
from pipelines.publish.model import publish
from pipelines.publish.model_publication import ModelPublication
from pipelines.publish.settings import Form
from pipelines.recipe import Recipe
from pipelines.steps import step_named
from pipelines.tables import ANSWERS, JUDGEMENTS, QA_TRAIN, SCORES, TRAIN_LOG
from pipelines.train.job import LAYOUT
from pipelines.train.layout import UsedLayout, write_layout
from pipelines.train.lora import add_adapter, merge, save_adapter
from pipelines.train.settings import LoraSettings
from serving.engines.models import load_model, model_digest

PROBE = torch.arange(30, 70)[None]
FACTS = {"sequences": 40, "available": 44, "tokens": 9_000, "label_tokens": 7_000, "epochs": 1.0, "steps": 5}
JUDGE = JudgeSettings(model="a folder/judge")  # a path, which a card must not name
EIGHT = UsedLayout(
    model="a folder/base", profile="a100x8", tflops=312.0, workers=8, gpus_per_worker=1, dtype="bfloat16", zero_stage=2, offload=False,
    micro_batch=2, accumulation=2, checkpointing="full", attention="flash_attention_2",
)  # fmt: skip
LAYOUTS = {"finetune": EIGHT, "instruct": replace(EIGHT, zero_stage=3, micro_batch=1, accumulation=4, checkpointing="selective")}
HOURS, KWH, KG = 19.0, 4.75, 2.66  # the paper's: 250 W x 19 h at 0.56 kg/kWh


@dataclass
class TrainedRun:
    """A run up to its evaluation."""

    recipe: Recipe
    root: Storage
    base: Path
    instruct: Artifact

    @property
    def model(self) -> Path:
        """The merged model."""
        return self.instruct.local("model", Path("unused"))

    def publish(self, to: Path | str = "", form: Form = "merged", **settings: Any) -> Storage:
        """The folder of a publication with these settings."""
        publication = ModelPublication.of(self.with_settings(**settings), self.root, form, str(to))
        publish(publication, Progress(Console(file=io.StringIO())))
        return publication.folder

    def with_settings(self, **settings: Any) -> Recipe:
        model = type(self.recipe.publish.model).model_validate(settings)
        return self.recipe.model_copy(update={"publish": self.recipe.publish.model_copy(update={"model": model})})


def train(
    recipe: Recipe, root: Storage, clean: Artifact, base: Path, judge: JudgeSettings | None = JUDGE, *, trusted: bool = False
) -> TrainedRun:
    """Everything after the clean step, as the steps leave it."""
    recipe = recipe.model_copy(update={"model": str(base), "evaluate": recipe.evaluate.model_copy(update={"judge": judge})})
    tokens = _finish(root, recipe, "tokenize", {"clean": _read(clean)}, {QA_TRAIN: []})
    model = Input(digest=model_digest(str(base)), path=str(base))
    finetune = _stage(root, recipe, "finetune", base, {"tokenize": _read(tokens), "model": model}, base.name)
    merged = finetune.local("model", Path("unused"))
    inputs = {"tokenize": _read(tokens), "finetune": _read(finetune)}
    instruct = _stage(root, recipe, "instruct", merged, inputs, f"finetune/{finetune.manifest.fingerprint}/model")
    _evaluate(root, recipe, instruct, trusted)
    return TrainedRun(recipe, root, base, instruct)


def _stage(root: Storage, recipe: Recipe, stage: str, base: Path, inputs: dict[str, Input], base_name: str) -> Artifact:
    folder = Path(root.sub(stage, "1").url)
    lora: LoraSettings = getattr(recipe.train, stage).lora
    adapted = add_adapter(load_model(base, "float32"), lora)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(len(stage))
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter, std=0.1)
    save_adapter(adapted, folder / "adapter", base_name)
    merge(base, folder / "adapter", folder / "model", recipe.train.dtype, PROBE)
    write_layout(root.sub(stage, "1"), LAYOUTS[stage])
    log = [{"step": n, "loss": 3.5 - n / 10, "tokens": 1800 * n} for n in range(1, 6)]
    facts = FACTS | {"hours": HOURS, "kwh": KWH, "kg_co2": KG}
    return _finish(root, recipe, stage, inputs, {TRAIN_LOG: log}, facts, ("model", "adapter", LAYOUT))


def _evaluate(root: Storage, recipe: Recipe, instruct: Artifact, trusted: bool) -> None:
    answers, judgements = list(_answers()), list(_judgements(trusted))
    scores = score_table(answers, judgements, groups={}, check="judge-check", resampling=Resampling(200, 0))
    _finish(root, recipe, "evaluate", {"instruct": _read(instruct)}, {ANSWERS: answers, JUDGEMENTS: judgements, SCORES: scores})


def _answers() -> Iterator[dict[str, Any]]:
    for model, letters, loss in ((BASE, "ABAC", 3.2), (TRAINED, "AAAB", 2.9)):
        for n, letter in enumerate(letters):
            common = {"model": model, "item": f"i{n}", "prompt": "پرسش", "seconds": 0.1}
            choice = {"task": "demo-mcq", "method": "likelihood", "gold": "A", "prediction": letter, "correct": letter == "A"}
            yield {**common, **choice}
            yield {**common, "task": "held-out-answers", "method": "perplexity", "logprob": -loss * (40 + n), "tokens": 40 + n}


def _judgements(trusted: bool) -> Iterator[dict[str, Any]]:
    for n in range(10):
        for order in ("ab", "ba"):
            winner = "better" if trusted or order == "ab" else "worse"
            names = {"task": "judge-check", "item": f"j{n}", "order": order, "winner": winner}
            yield {**names, "verdict": "1", "judge": "a folder/judge", "margin": 1.0}


def _finish(
    root: Storage,
    recipe: Recipe,
    step: str,
    inputs: dict[str, Input],
    rows: dict[Any, list[dict[str, Any]]],
    facts: dict[str, float] | None = None,
    files: tuple[str, ...] = (),
) -> Artifact:
    out = ArtifactFolder(root.sub(step, "1"))
    out.seal("all", {table: table.table(values) for table, values in rows.items()}, facts=facts)
    settings = json.loads(json.dumps(step_named(step).identity(recipe)))
    artifact = out.finish(
        step=step, version=step_named(step).version, settings=settings, inputs=inputs, tables=tuple(rows), started=0.0, files=files
    )  # fmt: skip
    root.point(f"{step}/latest", "1")
    return artifact


def _read(artifact: Artifact) -> Input:
    return Input(digest=artifact.digest, path=artifact.folder.url)
