"""The report step: one page that opens offline anywhere (`index.html`), and its numbers for programs (`report.json`)."""

from __future__ import annotations

import json

from pipelines.report import content, data
from pipelines.report.page import render
from pipelines.steps import Outcome, StepRun

PAGE, NUMBERS = "index.html", "report.json"
DIGITS = 6  # of a number in report.json


def report(run: StepRun) -> Outcome:
    """Write both files. Only the numbers enter the content digest: the page names the day and the machine."""
    run.progress.total(2)
    cleaned = data.numbers(run.inputs)
    facts = {"recipe": run.recipe.name, "model": run.recipe.model, **content.facts(run.inputs, cleaned, run.recipe.evaluate)}
    numbers = json.dumps(_rounded(facts), ensure_ascii=False, indent=1, sort_keys=True)
    run.out.folder.write(NUMBERS, numbers.encode())
    run.progress.advance()
    run.out.folder.write(PAGE, render(run, cleaned).encode())
    run.progress.advance()
    return Outcome(files=(PAGE, NUMBERS), volatile_files=(PAGE,))


def _rounded(value: object) -> object:
    if isinstance(value, float):
        return round(value, DIGITS)
    if isinstance(value, dict):
        return {str(key): _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list | tuple) else value
