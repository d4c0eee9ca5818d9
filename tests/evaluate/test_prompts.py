"""Prompts: BOS exactly once, only the asked-for tokens are scored, the limit is kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.evaluate.prompts import answer_text, letter_prompt, option_texts, verdicts
from pipelines.evaluate.tasks import Item
from serving.engines.models import load_tokenizer

ITEM = Item(
    "1",
    "کدام عضو انسولین می‌سازد؟",
    ("کبد", "لوزالمعده", "کلیه", "طحال"),
    "B",
    "نوشیدن آب کافی به سلامت قلب کمک می‌کند.",
    "خوب",
    "بد",
)


@pytest.fixture(scope="module")
def tokenizer(tiny: Path):
    return load_tokenizer(tiny)


def test_only_the_option_is_scored(tokenizer) -> None:
    parts = option_texts(tokenizer, ITEM)
    assert [tokenizer.decode(part.continuation).strip() for part in parts] == list(ITEM.options)
    assert len({part.context for part in parts}) == 1  # so the engine computes it once


def test_only_the_words_of_the_answer_are_scored(tokenizer) -> None:
    part = answer_text(tokenizer, ITEM, limit=500)
    assert tokenizer.decode(part.continuation).strip() == ITEM.reference
    assert ITEM.question in tokenizer.decode(part.context)


def test_every_prompt_has_bos_once(tokenizer) -> None:
    bos = tokenizer.bos_token_id
    contexts = [
        letter_prompt(tokenizer, ITEM),
        answer_text(tokenizer, ITEM, 500).context,
        *[p.context for p in option_texts(tokenizer, ITEM)],
    ]
    contexts += [part.context for part in verdicts(tokenizer, ITEM.question, ITEM.better, ITEM.worse)]
    for context in contexts:
        assert context[0] == bos
        assert list(context).count(bos) == 1


@pytest.mark.parametrize("limit", [8, 20, 40])
def test_a_long_pair_is_cut_to_the_limit_and_keeps_bos_and_an_answer(tokenizer, limit: int) -> None:
    long = Item("1", ITEM.question * 10, reference=ITEM.reference * 10)
    part = answer_text(tokenizer, long, limit)
    assert len(part.context) + len(part.continuation) <= limit
    assert part.context[0] == tokenizer.bos_token_id
    assert part.continuation


def test_the_two_orders_swap_the_answers(tokenizer) -> None:
    forward = tokenizer.decode(verdicts(tokenizer, "q", "خوب", "بد")[0].context)
    assert forward.index("خوب") < forward.index("بد")
    first, second = verdicts(tokenizer, "q", "خوب", "بد")
    assert first.context == second.context
    assert first.continuation != second.continuation
