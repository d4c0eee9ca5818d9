"""What a stage holds in one device's memory, and the layout on the devices that fits: the first of a short list.

Weights, adapter and optimizer states are counted. Activations are what PyTorch keeps for the backward pass of one decoder
block with LoRA; a test compares them with what it really keeps. A tenth of the device stays free for CUDA's context,
communication buffers and fragmentation.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import ceil
from typing import get_args

from cluster.errors import UserError
from cluster.profiles import Level, Profile, ZeroStage
from pipelines.train.estimate import Shape, known_shape
from pipelines.train.job import micro_batch
from pipelines.train.settings import LoraSettings, StageSettings, TrainSettings

HEADROOM = 0.1  # of the memory of a device, and of a machine
LEVELS: tuple[Level, ...] = get_args(Level)
EVERY = {"selective": 2, "full": 1}  # the blocks that are checkpointed: each second one, or all
LIVE = 1 << 29  # parameters that ZeRO 3 keeps whole at once, beside the largest one
CHUNK_LOGITS = 1 << 25  # logits that the loss holds at once
MASK = 1  # byte a number of a dropout's mask, on a GPU
GIB = 2**30
BYTES = {"bfloat16": 2, "float32": 4}


@dataclass(frozen=True)
class Layout:
    """How a stage lies on its devices."""

    zero_stage: ZeroStage
    offload: bool  # weights on the host
    micro_batch: int
    checkpointing: Level

    def __str__(self) -> str:
        host = " with the weights on the host" if self.offload else ""
        return f"ZeRO {self.zero_stage}{host}, micro-batch {self.micro_batch}, checkpointing {self.checkpointing}"


@dataclass(frozen=True)
class Memory:
    """Bytes on one device, and in the main memory of the machine that merges."""

    weights: int
    adapter: int  # with gradients and optimizer states
    activations: int
    logits: int
    host: int  # to merge in float32; weights that are kept there while training take no more

    @property
    def total(self) -> int:
        return self.weights + self.adapter + self.activations + self.logits

    def __str__(self) -> str:
        parts = {"weights": self.weights, "adapter": self.adapter, "activations": self.activations, "logits": self.logits}
        named = ", ".join(f"{name} {size / GIB:.1f}" for name, size in parts.items())
        return f"{self.total / GIB:.1f} GiB on a device ({named}), {self.host / GIB:.1f} GiB of main memory to merge"


@dataclass(frozen=True)
class Choice:
    """The layout of a stage, what it takes, and why it is this one."""

    layout: Layout
    memory: Memory
    reason: str

    def applied_to(self, profile: Profile) -> Profile:
        """The profile with this layout in the place of its own."""
        layout = self.layout
        return replace(
            profile,
            zero_stage=layout.zero_stage,
            offload=layout.offload,
            micro_batch=layout.micro_batch,
            checkpointing=layout.checkpointing,
        )


def choose_layout(model: str, profile: Profile, settings: TrainSettings, stage: str, context: int) -> Choice | None:
    """The first layout of a stage that fits, from the profile's own to the one that takes least memory.

    `context`: tokens of the longest sequence. None for a model whose shape is not known here. Raises UserError when
    nothing fits, or when the effective batch can't be shared by the workers.
    """
    shape, hyper = known_shape(model), getattr(settings, stage)
    if shape is None:
        return None
    _require_room_to_merge(stage, model, shape, profile)
    usable = profile.memory_bytes * (1 - HEADROOM)
    first: tuple[Layout, Memory] | None = None
    for layout in _layouts(profile, settings, hyper):
        memory = device_memory(shape, hyper.lora, layout, workers=profile.train_workers, context=context, dtype=settings.dtype)
        first = first or (layout, memory)
        if not usable:
            return Choice(layout, memory, f"as profile {profile.name} says")
        if memory.total <= usable:
            return Choice(layout, memory, _reason(layout, first, profile))
    raise UserError(
        f"{stage}: {model} does not fit in {profile.memory_gib:g} GiB, a tenth of which has to stay free: {memory}, even under "
        f"{layout}; use a smaller model, a shorter --set tokenize.context (now {context:,}), or a profile with more memory"
    )


def _require_room_to_merge(stage: str, model: str, shape: Shape, profile: Profile) -> None:
    """Raises UserError: after hours of training would be too late."""
    needed, usable = to_merge(shape), profile.host_bytes * (1 - HEADROOM)
    if 0 < usable < needed:
        raise UserError(
            f"{stage}: merging {model} takes {needed / GIB:.1f} GiB of main memory, and a machine of {profile.host_gib:.4g} GiB "
            "has to keep a tenth free; use one with more, or a smaller model"
        )


def to_merge(shape: Shape) -> int:
    """Bytes of main memory on the machine that merges, in float32."""
    return BYTES["float32"] * shape.parameters


def _reason(layout: Layout, first: tuple[Layout, Memory], profile: Profile) -> str:
    own, needed = first
    if layout == own:
        return f"fits in {profile.memory_gib:g} GiB"
    return f"since {own} takes {needed.total / GIB:.1f} GiB of {profile.memory_gib:g}, a tenth of which has to stay free"


def _layouts(profile: Profile, settings: TrainSettings, hyper: StageSettings) -> Iterator[Layout]:
    """From the fastest to the one that takes least memory; what the recipe fixes stays."""
    level = settings.checkpointing or profile.checkpointing
    levels = (level,) if settings.checkpointing else LEVELS[LEVELS.index(level) :]
    size, share = micro_batch(settings, hyper, profile), hyper.effective_batch // profile.train_workers
    sizes = [size] if settings.micro_batch else [fewer for fewer in range(size, 0, -1) if share % fewer == 0]
    for zero_stage, offload in _placements(profile):
        for checkpointing in levels:
            for number in sizes:
                yield Layout(zero_stage, offload, number, checkpointing)


def _placements(profile: Profile) -> Iterator[tuple[ZeroStage, bool]]:
    """ZeRO's stage, and whether the weights lie on the host. One worker alone gains nothing by stage 3 without that."""
    own = (profile.zero_stage, profile.offload)
    yield own
    if profile.gpus_per_worker:
        if profile.train_workers > 1 and own < (3, False):
            yield 3, False
        if own < (3, True):
            yield 3, True


