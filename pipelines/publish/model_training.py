"""What a model card says of the two training stages: what they read, with which settings, how it went and what they drew."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipelines.artifact import Artifact
from pipelines.publish.model_origin import Origin
from pipelines.report.content import energy, training_totals
from pipelines.train.layout import read_layout

TITLES = {"finetune": "fine-tuning", "instruct": "instruction tuning"}
TEXTS = {"finetune": "articles", "instruct": "question-answer pairs, of which the answers are learned"}
UNKNOWN = "not written down"
DRAWN = ("hours", "kwh", "kg_co2", "measured_kwh", "measured_kg_co2")  # facts of a stage

Row = dict[str, Any]


def training(found: Origin) -> dict[str, list[str]]:
    """Rows of a table: what each says, of both stages."""
    stages = {"finetune": found.finetune, "instruct": found.instruct}
    sequences = found.tokenize.manifest.settings["tokenize"]
    totals = training_totals(stages)
    rows = [_stage(name, artifact, sequences, row) for (name, artifact), row in zip(stages.items(), totals, strict=True)]
    return {title: [row[title] for row in rows] for title in rows[0]}


def energy_used(found: Origin) -> list[Row]:
    """Hours, energy and emissions of both stages and of all; None where a stage does not know."""
    stages = {"finetune": found.finetune, "instruct": found.instruct}
    drawn = [{name: artifact.manifest.facts.get(name) for name in DRAWN} for artifact in stages.values()]
    both = {name: _sum([row[name] for row in drawn]) for name in DRAWN}
    return [{"stage": title, **row} for title, row in zip([*TITLES.values(), "both"], [*drawn, both], strict=True)]


def measured_by(found: Origin) -> list[str]:
    """How the energy was measured, where it was."""
    rows = energy({"finetune": found.finetune, "instruct": found.instruct})
    return sorted({row["measured"]["method"] for row in rows if row["measured"]})


def _sum(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


def _stage(name: str, artifact: Artifact, sequences: Mapping[str, Any], totals: Row) -> dict[str, str]:
    settings, facts = artifact.manifest.settings, artifact.manifest.facts
    hyper, cap = settings[name], settings.get("max_tokens")
    lora = hyper["lora"]
    return {
        "stage": TITLES[name],
        "texts": TEXTS[name],
        "LoRA": f"rank {lora['r']}, alpha {lora['alpha']:g}, dropout {lora['dropout']:g}",
        "adapted layers": ", ".join(lora["targets"]) if lora["targets"] else "every linear layer but the head",
        "learning rate": f"{hyper['learning_rate']:g}, {hyper['scheduler']}, warmup {hyper['warmup_ratio']:.0%} of the steps",
        "weight decay, clip": f"{hyper['weight_decay']:g}, {hyper['clip']:g}",
        "batch": f"{hyper['effective_batch']} sequences of up to {sequences['context']:,} tokens ({sequences['layout']})",
        "read": f"{totals['sequences']:,} of {int(facts.get('available', 0)):,} sequences, {totals['tokens']:,} tokens"
        + (f" (capped at {cap:,})" if cap else ""),
        "learned tokens": f"{totals['label_tokens']:,}",
        "epochs": f"{facts.get('epochs', 0):.2f} of {hyper['epochs']:g}",
        "optimizer steps": f"{totals['steps']:,}",
        "loss, first and last": _change(totals["first_loss"], totals["last_loss"]),
        "held-out loss, before and after": _change(totals["first_valid_loss"], totals["last_valid_loss"]),
        "frozen weights": str(settings["dtype"]),
        **_layout(artifact),
    }


def _layout(artifact: Artifact) -> dict[str, str]:
    """What the stage ran on and how it lay there, which no recipe says: it is chosen by what fits."""
    used = read_layout(artifact.folder)
    return {"hardware": used.hardware if used else UNKNOWN, "layout": str(used) if used else UNKNOWN}


def _change(first: float | None, last: float | None) -> str:
    return "not measured" if first is None or last is None else f"{first:.3f}, {last:.3f}"
