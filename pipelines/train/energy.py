"""Energy and emissions of training, by the paper's formula and as they were measured.

The formula: power of the devices x hours x intensity of the grid. In the paper one A100 of 250 W for 19 hours at
0.56 kg CO2 a kWh makes 2.66 kg. It leaves out the machine around the device, which a measurement has in it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Energy:
    """What a training draws and emits."""

    kwh: float
    kg_co2: float


def energy(hours: float, watts: float, kg_co2_per_kwh: float) -> Energy:
    """Of devices that draw `watts` together for `hours`."""
    return drawn(watts / 1000 * hours, kg_co2_per_kwh)


def drawn(kwh: float, kg_co2_per_kwh: float) -> Energy:
    """Of so much energy, however it is known."""
    return Energy(kwh, kwh * kg_co2_per_kwh)


def account(hours: float, watts: float, kg_co2_per_kwh: float, history: list[dict[str, Any]]) -> dict[str, Any]:
    """The text of `energy.json`; `watts` of all devices, 0 where they are unknown; `history`: with what a meter read."""
    readings = [entry for entry in history if "kwh" in entry]
    parts = {part: sum(entry["kwh"][part] for entry in readings) for part in (readings[0]["kwh"] if readings else ())}
    measured = asdict(drawn(sum(parts.values()), kg_co2_per_kwh))
    return {
        "hours": hours,
        "kg_co2_per_kwh": kg_co2_per_kwh,
        "formula": {"watts": watts, **asdict(energy(hours, watts, kg_co2_per_kwh))} if watts else None,
        "measured": {**measured, "kwh_by_part": parts, "method": readings[-1]["method"]} if readings else None,
    }


def facts(found: dict[str, Any]) -> dict[str, float]:
    """The numbers of an `account` that a unit's record keeps."""
    kept = {"hours": found["hours"]}
    for prefix, kind in (("", "formula"), ("measured_", "measured")):
        if found[kind]:
            kept |= {f"{prefix}{name}": found[kind][name] for name in ("kwh", "kg_co2")}
    return kept
