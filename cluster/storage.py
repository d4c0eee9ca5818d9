"""Run storage: one interface over a local folder and an object store.

A file appears whole or not at all: locally by a temporary name, fsync and rename; on an object store
by one PUT. `create` refuses an existing file on both, which is what leases are built on.
Paths are relative and use `/`. A storage is picklable, so that Ray tasks can write where the driver does.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from cluster.errors import StorageFull, StorageUnavailable, UserError

if TYPE_CHECKING:
    import pyarrow.fs

OBJECT_SCHEMES = ("s3", "gs")
CHUNK = 8 << 20
MAX_RETRIES, RETRY_TIMEOUT = 10, timedelta(minutes=3)  # of a request to an object store


def open_storage(url: str | Path) -> Storage:
    """The storage at a local path or an `s3://` or `gs://` URL (credentials from the usual environment)."""
    text = str(url)
    scheme = urlsplit(text).scheme
    if scheme in OBJECT_SCHEMES:
        return ObjectStorage(text.rstrip("/"))
    if "://" in text:
        raise UserError(f"run storage {text!r}: unknown scheme; use a folder, s3://bucket/prefix or gs://bucket/prefix")
    return LocalStorage(str(Path(text).expanduser().absolute()))


def follow(url: str) -> str:
    """A run-storage URL with `latest` in it replaced by the folder that it points to now. Raises UserError."""
    head, found, tail = url.rstrip("/").partition("/latest")
    if not found or (tail and not tail.startswith("/")):
        return url
    target = open_storage(head).pointed("latest")
    if target is None:
        raise UserError(f"{head}/latest points to nothing yet: that step is not finished")
    return f"{head}/{target}{tail}"


class Storage(ABC):
    """A folder of files, local or in an object store."""

    def __init__(self, url: str) -> None:
        self.url = url

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.url,)

    def sub(self, *parts: str) -> Storage:
        """The storage of a folder below this one."""
        return type(self)("/".join([self.url, *(p.strip("/") for p in parts)]))

    @abstractmethod
    def read(self, path: str) -> bytes:
        """A file's bytes. Raises FileNotFoundError."""

    @abstractmethod
    def chunks(self, path: str) -> Iterator[bytes]:
        """A file's bytes in pieces of a few MiB, for files that should not be held in memory."""

    @abstractmethod
    def write(self, path: str, data: bytes) -> None:
        """Put a file in place whole, over an older one. Raises StorageFull."""

    @abstractmethod
    def create(self, path: str, data: bytes) -> bool:
        """Put a file in place unless it is there; False when it was there already."""

    @abstractmethod
    def list(self, prefix: str = "") -> list[str]:
        """Every file below a folder (recursively), sorted, relative to this storage."""

    @abstractmethod
    def delete(self, path: str) -> None:
        """Remove a file; a missing one is no error."""

    @abstractmethod
    def exists(self, path: str) -> bool:
        """Whether a file is there."""

    @abstractmethod
    def size(self, path: str) -> int:
        """A file's size in bytes. Raises FileNotFoundError."""

    @abstractmethod
    def point(self, path: str, target: str) -> None:
        """Make `path` point to a sibling folder: a symlink locally, a small file in an object store."""

    @abstractmethod
    def pointed(self, path: str) -> str | None:
        """The sibling folder that `path` points to, if any."""

    @abstractmethod
    def arrow(self) -> tuple[pyarrow.fs.FileSystem, str]:
        """A pyarrow filesystem and this storage's base path in it."""

    @abstractmethod
    def local(self, prefix: str, cache: Path) -> Path:
        """A local folder with the files below `prefix`: the folder itself, or a copy made in `cache`."""

    def upload(self, folder: Path, prefix: str) -> Sequence[str]:
        """Copy a local folder's files below `prefix`; their paths, sorted."""
        paths = []
        for file in sorted(p for p in folder.rglob("*") if p.is_file()):
            path = f"{prefix}/{file.relative_to(folder).as_posix()}"
            self.write_file(path, file)
            paths.append(path)
        return paths

    @abstractmethod
    def write_file(self, path: str, source: Path) -> None:
        """Put a copy of a local file in place whole."""


