"""The graph of steps: what each needs and leaves, and when it has to run again.

A step's fingerprint is its name, its version, its identity settings and the content digest of everything
it reads (artifacts, files, models). The same fingerprint is the same work, whoever did it and where.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from cluster.errors import UserError
from cluster.storage import Storage
from pipelines.artifact import Artifact, ArtifactFolder, Input, UnitRecord, fingerprint
from pipelines.tables import Table

if TYPE_CHECKING:
    from pipelines.progress import Progress
    from pipelines.recipe import Recipe

Item = TypeVar("Item")


@dataclass(frozen=True)
class Outcome:
    """What a step's work says at its end, beside the units that it sealed."""

    units: list[str] | None = None  # which units count; None: all that are sealed
    files: tuple[str, ...] = ()  # folders of plain files that belong to the artifact
    volatile_files: tuple[str, ...] = ()  # those of them that stay out of the content digest
    notes: list[str] = field(default_factory=list)  # what a reader must know: caps, fallbacks, warnings


@dataclass(frozen=True)
class StepRun:
    """What a step's work is given."""

    recipe: Recipe
    inputs: dict[str, Artifact]  # by the step that left it
    out: ArtifactFolder
    progress: Progress
    cache: Path  # a folder of this node for copies that can be made again

    def map_units(
        self, work: Callable[[Item], UnitRecord], items: Sequence[Item], names: Sequence[str], **options: Any
    ) -> Iterator[UnitRecord]:
        """Run `work` in Ray tasks on the items whose units are not sealed yet; yield every new record.

        `work` seals the unit of that name itself, where it runs. Options are those of `dataflow.map_tasks`.
        """
        from cluster.dataflow import map_tasks

        done = self.out.sealed()
        todo = [item for item, name in zip(items, names, strict=True) if name not in done]
        self.progress.total(len(items), done=len(items) - len(todo))
        for record in map_tasks(work, todo, **options):
            self.progress.advance()
            yield record


@dataclass(frozen=True)
class Step:
    """One step of the graph."""

    name: str
    help: str  # one line, for the command's manual
    version: int  # raised when the step's code changes what it leaves
    needs: tuple[str, ...]  # steps whose artifacts it reads
    tables: tuple[Table, ...]
    work: str  # "module:function", imported only when the step runs: Callable[[StepRun], Outcome]
    identity: Callable[[Recipe], dict[str, Any]]
    external: str = ""  # "module:function": Callable[[Recipe], dict[str, Input]], files and models by content
    check: str = ""  # "module:function": Callable[[Recipe], None], raises UserError before any work starts
    needs_ray: bool = True

    def run(self, run: StepRun) -> Outcome:
        outcome: Outcome = _load(self.work)(run)
        return outcome

    def external_inputs(self, recipe: Recipe) -> dict[str, Input]:
        found: dict[str, Input] = _load(self.external)(recipe) if self.external else {}
        return found

    def check_before(self, recipe: Recipe) -> None:
        if self.check:
            _load(self.check)(recipe)

    def fingerprint(self, recipe: Recipe, inputs: dict[str, Input]) -> str:
        """The name of this step's folder."""
        return fingerprint([self.name, self.version, self.identity(recipe), {n: i.digest for n, i in sorted(inputs.items())}])


def _load(target: str) -> Callable[..., Any]:
    module, _, name = target.partition(":")
    function: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return function


