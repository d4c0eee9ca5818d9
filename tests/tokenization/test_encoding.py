"""Documents start with BOS once and end with EOS; pairs are learned on the answer only, which is never cut."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.errors import UserError
from pipelines.tokenization import encoding
from pipelines.tokenization.encoding import Example, batches, check_tokenizer, encode_documents, encode_pairs
from serving.engines.models import encode_chat, encode_prompt, load_tokenizer
from tests.tiny_models import SENTENCES, tiny_cohere, tiny_gemma3

QUESTION = "سلام آقای دکتر، من سی و پنج سال دارم و دو هفته است که معده‌ام می‌سوزد. چه کنم؟"
ANSWER = "اگر تب کودک بیش از سه روز طول کشید، به پزشک مراجعه کنید."


@pytest.fixture(scope="module", params=[tiny_cohere, tiny_gemma3])
def tokenizer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder: Path = tmp_path_factory.mktemp("model")
    return load_tokenizer(request.param(folder))


def pair(tokenizer: Any, question: str, answer: str, context: int) -> Example | None:
    [example] = encode_pairs(tokenizer, [(question, answer)], context)
    return example


def test_a_document_is_bos_its_text_and_eos(tokenizer: Any) -> None:
    for text, example in zip(SENTENCES, encode_documents(tokenizer, SENTENCES), strict=True):
        ids = example.input_ids
        assert ids[0] == tokenizer.bos_token_id
        assert ids[-1] == tokenizer.eos_token_id
        assert ids.count(tokenizer.bos_token_id) == ids.count(tokenizer.eos_token_id) == 1
        assert tokenizer.decode(ids[1:-1]) == text
        assert example.prompt == 0


@pytest.mark.parametrize("adds_bos", [True, False])
@pytest.mark.parametrize("begins_with", ["", "{bos}", "{bos}{bos}"])
def test_a_document_is_what_the_server_would_send(tokenizer: Any, adds_bos: bool, begins_with: str, monkeypatch: Any) -> None:
    for module in ("serving.engines.models", "pipelines.tokenization.encoding"):
        monkeypatch.setattr(f"{module}.wants_bos", lambda tokenizer: adds_bos)
    text = begins_with.format(bos=tokenizer.bos_token) + SENTENCES[0]
    [example] = encode_documents(tokenizer, [text])
    assert example.input_ids == [*encode_prompt(tokenizer, text), tokenizer.eos_token_id]


def test_a_limit_that_the_tokenizer_file_sets_cuts_nothing(tokenizer: Any) -> None:
    """As SBERT-like tokenizer files do."""
    expected = encode_documents(tokenizer, SENTENCES)
    tokenizer.backend_tokenizer.enable_truncation(5)
    tokenizer.backend_tokenizer.enable_padding(length=500)
    assert encode_documents(tokenizer, SENTENCES) == expected


def test_the_answer_and_its_end_are_learned_and_the_prompt_is_what_the_server_sends(tokenizer: Any) -> None:
    example = pair(tokenizer, QUESTION, ANSWER, 512)
    assert example is not None
    prompt = encode_chat(tokenizer, [{"role": "user", "content": QUESTION}])
    assert example.input_ids[: example.prompt] == prompt
    learned = example.input_ids[example.prompt :]
    assert tokenizer.decode(learned[:-1]) == ANSWER
    assert learned[-1] in tokenizer.all_special_ids
    assert example.input_ids.count(tokenizer.bos_token_id) == 1


def test_many_pairs_are_what_each_is_alone(tokenizer: Any) -> None:
    pairs = [(QUESTION * number, ANSWER) for number in range(1, 9)]
    assert encode_pairs(tokenizer, pairs, 120) == [pair(tokenizer, *both, 120) for both in pairs]


def test_a_question_that_is_too_long_loses_words_from_its_left(tokenizer: Any) -> None:
    whole = pair(tokenizer, QUESTION * 5, ANSWER, 4096)
    assert whole is not None
    context = len(whole.input_ids) // 2
    example = pair(tokenizer, QUESTION * 5, ANSWER, context)
    assert example is not None
    assert context - 20 < len(example.input_ids) <= context  # one more word would not fit
    text = tokenizer.decode(example.input_ids)
    assert "معده‌ام می‌سوزد. چه کنم؟" in text
    assert example.input_ids[example.prompt :] == whole.input_ids[whole.prompt :]


def test_an_answer_that_leaves_no_room_is_not_used(tokenizer: Any) -> None:
    assert pair(tokenizer, QUESTION, ANSWER * 20, 64) is None
    assert pair(tokenizer, "الف" * 200, ANSWER, 64) is None  # not even a word of this question fits


def test_a_template_whose_prompt_is_not_how_its_answers_begin_is_refused(tokenizer: Any, monkeypatch: Any) -> None:
    template = "{% for m in messages %}{{ m['content'] }}{% endfor %}{% if add_generation_prompt %}Answer{% endif %}"
    monkeypatch.setattr(tokenizer, "chat_template", template)
    with pytest.raises(UserError, match="chat template does not begin an answer as its generation prompt ends"):
        pair(tokenizer, QUESTION, ANSWER, 512)


def test_a_tokenizer_that_does_not_fit_is_refused_in_one_line(tokenizer: Any, monkeypatch: Any) -> None:
    from transformers import ByT5Tokenizer

    check_tokenizer(tokenizer, "tiny", pairs=True)
    with pytest.raises(UserError, match="model byt5 has a slow tokenizer \\(ByT5Tokenizer\\) and tokenize needs a fast one: put"):
        check_tokenizer(ByT5Tokenizer(), "byt5", pairs=False)
    monkeypatch.setattr(tokenizer, "chat_template", None)
    check_tokenizer(tokenizer, "tiny", pairs=False)
    with pytest.raises(
        UserError, match="model tiny has no chat template, which questions and answers are written in: put a chat"
    ):
        check_tokenizer(tokenizer, "tiny", pairs=True)
    endless = copy.deepcopy(tokenizer)
    endless.eos_token = None
    with pytest.raises(UserError, match="model tiny: its tokenizer has no EOS token"):
        check_tokenizer(endless, "tiny", pairs=False)


@given(st.lists(st.integers(1, 40)))
def test_batches_are_all_texts_once_and_none_is_larger_than_it_must_be(sizes: list[int]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoding, "BATCH_CHARACTERS", 50)
        found = [sizes[batch] for batch in batches(sizes)]
    assert [size for batch in found for size in batch] == sizes
    assert all(batch and sum(batch[:-1]) < 50 for batch in found)
    assert all(sum(batch) >= 50 for batch in found[:-1])
