"""Ray Train's PyTorch backend, with one thing more: the workers take SIGTERM as a notice of preemption."""

from __future__ import annotations

from typing import Any

from ray.train.torch import TorchConfig

from pipelines.train.sigterm import heed_sigterm


class HeedingTorchConfig(TorchConfig):
    """Signals go to a worker's main thread, which only a backend reaches: the training runs in another."""

    @property
    def backend_cls(self) -> type:
        return _Heeding


class _Heeding(TorchConfig().backend_cls):  # type: ignore[misc]
    def on_training_start(self, worker_group: Any, backend_config: TorchConfig) -> None:
        super().on_training_start(worker_group, backend_config)
        worker_group.execute(heed_sigterm)
