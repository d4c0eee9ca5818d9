"""What a user sees of a stage while it trains, from the figures that rank 0 leaves on run storage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cluster.storage import open_storage
from pipelines.progress import Progress
from pipelines.train.figures import write_figures
from pipelines.train.launch import _Follower
from tests.train.alone import job_of

FIGURES = {
    "step": 7,
    "steps": 20,
    "loss": 2.3456,
    "valid_loss": 2.5,
    "learning_rate": 5e-4,
    "grad_norm": 0.312,
    "tokens_per_second": 1234.5,
    "tokens_per_second_padded": 1500.0,
    "memory_bytes": 1_250_000_000,
    "seconds_left": 65.4,
    "notices": ["a machine is about to go"],
}


class Seen(Progress):
    """Keeps what it was told."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.details: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)

    def advance(self, by: int = 1, detail: str = "", total: int | None = None) -> None:
        self.details.append(detail)


def seen(folder: Path, **figures: Any) -> Seen:
    job, progress = job_of(open_storage(folder), folder), Seen()
    follower = _Follower(job, "attempt", progress)
    with progress.step("finetune"):
        for _ in range(2):  # the same figures are shown once
            write_figures(job.out.folder, "attempt", FIGURES | figures)
            follower.look()
    return progress


def test_the_step_line(tmp_path: Path) -> None:
    progress = seen(tmp_path)
    assert progress.details == [
        "loss 2.346 (held out 2.500), learning rate 5.0e-04, gradient norm 0.31, 1,234 tokens/s (1,500 with padding), "
        "1.2 GB, 1:05 left"
    ]
    assert progress.lines == ["  finetune: a machine is about to go"]


def test_the_step_line_of_a_device_whose_peak_is_known(tmp_path: Path) -> None:
    assert "1,500 with padding), 37.8% MFU (4N), 1.2 GB" in seen(tmp_path, mfu=0.3784).details[0]
