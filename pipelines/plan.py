"""What a run would do, before it does anything: steps, inputs, hardware, tokens, memory and hours."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group
from rich.table import Table

from cluster.profiles import Profile
from cluster.storage import Storage
from pipelines import tables
from pipelines.crawl.source import load_file_sources, load_sources
from pipelines.recipe import Recipe
from pipelines.steps import graph, latest
from pipelines.train.energy import energy
from pipelines.train.estimate import Cost, Shape, implied_mfu, known_shape, stage_cost
from pipelines.train.host import with_host_memory
from pipelines.train.memory import choose_layout
from pipelines.train.reached import Reached, reached
from pipelines.train.settings import StageSettings


def plan(recipe: Recipe, root: Storage) -> Group:
    """The plan as something that a console prints. Raises UserError for a source that is not there or a model that can't fit."""
    profile = with_host_memory(recipe.cluster.hardware(), recipe.cluster.address)
    return Group(*_head(recipe, root, profile), *_data(recipe), _steps(root), *_training(recipe, root, profile))


def training_plan(recipe: Recipe, root: Storage) -> Group:
    """The part of the plan that says what training takes. Raises UserError for a model that can't fit."""
    profile = with_host_memory(recipe.cluster.hardware(), recipe.cluster.address)
    return Group(*_head(recipe, root, profile), *_training(recipe, root, profile))


def _head(recipe: Recipe, root: Storage, profile: Profile) -> Iterator[str]:
    device = f"{profile.gpus_per_worker} GPU" if profile.gpus_per_worker else "CPU"
    yield f"recipe    {recipe.name}: {recipe.description}"
    yield f"storage   {root.url}"
    yield f"model     {recipe.model}"
    yield (
        f"hardware  {profile.name}: {profile.train_workers} worker(s) with {device}, {recipe.train.dtype}, "
        f"attention {profile.attention}, served by {profile.engine}"
    )


def _data(recipe: Recipe) -> Iterator[str]:
    sites, files = load_sources(recipe.crawl.sources), load_file_sources(recipe.crawl.sources)
    yield f"sources   {len(sites) + len(files)}: {', '.join([s.name for s in sites] + [f.name for f in files])}"
    yield f"tests     {', '.join(recipe.evaluate.tasks)}"


def _steps(root: Storage) -> Table:
    table = Table("step", "reads", "what it does", "finished before", box=None)
    for step in graph():
        artifact = latest(root, step.name)
        rows = f"{artifact.manifest.rows_out:,} rows" if artifact else "no"
        table.add_row(step.name, ", ".join(step.needs) or "the web", step.help, rows)
    return table


def _training(recipe: Recipe, root: Storage, profile: Profile) -> Iterator[str]:
    shape = known_shape(recipe.model)
    if shape is None:
        yield f"training  the shape of {recipe.model} is not known here, so no estimate of memory and time"
        return
    flops = 0.0
    for name, stage, (tokens, origin) in (
        ("finetune", recipe.train.finetune, _corpus_tokens(recipe, root)),
        ("instruct", recipe.train.instruct, _qa_tokens(recipe, root)),
    ):
        layout = choose_layout(recipe.model, profile, recipe.train, name, recipe.tokenize.context)
        if layout:
            yield f"{name:<9} {layout.layout}, {layout.reason}; {layout.memory}"
        if recipe.train.max_tokens and tokens > recipe.train.max_tokens:
            tokens, origin = recipe.train.max_tokens, f"capped by train.max_tokens; {origin}"
        if not tokens:
            yield "          tokens are not known before the crawl; give expected.corpus_words and expected.qa_words"
            continue
        cost = stage_cost(shape, stage, tokens=tokens, context=recipe.tokenize.context)
        flops += cost.flops
        found = reached(root, name, recipe.model, profile, layout.layout) if layout else None
        yield f"          {_stage_line(recipe, profile, shape, stage, cost)}{_hours(cost, recipe, profile, found)}"
        yield f"          {origin}"
    if recipe.expected.hours and profile.tflops and flops:
        yield f"{'before':<9} {_implied(recipe.expected.hours, flops, recipe, profile)}"


def _stage_line(recipe: Recipe, profile: Profile, shape: Shape, stage: StageSettings, cost: Cost) -> str:
    adapter, context = shape.adapter_parameters(stage.lora), recipe.tokenize.context
    return (
        f"{cost.tokens:,} tokens, {cost.sequences:,} sequences of {context}, {cost.optimizer_steps:,} optimizer steps of "
        f"{stage.effective_batch} ({stage.effective_batch * context:,} tokens); {shape.parameters / 1e9:.2f} B parameters, "
        f"{adapter / 1e6:.2f} M trained"
    )


def _hours(cost: Cost, recipe: Recipe, profile: Profile, found: Reached | None) -> str:
    if not profile.tflops:
        return ""
    peak, mfu = profile.tflops * profile.train_workers, found.mfu if found else recipe.expected.mfu
    how, source = (f"a measured {mfu:.1%}", f"; {found.source}") if found else (f"an assumed {mfu:.0%}", "")
    hours = cost.hours(peak, mfu)
    return f"; {hours:.1f} h at {how} of {peak:.0f} TFLOP/s (4N a token{source}){_energy(hours, recipe, profile)}"


def _implied(hours: float, flops: float, recipe: Recipe, profile: Profile) -> str:
    peak = profile.tflops * profile.train_workers
    mfu = implied_mfu(flops, hours, peak)
    return f"both stages in {hours:g} h are {mfu:.1%} of {peak:.0f} TFLOP/s (4N a token){_energy(hours, recipe, profile)}"


def _energy(hours: float, recipe: Recipe, profile: Profile) -> str:
    if not profile.watts:
        return ""
    watts, intensity = profile.watts * profile.train_workers, recipe.train.kg_co2_per_kwh
    used = energy(hours, watts, intensity)
    return f", {used.kwh:.2f} kWh, {used.kg_co2:.2f} kg CO2 ({watts:.0f} W, {intensity:g} kg/kWh)"


def _corpus_tokens(recipe: Recipe, root: Storage) -> tuple[int, str]:
    expected, fraction = recipe.expected, recipe.tokenize.corpus_fraction
    return _counted(root, tables.CORPUS_TRAIN) or (
        int(expected.corpus_words * fraction * expected.tokens_per_word),
        f"estimated: {expected.corpus_words:,} words x {fraction:.0%} of the corpus x {expected.tokens_per_word} tokens a word",
    )


def _qa_tokens(recipe: Recipe, root: Storage) -> tuple[int, str]:
    expected = recipe.expected
    return _counted(root, tables.QA_TRAIN) or (
        int(expected.qa_words * expected.tokens_per_word),
        f"estimated: {expected.qa_words:,} words x {expected.tokens_per_word} tokens a word",
    )


def _counted(root: Storage, table: tables.Table) -> tuple[int, str] | None:
    """The tokens that `tokenize` counted, once it has run."""
    artifact = latest(root, "tokenize")
    return (int(artifact.manifest.facts[f"{table.name} tokens"]), f"counted in {artifact.folder.url}") if artifact else None
