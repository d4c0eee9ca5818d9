"""A lease: the right to work on something, held by one process at a time.

Each holder has an epoch, a key `lease/000007` that only one process can create. The holder renews by
writing its key again; whoever finds a key that was released, whose process is gone (same machine), or
that was not renewed for `ttl` seconds may create the next epoch. A holder that sees a later epoch has
lost the lease. Clocks of different machines must agree to within `ttl`.
"""

from __future__ import annotations

import getpass
import json
import os
import socket
import threading
import time
from dataclasses import asdict, dataclass
from types import TracebackType

import psutil

from cluster.errors import StorageUnavailable, UserError
from cluster.storage import Storage

TTL = 60.0


class LeaseHeld(UserError):
    """Somebody else holds the lease; the text says who."""


class LeaseLost(RuntimeError):
    """A later epoch exists: another process took over, so this one must stop."""


@dataclass(frozen=True)
class Holder:
    """Who holds a lease: user, machine and process, and when it was renewed (unix seconds)."""

    user: str
    host: str
    pid: int
    process_started: float
    renewed: float
    released: bool = False

    @classmethod
    def me(cls) -> Holder:
        pid = os.getpid()
        return cls(getpass.getuser(), socket.gethostname(), pid, psutil.Process(pid).create_time(), time.time())

    def is_gone(self, ttl: float) -> bool:
        """Whether the holder released the lease, died on this machine, or stopped renewing."""
        if self.released or time.time() - self.renewed > ttl:
            return True
        if self.host != socket.gethostname():
            return False
        try:
            return abs(psutil.Process(self.pid).create_time() - self.process_started) > 1
        except psutil.NoSuchProcess:
            return True


class Lease:
    """`with Lease(storage, "lease", what="the run in DIR"):` renews in a thread until the block ends."""

    def __init__(self, storage: Storage, prefix: str = "lease", *, what: str = "this folder", ttl: float = TTL) -> None:
        self.storage, self.prefix, self.what, self.ttl = storage, prefix, what, ttl
        self.epoch = 0
        self.lost = False
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def acquire(self) -> int:
        """Take the lease; its epoch (1 or more). Raises LeaseHeld."""
        current = self._latest()
        if current:
            holder = self._holder(current)
            if holder and not holder.is_gone(self.ttl):
                raise self._held(holder)
        if not self.storage.create(self._key(current + 1), _encode(Holder.me())):
            raise self._held(self._holder(current + 1))
        self.epoch = current + 1
        for old in range(max(1, self.epoch - 5), self.epoch - 1):  # the one before stays, for the curious
            self.storage.delete(self._key(old))
        return self.epoch

    def renew(self) -> None:
        """Say that this holder lives. Raises LeaseLost when a later epoch exists."""
        if self._latest() > self.epoch:
            self.lost = True
            raise LeaseLost(f"{self.what}: another process took over (epoch {self.epoch} is over)")
        self.storage.write(self._key(self.epoch), _encode(Holder.me()))

    def release(self) -> None:
        """Give the lease back, unless somebody took it over."""
        if self._latest() == self.epoch:
            holder = asdict(Holder.me()) | {"released": True}
            self.storage.write(self._key(self.epoch), json.dumps(holder).encode())

    def __enter__(self) -> Lease:
        self.acquire()
        self._thread = threading.Thread(target=self._renew_until_stopped, name="lease", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        if self._thread:
            self._thread.join()
        if not self.lost:
            self.release()

    def _renew_until_stopped(self) -> None:
        while not self._stop.wait(self.ttl / 4):
            try:
                self.renew()
            except LeaseLost:
                return
            except (OSError, StorageUnavailable):  # storage is away for a moment; the next turn tries again, well within the ttl
                continue

    def _key(self, epoch: int) -> str:
        return f"{self.prefix}/{epoch:06d}"

    def _latest(self) -> int:
        return max((int(path.rsplit("/", 1)[1]) for path in self.storage.list(self.prefix)), default=0)

    def _holder(self, epoch: int) -> Holder | None:
        try:
            return Holder(**json.loads(self.storage.read(self._key(epoch))))
        except FileNotFoundError:
            return None

    def _held(self, holder: Holder | None) -> LeaseHeld:
        if holder is None:
            return LeaseHeld(f"{self.what} was just taken by another process; try again")
        ago = max(0, round(time.time() - holder.renewed))
        return LeaseHeld(
            f"{self.what} is in use by {holder.user} on {holder.host}, process {holder.pid} (seen {ago} s ago); "
            "wait for it, stop it, or use another --out"
        )


def _encode(holder: Holder) -> bytes:
    return json.dumps(asdict(holder)).encode()
