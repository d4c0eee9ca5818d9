"""Training an 8B model on one GPU: useful tokens a second, MFU (4N) and memory by checkpointing, layout, attention and kernels.

    python -m tests.benchmarks.gpu_train [--only WORD,WORD] [--steps 3] [--micro-batch 2] [--batch 16] [--peak-tflops 989]
    python -m tests.benchmarks.gpu_train --tiny          # the same with a tiny model on the CPU: does it all run?

The model has the architecture and the sizes of Aya Expanse 8B and random weights, made on the GPU in bfloat16: nothing is
loaded. LoRA r 8 on every linear layer, context 1,024, a label at every token, lengths drawn like those of real
question-answer pairs (about 220 tokens), the fine-tuning stage's settings. Beside gaokerena's own training: transformers'
Trainer with PEFT and, where it is installed, TRL. Each row has a process of its own, and says so when it ran out of memory
or when a package is missing. `--only` takes rows that have each of the words. MFU counts useful tokens alone.
liger-kernel knows no Cohere model: "liger" is its fused SwiGLU in Cohere's MLP, put there by this script.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from cluster.profiles import PROFILES
from cluster.session import prepare_environment
from cluster.storage import open_storage
from pipelines.artifact import Artifact, ArtifactFolder
from pipelines.tokenization.encoding import Example
from pipelines.train.job import Job
from pipelines.train.settings import TrainSettings
from serving.engines.entries import entries
from tests.benchmarks.gpu_variants import VARIANTS, Figures, Variant, problem, row
from tests.benchmarks.road import machine
from tests.benchmarks.training_sequences import CONTEXT, tokens_of_steps, write_artifact

MODEL = "aya-expanse-8b"
TINY = {"num_hidden_layers": 2, "hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 4, "num_key_value_heads": 2}
TINY |= {"vocab_size": 800, "max_position_embeddings": CONTEXT}
LENGTHS = (5.2, 0.65)  # of the logarithm of a document's tokens, mean and deviation: 222 tokens on average
WARMUP = 2  # optimizer steps before those that count
SEED = 2025
VERSIONS_OF = ("torch", "transformers", "peft", "deepspeed", "flash-attn", "liger-kernel", "trl")


@dataclass(frozen=True)
class Options:
    """What every row is given."""

    tiny: bool
    steps: int  # that count
    batch: int  # sequences an optimizer step
    micro_batch: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="rows that have each of these words, separated by commas")
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--micro-batch", type=int, default=2)
    parser.add_argument("--peak-tflops", type=float, default=PROFILES["h100"].tflops)
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--one", nargs=2, metavar=("ROW", "FOLDER"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    options = Options(given.tiny, given.steps, given.batch, given.micro_batch)
    if given.one:
        run_one(next(variant for variant in VARIANTS if variant.name == given.one[0]), Path(given.one[1]), options)
        return
    words = [word.strip() for word in given.only.split(",") if word.strip()]
    chosen = [variant for variant in VARIANTS if all(word in dataclasses.astuple(variant) for word in words)]
    print(f"{date.today()}, {device()}, {versions()}\n", flush=True)
    print_rows(chosen, given.peak_tflops, options)


def print_rows(chosen: list[Variant], peak_tflops: float, options: Options) -> None:
    print(
        "| by | layout | checkpointing | attention | kernels | useful tokens/s (spread) | MFU | peak memory, GB | times the Trainer |"
    )
    print("|---|---|---|---|---|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as name:
        prepare(Path(name), options)
        found: dict[Variant, Figures] = {}
        for variant in sorted(chosen, key=lambda variant: variant.by != "Trainer"):  # what others are compared with comes first
            found[variant] = measured(variant, Path(name), options)
            print(row(variant, found, peak_tflops), flush=True)


def measured(variant: Variant, folder: Path, options: Options) -> Figures:
    """One row's figures, or its problem in words."""
    if missing := variant.missing():
        return {"problem": f"not installed: {', '.join(missing)}"}
    command = [sys.executable, "-m", "tests.benchmarks.gpu_train", "--one", variant.name, str(folder)]
    for field in ("steps", "batch", "micro_batch"):
        command += [f"--{field.replace('_', '-')}", str(getattr(options, field))]
    process = subprocess.run([*command, *(["--tiny"] if options.tiny else [])], capture_output=True, text=True)
    left = folder / f"{variant.name}.json"
    if left.exists():
        figures: Figures = json.loads(left.read_bytes())
        return figures
    return {"problem": problem(process.returncode, process.stderr)}


# a row's process -------------------------------------------------------------------------------------------------------


