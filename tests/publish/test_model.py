"""A published model: loads in plain transformers and PEFT, says what it is made of and nothing else, safe to be killed."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from huggingface_hub import ModelCard
from safetensors import safe_open

from cluster import dataflow
from cluster.errors import StorageFull, UserError
from cluster.storage import LocalStorage, Storage
from pipelines.artifact import file_digest
from pipelines.forget.artifacts import note
from pipelines.forget.request import TRAINED
from pipelines.publish.model_publication import ModelPublication
from pipelines.publish.model_quantize import PACKAGES, weight_sizes
from pipelines.publish.settings import Form
from pipelines.train.estimate import Shape
from pipelines.train.job import LAYOUT
from serving.engines.entries import entries
from serving.engines.models import check_model, load_model, load_tokenizer, local_model, weight_bytes
from tests.publish.conftest import PLANTED, clean_run, in_this_process
from tests.publish.trained import KG, KWH, PROBE, TrainedRun, train
from tests.tiny_models import tiny_cohere, tiny_gemma3

FOLDER = "folder of mine"
FILES = {"README.md", "publication.json", "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrainedRun]:
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dataflow, "map_tasks", in_this_process)
        patch.setenv("GAOKERENA_CACHE", str(folder / "cache"))
        cleaned = clean_run(folder)
        yield train(cleaned.recipe, cleaned.root, cleaned.clean, tiny_gemma3(folder / FOLDER / "tiny", hidden=64))


@pytest.fixture(scope="module")
def published(run: TrainedRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(run.publish(tmp_path_factory.mktemp("published") / "out").url)


@pytest.fixture(scope="module")
def card(published: Path) -> ModelCard:
    return ModelCard.load(published / "README.md")


def contents(folder: Path) -> dict[str, bytes]:
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


def logits(model: torch.nn.Module) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model(input_ids=PROBE).logits.float()
    return found


def test_it_loads_in_plain_transformers_and_is_the_trained_model(run: TrainedRun, published: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    assert set(contents(published)) >= FILES | {"adapter/adapter_config.json", "adapter/adapter_model.safetensors"}
    model = AutoModelForCausalLM.from_pretrained(published, dtype="auto")
    assert model.dtype == torch.bfloat16
    torch.testing.assert_close(logits(model), logits(load_model(run.model, "bfloat16")), rtol=0, atol=0)
    tokenizer = AutoTokenizer.from_pretrained(published)
    assert tokenizer.chat_template == load_tokenizer(run.base).chat_template
    assert (published / "generation_config.json").read_text() == (run.model / "generation_config.json").read_text()


def test_the_projects_own_loader_takes_it(published: Path) -> None:
    assert load_model(local_model(str(published)), "float32").config.model_type == "gemma3_text"


@pytest.mark.parametrize("form", ["merged", "adapter"])
def test_one_adapter_on_the_base_does_what_both_stages_did(form: Form, run: TrainedRun, tmp_path: Path) -> None:
    """Up to the rounding of the weights, which the merged model has in bfloat16."""
    from peft import PeftModel

    folder = Path(run.publish(tmp_path / form, form).url)
    where = {} if form == "adapter" else {"subfolder": "adapter"}
    adapted = logits(PeftModel.from_pretrained(load_model(run.base, "float32"), folder, **where))
    merged, base = logits(load_model(run.model, "float32")), logits(load_model(run.base, "float32"))
    assert (adapted - merged).abs().max() < 0.02 * (adapted - base).abs().max()
    config = json.loads((folder / ("." if form == "adapter" else "adapter") / "adapter_config.json").read_text())
    ranks = [getattr(run.recipe.train, stage).lora.r for stage in ("finetune", "instruct")]
    assert config["r"] == config["lora_alpha"] == sum(ranks) and config["base_model_name_or_path"] == "tiny"


def test_the_adapter_alone_comes_without_the_weights(run: TrainedRun, tmp_path: Path) -> None:
    files = set(contents(Path(run.publish(tmp_path / "out", "adapter").url)))
    assert {"adapter_config.json", "adapter_model.safetensors", "tokenizer.json"} < files
    assert not files & {"config.json", "model.safetensors", "generation_config.json"}


def test_no_text_of_a_row_no_path_and_no_address_is_in_it(run: TrainedRun, published: Path) -> None:
    text = "\n".join(data.decode("utf-8", "replace") for data in contents(published).values())
    assert [secret for secret in (*PLANTED, FOLDER, run.root.url, "a folder/", str(Path.home())) if secret in text] == []


def test_the_front_matter_is_the_hubs(run: TrainedRun, card: ModelCard, tmp_path: Path) -> None:
    assert card.data.to_dict() == {
        "language": ["fa"], "license": "other", "library_name": "transformers", "pipeline_tag": "text-generation",
        "tags": ["medical", "health", "persian", "farsi"],
    }  # fmt: skip
    assert "This card claims none" in card.text
    settings = {"base_model": "some-org/base", "license": "gemma", "datasets": ["me/data"], "title": "Mine"}
    run.publish(tmp_path / "named", "adapter", **settings)
    named = ModelCard.load(tmp_path / "named" / "README.md")
    data = named.data.to_dict()
    assert (data["base_model"], data["base_model_relation"]) == ("some-org/base", "adapter")
    assert (data["license"], data["datasets"], data["library_name"]) == ("gemma", ["me/data"], "peft")
    assert "# Mine" in named.text and "https://huggingface.co/datasets/me/data" in named.text
    assert "This card claims none" not in named.text


def test_the_card_says_how_it_was_trained_and_on_what(run: TrainedRun, card: ModelCard) -> None:
    assert "| LoRA | rank 8, alpha 16, dropout 0.05 | rank 8, alpha 16, dropout 0.05 |" in card.text
    assert "40 of 44 sequences, 9,000 tokens (capped at 20,000)" in card.text
    assert "| loss, first and last | 3.400, 3.000 | 3.400, 3.000 |" in card.text
    extracted, kept = (re.search(rf"^\| {name} \| (\d+) \| (\d+) \|$", card.text, re.MULTILINE) for name in ("extracted", "kept"))
    dropped = re.findall(r"^\| dropped: [^|]+ \| (\d+) \| (\d+) \|$", card.text, re.MULTILINE)
    assert extracted and kept and dropped and "\n| | articles | question-answer pairs |\n|---|---:|---:|\n" in card.text
    for kind in (0, 1):
        assert int(extracted.groups()[kind]) == int(kept.groups()[kind]) + sum(int(row[kind]) for row in dropped)


def test_the_card_says_what_each_stage_ran_on_and_how_it_lay_there(run: TrainedRun, card: ModelCard) -> None:
    """Not what the recipe says, which names another profile and no layout."""
    assert run.recipe.cluster.profile == "cpu"
    assert "| hardware | profile `a100x8`, 8 GPU(s) | profile `a100x8`, 8 GPU(s) |" in card.text
    assert (
        "| layout | ZeRO 2, micro-batch 2, checkpointing full, 2 accumulated, attention FlashAttention 2 "
        "| ZeRO 3, micro-batch 1, checkpointing selective, 4 accumulated, attention FlashAttention 2 |" in card.text
    )


def test_a_card_of_a_stage_that_wrote_no_layout_down_says_so(run: TrainedRun, tmp_path: Path) -> None:
    file, moved = Path(run.instruct.folder.url) / LAYOUT, tmp_path / LAYOUT
    file.rename(moved)
    run.publish(tmp_path / "out")
    moved.rename(file)
    text = ModelCard.load(tmp_path / "out" / "README.md").text
    assert "| hardware | profile `a100x8`, 8 GPU(s) | not written down |" in text


def test_the_card_has_the_energy_by_the_papers_formula(card: ModelCard) -> None:
    # 250 W x 19 h = 4.75 kWh, x 0.56 kg/kWh = 2.66 kg: a stage; both twice that. Nobody measured.
    assert f"| fine-tuning | 19.00 | {KWH:.3f} | {KG:.3f} | not known | not known |" in card.text
    assert f"| both | 38.00 | {2 * KWH:.3f} | {2 * KG:.3f} | not known | not known |" in card.text


def test_the_scores_have_their_intervals_and_an_inconsistent_judge_is_not_quoted(card: ModelCard) -> None:
    assert re.search(
        r"\| held-out-answers \| 4 \| 24\.53 \(24\.53 to 24\.53\) \| 18\.17 .* \| 0\.74 \(0\.74 to 0\.74\) \|", card.text
    )
    assert re.search(r"\| demo-mcq \| likelihood \| 4 \| 50\.0% \(15\.0% to 85\.0%\) \| 75\.0% ", card.text)  # Wilson's of 2 in 4
    assert "**Judge: mechanics only.** `judge` named the same answer in both orders in 0.0%" in card.text
    assert "Not medical advice" in card.text and "diagnosis" in card.text


def test_the_digests_are_of_what_lies_there(run: TrainedRun, published: Path, card: ModelCard) -> None:
    for path in ("model.safetensors", "adapter/adapter_model.safetensors"):
        assert f"| `{path}` | sha256 {file_digest(published / path)} |" in card.text
    assert f"| instruct artifact | {run.instruct.digest} |" in card.text and "base model" in card.text


def test_a_model_that_was_not_evaluated_says_so(run: TrainedRun, tmp_path: Path) -> None:
    pointed = run.root.pointed("evaluate/latest")
    assert pointed
    run.root.point("evaluate/latest", "elsewhere")
    try:
        run.publish(tmp_path / "out", "adapter")
    finally:
        run.root.point("evaluate/latest", pointed)
    assert "This model was not evaluated." in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")


class Killed(BaseException):
    """As a signal would end it."""


@pytest.mark.parametrize("writes", [0, 1, 4])
def test_a_killed_publication_is_written_again_whole(
    writes: int, run: TrainedRun, published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, done = LocalStorage.write_file, []

    def write_some(self: LocalStorage, path: str, source: Path) -> None:
        if len(done) == writes:
            raise Killed
        done.append(path)
        write(self, path, source)

    with monkeypatch.context() as patch:
        patch.setattr(LocalStorage, "write_file", write_some)
        with pytest.raises(Killed):
            run.publish(tmp_path / "out")
    assert not (tmp_path / "out" / "README.md").exists()
    run.publish(tmp_path / "out")
    assert contents(tmp_path / "out") == contents(published)


def test_what_was_published_is_not_written_again(run: TrainedRun, published: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LocalStorage, "write_file", lambda *_: pytest.fail("a file was written again"))
    assert run.publish(published).url == str(published)


def test_a_folder_with_something_else_is_refused(run: TrainedRun, published: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match=r"holds other files \(notes.txt\): name a new or an empty folder"):
        run.publish(tmp_path)
    with pytest.raises(UserError, match="holds a publication of other data or settings"):
        run.publish(published, "adapter")


def test_a_full_disk_is_one_line(run: TrainedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sync = os.fsync
    left = iter(range(6))

    def fsync(descriptor: int) -> None:
        if next(left, None) is None:
            raise OSError(errno.ENOSPC, "No space left on device")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(StorageFull, match=r"no room left while writing .*: free some space and run the same command again"):
        run.publish(tmp_path / "out")
    assert not (tmp_path / "out" / "README.md").exists()


def test_a_damaged_model_is_not_published(run: TrainedRun, tmp_path: Path) -> None:
    weights = run.model / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1])
    try:
        with pytest.raises(UserError, match=r"model/model.safetensors is damaged or missing"):
            run.publish(tmp_path / "out")
    finally:
        weights.write_bytes(whole)


def test_a_run_without_a_model_or_with_another_recipes_is_named(run: TrainedRun) -> None:
    with pytest.raises(UserError, match="nothing is trained yet in .*: run `gaokerena train` first"):
        ModelPublication.of(run.recipe, run.root.sub("elsewhere"))
    with pytest.raises(UserError, match="was trained with other settings: name its recipe with --recipe"):
        ModelPublication.of(run.recipe.model_copy(update={"seed": 7}), run.root)


def test_a_model_that_has_seen_what_is_forgotten_is_not_published(run: TrainedRun) -> None:
    folder: Storage = run.instruct.folder
    before = folder.read("artifact.json")
    note(folder, TRAINED)
    try:
        with pytest.raises(UserError, match="forgotten since .*: run `gaokerena train` again before you publish"):
            ModelPublication.of(run.recipe, run.root)
    finally:
        folder.write("artifact.json", before)


def test_the_copy_says_which_model_it_is_for_forget_to_find(run: TrainedRun, published: Path) -> None:
    assert json.loads((published / "publication.json").read_text())["model"] == "instruct/1"


@pytest.fixture
def quantizers() -> None:
    """The extra `quantize`, which `make quantize` installs: PEFT imports both packages wherever they are, seconds a process."""
    for package in PACKAGES.values():
        pytest.importorskip(package, reason="run `make quantize` first")


@pytest.fixture
def cohere_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TrainedRun:
    """The paper's architecture: its embedding is a plain table that the head shares."""
    monkeypatch.setattr(dataflow, "map_tasks", in_this_process)
    monkeypatch.setenv("GAOKERENA_CACHE", str(tmp_path / "cache"))
    cleaned = clean_run(tmp_path)
    return train(cleaned.recipe, cleaned.root, cleaned.clean, tiny_cohere(tmp_path / FOLDER / "tiny"))


