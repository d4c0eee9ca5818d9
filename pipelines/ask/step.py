"""The ask step: starts the endpoint with the trained model, asks it one question, stops it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.ask.client import Transcript, ask_endpoint
from pipelines.ask.endpoint import MODEL_NAME, served
from pipelines.steps import Outcome, StepRun

if TYPE_CHECKING:
    from pipelines.recipe import Recipe

UNIT = "ask"
FOLDER, ANSWER = "answer", "answer/transcript.json"  # question and answer; how fast it came is among the unit's facts
TIMES = {"chunks", "ttft_seconds", "seconds"}


def check(recipe: Recipe) -> None:
    """Raise UserError when the port is taken."""
    from serving.app import usable_port

    usable_port("127.0.0.1", recipe.ask.port)


def ask(run: StepRun) -> Outcome:
    """Leaves the answer as a file, and how fast it came as facts."""
    if UNIT not in run.out.sealed():
        model = f"{run.inputs['instruct'].folder.url}/model"
        settings = run.recipe.ask
        with served(run.recipe, model, port=settings.port) as url:
            _keep(run, ask_endpoint(url, MODEL_NAME, settings.question, settings.max_tokens))
    return Outcome(files=(FOLDER,))


def _keep(run: StepRun, transcript: Transcript) -> None:
    run.out.folder.write(ANSWER, transcript.model_dump_json(exclude=TIMES, indent=1).encode())
    times = transcript.model_dump(include=TIMES)
    run.out.seal(UNIT, {}, rows_in=1, facts={**times, "tokens": transcript.tokens})
    run.progress.say(f"  asked: {transcript.question}")
    took = f"{transcript.seconds:.1f} s, first text after {transcript.ttft_seconds:.1f} s"
    run.progress.say(f"  answered ({took}): {transcript.answer}")
