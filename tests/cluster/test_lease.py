"""A lease is held by one process at a time, also after its holder dies."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cluster.lease import Lease, LeaseHeld, LeaseLost
from cluster.storage import Storage, open_storage


@pytest.fixture(params=["local", "s3"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    return open_storage(tmp_path if request.param == "local" else request.getfixturevalue("s3_url"))


def test_the_second_is_told_who_holds_it(storage: Storage) -> None:
    with Lease(storage, what="the run"), pytest.raises(LeaseHeld, match=r"the run is in use by .* process \d+ .*--out"):
        Lease(storage, what="the run").acquire()


def test_a_released_lease_is_free_at_once(storage: Storage) -> None:
    with Lease(storage):
        pass
    assert Lease(storage).acquire() == 2


def test_an_old_holder_learns_that_it_has_lost(storage: Storage) -> None:
    old = Lease(storage, ttl=0.0)  # never counts as renewed
    old.acquire()
    new = Lease(storage, ttl=0.0)
    assert new.acquire() == 2
    with pytest.raises(LeaseLost):
        old.renew()
    old.release()  # takes nothing from the new holder
    new.renew()


def test_only_one_of_two_can_take_an_epoch(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    racer = Lease(storage)
    monkeypatch.setattr(racer, "_latest", lambda: 0)  # it looked before the other wrote
    assert Lease(storage).acquire() == 1
    with pytest.raises(LeaseHeld):
        racer.acquire()


def test_a_killed_holder_on_this_machine_does_not_block(tmp_path: Path) -> None:
    code = (
        "import sys, os, signal; from cluster.lease import Lease; from cluster.storage import open_storage; "
        "Lease(open_storage(sys.argv[1])).acquire(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert Lease(open_storage(tmp_path)).acquire() == 2
