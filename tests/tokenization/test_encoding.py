"""Documents start with BOS once and end with EOS; pairs are learned on the answer only, which is never cut."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipelines.tokenization.encoding import NO_LABEL, encode_document, encode_pair
from pipelines.tokenization.show import show
from serving.engines.models import encode_chat, load_tokenizer
from tests.tiny_models import SENTENCES, tiny_cohere, tiny_gemma3

QUESTION = "سلام آقای دکتر، من سی و پنج سال دارم و دو هفته است که معده‌ام می‌سوزد. چه کنم؟"
ANSWER = "اگر تب کودک بیش از سه روز طول کشید، به پزشک مراجعه کنید."


@pytest.fixture(scope="module", params=[tiny_cohere, tiny_gemma3])
def tokenizer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder: Path = tmp_path_factory.mktemp("model")
    return load_tokenizer(request.param(folder))


@pytest.mark.parametrize("text", SENTENCES)
def test_a_document_is_bos_its_text_and_eos(tokenizer: Any, text: str) -> None:
    ids = encode_document(tokenizer, text)
    assert ids[0] == tokenizer.bos_token_id
    assert ids[-1] == tokenizer.eos_token_id
    assert ids.count(tokenizer.bos_token_id) == ids.count(tokenizer.eos_token_id) == 1
    assert tokenizer.decode(ids[1:-1]) == text


def test_the_answer_and_its_end_are_learned_and_the_prompt_is_what_the_server_sends(tokenizer: Any) -> None:
    example = encode_pair(tokenizer, QUESTION, ANSWER, 512)
    assert example is not None
    prompt = encode_chat(tokenizer, [{"role": "user", "content": QUESTION}])
    assert example.input_ids[: len(prompt)] == prompt
    assert example.labels == [NO_LABEL] * len(prompt) + example.input_ids[len(prompt) :]
    learned = [label for label in example.labels if label != NO_LABEL]
    assert tokenizer.decode(learned[:-1]) == ANSWER
    assert learned[-1] in tokenizer.all_special_ids
    assert example.input_ids.count(tokenizer.bos_token_id) == 1


def test_a_question_that_is_too_long_loses_words_from_its_left(tokenizer: Any) -> None:
    whole = encode_pair(tokenizer, QUESTION * 5, ANSWER, 4096)
    assert whole is not None
    context = len(whole.input_ids) // 2
    example = encode_pair(tokenizer, QUESTION * 5, ANSWER, context)
    assert example is not None
    assert context - 20 < len(example.input_ids) <= context  # one more word would not fit
    text = tokenizer.decode(example.input_ids)
    assert "معده‌ام می‌سوزد. چه کنم؟" in text
    assert [label for label in example.labels if label != NO_LABEL] == [label for label in whole.labels if label != NO_LABEL]


def test_an_answer_that_leaves_no_room_is_not_used(tokenizer: Any) -> None:
    assert encode_pair(tokenizer, QUESTION, ANSWER * 20, 64) is None


def test_show_marks_what_is_learned(tokenizer: Any) -> None:
    example = encode_pair(tokenizer, QUESTION, ANSWER, 512)
    assert example is not None
    size = len(example.input_ids)
    row = {"input_ids": example.input_ids * 2, "labels": example.labels * 2, "document_lengths": [size, size]}
    lines = show(row, tokenizer).split("\n")
    assert lines[0] == f"document 1 of 2: {size} tokens"
    assert sum(line.startswith("+ ") and ANSWER in line for line in lines) == 2
    assert not any(line.startswith("+ ") and "می‌سوزد" in line for line in lines)
