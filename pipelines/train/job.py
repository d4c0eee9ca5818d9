"""What one stage of training is given: picklable, so that every worker gets the same on its own node."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cluster.cache import cache_folder
from cluster.errors import UserError
from cluster.profiles import Profile
from pipelines.artifact import Artifact, ArtifactFolder
from pipelines.tables import CORPUS_TRAIN, CORPUS_VALID, QA_TRAIN, QA_VALID, Table
from pipelines.train.settings import StageSettings, TrainSettings
from serving.engines.models import local_model

LOG_UNIT = "log"  # the unit that is sealed when a stage has left everything
VALIDATION = "validation.json"  # what was measured on held-out sequences: a row a step and source
ENERGY = "energy.json"  # what a stage drew and emitted, by the formula and as it was measured
LAYOUT = "layout.json"  # the hardware that a stage was trained on, and how it lay on it
TRACKERS = "trackers"  # the folder of what trackers wrote
ALL = "all"  # the source that stands for every one
STAGE_TABLES = {"finetune": CORPUS_TRAIN, "instruct": QA_TRAIN}
VALID_TABLES = {"finetune": CORPUS_VALID, "instruct": QA_VALID}


@dataclass(frozen=True)
class Job:
    """One stage: what to train, on which sequences, with which settings, where to leave it."""

    stage: str
    settings: TrainSettings
    seed: int
    profile: Profile
    model: str  # the recipe's base model
    previous: Artifact | None  # the stage whose merged model goes on being trained; None: the base model
    tokens: Artifact
    out: ArtifactFolder

    @property
    def hyper(self) -> StageSettings:
        settings: StageSettings = getattr(self.settings, self.stage)
        return settings

    @property
    def table(self) -> Table:
        return STAGE_TABLES[self.stage]

    @property
    def micro_batch(self) -> int:
        return micro_batch(self.settings, self.hyper, self.profile)

    @property
    def accumulation(self) -> int:
        return self.hyper.effective_batch // (self.micro_batch * self.profile.train_workers)

    @property
    def attention(self) -> str:
        """The profile's attention where its package is installed, else PyTorch's own."""
        from transformers.utils import is_flash_attn_2_available

        wanted = self.profile.attention
        return "sdpa" if wanted == "flash_attention_2" and not is_flash_attn_2_available() else wanted

    @property
    def base_name(self) -> str:
        """What the adapter calls its base: never a path of this machine, so that the same work has the same digest."""
        if self.previous:
            return f"finetune/{self.previous.manifest.fingerprint}/model"
        return Path(self.model).name if Path(self.model).expanduser().is_dir() else self.model

    @property
    def run_name(self) -> str:
        """What trackers call this stage of this run."""
        return f"{self.stage}-{self.out.folder.url.rsplit('/', 1)[1]}"

    @property
    def flat(self) -> bool:
        """Whether a micro-batch becomes one row without padding, as FlashAttention and attention by document take it."""
        return self.attention != "eager"

    def base_folder(self) -> Path:
        """The model to train, on this node's disk."""
        return self.previous.local("model", cache_folder("runs")) if self.previous else local_model(self.model)


def micro_batch(settings: TrainSettings, hyper: StageSettings, profile: Profile) -> int:
    """Sequences that a worker takes at once; the profile's number is lowered until the effective batch divides by it.

    Raises UserError when the effective batch can't be shared out.
    """
    workers, effective = profile.train_workers, hyper.effective_batch
    if effective % workers:
        raise UserError(
            f"effective_batch = {effective} can't be shared by the {workers} workers of profile {profile.name}; "
            f"use a multiple of {workers}"
        )
    share = effective // workers
    if settings.micro_batch is None:
        return next(size for size in range(min(profile.micro_batch, share), 0, -1) if share % size == 0)
    if share % settings.micro_batch:
        raise UserError(
            f"effective_batch = {effective} is no multiple of train.micro_batch {settings.micro_batch} x {workers} worker(s); "
            f"use --set train.micro_batch={next(s for s in range(min(settings.micro_batch, share), 0, -1) if share % s == 0)}"
        )
    return settings.micro_batch
