"""Energy of a training: the paper's formula, and what codecarbon measures on this machine without a network."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cluster.storage import open_storage
from pipelines.artifact import Artifact
from pipelines.train import meter
from pipelines.train.energy import account
from pipelines.train.job import ENERGY, LOG_UNIT
from pipelines.train.worker import train
from tests.train.alone import job_of, reset, train_alone

pytestmark = pytest.mark.usefixtures("alone")


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Whom somebody tried to reach."""
    tried: list[Any] = []

    def refuse(_: socket.socket, address: Any) -> None:
        tried.append(address)
        raise ConnectionRefusedError(address)

    monkeypatch.setattr(socket.socket, "connect", refuse)
    return tried


def test_a_training_has_both_accounts_and_says_how_it_was_measured(
    model: Path, tokens: Artifact, tmp_path: Path, no_network: list[Any], monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    """Of a device of 250 W; nothing is sent, printed or left in the working folder."""
    monkeypatch.chdir(tmp_path)
    job = job_of(open_storage(tmp_path / "run"), model, tokens=tokens, measure_energy=True, kg_co2_per_kwh=0.4)
    job = replace(job, profile=replace(job.profile, watts=250.0))
    train_alone(job, tmp_path / "work")
    found = json.loads(job.out.folder.read(ENERGY))
    formula, measured = found["formula"], found["measured"]
    assert formula["kwh"] == pytest.approx(0.25 * found["hours"])
    assert measured["kwh"] == pytest.approx(sum(measured["kwh_by_part"].values())) and measured["kwh"] > 0
    assert measured["kwh_by_part"]["cpu"] > 0 and measured["kwh_by_part"]["ram"] > 0
    for kind in (formula, measured):
        assert kind["kg_co2"] == pytest.approx(0.4 * kind["kwh"])
    assert measured["method"].startswith("CPU ")
    kept = job.out.record(LOG_UNIT).facts
    assert (kept["kwh"], kept["measured_kwh"]) == (formula["kwh"], measured["kwh"])
    assert no_network == []
    assert "codecarbon" not in "".join(capfd.readouterr())
    assert {path.name for path in tmp_path.iterdir()} == {"run", "work"}


class Gone(Exception):
    """The machine."""


@pytest.fixture
def meters(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Meters that read often; a process that is killed takes its own with it."""
    started: list[meter._Node] = []
    start = meter._Node.__init__

    def remembered(node: meter._Node) -> None:
        start(node)
        started.append(node)

    monkeypatch.setattr(meter, "EVERY", 0.02)
    monkeypatch.setattr(meter._Node, "__init__", remembered)
    yield
    for node in started:
        node.stop()


def test_a_training_that_goes_on_keeps_what_it_drew_before(model: Path, tokens: Artifact, tmp_path: Path, meters: None) -> None:
    def stop_at_five(figures: dict[str, Any]) -> None:
        if figures["step"] == 5:
            raise Gone

    job = job_of(open_storage(tmp_path / "run"), model, tokens=tokens, measure_energy=True)
    (tmp_path / "gone").mkdir()
    reset()
    with pytest.raises(Gone):
        train(job, tmp_path / "gone", stop_at_five)
    state = json.loads(job.out.folder.read("checkpoints/step-000004/trainer_state.json"))
    before = [sum(entry["kwh"].values()) for entry in state["log_history"] if "kwh" in entry]
    assert len(before) == 2
    train_alone(job, tmp_path / "again")
    assert json.loads(job.out.folder.read(ENERGY))["measured"]["kwh"] > sum(before) > 0


def test_a_machine_that_can_not_be_measured_fails_no_training(
    model: Path, tokens: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise PermissionError("energy_uj")

    monkeypatch.setattr("codecarbon.emissions_tracker.BaseEmissionsTracker._do_measurements", broken)
    job = job_of(open_storage(tmp_path / "run"), model, tokens=tokens, measure_energy=True)
    train_alone(job, tmp_path / "work")
    assert json.loads(job.out.folder.read(ENERGY))["measured"] is None


def test_readings_of_several_nodes_and_checkpoints_add_up() -> None:
    """0.3 + 0.1 + 0.05 kWh of the processors, a tenth of it of the memory."""
    history = [
        {"step": n, "kwh": {"cpu": kwh, "ram": kwh / 10}, "method": "CPU estimated"} for n, kwh in enumerate((0.3, 0.1, 0.05))
    ]
    found = account(19.0, 250.0, 0.56, [{"step": 1, "loss": 2.0}, *history])
    assert found["formula"] == {"watts": 250.0, "kwh": pytest.approx(4.75), "kg_co2": pytest.approx(2.66)}
    assert found["measured"]["kwh_by_part"] == {"cpu": pytest.approx(0.45), "ram": pytest.approx(0.045)}
    assert found["measured"]["kg_co2"] == pytest.approx(0.495 * 0.56)
