"""What a training will cost: the paper's own figures, and the shape of its model."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from cluster.errors import UserError
from cluster.profiles import PROFILES
from cluster.storage import open_storage
from pipelines.plan import plan
from pipelines.recipe import load_recipe
from pipelines.train.energy import energy
from pipelines.train.estimate import Shape, implied_mfu, stage_cost
from pipelines.train.settings import InstructSettings, StageSettings

AYA_EXPANSE_8B = {  # config.json of CohereForAI/aya-expanse-8b, a CohereForCausalLM
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "max_position_embeddings": 8192,
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
    "num_key_value_heads": 8,
    "vocab_size": 256000,
    "tie_word_embeddings": True,
}
A100 = PROFILES["a100-80"]


def test_the_papers_energy() -> None:
    used = energy(hours=19, watts=250, kg_co2_per_kwh=0.56)
    assert used.kwh == pytest.approx(4.75)
    assert used.kg_co2 == pytest.approx(2.66)


def test_the_papers_model_has_eight_billion_parameters() -> None:
    """By its config; transformers counts 8,028,033,024, the norm of each block and the last one with them."""
    assert Shape.of_config(AYA_EXPANSE_8B).parameters == 8_028_033_024 - 33 * 4096


def test_the_papers_adapters() -> None:
    """r x (in + out) of q and o (4096, 4096), k and v (4096, 1024), gate, up and down (4096, 14336), in 32 blocks."""
    shape = Shape.of_config(AYA_EXPANSE_8B)
    block = 2 * (4096 + 4096) + 2 * (4096 + 1024) + 3 * (4096 + 14336)
    assert shape.adapter_parameters(StageSettings().lora) == 32 * 8 * block == 20_971_520
    assert shape.adapter_parameters(InstructSettings().lora) == 32 * 2 * block


def test_hours_and_the_mfu_that_hours_imply_undo_each_other() -> None:
    shape = Shape.of_config(AYA_EXPANSE_8B)
    cost = stage_cost(shape, StageSettings(), tokens=80_000_000, context=1024)
    assert cost.flops == 4 * shape.parameters * 80_000_000
    assert implied_mfu(cost.flops, cost.hours(A100.tflops, 0.35), A100.tflops) == pytest.approx(0.35)


def dry_run(tmp_path: Path, *changes: str) -> str:
    out = io.StringIO()
    recipe = load_recipe("paper", changes)
    Console(file=out, width=400, soft_wrap=True).print(plan(recipe, open_storage(tmp_path)))
    return out.getvalue()


def test_the_dry_run_of_the_paper_says_hours_energy_and_what_nineteen_hours_imply(tmp_path: Path) -> None:
    """Tokens by word counts: 89,169,584 x 60% x 1.5 and 2,776,031 x 1.5; 4 x 8.03e9 operations a token."""
    said = dry_run(tmp_path)
    tokens = int(89_169_584 * 0.6 * 1.5) + int(2_776_031 * 1.5)
    flops = 4 * Shape.of_config(AYA_EXPANSE_8B).parameters * tokens
    implied = flops / (19 * 3600 * 312e12)
    assert 0.12 < implied < 0.13
    assert (
        f"both stages in 19 h are {implied:.1%} of 312 TFLOP/s (4N a token), 4.75 kWh, 2.66 kg CO2 (250 W, 0.56 kg/kWh)" in said
    )
    assert "6.6 h at an assumed 35% of 312 TFLOP/s (4N a token), 1.64 kWh, 0.92 kg CO2" in said


def test_eight_devices_draw_eight_times_the_power_for_an_eighth_of_the_time(tmp_path: Path) -> None:
    assert "0.8 h at an assumed 35% of 2496 TFLOP/s (4N a token), 1.64 kWh, 0.92 kg CO2 (2000 W" in dry_run(
        tmp_path, "cluster.profile=a100x8"
    )


def test_a_cpu_has_no_peak_and_so_no_hours(tmp_path: Path) -> None:
    said = dry_run(tmp_path, "cluster.profile=cpu")
    assert "optimizer steps" in said.replace("\n", " ")
    assert "kWh" not in said


def test_hours_must_be_positive() -> None:
    with pytest.raises(UserError, match=r"expected.hours = 0"):
        load_recipe("paper", ["expected.hours=0"])
