"""What a model is shown: prompts as token ids, and which tokens of them are scored. Costs one tokenization a prompt.

Every prompt starts with BOS exactly once where the model wants one: without it Gemma's log-probabilities are noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipelines.evaluate.tasks import LETTERS, Item
from serving.engines.models import encode_chat, encode_prompt

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase as Tokenizer

LETTER_INSTRUCTION = "به پرسش چهارگزینه‌ای زیر پاسخ بده و فقط حرف گزینه‌ی درست را بنویس."
JUDGE_QUESTION = "کدام پاسخ از نظر پزشکی درست‌تر و ایمن‌تر است؟ پاسخ شماره"


@dataclass(frozen=True)
class Scored:
    """A context, and the tokens after it whose log-probability is asked for."""

    context: tuple[int, ...]
    continuation: tuple[int, ...]


def option_texts(tokenizer: Tokenizer, item: Item) -> list[Scored]:
    """Each option's text after the question alone, as in lm-evaluation-harness' cloze tasks: a base model knows no letters."""
    context = f"پرسش: {item.question}\nپاسخ:"
    return [_split(tokenizer, context, f"{context} {option}") for option in item.options]


def letter_prompt(tokenizer: Tokenizer, item: Item) -> list[int]:
    """The question with its lettered options, in the model's chat format."""
    options = "\n".join(f"[{letter}] {text}" for letter, text in zip(LETTERS, item.options, strict=False))
    return question_prompt(tokenizer, f"{LETTER_INSTRUCTION}\n{item.question}\n{options}")


def question_prompt(tokenizer: Tokenizer, question: str) -> list[int]:
    """A user's question in the model's chat format, ready for the answer."""
    return encode_chat(tokenizer, [{"role": "user", "content": question}])


def answer_text(tokenizer: Tokenizer, item: Item, limit: int) -> Scored:
    """A written answer after its question in the chat format that training uses; of the whole at most `limit` tokens.

    Only the words of the answer are scored: its end token would reward knowing the format. What is over the limit
    is cut from the end of the answer, and from the beginning of a question that fills more than half of it.
    """
    messages = [{"role": "user", "content": item.question}, {"role": "assistant", "content": item.reference}]
    text = str(tokenizer.apply_chat_template(messages, tokenize=False))
    end = text.rindex(item.reference.strip()) + len(item.reference.strip())
    prompt = tuple(question_prompt(tokenizer, item.question))
    whole = tuple(encode_prompt(tokenizer, text[:end]))
    shared = _shared(prompt, whole)
    context, continuation = whole[:shared], whole[shared:]
    room = max(limit // 2, limit - len(continuation))
    if len(context) > room:
        context = (*context[:1], *context[len(context) - room + 1 :])
    return Scored(context, continuation[: limit - len(context)])


def verdicts(tokenizer: Tokenizer, question: str, first: str, second: str) -> list[Scored]:
    """The verdicts "1" and "2" after a judging prompt: plain text, since the judge may be a base model."""
    context = f"پرسش بیمار: {question}\n\nپاسخ ۱: {first}\n\nپاسخ ۲: {second}\n\n{JUDGE_QUESTION}"
    return [_split(tokenizer, context, f"{context} {number}") for number in "۱۲"]


def _split(tokenizer: Tokenizer, context: str, whole: str) -> Scored:
    """Tokenized as one text, then cut where the context's own tokens end."""
    ids = tuple(encode_prompt(tokenizer, whole))
    shared = _shared(tuple(encode_prompt(tokenizer, context)), ids)
    return Scored(ids[:shared], ids[shared:])


def _shared(first: tuple[int, ...], second: tuple[int, ...]) -> int:
    """Length of the common beginning; at least one token of `second` is left over."""
    length = next((i for i, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), min(len(first), len(second)))
    return min(length, len(second) - 1)
