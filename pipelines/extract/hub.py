"""A dataset of the Hugging Face hub as files in this node's cache; `HF_TOKEN`, `HF_ENDPOINT` and `HF_HUB_OFFLINE` are respected.

Only data files are taken, never a dataset's script. A commit that was downloaded once is read without asking the hub again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path

from cluster.cache import cache_folder
from cluster.errors import UserError
from pipelines.crawl.filesource import FileSource
from pipelines.rows import FORMATS


def commit_of(source: FileSource, *, as_before: bool = False) -> str:
    """The commit that the source's revision means now; when the hub can't be reached, what it meant the last time here.

    `as_before`: what it meant the last time, whatever it means by now. Raises UserError.
    """
    from huggingface_hub import HfApi

    with _explained(source):
        revision = HfApi().resolve_revision(
            source.hub,
            repo_type="dataset",
            revision=source.revision or None,
            cache_dir=cache_folder("hub"),
            local_files_only=as_before,
        )
    return revision.resolved


def dataset_files(source: FileSource) -> list[tuple[str, Path]]:
    """Name in the dataset and local path of every file that the source wants, downloaded if need be, in their order.

    Of the commit that `commit_of` found before: a run reads what it began with, also after a crawl of days.
    """
    from huggingface_hub import snapshot_download

    patterns = source.files or [f"*{suffix}" for suffix in FORMATS]
    commit = commit_of(source, as_before=True)
    with _explained(source):
        folder = Path(
            snapshot_download(
                source.hub, repo_type="dataset", revision=commit, allow_patterns=patterns, cache_dir=cache_folder("hub")
            )
        )
    names = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file()]
    wanted = [name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns)]
    formats = sorted({Path(name).suffix for name in wanted})
    if not source.files and len(formats) > 1:  # often the same rows twice
        raise UserError(
            f"source {source.name}: dataset {source.hub} has {' and '.join(formats)} files; say which under files, "
            f"for example ['*{formats[0]}']"
        )
    if not wanted:
        raise UserError(f"source {source.name}: dataset {source.hub} has no file like {', '.join(patterns)}")
    return [(name, folder / name) for name in wanted]


@contextmanager
def _explained(source: FileSource) -> Iterator[None]:
    """What the hub refuses, as one line. Nothing of a request is in it, since that holds the token."""
    from httpx2 import HTTPError
    from huggingface_hub import constants
    from huggingface_hub.errors import (
        GatedRepoError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
        RevisionResolutionError,
    )

    dataset = f"source {source.name}: dataset {source.hub}"
    try:
        yield
    except GatedRepoError as error:
        page = f"{constants.ENDPOINT}/datasets/{source.hub}"
        raise UserError(f"{dataset} is gated: accept its terms on {page} and set HF_TOKEN") from error
    except RepositoryNotFoundError as error:
        raise UserError(f"{dataset} is not on the hub, or is private: check the name, or set HF_TOKEN") from error
    except RevisionNotFoundError as error:
        raise UserError(f"{dataset} has no revision {source.revision!r} on the hub") from error
    except (HTTPError, LocalEntryNotFoundError, RevisionResolutionError) as error:
        cause = error.__cause__ or error
        status = getattr(getattr(cause, "response", None), "status_code", None)
        why = f"it answers with status {status}" if status else type(cause).__name__
        raise UserError(
            f"{dataset} can't be had from {constants.ENDPOINT} ({why}) and is not in this node's cache; "
            "try again later, or download its files and name them under files"
        ) from error