@contextmanager
def full_disk_is_clear(path: str) -> Iterator[None]:
    """Raises StorageFull where writing fails for want of room."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageFull(
                f"no room left while writing {path}: free some space and run the same command again; finished parts are kept"
            ) from error
        raise


class LocalStorage(Storage):
    """A folder of this machine (or of a disk that every node mounts)."""

    @cached_property
    def root(self) -> Path:
        return Path(self.url)

    def _path(self, path: str) -> Path:
        return self.root / path

    def read(self, path: str) -> bytes:
        return self._path(path).read_bytes()

    def chunks(self, path: str) -> Iterator[bytes]:
        with self._path(path).open("rb") as file:
            while piece := file.read(CHUNK):
                yield piece

    @contextmanager
    def _temporary(self, target: Path) -> Iterator[Path]:
        """A file beside `target` that is gone afterwards whatever happens."""
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".tmp-", dir=target.parent)
        os.close(handle)
        temporary = Path(name)
        temporary.chmod(0o644)
        try:
            yield temporary
        finally:
            temporary.unlink(missing_ok=True)

    def write(self, path: str, data: bytes) -> None:
        target = self._path(path)
        with full_disk_is_clear(str(target)), self._temporary(target) as temporary:
            _write_synced(temporary, data)
            temporary.replace(target)
            _sync_folder(target.parent)

    def write_file(self, path: str, source: Path) -> None:
        target = self._path(path)
        with full_disk_is_clear(str(target)), self._temporary(target) as temporary:
            shutil.copyfile(source, temporary)
            _sync(temporary)
            temporary.replace(target)
            _sync_folder(target.parent)

    def create(self, path: str, data: bytes) -> bool:
        target = self._path(path)
        with full_disk_is_clear(str(target)), self._temporary(target) as temporary:
            _write_synced(temporary, data)
            try:
                os.link(temporary, target)
            except FileExistsError:
                return False
            _sync_folder(target.parent)
            return True

    def list(self, prefix: str = "") -> list[str]:
        base = self._path(prefix) if prefix else self.root
        return sorted(
            p.relative_to(self.root).as_posix() for p in base.rglob("*") if p.is_file() and not p.name.startswith(".tmp-")
        )

    def delete(self, path: str) -> None:
        self._path(path).unlink(missing_ok=True)

    def exists(self, path: str) -> bool:
        return self._path(path).is_file()

    def size(self, path: str) -> int:
        return self._path(path).stat().st_size

    def point(self, path: str, target: str) -> None:
        link = self._path(path)
        link.parent.mkdir(parents=True, exist_ok=True)
        temporary = link.with_name(f".tmp-{link.name}-{os.getpid()}")
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(target)
        temporary.replace(link)

    def pointed(self, path: str) -> str | None:
        link = self._path(path)
        return os.readlink(link) if link.is_symlink() else None

    def arrow(self) -> tuple[pyarrow.fs.FileSystem, str]:
        import pyarrow.fs

        return pyarrow.fs.LocalFileSystem(), self.url

    def local(self, prefix: str, cache: Path) -> Path:
        return self._path(prefix)


def _write_synced(file: Path, data: bytes) -> None:
    with file.open("wb") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())


def _sync(file: Path) -> None:
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


_sync_folder = _sync


class ObjectStorage(Storage):
    """A prefix of an object store; endpoint and credentials come from AWS_* or GOOGLE_* variables.

    Requests are tried again for some minutes. Every method raises StorageUnavailable after that, or when the store refuses.
    """

    @cached_property
    def _store(self) -> Any:
        from obstore.store import from_url

        options: dict[str, Any] = {"retry_config": {"max_retries": MAX_RETRIES, "retry_timeout": RETRY_TIMEOUT}}
        if os.environ.get("AWS_ENDPOINT_URL", "").startswith("http://"):
            options["client_options"] = {"allow_http": True}
        return from_url(self.url, **options)

    @contextmanager
    def _faults_are_clear(self) -> Iterator[None]:
        from obstore.exceptions import AlreadyExistsError, BaseError

        try:
            yield
        except AlreadyExistsError:
            raise
        except BaseError as error:
            reason = str(error).partition("\n")[0][:300]
            raise StorageUnavailable(
                f"{self.url} does not do as asked ({reason}); check the store, its address and credentials, and run the same "
                "command again: finished parts are kept"
            ) from error

    def read(self, path: str) -> bytes:
        import obstore

        with self._faults_are_clear():
            try:
                return bytes(obstore.get(self._store, path).bytes())
            except FileNotFoundError:
                raise FileNotFoundError(f"{self.url}/{path}") from None

    def chunks(self, path: str) -> Iterator[bytes]:
        import obstore

        with self._faults_are_clear():
            for piece in obstore.get(self._store, path).stream(min_chunk_size=CHUNK):
                yield bytes(piece)

    def write(self, path: str, data: bytes) -> None:
        import obstore

        with self._faults_are_clear():
            obstore.put(self._store, path, data)

    def write_file(self, path: str, source: Path) -> None:
        import obstore

        with self._faults_are_clear():
            obstore.put(self._store, path, source)

    def create(self, path: str, data: bytes) -> bool:
        import obstore
        from obstore.exceptions import AlreadyExistsError

        try:
            with self._faults_are_clear():
                obstore.put(self._store, path, data, mode="create")
        except AlreadyExistsError:
            return False
        return True

    def list(self, prefix: str = "") -> list[str]:
        import obstore

        with self._faults_are_clear():
            stream = obstore.list(self._store, prefix=prefix.rstrip("/") or None)
            return sorted(meta["path"] for batch in stream for meta in batch)

    def delete(self, path: str) -> None:
        import obstore

        with self._faults_are_clear(), suppress(FileNotFoundError):
            obstore.delete(self._store, path)

    def exists(self, path: str) -> bool:
        import obstore

        with self._faults_are_clear():
            try:
                obstore.head(self._store, path)
            except FileNotFoundError:
                return False
            return True

    def size(self, path: str) -> int:
        import obstore

        with self._faults_are_clear():
            return int(obstore.head(self._store, path)["size"])

    def point(self, path: str, target: str) -> None:
        self.write(path, target.encode())

    def pointed(self, path: str) -> str | None:
        return self.read(path).decode() if self.exists(path) else None

    def arrow(self) -> tuple[pyarrow.fs.FileSystem, str]:
        import pyarrow.fs

        parts = urlsplit(self.url)
        base = f"{parts.netloc}{parts.path}"
        if parts.scheme == "gs":
            return pyarrow.fs.GcsFileSystem(), base
        return pyarrow.fs.S3FileSystem(endpoint_override=os.environ.get("AWS_ENDPOINT_URL")), base

    def local(self, prefix: str, cache: Path) -> Path:
        """Download once per node: the copy appears under its final name only when it is whole."""
        target = cache / self.url.replace("://", "/") / prefix
        if target.is_dir():
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".tmp-", dir=target.parent) as name:
            partial = Path(name) / "copy"
            partial.mkdir()
            for path in self.list(prefix):
                file = partial / path.removeprefix(prefix).lstrip("/")
                file.parent.mkdir(parents=True, exist_ok=True)
                with full_disk_is_clear(str(file)), file.open("wb") as out:
                    out.writelines(self.chunks(path))
            try:
                partial.rename(target)
            except OSError:
                if not target.is_dir():  # another process of this node was first
                    raise
        return target
