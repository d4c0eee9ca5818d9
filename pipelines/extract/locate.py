"""Finds the files of a source: on this machine, in run storage or on the hub; what is elsewhere is copied here once.

An edited file is another file: it is told by content, for which it is read once whenever a run starts (1 s a GB).
"""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from cluster.cache import cache_folder
from cluster.errors import UserError
from cluster.storage import follow, open_storage
from pipelines.artifact import Input, file_digest, fingerprint
from pipelines.crawl.filesource import FileSource
from pipelines.extract.hub import commit_of, dataset_files
from pipelines.rows import FORMATS

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

_WILD = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class DataFile:
    """A file on this machine, and what its rows' addresses call it: its path below the fixed part of the pattern."""

    name: str
    path: Path


def inputs_of(source: FileSource) -> dict[str, Input]:
    """What the source reads, by content. A dataset is not downloaded for that. Raises UserError."""
    if source.hub:
        commit = commit_of(source)
        return {f"hub:{source.name}": Input(digest=commit, path=f"hf://datasets/{source.hub}@{commit}")}
    return {
        f"file:{source.name}/{file.name}": Input(digest=file_digest(file.path), path=str(file.path))
        for file in find_files(source)
    }


def find_files(source: FileSource) -> list[DataFile]:
    """Every file of the source, in its order. Raises UserError when there is none, or two of one name, or another format."""
    if source.hub:
        found = [DataFile(name, path) for name, path in dataset_files(source)]
    else:
        found = [file for pattern in source.files for file in _matching(source, pattern)]
    files = list({file.path: file for file in found}.values())
    names: set[str] = set()
    for file in files:
        if file.path.suffix.lower() not in FORMATS:
            raise UserError(f"source {source.name}: {file.path} is none of {', '.join(FORMATS)}; name other files, or convert it")
        if file.name in names:
            raise UserError(f"source {source.name}: two files are called {file.name}; rename one, or write a source for each")
        names.add(file.name)
    return files


def _matching(source: FileSource, pattern: str) -> list[DataFile]:
    """The files that a path, URL or pattern stands for."""
    scheme, slashes, path = pattern.rpartition("://")
    parts = PurePosixPath(path).parts
    fixed = list(takewhile(lambda part: not _WILD.search(part), parts[:-1]))
    root, rest = f"{scheme}{slashes}{PurePosixPath(*fixed)}", PurePosixPath(*parts[len(fixed) :])
    found = _in_storage(root, rest) if scheme else _on_this_machine(Path(root), rest)
    if not found:
        raise UserError(f"source {source.name}: there is no file {pattern}")
    return found


def _on_this_machine(root: Path, rest: PurePosixPath) -> list[DataFile]:
    exact = root / rest
    paths = [exact] if exact.is_file() else sorted(path for path in root.glob(str(rest)) if path.is_file())
    return [DataFile(path.relative_to(root).as_posix(), path) for path in paths]


def _in_storage(root: str, rest: PurePosixPath) -> list[DataFile]:
    from pyarrow.fs import FileSelector, FileType

    filesystem, base = open_storage(follow(root)).arrow()
    found = []
    try:
        there = filesystem.get_file_info(FileSelector(base, recursive=True, allow_not_found=True))
        for info in sorted(there, key=lambda info: info.path):
            name = PurePosixPath(info.path).relative_to(base)
            if info.type is FileType.File and len(name.parts) == len(rest.parts) and name.match(str(rest)):
                folder = cache_folder("files", fingerprint([root, info.path, info.size, info.mtime_ns]))
                found.append(DataFile(str(name), _copied(filesystem, info.path, folder / name.name)))
    except OSError as error:
        raise UserError(f"{root} can't be read: {error}") from error
    return found


def _copied(filesystem: FileSystem, path: str, target: Path) -> Path:
    """The copy appears under its name when it is whole."""
    from pyarrow.fs import LocalFileSystem, copy_files

    if not target.is_file():
        with tempfile.TemporaryDirectory(prefix=".tmp-", dir=target.parent) as folder:
            partial = Path(folder) / target.name
            copy_files(path, str(partial), filesystem, LocalFileSystem())
            partial.replace(target)
    return target
