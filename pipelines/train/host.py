"""Main memory, which merging needs and weights that the devices have no room for: the machine that trains is asked."""

from __future__ import annotations

from dataclasses import replace

import psutil

from cluster.profiles import Profile


def with_host_memory(profile: Profile, address: str | None) -> Profile:
    """The profile with this machine's memory, unless it says one.

    Only where the GPUs are in this machine: of another one, or a cluster at `address`, it stays unknown.
    """
    if address or profile.host_gib or not profile.gpus_per_worker:
        return profile
    import torch

    if torch.cuda.device_count() < profile.train_workers:
        return profile
    return replace(profile, host_gib=psutil.virtual_memory().total / 2**30)
