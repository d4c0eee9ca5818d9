"""A connection to Ray: this machine (started and stopped with the run) or a cluster's address."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cluster.errors import UserError

OBJECT_STORE_BYTES = 512 << 20  # rows travel through run storage, so Ray's own store stays small
REPOSITORY = Path(__file__).resolve().parent.parent


def prepare_environment() -> None:
    """Settings that every process of a run inherits; Ray reads some of them at import."""
    # Ray 2.60 turns token authentication on for local clusters and off for its job client: choose once.
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("DS_ACCELERATOR", "cpu" if not _has_gpu() else "cuda")


def _has_gpu() -> bool:
    return Path("/proc/driver/nvidia/version").exists()


@contextmanager
def connect(address: str | None = None, *, cpus: int | None = None) -> Iterator[Any]:
    """The `ray` module, connected. Without an address, Ray starts here and ends with the block.

    Raises UserError when the address does not answer.
    """
    prepare_environment()
    import ray

    if ray.is_initialized():  # a test or a notebook brought its own connection
        yield ray
        return
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR, "configure_logging": True}
    if address:
        options["address"] = address
        if "RAY_JOB_CONFIG_JSON_ENV_VAR" not in os.environ:  # a submitted job brought its working directory already
            options["runtime_env"] = {"working_dir": str(REPOSITORY), "excludes": list(EXCLUDES)}
    else:
        options |= {
            "address": "local",  # never a cluster that somebody else started on this machine
            "num_cpus": cpus or max(3, os.cpu_count() or 1),  # a data set and its readers need three slots
            "object_store_memory": OBJECT_STORE_BYTES,
            "include_dashboard": False,
        }
    try:
        ray.init(**options)
    except ConnectionError as error:
        raise UserError(f"no Ray cluster answers at {address!r}: check cluster.address ({error})") from error
    try:
        yield ray
    finally:
        ray.shutdown()


EXCLUDES = (".git", ".venv*", "runs", ".cache", "**/__pycache__", "tests/benchmarks")
