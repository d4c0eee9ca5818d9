"""Functions over many items on a real Ray: what comes out, what a mistake becomes, and how often the work is unpacked."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.dataflow import map_tasks
from cluster.errors import UserError
from cluster.session import connect

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module", autouse=True)
def session() -> Iterator[None]:
    with connect(cpus=1):
        yield


class Counted:
    """Work that writes a line wherever it is unpacked."""

    def __init__(self, notes: Path) -> None:
        self.notes = notes

    def __setstate__(self, state: dict[str, Path]) -> None:
        self.__dict__.update(state)
        with self.notes.open("a") as notes:
            notes.write(f"{os.getpid()}\n")

    def __call__(self, item: int) -> tuple[int, int]:
        if item < 0:
            raise UserError("a negative item; leave it out")
        return item, os.getpid()


def test_every_item_is_worked_on_and_a_process_unpacks_the_work_once(tmp_path: Path) -> None:
    notes = tmp_path / "unpacked"
    found = dict(map_tasks(Counted(notes), range(12)))
    assert sorted(found) == list(range(12))
    unpacked = notes.read_text().split()
    assert len(unpacked) == len(set(unpacked))
    assert {str(process) for process in found.values()} == set(unpacked)


def test_a_users_mistake_comes_out_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="^a negative item; leave it out$"):
        list(map_tasks(Counted(tmp_path / "unpacked"), [1, -1]))
