"""From a model's name to its files, and from the files to a model and tokens.

A *spec* is a built-in entry's name, a local folder, a run-storage URL (s3://, gs://) or a hub id
(org/name, org/name@revision). Weights are safetensors only; code of a model's repository is never run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from cluster.cache import cache_folder
from cluster.errors import UserError
from cluster.storage import OBJECT_SCHEMES, follow, open_storage
from serving.engines import hub
from serving.engines.convert import check_packages, converted
from serving.engines.entries import Entry, entries
from serving.engines.quantized import check_method, method_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

DTYPE_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
CONTENT = ("*.safetensors", "*.json", "*.jinja", "tokenizer.model", "merges.txt", "vocab.txt")  # what makes a model


def local_model(spec: str) -> Path:
    """A local folder with config.json, safetensors weights, the tokenizer and its chat template.

    Converts a packaged model (once per node), downloads from run storage (once per node) or the hub.
    Raises UserError for a model that does not exist or has no safetensors weights.
    """
    entry = entries().get(spec)
    if entry and entry.gguf:
        return converted(entry, cache_folder("models") / f"{entry.name}-{model_digest(spec)[:12]}")
    if _is_url(spec):
        return _checked_folder(spec, open_storage(follow(spec)).local("", cache_folder("models")))
    if Path(spec).expanduser().is_dir():
        return _checked_folder(spec, Path(spec).expanduser().absolute())
    return _checked_folder(spec, hub.download(_hub_id(spec, entry)))


def model_digest(spec: str) -> str:
    """What the model is, by content: equal digests give equal answers. No conversion and no download for a packaged model."""
    entry = entries().get(spec)
    if entry and entry.gguf:
        return hashlib.sha256("\n".join((entry.gguf.sha256, entry.chat_template or "")).encode()).hexdigest()
    if not _is_url(spec) and not Path(spec).expanduser().is_dir():
        name = _hub_id(spec, entry)
        return hashlib.sha256(f"{name.repository}@{hub.revision(name)}".encode()).hexdigest()
    return _folder_digest(local_model(spec))


def check_model(spec: str, *, dtype: str, needed_bytes: int | None = None, available_bytes: int | None = None) -> None:
    """Raise UserError, before any work starts, when the model is missing or does not fit in memory.

    `needed_bytes`: what the work needs in all; by default the weights in `dtype`. `available_bytes`: of the
    device; by default what this machine has free.
    """
    needed = needed_bytes or weight_bytes(spec, dtype)
    available = available_bytes or psutil.virtual_memory().available
    if needed > available:
        raise UserError(
            f"model {spec} needs {needed / 1e9:.1f} GB in {dtype} and {available / 1e9:.1f} GB of memory are free; "
            "choose a smaller model or another dtype, or free some memory"
        )


def weight_bytes(spec: str, dtype: str) -> int:
    """Size of the weights in memory. Raises UserError for a model that does not exist."""
    if dtype not in DTYPE_BYTES:
        raise UserError(f"dtype {dtype!r}: allowed are {', '.join(DTYPE_BYTES)}")
    entry = entries().get(spec)
    if entry and entry.gguf:
        check_packages(entry)
        return entry.parameters * DTYPE_BYTES[dtype]
    if _is_url(spec):
        return _stored_bytes(spec, dtype)
    if Path(spec).expanduser().is_dir():
        return _stored_bytes(str(_checked_folder(spec, Path(spec).expanduser())), dtype)
    name = _hub_id(spec, entry)
    if folder := hub.cached(name):
        return _stored_bytes(str(_checked_folder(spec, folder)), dtype)
    return hub.parameters(name) * DTYPE_BYTES[dtype]


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a local model. A model without a padding token pads with EOS."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_model(folder: Path, dtype: str, attention: str = "sdpa") -> PreTrainedModel:
    """The causal language model of a local folder, in evaluation mode, on the CPU. Quantized weights keep the format they have.

    Raises UserError for weights that are quantized in a way that cannot be read here.
    """
    import torch
    from transformers import AutoModelForCausalLM

    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    check_method(str(folder), config)
    model = AutoModelForCausalLM.from_pretrained(
        folder,
        dtype="auto" if method_of(config) else getattr(torch, dtype),
        # None lets transformers choose: SDPA wherever the architecture has it, which Gemma 2, for one, has not
        attn_implementation=None if attention == "sdpa" else attention,
        local_files_only=True,
        use_safetensors=True,
        trust_remote_code=False,
    )
    if method_of(config) == "torchao":
        from serving.engines.int8 import hold_in_int8

        hold_in_int8(model)
    return model.eval()


def encode_prompt(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """Token ids of a plain text, starting with BOS where the model wants one, and never with two."""
    ids: list[int] = tokenizer(text, add_special_tokens=False).input_ids
    bos = tokenizer.bos_token_id
    while ids[:2] == [bos, bos]:
        ids = ids[1:]
    return [bos, *ids] if ids[:1] != [bos] and wants_bos(tokenizer) else ids


def encode_chat(
    tokenizer: PreTrainedTokenizerBase, messages: Sequence[Mapping[str, Any]], *, add_generation_prompt: bool = True
) -> list[int]:
    """Token ids of a conversation in the model's chat template. Raises UserError when it has none or refuses the messages."""
    return encode_prompt(tokenizer, chat_text(tokenizer, messages, add_generation_prompt=add_generation_prompt))


