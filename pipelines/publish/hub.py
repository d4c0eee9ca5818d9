"""Pushes a published folder to the Hugging Face Hub, as a private repository unless one of that name is there already."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from cluster.errors import UserError

Kind = Literal["dataset", "model"]
# What an earlier publication left in the repository and this one has not: rows that were taken out must not stay, nor weights
# of another form.
REPLACED = {
    "dataset": ["corpus/*", "qa/*", "pictures/*"],
    "model": ["*.safetensors", "*.json", "*.jinja", "*.model", "*.txt", "adapter/*"],
}
UNFINISHED = ["*.tmp-*"]  # left by a killed write


def require_token(repository: str) -> None:
    """Raises UserError where nobody is logged in to the Hub."""
    from huggingface_hub import get_token

    if get_token() is None:
        raise UserError(f"--push {repository} needs a token of the Hub: set HF_TOKEN or log in with `hf auth login`")


def push(folder: Path, repository: str, kind: Kind = "dataset") -> str:
    """Upload the folder in one commit; the repository's address. Raises UserError."""
    from httpx2 import HTTPError
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HFValidationError

    require_token(repository)
    hub = HfApi()
    try:
        url = hub.create_repo(repository, repo_type=kind, private=True, exist_ok=True)
        hub.upload_folder(
            folder_path=folder,
            repo_id=repository,
            repo_type=kind,
            commit_message=f"Publish {'data' if kind == 'dataset' else 'model'}",
            delete_patterns=REPLACED[kind],
            ignore_patterns=UNFINISHED,
        )
    except (OSError, HTTPError, HFValidationError) as error:
        raise UserError(f"--push {repository}: the Hub did not take it: {error}") from error
    return str(url)
