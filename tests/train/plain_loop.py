"""The same training in PyTorch alone: no DeepSpeed, no transformers Trainer, no accumulation, the model's own loss."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from transformers import get_scheduler, set_seed

from pipelines.train.job import Job
from pipelines.train.lora import add_adapter
from pipelines.train.sequences import Sequences, collate, make_plan, sequence_lengths
from serving.engines.models import load_model


def plain_loop(job: Job) -> tuple[list[float], list[float]]:
    """Loss and gradient norm (before clipping) of every optimizer step."""
    stage, table = job.hyper, job.tokens.read(job.table)
    lengths = sequence_lengths(table)
    plan = make_plan(lengths, seed=job.seed, epochs=stage.epochs, effective_batch=stage.effective_batch, max_tokens=None)
    sequences = Sequences(table, plan)
    set_seed(job.seed)
    adapted = add_adapter(load_model(Path(job.model), "float32"), stage.lora).train()
    trained = [parameter for parameter in adapted.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=stage.learning_rate, weight_decay=stage.weight_decay)
    warmup = math.ceil(stage.warmup_ratio * plan.steps)
    schedule = get_scheduler(stage.scheduler, optimizer, num_warmup_steps=warmup, num_training_steps=plan.steps)
    losses, norms = [], []
    for step in range(plan.steps):
        batch = collate([sequences.sequence(int(row)) for row in plan.of_step(step)])
        loss = adapted(**batch, use_cache=False).loss  # with a cache, transformers does not keep packed documents apart
        loss.backward()
        norms.append(float(torch.nn.utils.clip_grad_norm_(trained, stage.clip)))
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses, norms