def graph() -> tuple[Step, ...]:
    """Every step, in the order in which they run."""
    from pipelines import tables as t

    def section(*names: str) -> Callable[[Recipe], dict[str, Any]]:
        return partial(_sections, names=names)

    return (
        Step(
            "crawl",
            "Fetch the pages of every source, politely.",
            2,
            (),
            (t.PAGES, t.FAILURES),
            "pipelines.crawl.step:crawl",
            _crawl_identity,
            check="pipelines.crawl.step:check",
        ),
        Step(
            "extract",
            "Turn pages into articles and question-answer pairs.",
            3,
            ("crawl",),
            (t.ARTICLES, t.QA, t.DROPPED),
            "pipelines.extract.step:extract",
            _extract_identity,
            external="pipelines.extract.step:external",
            check="pipelines.extract.step:check",
        ),
        Step(
            "clean",
            "Normalise, filter, redact and deduplicate; make the splits.",
            4,
            ("extract",),
            (t.CORPUS, t.PAIRS, t.LINEAGE, t.DROPPED, t.CONTAMINATED),
            "pipelines.clean.step:clean",
            section("clean", "seed"),
            external="pipelines.clean.step:external",
            check="pipelines.clean.step:check",
        ),
        Step(
            "tokenize",
            "Turn texts into Arrow token sequences.",
            3,
            ("clean",),
            (t.CORPUS_TRAIN, t.CORPUS_VALID, t.QA_TRAIN, t.QA_VALID),
            "pipelines.tokenization.step:tokenize",
            section("tokenize", "seed", "model"),
            external="pipelines.train.step:base_model",
        ),
        Step(
            "finetune",
            "Fine-tune the base model on the corpus with LoRA, and merge.",
            3,
            ("tokenize",),
            (t.TRAIN_LOG,),
            "pipelines.train.step:finetune",
            partial(_stage, stage="finetune"),
            external="pipelines.train.step:base_model",
            check="pipelines.train.step:check",
        ),
        Step(
            "instruct",
            "Instruction-tune the fine-tuned model on question-answer pairs, and merge.",
            3,
            ("tokenize", "finetune"),
            (t.TRAIN_LOG,),
            "pipelines.train.step:instruct",
            partial(_stage, stage="instruct"),
        ),
        Step(
            "evaluate",
            "Test the base and the trained model, and judge their answers.",
            1,
            ("clean", "tokenize", "instruct"),
            (t.ANSWERS, t.JUDGEMENTS, t.SCORES),
            "pipelines.evaluate.step:evaluate",
            section("evaluate", "seed", "model"),
            external="pipelines.evaluate.step:external",
            check="pipelines.evaluate.step:check",
        ),
        Step(
            "ask",
            "Start the endpoint, ask the trained model one question, stop it.",
            1,
            ("instruct",),
            (),
            "pipelines.ask.step:ask",
            section("ask"),
            check="pipelines.ask.step:check",
        ),
        Step(
            "report",
            "Write the report: tables, plots and samples.",
            4,
            ("crawl", "extract", "clean", "tokenize", "finetune", "instruct", "evaluate", "ask"),
            (),
            "pipelines.report.step:report",
            section("report", "name"),
            needs_ray=False,
        ),
    )


def step_named(name: str) -> Step:
    """A step by its name. Raises UserError."""
    steps = {step.name: step for step in graph()}
    if name not in steps:
        raise UserError(f"unknown step {name!r}; steps are {', '.join(steps)}")
    return steps[name]


def _sections(recipe: Recipe, names: tuple[str, ...]) -> dict[str, Any]:
    whole = recipe.identity()
    return {name: whole[name] for name in names}


def _crawl_identity(recipe: Recipe) -> dict[str, Any]:
    from pipelines.crawl.source import load_sources

    return {**recipe.crawl.identity(), "sources": [source.crawl_identity() for source in load_sources(recipe.crawl.sources)]}


def _extract_identity(recipe: Recipe) -> dict[str, Any]:
    from pipelines.crawl.source import load_file_sources, load_sources

    sites = {source.name: source.extract_identity() for source in load_sources(recipe.crawl.sources)}
    files = {source.name: source.extract_identity() for source in load_file_sources(recipe.crawl.sources)}
    return {**recipe.extract.identity(), "rules": sites | files}


def _stage(recipe: Recipe, stage: str) -> dict[str, Any]:
    train = recipe.identity()["train"]
    others = {"finetune", "instruct"} - {stage}
    return {"seed": recipe.seed, **{key: value for key, value in train.items() if key not in others}}


def latest(root: Storage, step: str) -> Artifact | None:
    """The newest finished artifact of a step in a run's storage."""
    name = root.pointed(f"{step}/latest")
    return Artifact.load(root.sub(step, name)) if name else None
