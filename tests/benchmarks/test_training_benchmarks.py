"""The training benchmarks run, compare like with like, and say what they could not measure."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.benchmarks import gpu_variants
from tests.benchmarks.gpu_train import Options, measured
from tests.benchmarks.gpu_variants import VARIANTS, Variant, problem, row
from tests.tiny_models import SENTENCES, tiny_gemma3

REPOSITORY = Path(__file__).resolve().parents[2]


def printed(module: str, *options: str) -> dict[str, list[str]]:
    """The rows of the tables that a benchmark prints, by their first cells up to the first figure."""
    command = [sys.executable, "-m", f"tests.benchmarks.{module}", *options]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    rows = [line.strip("| ").split(" | ") for line in done.stdout.splitlines() if line.startswith("| ")]
    return {cells[0] if module == "train" else ", ".join(cells[:5]): cells for cells in rows}


@pytest.mark.parametrize("words", [{"none", "packed"}, {"selective", "padded"}, {"full", "flash_attention_2"}, {"liger", "sdpa"}])
def test_every_kind_of_row_is_there(words: set[str]) -> None:
    assert any(words < {*variant.name.split(", ")} for variant in VARIANTS)


def test_a_missing_package_is_a_row_that_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(gpu_variants.PACKAGES, "liger", "no_such_package")
    variant = Variant("gaokerena", "packed", "none", "sdpa", "liger")
    figures = measured(variant, tmp_path, Options(tiny=True, steps=1, batch=4, micro_batch=2))
    assert "not installed: no_such_package" in row(variant, {variant: figures}, 989.0)


def test_a_gpu_that_is_too_small_is_a_row_that_says_so() -> None:
    said = "  File x\ntorch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.\n[rank0] destroy_process_group()"
    assert problem(1, said) == "out of memory"
    assert problem(1, "Traceback\nKeyError: 'x | y'") == "failed: KeyError: 'x / y'"


def test_mfu_counts_four_operations_a_parameter_and_useful_token() -> None:
    ours, plain = Variant("gaokerena", "packed", "selective", "sdpa"), Variant("Trainer", "packed", "full", "sdpa")
    found = {
        ours: {"speeds": [1.1e4, 1e4, 0.9e4], "parameters": 8e9, "peak": 40e9},
        plain: {"speeds": [5e3], "parameters": 8e9, "peak": 1},
    }
    cells = row(ours, found, 1000.0).strip("| ").split(" | ")
    assert cells[5:] == ["10,000 (9,000 to 11,000)", f"{4 * 8e9 * 1e4 / 1e15:.1%}", "40.0", "2.00"]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_tiny_model_takes_the_road_of_the_large_one() -> None:
    rows = printed("gpu_train", "--tiny", "--only", "packed,none,sdpa,as they are", "--steps", "1", "--batch", "4")
    for by in ("gaokerena", "Trainer"):
        speed, mfu, memory = rows[f"{by}, packed, none, sdpa, as they are"][5:8]
        assert float(speed.split()[0].replace(",", "")) > 0 and mfu.endswith("%") and float(memory) > 0


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_both_sides_learn_the_same(tmp_path: Path) -> None:
    """The loss of a step differs by dropout alone; a model of random weights is near the logarithm of its vocabulary."""
    model, pairs = tiny_gemma3(tmp_path / "model"), tmp_path / "pairs.parquet"
    pq.write_table(pa.table({"question": SENTENCES * 3, "answer": SENTENCES[::-1] * 3}), pairs)
    peer = "Trainer, padded to the longest"
    rows = printed(
        "train", "--model", str(model), "--pairs", str(pairs), "--rounds", "2", "--batch", "4", "--sides", f"gaokerena;{peer}"
    )
    ours, theirs = ([float(cell) for cell in rows[side][1:]] for side in ("gaokerena", peer))
    assert len(ours) == 2 and ours == pytest.approx(theirs, rel=0.01)