def prepare(folder: Path, options: Options) -> None:
    """Sequences in both layouts, of random tokens."""
    config, random = sizes(options), np.random.default_rng(SEED)
    documents = (WARMUP + options.steps) * options.batch * 2 * (CONTEXT // 200)  # enough for the packed ones
    lengths = np.clip(random.lognormal(*LENGTHS, documents), 8, CONTEXT).astype(int)
    examples = [Example(random.integers(10, config["vocab_size"], length).tolist()) for length in lengths]
    write_artifact(folder / "packed", examples, "packed", None)
    write_artifact(folder / "padded", examples[: len(examples) // 4], "windows", None)


def run_one(variant: Variant, folder: Path, options: Options) -> None:
    prepare_environment()
    job = job_of(variant, folder, options)
    steps = Steps(folder / f"{variant.name}.json", tokens_of_steps(job), options.steps)
    with tempfile.TemporaryDirectory() as work, process_group(Path(work)):
        SIDES[variant.by](job, variant, options, Path(work), steps)


def job_of(variant: Variant, folder: Path, options: Options) -> Job:
    tokens = Artifact.load(open_storage(folder / variant.layout))
    assert tokens is not None
    profile = PROFILES["cpu"] if options.tiny else dataclasses.replace(PROFILES["h100"], attention=variant.attention)
    settings = {
        "checkpointing": variant.checkpointing,
        "micro_batch": options.micro_batch,
        "checkpoint_steps": 10**6,
        "valid_tokens": 0,
        "finetune": {"effective_batch": options.batch},
    }
    return Job(
        stage="finetune",
        settings=TrainSettings.model_validate(settings),
        seed=SEED,
        profile=profile,
        model=MODEL,
        previous=None,
        tokens=tokens,
        out=ArtifactFolder(open_storage(folder).sub("finetune", str(os.getpid()))),
    )


class Steps:
    """Called with what was logged of a step; ends the process after the last."""

    def __init__(self, out: Path, tokens: list[int], counted: int) -> None:
        self._out, self._tokens, self._counted = out, tokens, counted
        self._ends: list[float] = []
        self.parameters = 0

    def __call__(self, figures: Figures) -> None:
        self._ends.append(time.monotonic())
        if len(self._ends) < WARMUP + self._counted:
            return
        seconds = np.diff(self._ends)[WARMUP - 1 :]
        speeds = (np.array(self._tokens[WARMUP : WARMUP + self._counted]) / seconds).tolist()
        self._out.write_text(json.dumps({"speeds": speeds, "parameters": self.parameters, "peak": peak_memory()}))
        os._exit(0)


def ours(job: Job, variant: Variant, options: Options, folder: Path, steps: Steps) -> None:
    """The worker's own function, with a model that is made instead of loaded."""
    from pipelines.train.worker import train

    def made(_: Path, __: str, attention: str) -> Any:
        return model_of(variant, options, attention, steps)

    with patch("serving.engines.models.load_model", made), patch("pipelines.train.job.local_model", Path):
        train(job, folder, steps)


def of_peers(job: Job, variant: Variant, options: Options, folder: Path, steps: Steps) -> None:
    from transformers import set_seed

    from tests.benchmarks import training_peers as peers

    set_seed(SEED)
    trainer = peers.trl if variant.by == "TRL" else peers.plain
    rows = peers.flat if variant.attention == "flash_attention_2" and variant.layout == "packed" else peers.packed
    collator = peers.padded if variant.layout == "padded" else rows
    model = model_of(variant, options, "sdpa" if options.tiny else variant.attention, steps)
    trainer(job, model, peers.drawn(job, folder), collator, folder, steps).train()


SIDES: dict[str, Callable[[Job, Variant, Options, Path, Steps], None]] = {"gaokerena": ours, "Trainer": of_peers, "TRL": of_peers}


@contextmanager
def process_group(folder: Path) -> Iterator[None]:
    """This process as a group of one, as a worker is."""
    import torch

    from tests.train.alone import process_group as alone

    with alone(folder, backend="nccl" if torch.cuda.is_available() else "gloo"):
        torch.set_num_threads(os.cpu_count() or 1)
        yield


def sizes(options: Options) -> dict[str, Any]:
    return TINY if options.tiny else dict(entries()[MODEL].config or {})


def model_of(variant: Variant, options: Options, attention: str, steps: Steps) -> Any:
    """Random weights, made where they are used."""
    import torch
    from transformers import AutoModelForCausalLM, CohereConfig

    config = CohereConfig(**sizes(options), tie_word_embeddings=True)
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16, attn_implementation=attention)
    if variant.kernels == "liger":
        fuse_swiglu(model)
    steps.parameters = model.num_parameters()
    return model.eval()


def fuse_swiglu(model: Any) -> None:
    """liger's SwiGLU in place of two kernels in every block; the projections, with their adapters, stay what they are."""
    from liger_kernel.ops.swiglu import LigerSiLUMulFunction

    for block in model.model.layers:
        mlp = block.mlp
        mlp.forward = lambda x, mlp=mlp: mlp.down_proj(LigerSiLUMulFunction.apply(mlp.gate_proj(x), mlp.up_proj(x)))


def peak_memory() -> int:
    """The most that the GPU, or without one this process, had to hold, bytes."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024


def device() -> str:
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else f"no GPU: {machine()}"


def versions() -> str:
    found = []
    for package in VERSIONS_OF:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            found.append(f"no {package}")
    return ", ".join(found)


if __name__ == "__main__":
    main()