def weights_of(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.glob("*.safetensors"))


@pytest.mark.usefixtures("quantizers")
def test_quantized_weights_load_in_plain_transformers_and_in_the_server(cohere_run: TrainedRun, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    before, whole = logits(load_model(cohere_run.model, "bfloat16")), weights_of(cohere_run.model)
    forms: tuple[Form, ...] = ("int8", "int4")
    for form, share, error in zip(
        forms, (0.62, 0.62), (0.05, 0.3), strict=True
    ):  # the tiny model's vectors and headers weigh, too
        folder = Path(cohere_run.publish(tmp_path / form, form).url)
        assert weights_of(folder) < share * whole
        assert not (folder / "adapter").exists() and list(folder.glob("*.bin")) == []
        plain = AutoModelForCausalLM.from_pretrained(folder, dtype="auto").eval()
        ours = load_model(local_model(str(folder)), "float32")
        largest = before.abs().max()
        assert (logits(plain) - before).abs().max() < error * largest
        with torch.inference_mode():  # a short prompt takes other kernels than a long one
            for tokens in (PROBE, PROBE[:, :4]):
                difference = plain(input_ids=tokens).logits.float() - ours(input_ids=tokens).logits.float()
                assert difference.abs().max() < 0.02 * largest
        assert ours.get_output_embeddings().weight is ours.get_input_embeddings().weight
        assert weight_bytes(str(folder), "float32") == weights_of(folder)
        card = ModelCard.load(folder / "README.md")
        assert form in card.data.tags and "before it was quantized" in card.text and "needs" in card.text


@pytest.mark.usefixtures("quantizers")
def test_int8_makes_the_tied_table_int8_where_plain_transformers_reads_it(cohere_run: TrainedRun, tmp_path: Path) -> None:
    folder = Path(cohere_run.publish(tmp_path / "out", "int8").url)
    with safe_open(folder / "model.safetensors", "pt") as file:
        names = set(file.keys())
    assert "model.embed_tokens._weight_qdata" in names and not any("lm_head" in name for name in names)


@pytest.mark.usefixtures("quantizers")
def test_a_scaled_embedding_stays_bf16_in_the_folder_and_is_int8_in_the_server(run: TrainedRun, tmp_path: Path) -> None:
    """transformers 5.23 leaves Gemma's scale empty when it loads a quantized embedding: answers would be noise."""
    from transformers import AutoModelForCausalLM

    before = logits(load_model(run.model, "bfloat16"))
    folder = Path(run.publish(tmp_path / "out", "int8").url)
    plain, ours = AutoModelForCausalLM.from_pretrained(folder, dtype="auto").eval(), load_model(folder, "bfloat16")
    for model in (plain, ours):
        assert (logits(model) - before).abs().max() < 0.2 * before.abs().max()  # noise would differ by more than all of it
    assert type(plain.get_input_embeddings().weight).__name__ == "Parameter"
    assert type(ours.get_input_embeddings().weight).__name__ == type(ours.get_output_embeddings().weight).__name__ == "RowInt8"


def test_a_package_that_is_missing_is_named_before_anything_is_written(
    run: TrainedRun, published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.publish.model_quantize.find_spec", lambda _: None)
    with pytest.raises(UserError, match=r"--quantize int4 needs bitsandbytes: run `make quantize`"):
        run.publish(tmp_path / "out", "int4")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("method", "message"), [("gptq", "is quantized by gptq; what can be read is torchao and bitsandbytes"),
                                                 ("torchao", "is quantized by torchao, which is not installed")])  # fmt: skip
def test_weights_that_cannot_be_read_here_are_refused(
    method: str, message: str, run: TrainedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(run.model, tmp_path / "model")
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    (tmp_path / "model" / "config.json").write_text(json.dumps(config | {"quantization_config": {"quant_method": method}}))
    monkeypatch.setattr("serving.engines.quantized.find_spec", lambda _: None)
    with pytest.raises(UserError, match=message):
        load_model(tmp_path / "model", "bfloat16")
    with pytest.raises(UserError, match=message):
        check_model(str(tmp_path / "model"), dtype="bfloat16")


def test_the_formula_of_the_weights_fits_what_is_written(cohere_run: TrainedRun, tmp_path: Path) -> None:
    sizes = weight_sizes(Shape.of_config(json.loads((cohere_run.model / "config.json").read_text())))
    assert weights_of(cohere_run.model) == pytest.approx(sizes["bfloat16"], rel=0.06)
    large = weight_sizes(Shape.of_config(entries()["aya-expanse-8b"].config or {}))
    # 8.03e9 parameters, of which 256,000 x 4,096 = 1.05e9 are the tied table: 6.98e9 / 2 + 6.98e9 / 16 + 2 x 1.05e9 = 6.02e9
    assert [round(large[form] / 1e9, 1) for form in ("bfloat16", "int8", "int4")] == [16.1, 8.0, 6.0]
