"""The report's page: the template filled with what the artifacts say. Pictures and fonts are inside the file."""

from __future__ import annotations

import base64
import os
import platform
import time
from pathlib import Path
from typing import Any

import psutil
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from pipelines.report import content, data, plots
from pipelines.statistics import paper
from pipelines.steps import StepRun

HERE = Path(__file__).parent
WEB_FONT = HERE / "fonts" / "Vazirmatn-Regular.woff2"
ANSWERS_SHOWN = 12  # in the picture of perplexities before and after
CHANCE = 0.25  # of four options


def render(run: StepRun, cleaned: dict[str, Any]) -> str:
    """The whole page as text; `cleaned` are the numbers of the cleaned data."""
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": _number, "share": _share, "duration": _duration, "gigabytes": _gigabytes, "dir": _direction}
    return environment.get_template("page.html.j2").render(**_values(run, cleaned))


def _values(run: StepRun, cleaned: dict[str, Any]) -> dict[str, Any]:
    inputs, recipe = run.inputs, run.recipe
    steps, table = content.steps(inputs), content.scores(inputs)
    perplexities, accuracies = (content.comparisons(table, metric) for metric in ("perplexity", "accuracy"))
    funnel, training = cleaned["funnel"], content.training(inputs)
    versions = inputs["evaluate"].manifest.versions
    return {
        "recipe": recipe,
        "written": time.strftime("%Y-%m-%d %H:%M %Z"),
        "machine": _machine(),
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
        "steps": steps,
        "seconds": sum(step["seconds"] for step in steps),
        "memory": max(step["memory"] for step in steps),
        "crawl": content.crawl(inputs),
        "funnel": funnel,
        "data": cleaned["kinds"],
        "paper": paper,
        "tokens": content.tokens(inputs),
        "training": content.training_totals(inputs),
        "validation": content.validation_by_source(inputs),
        "energy": content.energy(inputs),
        "perplexities": perplexities,
        "accuracies": accuracies,
        "judge": content.judge(table, recipe.evaluate),
        "free_form": content.free_form(inputs),
        "samples": data.kept(inputs, recipe.report.samples),
        "dropped": data.dropped(inputs),
        "contaminated": data.contaminated(inputs),
        "transcript": content.transcript(inputs),
        "lineage": content.lineage(inputs),
        "digests": {name: artifact.digest[:16] for name, artifact in inputs.items()},
        "notes": {name: artifact.manifest.notes for name, artifact in inputs.items() if artifact.manifest.notes},
        "font": base64.b64encode(WEB_FONT.read_bytes()).decode(),
        "pictures": {
            "funnel": _image(plots.funnel(funnel)),
            "sources": _image(plots.sources(cleaned["kinds"])),
            "lengths": _image(plots.lengths(cleaned["kinds"])),
            "training": _image(plots.training_curves(training)),
            "answers": _image(plots.before_and_after(rows))
            if (rows := content.answer_perplexities(inputs, ANSWERS_SHOWN))
            else None,
            "accuracies": _image(plots.accuracies(_bars(accuracies), CHANCE)) if accuracies else None,
        },
    }


def _bars(rows: list[dict[str, Any]]) -> list[tuple[str, dict[str, Any], dict[str, Any]]]:
    return [(f"{row['task']}, {row['method']}", row["base"], row["trained"]) for row in rows]


def _machine() -> str:
    memory = psutil.virtual_memory().total
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors, {memory / 1e9:.0f} GB of memory"


def _image(svg: bytes) -> Markup:
    return Markup("data:image/svg+xml;base64,{}").format(base64.b64encode(svg).decode())


def _number(value: float | None, digits: int = 0) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"


def _share(value: float | None, digits: int = 1) -> str:
    return "–" if value is None else f"{value:.{digits}%}"


def _duration(seconds: float) -> str:
    if seconds < 10:
        return f"{seconds:.1f} s"
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.1f} min"


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB"


def _direction(text: str) -> Markup:
    """Attributes of an element that shows `text`: right to left where most of its letters are of the Arabic script."""
    letters = [character for character in text if character.isalpha()]
    persian = sum("\u0600" <= character <= "\u06ff" for character in letters)
    return Markup('dir="rtl" lang="fa"') if letters and persian * 2 > len(letters) else Markup('dir="ltr"')