def device_memory(shape: Shape, lora: LoraSettings, layout: Layout, *, workers: int, context: int, dtype: str) -> Memory:
    """What one of `workers` devices holds at most, with `context` tokens a sequence."""
    number, trained = BYTES[dtype], shape.adapter_parameters(lora)
    tokens = layout.micro_batch * context
    return Memory(
        weights=_weights(shape, layout, workers) * number,
        # weights, accumulated float32 gradients; of the float32 copy and two moments each worker has its part
        adapter=trained * (number + 4) + 12 * trained // workers,
        activations=tokens * activations(shape, lora, layout.checkpointing, number),
        # the logits themselves, and in float32 a copy, a scaled copy, the softmax and its gradient
        logits=min(CHUNK_LOGITS, tokens * shape.vocabulary) * (number + 16),
        host=to_merge(shape),
    )


def _weights(shape: Shape, layout: Layout, workers: int) -> int:
    """Frozen parameters that lie on one device."""
    if layout.zero_stage < 3:
        return shape.parameters
    part = 0 if layout.offload else ceil(shape.parameters / workers)
    return part + min(shape.parameters, LIVE + shape.vocabulary * shape.hidden)


def activations(shape: Shape, lora: LoraSettings, checkpointing: str, number: int) -> int:
    """Bytes a token that wait for the backward pass, `number` bytes a value; with checkpointing, one block's made again."""
    block, entry = _block(shape, lora, number), shape.hidden * number
    kept = 0 if checkpointing == "none" else ceil(shape.layers / EVERY[checkpointing])
    again = block if kept else 0
    ends = shape.hidden * (8 + 3 * number)  # the last norm; the states that have a label, and their gradient
    return kept * entry + (shape.layers - kept) * block + again + ends


def _block(shape: Shape, lora: LoraSettings, number: int) -> int:
    """Bytes a token that one block keeps: two norms in float32, what attention and the gate need, the adapters' inputs."""
    query, hidden, wide = shape.heads * shape.head_dim, shape.hidden, shape.intermediate
    norms = 2 * hidden * 4
    attention = 4 * query * number  # queries, outputs, and keys and values repeated for every head
    gate = 3 * wide * number  # before and after the activation, and what it is multiplied by
    if lora.dropout:  # each adapter has an input of its own
        sizes = shape.linear_sizes()
        inputs = sum(sizes[name][0] for name in lora.targets or sizes if name in sizes) * (number + MASK)
    else:
        inputs = (2 * hidden + wide) * number
    return norms + attention + gate + inputs
