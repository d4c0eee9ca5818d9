"""The two steps of training: fine-tune the base model on the corpus, then instruction-tune what that leaves."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec

from cluster.errors import UserError
from cluster.profiles import Profile
from cluster.room import await_room
from pipelines.artifact import Input
from pipelines.progress import Progress
from pipelines.recipe import Recipe
from pipelines.steps import Outcome, StepRun
from pipelines.train import checkpoints
from pipelines.train.divergence import SPIKE_STEPS, Diverged
from pipelines.train.estimate import known_config
from pipelines.train.fits import check_positions, check_precision
from pipelines.train.host import with_host_memory
from pipelines.train.job import ENERGY, LAYOUT, LOG_UNIT, STAGE_TABLES, TRACKERS, VALIDATION, Job, micro_batch
from pipelines.train.layout import read_layout
from pipelines.train.memory import choose_layout
from serving.engines.models import check_model, model_digest, weight_bytes

WORK_BYTES = 2  # memory of training on a CPU as a multiple of the weights in float32: weights, activations, merge
SHARDED = "zero_pp_rank_0_mp_rank_00_model_states"  # a file that DeepSpeed writes under ZeRO 3 only
TRACKER_MODULES = {"tensorboard": ("tensorboard", "tensorboardX"), "wandb": ("wandb",), "mlflow": ("mlflow",)}


def base_model(recipe: Recipe) -> dict[str, Input]:
    """The model that the recipe starts from, by content."""
    return {"model": Input(digest=model_digest(recipe.model), path=recipe.model)}


def check(recipe: Recipe) -> None:
    """Raises UserError, before any work starts, for what is known to fail."""
    _check_trackers(recipe.train.report_to)
    profile = with_host_memory(recipe.cluster.hardware(), recipe.cluster.address)
    for stage in STAGE_TABLES:
        micro_batch(recipe.train, getattr(recipe.train, stage), profile)
        layout = choose_layout(recipe.model, profile, recipe.train, stage, recipe.tokenize.context)
    config = known_config(recipe.model)
    check_precision(config, recipe.model)
    check_positions(recipe.tokenize.context, config.get("max_position_embeddings"), recipe.model)
    if not recipe.cluster.address:
        _check_gpus(profile)
        on_device = None if layout else profile.memory_bytes or None
        needed = None if profile.gpus_per_worker else WORK_BYTES * weight_bytes(recipe.model, "float32")
        check_model(recipe.model, dtype=recipe.train.dtype, needed_bytes=needed, available_bytes=on_device)


def _check_trackers(names: Sequence[str]) -> None:
    for name in names:
        if not any(find_spec(module) for module in TRACKER_MODULES[name]):
            raise UserError(
                f"train.report_to: {name} is not installed; run pip install '.[trackers]' in this project, or leave it out"
            )


def _check_gpus(profile: Profile) -> None:
    wanted = profile.train_workers * profile.gpus_per_worker
    if not wanted:
        return
    import torch

    if torch.cuda.device_count() < wanted:
        raise UserError(
            f"profile {profile.name} wants {wanted} GPU(s) and this machine has {torch.cuda.device_count()}; "
            "use --set cluster.profile=cpu, or name a Ray cluster with --set cluster.address=..."
        )


def finetune(run: StepRun) -> Outcome:
    """LoRA on the base model with the corpus' sequences."""
    return _train(run, "finetune")


def instruct(run: StepRun) -> Outcome:
    """LoRA on the fine-tuned, merged model with the question-answer sequences, loss on the answers."""
    return _train(run, "instruct")


