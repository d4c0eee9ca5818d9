"""Energy and emissions of training by the paper's formula: power of the devices x hours x intensity of the grid.

The paper: one A100 of 250 W for 19 hours at 0.56 kg CO2 a kWh makes 2.66 kg. It leaves out the machine around the device.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Energy:
    """What a training draws and emits."""

    kwh: float
    kg_co2: float


def energy(hours: float, watts: float, kg_co2_per_kwh: float) -> Energy:
    """Of devices that draw `watts` together for `hours`."""
    kwh = watts / 1000 * hours
    return Energy(kwh, kwh * kg_co2_per_kwh)
