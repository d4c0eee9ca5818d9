"""What the machines of a training draw, by codecarbon without a network: its sensors where it may read them, else estimates.

It looks at whole machines, so one worker a node does it, in threads of their own that wake now and then. With each
checkpoint the readings enter the history: a training that goes on keeps what it drew before.
"""

from __future__ import annotations

import logging
from typing import Any

import torch
from codecarbon import OfflineEmissionsTracker
from codecarbon.core.cpu import is_rapl_available
from codecarbon.output import BaseOutput, EmissionsData
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

EVERY = 15.0  # seconds between two readings
ANY_COUNTRY = "USA"  # codecarbon wants one; what the grid emits is a setting of ours


class Meter(TrainerCallback):
    """Adds entries to the history: `kwh` by part, over all nodes since the entry before, and the `method`."""

    def __init__(self) -> None:
        self._node: _Node | None = None

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if args.local_process_index == 0:
            self._node = _Node()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if control.should_save:
            self._note(state)

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if self._node:
            self._node.stop()
        self._note(state)

    def _note(self, state: TrainerState) -> None:
        readings: list[Any] = [None] * torch.distributed.get_world_size()
        torch.distributed.all_gather_object(readings, self._node.read() if self._node else None)
        found = [reading for reading in readings if reading]
        if found:
            kwh = {part: sum(reading["kwh"][part] for reading in found) for part in found[0]["kwh"]}
            methods = sorted({reading["method"] for reading in found})
            state.log_history.append({"step": state.global_step, "kwh": kwh, "method": " or ".join(methods)})


class _Node(BaseOutput):  # type: ignore[misc]
    """The meter of this machine, and where codecarbon puts its totals: every EVERY seconds, and when it is stopped."""

    def __init__(self) -> None:
        self._total: EmissionsData | None = None
        self._told = {"cpu": 0.0, "gpu": 0.0, "ram": 0.0}
        logging.getLogger("codecarbon").setLevel(logging.CRITICAL)  # it talks before it reads `log_level`
        self._tracker = OfflineEmissionsTracker(
            country_iso_code=ANY_COUNTRY,
            measure_power_secs=EVERY,
            output_handlers=[self],
            api_call_interval=1,  # `live_out` after every reading
            allow_multiple_runs=True,
            log_level="critical",
            # whatever a .codecarbon.config in the user's folder says
            output_methods=[],
            emissions_endpoint=None,
            pue=1.0,
        )
        self._tracker.start()

    def out(self, total: EmissionsData, delta: EmissionsData) -> None:
        self._total = total

    live_out = out

    def read(self) -> dict[str, Any] | None:
        """The newest reading less what was told before; None where nothing could be read. It waits for nothing."""
        total = self._total
        if total is None:
            return None
        now = {part: getattr(total, f"{part}_energy") for part in self._told}
        kwh = {part: now[part] - self._told[part] for part in now}
        self._told = now
        return {"kwh": kwh, "method": _method(total)}

    def stop(self) -> None:
        self._tracker.stop()


def _method(total: EmissionsData) -> str:
    cpu = "measured (RAPL)" if is_rapl_available() else "estimated from its load and model"
    gpu = ", GPU measured (NVML)" if total.gpu_count else ""
    return f"CPU {cpu}{gpu}, memory estimated"
