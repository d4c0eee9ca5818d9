"""What every training worker does: load, adapt, train, and on rank 0 merge and upload.

`train_stage` runs inside Ray Train and gets its folder and threads from there; `train` needs only torch.distributed.
"""

from __future__ import annotations

import gc
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cluster.cache import cache_folder
from cluster.session import prepare_environment
from cluster.storage import Storage
from pipelines.artifact import fingerprint
from pipelines.tables import TRAIN_LOG
from pipelines.train import checkpoints
from pipelines.train.energy import account, facts
from pipelines.train.figures import write_figures
from pipelines.train.fits import check_fits, check_has_labels
from pipelines.train.history import History, log_rows, validations, without_room
from pipelines.train.job import ENERGY, LOG_UNIT, VALID_TABLES, VALIDATION, Job
from pipelines.train.layout import UsedLayout, write_layout
from pipelines.train.sequences import Sequences, collate, load_sequences, make_plan, sequence_lengths
from pipelines.train.sharding import load_whole_models

if TYPE_CHECKING:
    import torch
    from peft import PeftModel
    from transformers import TrainerCallback

    from pipelines.train.preemption import Drained
    from pipelines.train.trainer import Report, StageTrainer
    from pipelines.train.validation import HeldOut

PROBE_TOKENS = 64  # of a training sequence, for the checks of loss and merge


def train_stage(config: dict[str, Any]) -> None:
    """The function that Ray Train runs on every worker; `config`: the job, and the attempt's name for its figures."""
    import ray.train

    job = config["job"]
    report = partial(write_figures, job.out.folder, config["attempt"])
    _prepare_process(job)
    with _scratch(job) as folder:
        train(job, folder, report, ray.train.get_preemption_info)


def train(job: Job, folder: Path, report: Report, drained: Drained = lambda: None) -> None:
    """One worker's part of a stage, with `folder` as its own; rank 0 leaves adapter, model and log on run storage.

    `drained`: what Ray Train says of nodes that are about to go.
    """
    sequences = _sequences(job)
    trainer = _trainer(job, sequences, folder, report, drained)
    trainer.train(resume_from_checkpoint=_resume(job, folder))
    log, first = trainer.state.log_history, trainer.is_world_process_zero()
    with trainer.whole_adapter():
        if first:
            _save_adapter(job, trainer.model, folder)
    del trainer
    gc.collect()
    load_whole_models()
    if first:
        _leave(job, sequences, log, folder)


@contextmanager
def _scratch(job: Job) -> Iterator[Path]:
    """A folder of this worker; what a killed attempt at the same work left on the node goes first."""
    import ray.train

    rank = ray.train.get_context().get_world_rank()
    work = cache_folder("training", fingerprint([job.out.folder.url, rank]))
    for left in work.iterdir():
        shutil.rmtree(left)
    with tempfile.TemporaryDirectory(dir=work) as name:
        yield Path(name)


def _prepare_process(job: Job) -> None:
    prepare_environment()
    os.environ.setdefault("TORCH_EXTENSIONS_DIR", str(cache_folder("torch_extensions")))
    import ray.train
    import torch
    from deepspeed.ops import __compatible_ops__

    # Shared-memory collectives serve inference only; compiling them takes half a minute.
    __compatible_ops__["deepspeed_shm_comm"] = False
    if not job.profile.gpus_per_worker:  # Ray gives a worker one thread a logical CPU that it asked for
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // ray.train.get_context().get_local_world_size()))


def _sequences(job: Job) -> Sequences:
    table = load_sequences(job.tokens, job.table, cache_folder("runs"))
    check_has_labels(table)
    plan = make_plan(
        sequence_lengths(table),
        seed=job.seed,
        epochs=job.hyper.epochs,
        effective_batch=job.hyper.effective_batch,
        max_tokens=job.settings.max_tokens,
    )
    return Sequences(table, plan)