def _train(run: StepRun, stage: str) -> Outcome:
    recipe = run.recipe
    profile = with_host_memory(recipe.cluster.hardware(), recipe.cluster.address)
    layout = choose_layout(recipe.model, profile, recipe.train, stage, recipe.tokenize.context)
    job = Job(
        stage=stage,
        settings=recipe.train,
        seed=recipe.seed,
        profile=layout.applied_to(profile) if layout else profile,
        model=recipe.model,
        previous=run.inputs.get("finetune"),
        tokens=run.inputs["tokenize"],
        out=run.out,
    )
    fallbacks: list[str] = []
    if LOG_UNIT not in run.out.sealed():
        if not job.tokens.rows(job.table):
            raise UserError(f"{stage}: there is no sequence to train on; look at what clean and tokenize left and dropped")
        if layout and profile.gpus_per_worker:
            run.progress.say(f"  {stage}: {layout.layout}, {layout.reason}; {layout.memory}")
        _await_workers(recipe, job, run.progress)
        fallbacks = _launch(job, run.progress)
    beside = (VALIDATION, ENERGY, LAYOUT, TRACKERS)
    return Outcome(files=("model", "adapter", *beside), volatile_files=beside, notes=[*fallbacks, *_notes(job)])


def _await_workers(recipe: Recipe, job: Job, progress: Progress) -> None:
    """Raises UserError when Ray has no room for the workers: on this machine at once, on a cluster after its wait."""
    profile, cluster = job.profile, recipe.cluster
    await_room(
        profile.train_workers,
        profile.resources,
        who=f"{job.stage} on profile {profile.name}",
        patience=cluster.wait_minutes * 60 if cluster.address else 0.0,
        say=lambda line: progress.say(f"  {line}"),
    )


def _launch(job: Job, progress: Progress) -> list[str]:
    """Train from the newest sound checkpoint; where the training leaves its course, go back once. What it fell back on."""
    from pipelines.train.launch import launch

    fallbacks = checkpoints.drop_damaged(job.out.folder)
    _say_where_it_goes_on(job, progress, fallbacks)
    try:
        launch(job, progress)
    except Diverged as error:
        checkpoints.drop_after(job.out.folder, error.step - SPIKE_STEPS)
        fallbacks.append(f"went back once: {error}")
        _say_where_it_goes_on(job, progress, fallbacks[-1:])
        launch(job, progress)
    return fallbacks


def _say_where_it_goes_on(job: Job, progress: Progress, fallbacks: list[str]) -> None:
    """Raises UserError when the newest checkpoint was made by another number of workers, or sharded otherwise."""
    for line in fallbacks:
        progress.say(f"  {job.stage}: {line}")
    newest, profile = checkpoints.newest(job.out.folder), job.profile
    if newest is None:
        return
    if newest.workers != profile.train_workers:
        raise UserError(
            f"{job.stage} stopped at step {newest.step} with {newest.workers} worker(s), and profile {profile.name} has "
            f"{profile.train_workers}; go on with the profile it began with, or start it again with --from {job.stage}"
        )
    if (profile.zero_stage == 3) != any(SHARDED in path for path in newest.files):
        raise UserError(
            f"{job.stage} stopped at step {newest.step} under another ZeRO stage than {profile.zero_stage}, which its "
            f"memory asks for now; go on with the profile it began with, or start it again with --from {job.stage}"
        )
    progress.say(f"  {job.stage} goes on from step {newest.step}, its newest checkpoint")


def _notes(job: Job) -> list[str]:
    facts = job.out.sealed()[LOG_UNIT].facts
    used = f"{facts['sequences']:,.0f} sequences ({facts['tokens']:,.0f} tokens, {facts['epochs']:.2f} epochs)"
    notes = [
        f"{job.stage}: trained on {used} of {facts['available']:,.0f} in {facts['steps']:,.0f} optimizer steps",
        f"merged in float32 (logits differ by {facts['merge_difference']:.1g} of their size), cast to {job.settings.dtype}",
    ]
    if layout := read_layout(job.out.folder):
        notes.append(f"{job.stage} ran on {layout.hardware}: {layout}")
    if missed := facts["checkpoints_without_room"]:
        notes.append(f"{missed:.0f} checkpoint(s) of {job.stage} were not kept: there was no room left")
    if facts["epochs"] < job.hyper.epochs * 0.999 and job.settings.max_tokens is not None:
        notes.insert(0, f"train.max_tokens = {job.settings.max_tokens:,} caps {job.stage}")
    return notes
