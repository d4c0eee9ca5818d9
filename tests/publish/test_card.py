"""The card: front matter that the Hub reads, figures that add up, and nothing but figures."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from huggingface_hub import DatasetCard
from rich.console import Console

from cluster.errors import UserError
from pipelines.clean.residual import NUMBERS_AND_EMAIL, labelled_samples, residual
from pipelines.progress import Progress
from pipelines.publish.card import size_category
from pipelines.publish.data import publish
from pipelines.publish.publication import Publication
from pipelines.recipe import load_recipe
from pipelines.tables import CORPUS
from serving.engines.models import load_tokenizer
from tests.publish.conftest import ARTICLES_IN, PAIRS_IN, Run
from tests.tiny_models import tiny_cohere


@pytest.fixture
def card(run: Run, tmp_path: Path) -> DatasetCard:
    run.publish(tmp_path / "out")
    return DatasetCard.load(tmp_path / "out" / "README.md")


def test_the_front_matter_is_the_hubs(card: DatasetCard) -> None:
    metadata = card.data.to_dict()
    assert metadata["language"] == ["fa"] and metadata["license"] == "other"
    assert metadata["size_categories"] == ["n<1K"]
    assert {"question-answering", "text-generation"} == set(metadata["task_categories"])
    assert {config["config_name"]: [part["split"] for part in config["data_files"]] for config in metadata["configs"]} == {
        "corpus": ["train"],
        "qa": ["train", "test"],
    }


def test_a_licence_is_claimed_only_where_the_recipe_names_one(run: Run, card: DatasetCard, tmp_path: Path) -> None:
    assert "This card claims none" in card.text
    run.publish(tmp_path / "named", license="cc-by-nc-sa-4.0")
    named = DatasetCard.load(tmp_path / "named" / "README.md")
    assert named.data.license == "cc-by-nc-sa-4.0" and "This card claims none" not in named.text
    with pytest.raises(UserError, match="publish.license"):
        load_recipe("demo", ["publish.license='my licence\nconfigs: []'"])


def test_the_funnel_adds_up(card: DatasetCard) -> None:
    numbers = [
        int(number.replace(",", ""))
        for number in re.search(r"([\d,]+) rows were extracted, ([\d,]+) kept and ([\d,]+) dropped", card.text).groups()
    ]  # type: ignore[union-attr]
    rows_in, kept, dropped = numbers
    assert rows_in == len(ARTICLES_IN) + len(PAIRS_IN) == kept + dropped
    reasons = [int(number) for number in re.findall(r"^\| dropped: [^|]+\| (\d+) \|$", card.text, re.MULTILINE)]
    assert sum(reasons) == dropped > 0


def test_the_card_states_what_redaction_misses_on_our_own_sentences(card: DatasetCard) -> None:
    for name, sentences in labelled_samples().items():
        value, low, high = residual(sentences).rate(*NUMBERS_AND_EMAIL)
        assert re.search(
            rf"\| {name} \| {len(sentences)} \| numbers and e-mail .* {value:.1%} \({low:.1%} to {high:.1%}\)", card.text
        )
    # Wilson's interval of 9 in 76: centre (9/76 + 1.96^2/152) / (1 + 1.96^2/76) = .137, half-width .073
    assert "missed 9 of its 76 numbers and addresses of e-mail: 11.8% (6.4% to 21.0%)" in " ".join(card.text.split())


def test_the_card_names_placeholders_settings_test_sets_and_digests(run: Run, card: DatasetCard) -> None:
    assert re.search(r"\| mobile \| \[تلفن همراه\] \| [1-9]\d* \|", card.text)
    assert re.search(r"^\| exam-2023 \| 0 \| 1 \|$", card.text, re.MULTILINE)
    assert "| `decontaminate` | exam-2023.csv |" in card.text
    assert "`valid_fraction` | 0.0 |" in card.text
    assert run.clean.digest in card.text and "2505.16000" in card.text and "Not medical advice" in card.text


def test_words_are_stated_as_the_paper_counts_them(run: Run, card: DatasetCard) -> None:
    assert re.search(r"^\| magazine \| 1 \| \d+ \| 100\.0% \|$", card.text, re.MULTILINE)
    assert "| gaokerena/medical_corpus | Persian | all | about 100,000 articles | 89,169,584 |" in card.text


def test_other_medical_sets_stand_beside_it(card: DatasetCard) -> None:
    assert "| HiTZ/Multilingual-Medical-Corpus | English | en | 21,226,237 texts | 1,107,800,000 |" in card.text
    assert "| MedQuAD | English | all | 47,457 pairs | – |" in card.text


@pytest.mark.parametrize(
    ("rows", "category"),
    [(0, "n<1K"), (999, "n<1K"), (1_000, "1K<n<10K"), (99_999, "10K<n<100K"), (100_000, "100K<n<1M"), (5_000_000, "1M<n<10M")],
)
def test_sizes_are_named_as_on_the_hub(rows: int, category: str) -> None:
    assert size_category(rows) == category


def test_tokens_are_counted_by_the_tokenizer_that_is_named(run: Run, tmp_path: Path) -> None:
    model = tiny_cohere(tmp_path / "folder of mine" / "tiny")
    run.publish(tmp_path / "out", tokenizer=str(model), token_texts=1_000)
    tokenizer = load_tokenizer(model)
    texts = [row["text"] for row in run.clean.read(CORPUS).to_pylist()]
    tokens = sum(len(tokenizer(text, add_special_tokens=False).input_ids) for text in texts)
    text = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert f"Tokens of `tiny`: {tokens:,}, " in text and "folder of mine" not in text


def test_a_tokenizer_that_is_not_there_is_said_not_to_have_counted(run: Run, tmp_path: Path) -> None:
    recipe = run.with_settings(token_texts=10).model_copy(update={"model": "nobody/nothing"})
    publication = Publication.of(recipe, run.root, str(tmp_path / "out"))
    publish(publication, Progress(Console(file=io.StringIO())))
    assert "Tokens of a model were not counted." in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
