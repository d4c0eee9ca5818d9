"""From a text to tokens: a document as it is, a question-answer pair in the model's chat template with loss on the answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cluster.errors import UserError
from serving.engines.models import encode_chat, encode_prompt

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

NO_LABEL = -100


@dataclass(frozen=True)
class Example:
    """One sequence of tokens and its labels (NO_LABEL where nothing is learned)."""

    input_ids: list[int]
    labels: list[int]


def encode_document(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """A document: BOS where the model wants one, its tokens, EOS."""
    return [*encode_prompt(tokenizer, text), _end(tokenizer)]


def encode_pair(tokenizer: PreTrainedTokenizerBase, question: str, answer: str, context: int) -> Example | None:
    """A pair in the chat template, labels on the answer and its end only; None when the answer does not fit.

    An answer is never cut. A question that is too long loses words from its left until both fit: people
    greet first and ask last. An answer that leaves no room for a word of the question is not used.
    """
    words = question.split()
    example = _chat(tokenizer, question, answer)
    if len(example.input_ids) <= context:
        return example
    fitting: Example | None = None
    fewest, most = 1, len(words) - 1
    while fewest <= most:  # the most words that fit, by bisection
        middle = (fewest + most) // 2
        example = _chat(tokenizer, " ".join(words[-middle:]), answer)
        if len(example.input_ids) <= context:
            fitting, fewest = example, middle + 1
        else:
            most = middle - 1
    return fitting


def _chat(tokenizer: PreTrainedTokenizerBase, question: str, answer: str) -> Example:
    user = {"role": "user", "content": question}
    prompt = encode_chat(tokenizer, [user])
    whole = encode_chat(tokenizer, [user, {"role": "assistant", "content": answer}], add_generation_prompt=False)
    if whole[: len(prompt)] != prompt:
        raise UserError("the model's chat template does not begin an answer as its generation prompt ends: correct the template")
    learned = _until_end(tokenizer, whole[len(prompt) :])
    return Example([*prompt, *learned], [NO_LABEL] * len(prompt) + learned)


def _until_end(tokenizer: PreTrainedTokenizerBase, answer: list[int]) -> list[int]:
    """The answer up to the token that ends it; what a template writes after that (a line end) is never generated."""
    special = set(tokenizer.all_special_ids)
    last = next((index for index in reversed(range(len(answer))) if answer[index] in special), None)
    return [*answer, _end(tokenizer)] if last is None else answer[: last + 1]


def _end(tokenizer: PreTrainedTokenizerBase) -> int:
    if tokenizer.eos_token_id is None:
        raise UserError("the model's tokenizer has no EOS token, which ends every document")
    end: int = tokenizer.eos_token_id
    return end
