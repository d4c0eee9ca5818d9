"""Word by word, a text has the ids that its tokenizer gives the whole; where that is not sure, there is no word encoder."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from pipelines.tokenization import words
from pipelines.tokenization.words import WordEncoder, word_encoder
from tests.tiny_models import SENTENCES

TEXTS = [*SENTENCES, *(sentence.replace("،", "  >  ").replace(".", "\n\n> ") for sentence in SENTENCES)]
PIECES = [
    " ",
    "  ",
    "   ",
    "▁",
    ">",
    "\n",
    "\n\n",
    "\0",
    "🙂",
    "<eos>",
    "&",
    *"سلام",
    *{word for text in SENTENCES for word in text.split()},
]
SHAPES = {
    "as Gemma's: no merge over a space": pre_tokenizers.Split(Regex("▁*[^▁]+|▁+"), "isolated"),
    "with a few merges over a space": pre_tokenizers.Split(Regex("▁*[^▁]*[>\n،.]▁*[^▁]+|▁*[^▁]+|▁+"), "isolated"),
    "with merges over all spaces": pre_tokenizers.Split(Regex(".{1,12}"), "isolated"),
}


def trained(shape: pre_tokenizers.PreTokenizer) -> Tokenizer:
    """BPE over whole texts with bytes for unknown characters, as Gemma's; the shape decides which merges there are."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = shape
    bytes_ = [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(vocab_size=1500, min_frequency=1, show_progress=False, special_tokens=bytes_)
    tokenizer.train_from_iterator(TEXTS, trainer)
    merges = [tuple(merge) for merge in json.loads(tokenizer.to_str())["model"]["merges"]]
    whole = Tokenizer(models.BPE(tokenizer.get_vocab(), merges, byte_fallback=True, fuse_unk=True))
    whole.normalizer = normalizers.Replace(" ", "▁")
    whole.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    whole.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    whole.add_special_tokens(["<eos>"])
    whole.add_tokens([AddedToken("\n\n", normalized=False), AddedToken("▁▁▁", normalized=True)])
    return whole


class Wrapped:
    """What transformers makes of a tokenizer."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.backend_tokenizer = tokenizer


def encoder_of(tokenizer: Tokenizer) -> WordEncoder | None:
    return word_encoder(Wrapped(tokenizer))  # type: ignore[arg-type]


@pytest.fixture(scope="module", params=SHAPES)
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    return trained(SHAPES[request.param])


def whole(tokenizer: Tokenizer, texts: list[str]) -> list[list[int]]:
    return [encoding.ids for encoding in tokenizer.encode_batch(texts, add_special_tokens=False)]


@given(st.lists(st.lists(st.sampled_from(PIECES), max_size=30).map("".join), max_size=5))
def test_a_text_has_the_ids_of_the_whole(tokenizer: Tokenizer, texts: list[str]) -> None:
    encoder = encoder_of(tokenizer)
    assert encoder is not None
    assert list(encoder.encode(texts)) == whole(tokenizer, texts)


def test_sentences_have_the_ids_of_the_whole_while_words_are_forgotten(tokenizer: Tokenizer, monkeypatch: Any) -> None:
    monkeypatch.setattr(words, "REMEMBERED", 100)
    encoder = encoder_of(tokenizer)
    assert encoder is not None
    for text in TEXTS * 2:
        assert list(encoder.encode([text])) == whole(tokenizer, [text])
        assert encoder._characters <= 100 + len(text)


def test_a_word_is_encoded_once(monkeypatch: Any) -> None:
    asked: list[str] = []
    tokenizer = trained(SHAPES["as Gemma's: no merge over a space"])
    encoder = encoder_of(tokenizer)
    assert encoder is not None

    def encode_batch_fast(texts: list[str], **options: Any) -> Any:
        asked.extend(texts)
        return tokenizer.encode_batch_fast(texts, **options)

    monkeypatch.setattr(encoder, "_tokenizer", SimpleNamespace(encode_batch_fast=encode_batch_fast))
    for text in TEXTS * 2:
        list(encoder.encode([text]))
    assert len(asked) == len(set(asked)) > 100


def strip_left(tokenizer: Tokenizer) -> None:
    tokenizer.add_tokens([AddedToken("<mask>", lstrip=True)])


@pytest.mark.parametrize(
    "change",
    [
        strip_left,
        lambda tokenizer: tokenizer.add_tokens([AddedToken("دارو", single_word=True)]),
        lambda tokenizer: setattr(tokenizer, "normalizer", None),
        lambda tokenizer: setattr(
            tokenizer, "normalizer", normalizers.Sequence([normalizers.Prepend("▁"), tokenizer.normalizer])
        ),
        lambda tokenizer: setattr(tokenizer, "pre_tokenizer", pre_tokenizers.ByteLevel()),
        lambda tokenizer: setattr(tokenizer.model, "dropout", 0.1),
        lambda tokenizer: setattr(tokenizer.model, "ignore_merges", True),
        lambda tokenizer: setattr(tokenizer.model, "end_of_word_suffix", "</w>"),
        lambda tokenizer: setattr(tokenizer, "model", models.Unigram([("▁", 0.0)], 0)),
    ],
)
def test_a_tokenizer_of_another_kind_has_no_word_encoder(change: Callable[[Tokenizer], Any]) -> None:
    tokenizer = trained(SHAPES["as Gemma's: no merge over a space"])
    assert encoder_of(tokenizer) is not None
    change(tokenizer)
    assert encoder_of(tokenizer) is None
