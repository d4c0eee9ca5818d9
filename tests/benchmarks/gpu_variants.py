"""The rows of the GPU benchmark: which there are, what they need, and how their figures are printed."""

from __future__ import annotations

import dataclasses
import signal
import statistics
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import product
from typing import Any

from pipelines.train.estimate import FLOPS_PER_PARAMETER

PACKAGES = {"flash_attention_2": "flash_attn", "liger": "liger_kernel", "TRL": "trl"}
MOST_SAID = 160  # characters of an error

Figures = dict[str, Any]


@dataclass(frozen=True)
class Variant:
    """One row."""

    by: str  # "gaokerena", "Trainer" or "TRL"
    layout: str  # "packed" or "padded"
    checkpointing: str
    attention: str
    kernels: str = "as they are"  # or "liger"

    @property
    def name(self) -> str:
        return ", ".join(dataclasses.astuple(self))

    def missing(self) -> list[str]:
        """Packages that it needs and that are not installed."""
        wanted = (PACKAGES.get(part) for part in dataclasses.astuple(self))
        return [package for package in wanted if package and not find_spec(package)]


ATTENTION = ("flash_attention_2", "sdpa")
VARIANTS = [
    *(
        Variant("gaokerena", layout, checkpointing, attention, kernels)
        for checkpointing, layout, attention, kernels in product(
            ("none", "selective", "full"), ("packed", "padded"), ATTENTION, ("as they are", "liger")
        )
    ),
    # Of their own they know no selective checkpointing; TRL packs and flattens with FlashAttention only.
    *(Variant("Trainer", *parts) for parts in product(("packed", "padded"), ("none", "full"), ATTENTION)),
    *(Variant("TRL", "padded", checkpointing, "sdpa") for checkpointing in ("none", "full")),
    *(Variant("TRL", "packed", checkpointing, "flash_attention_2") for checkpointing in ("none", "full")),
]


def row(variant: Variant, found: dict[Variant, Figures], peak_tflops: float) -> str:
    cells, figures = list(dataclasses.astuple(variant)), found[variant]
    if "problem" in figures:
        return f"| {' | '.join([*cells, figures['problem'], '', '', ''])} |"
    speeds = figures["speeds"]
    speed = statistics.median(speeds)
    mfu = FLOPS_PER_PARAMETER * figures["parameters"] * speed / (peak_tflops * 1e12)
    peer = found.get(peer_of(variant), {})
    times = f"{speed / statistics.median(peer['speeds']):.2f}" if "speeds" in peer and variant.by != "Trainer" else ""
    spread = f"{speed:,.0f} ({min(speeds):,.0f} to {max(speeds):,.0f})"
    memory = f"{figures['peak'] / 1e9:.1f}"
    return f"| {' | '.join([*cells, spread, f'{mfu:.1%}', memory, times])} |"


def peer_of(variant: Variant) -> Variant:
    """The plain Trainer's row to compare with; it knows full checkpointing or none."""
    return Variant("Trainer", variant.layout, "none" if variant.checkpointing == "none" else "full", variant.attention)


def problem(returned: int, said: str) -> str:
    """Why a process ended without figures."""
    if "out of memory" in said.lower() or returned == -signal.SIGKILL:  # the kernel's way to say it
        return "out of memory"
    lines = said.strip().splitlines() or [f"ended with {returned}"]
    return f"failed: {lines[-1][:MOST_SAID].replace('|', '/')}"