def _trainer(job: Job, sequences: Sequences, folder: Path, report: Report, drained: Drained) -> StageTrainer:
    from torch import distributed
    from transformers import set_seed

    from pipelines.train.attention import attend_by_document
    from pipelines.train.lora import add_adapter, checkpoint_adapter_only
    from pipelines.train.loss import CheckOnceSharded, check_against_model, train_on_labels_only
    from pipelines.train.saving import Saving
    from pipelines.train.trainer import StageTrainer, training_arguments
    from serving.engines.models import load_model

    set_seed(job.seed)
    arguments = training_arguments(job, folder)  # first: DeepSpeed's ZeRO 3 shards a model while it loads
    model = load_model(job.base_folder(), job.settings.dtype, job.attention)
    model.config.use_cache = False
    attend_by_document(model)
    if distributed.get_rank() == 0:
        write_layout(job.out.folder, UsedLayout.of(job, model.config._attn_implementation))
    check_fits(sequences.table, model, job.base_name)
    adapted = add_adapter(model, job.hyper.lora)
    checkpoint_adapter_only(adapted)
    callbacks = _callbacks(job, folder, drained)
    if job.profile.zero_stage == 3:
        callbacks.append(CheckOnceSharded(model, _probe(sequences)))
    else:
        check_against_model(model, _probe(sequences))
    train_on_labels_only(model)
    return StageTrainer(
        job=job,
        sequences=sequences,
        held_out=_held_out(job, sequences.plan.tokens),
        saving=Saving(job.out.folder, keep=job.settings.keep_checkpoints, trained=adapted.num_parameters(only_trainable=True)),
        report=report,
        callbacks=callbacks,
        model=adapted,
        args=arguments,
        data_collator=partial(collate, flat=job.flat),
    )


def _callbacks(job: Job, folder: Path, drained: Drained) -> list[TrainerCallback]:
    """In their order: the meter looks at what preemption asks for."""
    from torch import distributed

    from pipelines.train.meter import Meter
    from pipelines.train.preemption import SaveBeforePreemption
    from pipelines.train.trackers import Trackers

    callbacks: list[TrainerCallback] = [SaveBeforePreemption(drained)]
    if job.settings.measure_energy:
        callbacks.append(Meter())
    if job.settings.report_to and distributed.get_rank() == 0:
        callbacks.append(Trackers(job.out.folder, folder))
    return callbacks


def _held_out(job: Job, trained_tokens: int) -> HeldOut:
    from pipelines.train.validation import held_out

    table = load_sequences(job.tokens, VALID_TABLES[job.stage], cache_folder("runs"))
    most = min(job.settings.valid_tokens, int(job.settings.valid_share * trained_tokens))
    return held_out(table, seed=job.seed, max_tokens=most, micro_batch=job.micro_batch)


def _probe(sequences: Sequences) -> torch.Tensor:
    import torch

    first = sequences.sequence(int(sequences.plan.of_step(0)[0]))
    return torch.from_numpy(first["input_ids"][:PROBE_TOKENS])[None]


def _resume(job: Job, folder: Path) -> str | None:
    """A copy of the newest complete checkpoint, on this node's disk."""
    newest = checkpoints.newest(job.out.folder)
    return str(checkpoints.download(job.out.folder, newest, folder / f"checkpoint-{newest.step}")) if newest else None


def _save_adapter(job: Job, model: PeftModel, folder: Path) -> None:
    from pipelines.train.lora import save_adapter

    save_adapter(model, folder / "adapter", job.base_name)


def _leave(job: Job, sequences: Sequences, log: History, folder: Path) -> None:
    """Merge, upload adapter and model, and seal the log last: with it the stage is done."""
    from pipelines.train.lora import merge

    difference = merge(job.base_folder(), folder / "adapter", folder / "model", job.settings.dtype, _probe(sequences))
    for name in ("adapter", "model"):
        _replace(job.out.folder, folder / name, name)
    plan, measured = sequences.plan, validations(log)
    rows = log_rows(log, measured, plan)
    energy = _energy(job, rows, log)
    job.out.folder.write(VALIDATION, json.dumps(measured, indent=1).encode())
    job.out.folder.write(ENERGY, json.dumps(energy, indent=1).encode())
    job.out.seal(
        LOG_UNIT,
        {TRAIN_LOG: TRAIN_LOG.table(rows)},
        rows_in=plan.available,
        dropped={"beyond train.max_tokens": plan.unused} if plan.unused else {},
        facts={
            "sequences": plan.sequences,
            "available": plan.available,
            "tokens": plan.tokens,
            "label_tokens": sum(row["label_tokens"] for row in rows),
            "epochs": plan.epochs,
            "steps": plan.steps,
            "merge_difference": difference,
            "checkpoints_without_room": without_room(log),
            **facts(energy),
        },
    )


def _replace(storage: Storage, folder: Path, prefix: str) -> None:
    """Upload a folder; what an earlier, killed attempt left there goes."""
    for old in set(storage.list(prefix)) - set(storage.upload(folder, prefix)):
        storage.delete(old)


def _energy(job: Job, rows: History, log: History) -> dict[str, Any]:
    """Of the hours that optimizer steps took, and of the whole training as it was measured."""
    hours = sum(row["seconds"] for row in rows) / 3600
    return account(hours, job.profile.watts * job.profile.train_workers, job.settings.kg_co2_per_kwh, log)
