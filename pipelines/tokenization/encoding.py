"""From texts to tokens, a batch at a time: documents as they are, question-answer pairs in the model's chat template.

Costs what the tokenizer costs, or less (see `words`), on one thread. Its results, some 100 bytes a token, live for a batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cluster.errors import UserError
from pipelines.tokenization.words import word_encoder
from serving.engines.models import chat_text, wants_bos

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

NO_LABEL = -100
BATCH_CHARACTERS = 500_000  # of a batch, beside its last text


@dataclass(frozen=True)
class Example:
    """One sequence of tokens, of which the first `prompt` are not learned."""

    input_ids: list[int]
    prompt: int = 0


def check_tokenizer(tokenizer: PreTrainedTokenizerBase, model: str, *, pairs: bool) -> None:
    """Raise UserError for a tokenizer that documents, or `pairs`, cannot be encoded with."""
    if not tokenizer.is_fast:
        raise UserError(
            f"model {model} has a slow tokenizer ({type(tokenizer).__name__}) and tokenize needs a fast one: "
            "put a tokenizer.json beside it"
        )
    if tokenizer.eos_token_id is None:
        raise UserError(f"model {model}: its tokenizer has no EOS token, which ends every document")
    if pairs and not tokenizer.chat_template:
        raise UserError(
            f"model {model} has no chat template, which questions and answers are written in: "
            "put a chat_template.jinja beside its tokenizer"
        )


def batches(sizes: Sequence[int]) -> Iterator[slice]:
    """Texts of so many characters in stretches of about BATCH_CHARACTERS."""
    start = characters = 0
    for index, size in enumerate(sizes):
        characters += size
        if characters >= BATCH_CHARACTERS:
            yield slice(start, index + 1)
            start, characters = index + 1, 0
    if start < len(sizes):
        yield slice(start, len(sizes))


def encode_documents(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[Example]:
    """Documents: BOS where the model wants one, the text's tokens, EOS."""
    found, end = _encode(tokenizer, texts), tokenizer.eos_token_id
    for ids in found:
        ids.append(end)
    return [Example(ids) for ids in found]


def encode_pairs(tokenizer: PreTrainedTokenizerBase, pairs: Sequence[tuple[str, str]], context: int) -> list[Example | None]:
    """Questions and answers in the chat template, to be learned from the answer on; None where the answer does not fit.

    An answer is never cut. A question that is too long loses words from its left until both fit: people
    greet first and ask last. An answer that leaves no room for a word of the question is not used.
    """
    examples = _chats(tokenizer, pairs)
    return [
        example if len(example.input_ids) <= context else _shortened(tokenizer, question, answer, context)
        for example, (question, answer) in zip(examples, pairs, strict=True)
    ]


def _shortened(tokenizer: PreTrainedTokenizerBase, question: str, answer: str, context: int) -> Example | None:
    """The pair with the most words of its question that fit, found by bisection."""
    words = question.split()[-context:]  # hardly a word is less than a token
    fitting: Example | None = None
    fewest, most = 1, len(words)
    while fewest <= most:
        middle = (fewest + most) // 2
        [example] = _chats(tokenizer, [(" ".join(words[-middle:]), answer)])
        if len(example.input_ids) <= context:
            fitting, fewest = example, middle + 1
        else:
            most = middle - 1
    return fitting


def _chats(tokenizer: PreTrainedTokenizerBase, pairs: Sequence[tuple[str, str]]) -> list[Example]:
    asked, answered = [], []
    for question, answer in pairs:
        user = {"role": "user", "content": question.strip()}
        asked.append(chat_text(tokenizer, [user], add_generation_prompt=True))
        reply = {"role": "assistant", "content": answer.strip()}
        answered.append(chat_text(tokenizer, [user, reply], add_generation_prompt=False))
    ends = {*tokenizer.all_special_ids}
    encoded = zip(_encode(tokenizer, asked), _encode(tokenizer, answered), strict=True)
    return [_example(prompt, whole, ends, tokenizer.eos_token_id) for prompt, whole in encoded]


def _example(prompt: list[int], whole: list[int], ends: set[int], eos: int) -> Example:
    """Up to the token that ends the answer; what a template writes after that (a line end) is never generated."""
    if whole[: len(prompt)] != prompt:
        raise UserError("the model's chat template does not begin an answer as its generation prompt ends: correct the template")
    last = next((place for place in reversed(range(len(prompt), len(whole))) if whole[place] in ends), None)
    return Example([*whole, eos] if last is None else whole[: last + 1], len(prompt))


def _encode(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[list[int]]:
    """As `encode_prompt` does it, all at once: BOS where the model wants one, and never two."""
    wanted, backend = wants_bos(tokenizer), tokenizer.backend_tokenizer
    backend.no_truncation()
    backend.no_padding()
    if by_word := word_encoder(tokenizer):
        found = by_word.encode(texts)
    else:
        found = (encoding.ids for encoding in backend.encode_batch_fast(texts, add_special_tokens=False))
    return [_with_one_bos(ids, tokenizer.bos_token_id, wanted) for ids in found]


def _with_one_bos(ids: list[int], bos: int | None, wanted: bool) -> list[int]:
    begin = next((place for place, token in enumerate(ids) if token != bos), len(ids))
    return [bos, *ids[begin:]] if bos is not None and (begin or wanted) else ids
