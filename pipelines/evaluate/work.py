"""The units of an evaluation: one batch of items, one model, one method. Runs where the model is loaded.

A unit that is sealed is not done again, so a killed run redoes at most one batch of each method.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from pipelines.artifact import ArtifactFolder, UnitRecord
from pipelines.evaluate.extraction import extract_answer
from pipelines.evaluate.judging import ORDERS, winner_of
from pipelines.evaluate.prompts import answer_text, letter_prompt, option_texts, question_prompt, verdicts
from pipelines.evaluate.scores import BASE, TRAINED
from pipelines.evaluate.tasks import LETTERS, Item
from pipelines.tables import ANSWERS, JUDGEMENTS
from serving.engines.base import Sampling, ScoreRequest

if TYPE_CHECKING:
    from pipelines.evaluate.model import Model

Method = Literal["likelihood", "generate", "perplexity", "free-form", "check-judge", "judge"]
DIGITS = 4  # log-probabilities are kept to 0.0001: below that lies rounding in bf16


@dataclass(frozen=True)
class Limits:
    """How long answers may be, and how they are sampled."""

    generate_tokens: int
    free_form_tokens: int
    context: int  # tokens of a held-out question with its answer
    seed: int


@dataclass(frozen=True)
class Unit:
    """One batch of work. Items of a judged task carry the two answers in `better` and `worse`."""

    task: str
    method: Method
    model: str  # base, trained or the judge's name
    first: int  # place of the first item among those of this task and method
    items: tuple[Item, ...]
    needs: tuple[Unit, ...] = ()  # units whose answers are judged here

    @property
    def name(self) -> str:
        """Says which items are in it, so that another batch size makes other units."""
        return f"{self.task}.{self.method}.{self.model}.{self.first:05d}-{self.first + len(self.items) - 1:05d}".replace("/", "-")


class Worker:
    """A loaded model that does units; `name` is what it is called in them."""

    def __init__(self, name: str, model: Model, out: ArtifactFolder, limits: Limits) -> None:
        self.name, self.model, self.out, self.limits = name, model, out, limits

    def __call__(self, unit: Unit) -> UnitRecord:
        sealed = self.out.sealed()
        if unit.name in sealed:
            return sealed[unit.name]
        for needed in unit.needs:
            if needed.model == self.name and needed.name not in sealed:
                self(needed)  # the judge's own answers: it may be asked to judge before it was asked to answer
        started = time.monotonic()
        rows = _METHODS[unit.method](self, unit)
        seconds = (time.monotonic() - started) / max(1, len(rows))
        table = JUDGEMENTS if unit.method in ("judge", "check-judge") else ANSWERS
        return self.out.seal(
            unit.name, {table: table.table([{**row, "seconds": seconds} for row in rows])}, rows_in=len(unit.items)
        )

    def likelihood(self, unit: Unit) -> list[dict[str, Any]]:
        """The option with the highest log-probability, in sum and per character (acc and acc_norm of lm-evaluation-harness)."""
        scored = [option_texts(self.model.tokenizer, item) for item in unit.items]
        logprobs = iter(self._logprobs([part for parts in scored for part in parts]))
        rows = []
        for item, parts in zip(unit.items, scored, strict=True):
            sums = [round(sum(next(logprobs)), DIGITS) for _ in parts]
            normalised = [total / max(1, len(option)) for total, option in zip(sums, item.options, strict=True)]
            for method, values in (("likelihood", sums), ("likelihood-normalised", normalised)):
                best = values.index(max(values))
                rows.append(
                    _answer(
                        unit,
                        item,
                        method,
                        prediction=LETTERS[best],
                        gold=item.answer,
                        text=item.options[best],
                        logprob=sums[best],
                        tokens=len(parts[best].continuation),
                    )
                )
        return rows

    def generate(self, unit: Unit) -> list[dict[str, Any]]:
        """A greedy answer, and the letter that can be read out of it."""
        prompts = [letter_prompt(self.model.tokenizer, item) for item in unit.items]
        written = self.model.generate(prompts, [Sampling(max_tokens=self.limits.generate_tokens)] * len(prompts))
        return [
            _answer(
                unit,
                item,
                "generate",
                prediction=extract_answer(answer.text, item.options),
                gold=item.answer,
                text=answer.text,
                tokens=answer.tokens,
            )
            for item, answer in zip(unit.items, written, strict=True)
        ]

    def perplexity(self, unit: Unit) -> list[dict[str, Any]]:
        """Log-probability of the tokens of a written answer."""
        parts = [answer_text(self.model.tokenizer, item, self.limits.context) for item in unit.items]
        sums = [round(sum(values), DIGITS) for values in self._logprobs(parts)]
        return [
            _answer(unit, item, "perplexity", logprob=total, tokens=len(part.continuation))
            for item, part, total in zip(unit.items, parts, sums, strict=True)
        ]

    def free_form(self, unit: Unit) -> list[dict[str, Any]]:
        """An answer sampled with a seed of the item's own: a small base model loops when it decodes greedily."""
        prompts = [question_prompt(self.model.tokenizer, item.question) for item in unit.items]
        samplings = [
            Sampling(
                max_tokens=self.limits.free_form_tokens, temperature=0.7, top_p=0.9, seed=self.limits.seed + unit.first + place
            )
            for place in range(len(prompts))
        ]
        written = self.model.generate(prompts, samplings)
        return [
            _answer(unit, item, "free-form", gold=item.reference, text=answer.text, tokens=answer.tokens)
            for item, answer in zip(unit.items, written, strict=True)
        ]

    def check_judge(self, unit: Unit) -> list[dict[str, Any]]:
        """Pairs whose winner is known, in both orders."""
        return self._judge(unit, unit.items, "better", "worse")

    def judge(self, unit: Unit) -> list[dict[str, Any]]:
        """The answers of the trained and the base model, in both orders."""
        texts = {(row["model"], row["item"]): row["text"] for needed in unit.needs for row in self._answers(needed)}
        pairs = [replace(item, better=texts[TRAINED, item.id], worse=texts[BASE, item.id]) for item in unit.items]
        return self._judge(unit, pairs, TRAINED, BASE)

    def _judge(self, unit: Unit, pairs: Sequence[Item], model_a: str, model_b: str) -> list[dict[str, Any]]:
        """Log-probability of verdict 1 against verdict 2; `better` is model_a's answer, `worse` model_b's."""
        shown = [(item, order) for item in pairs for order in ORDERS]
        parts = []
        for item, order in shown:
            first, second = (item.better, item.worse) if order == "ab" else (item.worse, item.better)
            parts += verdicts(self.model.tokenizer, item.question, first, second)
        sums = iter([sum(values) for values in self._logprobs(parts)])
        rows = []
        for item, order in shown:
            margin = round(next(sums) - next(sums), DIGITS)
            rows.append(
                {
                    "task": unit.task, "item": item.id, "model_a": model_a, "model_b": model_b, "order": order,
                    "verdict": "1" if margin > 0 else "2" if margin < 0 else "tie",
                    "winner": winner_of(order, margin, model_a, model_b), "margin": margin, "judge": unit.model,
                }
            )  # fmt: skip
        return rows

    def _answers(self, unit: Unit) -> list[dict[str, Any]]:
        return [row for shard in self.out.sealed()[unit.name].shards for row in self.out.read_shard(shard.path).to_pylist()]

    def _logprobs(self, parts: Sequence[Any]) -> list[tuple[float, ...]]:
        return self.model.logprobs([ScoreRequest(part.context, part.continuation) for part in parts])


def _answer(
    unit: Unit,
    item: Item,
    method: str,
    *,
    prediction: str = "",
    gold: str = "",
    text: str = "",
    logprob: float | None = None,
    tokens: int = 0,
) -> dict[str, Any]:
    correct = prediction == gold if prediction else None  # "invalid" is no letter, hence wrong
    names = {"task": unit.task, "model": unit.model, "method": method, "item": item.id, "prompt": item.question}
    return {
        **names,
        "gold": gold,
        "prediction": prediction,
        "correct": correct,
        "text": text,
        "logprob": logprob,
        "tokens": tokens,
    }


_METHODS: dict[str, Callable[[Worker, Unit], list[dict[str, Any]]]] = {
    "likelihood": Worker.likelihood,
    "generate": Worker.generate,
    "perplexity": Worker.perplexity,
    "free-form": Worker.free_form,
    "check-judge": Worker.check_judge,
    "judge": Worker.judge,
}
