"""The model card: how a model was made, what it was tested with and what it is not for. Numbers only, no text of any row."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pipelines.artifact import Artifact, fingerprint
from pipelines.evaluate.settings import EvaluateSettings
from pipelines.publish.model_origin import OTHER, public_name
from pipelines.publish.model_publication import ModelPublication
from pipelines.publish.model_quantize import HOW, PACKAGES
from pipelines.publish.model_training import energy_used, measured_by, training
from pipelines.report.content import comparisons, judge, scores
from pipelines.statistics.funnel import funnel

TEMPLATES = Path(__file__).parent / "templates"
TAGS = ["medical", "health", "persian", "farsi"]

Row = dict[str, Any]


def model_card(publication: ModelPublication, digests: Mapping[str, str]) -> str:
    """The text of README.md. `digests`: SHA-256 of every other file that is published, by path."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"number": "{:,}".format, "share": "{:.1%}".format}
    found, recipe = publication.origin, publication.recipe
    rows = funnel(found.clean)
    return environment.get_template("model_card.md.j2").render(
        metadata=yaml.safe_dump(metadata(publication), sort_keys=False, allow_unicode=True),
        title=publication.settings.title or recipe.name,
        description=recipe.description,
        form=publication.form,
        quantized_by=PACKAGES.get(publication.form, ""),
        quantization=HOW.get(publication.form, ""),
        base=publication.base,
        licensed=publication.base.license != OTHER,
        datasets=publication.settings.datasets,
        training=training(found),
        energy=energy_used(found),
        measured_by=measured_by(found),
        kg_co2_per_kwh=recipe.train.kg_co2_per_kwh,
        funnel=rows,
        reasons=[reason for reason in dict.fromkeys(name for counts in rows.values() for name in counts) if reason != "kept"],
        test=evaluation(found.evaluate) if found.evaluate else None,
        weights={path: digest for path, digest in digests.items() if path.endswith(".safetensors")},
        made=how_made(publication),
    )


def metadata(publication: ModelPublication) -> Row:
    """The card's front matter, by the keys of the Hub. A base model that the Hub does not know is left out of it."""
    base, form, datasets = publication.base, publication.form, publication.settings.datasets
    of_base = {"base_model": base.repository, "base_model_relation": "adapter" if form == "adapter" else "finetune"}
    return {
        "language": ["fa"],
        "license": base.license,
        "library_name": "peft" if form == "adapter" else "transformers",
        "pipeline_tag": "text-generation",
        **(of_base if base.repository else {}),
        **({"datasets": datasets} if datasets else {}),
        "tags": [*TAGS, *(["torchao", form] if form in ("int8", "int4") else [])],
    }


def evaluation(artifact: Artifact) -> Row:
    """The scores of the base and the trained model side by side, and what the judge said, if that may be read."""
    settings = EvaluateSettings.model_validate(artifact.manifest.settings["evaluate"])
    table = scores({"evaluate": artifact})
    judged = judge(table, settings)
    if judged:
        judged["name"] = public_name(judged["name"])
    return {
        "perplexities": comparisons(table, "perplexity"),
        "accuracies": comparisons(table, "accuracy"),
        "judge": judged,
        "samples": settings.bootstrap,
        "generate_tokens": settings.generate_tokens,
    }


def how_made(publication: ModelPublication) -> dict[str, str]:
    """What somebody needs to make the same again, by content."""
    found, recipe = publication.origin, publication.recipe
    instruct = found.instruct.manifest
    return {
        "recipe": f"{recipe.name} ({fingerprint(recipe.identity())})",
        "code": f"gaokerena {version('gaokerena')}, training step version {instruct.version}",
        "base model": publication.base.digest,
        **{f"{step} artifact": artifact.digest for step, artifact in found.artifacts().items()},
        "software of the training": ", ".join(f"{name} {number}" for name, number in instruct.versions.items()),
    }