def chat_text(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Mapping[str, Any]], *, add_generation_prompt: bool) -> str:
    """A conversation as the model's chat template writes it. Raises UserError when it has none or refuses the messages."""
    from jinja2 import TemplateError

    if not tokenizer.chat_template:
        raise UserError(
            "this model has no chat template: give it one (chat_template.jinja beside its tokenizer), or use completions"
        )
    try:
        return str(tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=add_generation_prompt))
    except TemplateError as error:
        raise UserError(f"the model's chat template refuses these messages: {error}") from error


def wants_bos(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether the model's own tokenizer starts a sequence with BOS."""
    first = tokenizer("a").input_ids[:1]
    return tokenizer.bos_token_id is not None and first == [tokenizer.bos_token_id]


def _is_url(spec: str) -> bool:
    return spec.partition("://")[0] in OBJECT_SCHEMES


def _hub_id(spec: str, entry: Entry | None) -> hub.HubId:
    found = hub.HubId.parse(entry.hub if entry and entry.hub else spec)
    if found is None:
        raise UserError(
            f"model {spec!r} does not exist: name one of {', '.join(entries())}, a folder with safetensors weights, "
            "a run-storage URL (s3://, gs://) or a hub id (org/name)"
        )
    return found


def _checked_folder(spec: str, folder: Path) -> Path:
    if not (folder / "config.json").is_file():
        raise UserError(f"model {spec}: there is no config.json in {folder}")
    if not any(folder.glob("*.safetensors")):
        raise UserError(f"model {spec}: there are no safetensors weights in {folder} (.bin and pickle files are not read)")
    return folder


def _stored_bytes(url: str, dtype: str) -> int:
    """Size in `dtype` of the weights in a folder or an object store."""
    storage = open_storage(follow(url))
    try:
        config = json.loads(storage.read("config.json"))
    except FileNotFoundError:
        raise UserError(f"model {url}: there is no config.json there") from None
    check_method(url, config)
    size = sum(storage.size(path) for path in storage.list() if path.endswith(".safetensors") and "/" not in path)
    if method_of(config):
        return size  # as it is: `dtype` changes nothing
    stored = str(config.get("dtype") or config.get("torch_dtype") or "float32").removeprefix("torch.")
    return size * DTYPE_BYTES[dtype] // DTYPE_BYTES.get(stored, 4)


def _folder_digest(folder: Path) -> str:
    """SHA-256 over names and content; remembered in the node's cache until a size or a time of change differs."""
    files = sorted({file for pattern in CONTENT for file in folder.glob(pattern) if file.is_file()})
    state = json.dumps([[file.name, file.stat().st_size, file.stat().st_mtime_ns] for file in files])
    key = hashlib.sha256(f"{folder.resolve()}\n{state}".encode()).hexdigest()
    remembered = open_storage(cache_folder("digests"))
    try:
        return remembered.read(key).decode()
    except FileNotFoundError:
        digest = hashlib.sha256()
        for file in files:
            digest.update(f"{file.name}\n{_file_digest(file)}\n".encode())
        remembered.write(key, digest.hexdigest().encode())
        return digest.hexdigest()


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
