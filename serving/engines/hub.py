"""Models of the Hugging Face hub: safetensors only, the node's hub cache first, `HF_HUB_OFFLINE` respected."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from cluster.errors import UserError

NAME = r"\w(?:[\w.-]*\w)?"
PATTERN = re.compile(rf"(?!.*(?:--|\.\.))(?P<repository>{NAME}/{NAME})(?:@(?P<revision>[\w./-]+))?", re.ASCII)
FILES = ["*.safetensors", "*.json", "*.jinja", "tokenizer.model", "merges.txt", "vocab.txt"]  # never .bin, never code
TIMEOUT = 10.0  # seconds for the hub to answer


@dataclass(frozen=True)
class HubId:
    """`org/name`, or `org/name@revision`."""

    repository: str
    revision: str | None = None

    @classmethod
    def parse(cls, text: str) -> HubId | None:
        match = PATTERN.fullmatch(text)
        return cls(match["repository"], match["revision"]) if match else None


def cached(model: HubId) -> Path | None:
    """The model's folder in the node's hub cache, when all of its weights are there."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(model.repository, revision=model.revision, allow_patterns=FILES, local_files_only=True))
    except LocalEntryNotFoundError:
        return None
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        return folder if any(folder.glob("*.safetensors")) else None
    needed = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    return folder if all((folder / name).is_file() for name in needed) else None


def download(model: HubId) -> Path:
    """The model's folder in the hub cache, downloaded when it is not there. Raises UserError."""
    from httpx2 import HTTPError
    from huggingface_hub import snapshot_download

    if folder := cached(model):
        return folder
    try:
        return Path(snapshot_download(model.repository, revision=model.revision, allow_patterns=FILES))
    except (OSError, HTTPError) as error:
        raise _unavailable(model, error) from error


def revision(model: HubId) -> str:
    """The commit that the model's revision means: of the cached copy, else of the hub, else as it was written."""
    from httpx2 import HTTPError
    from huggingface_hub import HfApi

    if folder := cached(model):
        return folder.name
    try:
        return str(HfApi().model_info(model.repository, revision=model.revision, timeout=TIMEOUT).sha)
    except (OSError, HTTPError):  # a plan can be made without the hub; a run says in parameters() that it cannot be reached
        return model.revision or "main"


def parameters(model: HubId) -> int:
    """How many parameters a model of the hub has. Raises UserError when it cannot be had or has no safetensors weights."""
    from httpx2 import HTTPError
    from huggingface_hub import HfApi

    try:
        info = HfApi().model_info(model.repository, revision=model.revision, timeout=TIMEOUT)
    except (OSError, HTTPError) as error:
        raise _unavailable(model, error) from error
    if info.safetensors is None:
        raise UserError(f"model {model.repository} has no safetensors weights on the hub (.bin and pickle files are not read)")
    return info.safetensors.total


def _unavailable(model: HubId, error: Exception) -> UserError:
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    if isinstance(error, GatedRepoError):
        return UserError(
            f"model {model.repository}: accept its terms on https://huggingface.co/{model.repository} and set HF_TOKEN"
        )
    if isinstance(error, RepositoryNotFoundError):
        return UserError(f"model {model.repository}: there is neither a folder nor a hub repository of that name")
    if isinstance(error, RevisionNotFoundError):
        return UserError(f"model {model.repository} has no revision {model.revision!r} on the hub")
    return UserError(
        f"model {model.repository} is neither a folder here nor in this node's hub cache, and the hub cannot be reached "
        f"({type(error).__name__}); give a local folder or connect once to download it"
    )
