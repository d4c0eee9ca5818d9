"""Log-probabilities of given continuations; prompts that several share are computed once.

Prompts are padded on the left and computed in batches; each continuation goes on from a copy of its prompt's
cache, in pieces. Only logits that are asked for are made: at most POSITIONS rows of the vocabulary at a time
(262,144 values a row for Gemma 3, 1 MB in fp32).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from serving.engines.base import Score, ScoreRequest, TokenLogprob
from serving.engines.batch import positions, prefill
from serving.engines.sampling import token_logprobs

if TYPE_CHECKING:
    from transformers import DynamicCache, PreTrainedModel

BATCH_TOKENS = 4096  # padded tokens of one batch: bounds the cache
POSITIONS = 256  # logits of so many positions at a time


def score_batches(model: PreTrainedModel, requests: Sequence[ScoreRequest]) -> Iterator[dict[int, Score]]:
    """Scores by the place of their request, a batch at a time."""
    for places in _batches(requests):
        yield _score_batch(model, requests, places)


def _batches(requests: Sequence[ScoreRequest]) -> Iterator[list[int]]:
    """Places of requests of similar length together, equal prompts side by side.

    The padded size of a batch stays below BATCH_TOKENS; a request that is larger than that goes alone.
    """

    def size(place: int) -> tuple[int, tuple[int, ...], int]:
        return len(requests[place].prompt_ids), requests[place].prompt_ids, len(requests[place].continuation_ids)

    batch: list[int] = []
    columns = tail = 0
    for place in sorted(range(len(requests)), key=size, reverse=True):
        prompt, _, continuation = size(place)
        columns, tail = max(columns, prompt), max(tail, continuation)
        if batch and (len(batch) + 1) * (columns + tail) > BATCH_TOKENS:
            yield batch
            batch, columns, tail = [], prompt, continuation
        batch.append(place)
    if batch:
        yield batch


def _score_batch(model: PreTrainedModel, requests: Sequence[ScoreRequest], places: list[int]) -> dict[int, Score]:
    prompts = list(dict.fromkeys(requests[place].prompt_ids for place in places))
    columns = max(map(len, prompts))
    ids = torch.tensor([[0] * (columns - len(prompt)) + list(prompt) for prompt in prompts])
    mask = torch.tensor([[0] * (columns - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    cache, logits = prefill(model, ids, mask)
    rows = {prompt: row for row, prompt in enumerate(prompts)}
    parts = {place: _Part(requests[place]) for place in places}
    for place, part in parts.items():
        row = rows[requests[place].prompt_ids]
        part.add(logits[row : row + 1])
    longer = [part for part in parts.values() if len(part.request.continuation_ids) > 1]
    if longer:
        sources = [rows[part.request.prompt_ids] for part in longer]
        cache.batch_select_indices(torch.tensor(sources))
        _score_rest(model, longer, cache, mask[sources])
    return {place: Score(tuple(part.tokens), part.greedy_match) for place, part in parts.items()}


@dataclass
class _Part:
    """The score of one request as far as it is known."""

    request: ScoreRequest
    tokens: list[TokenLogprob] = field(default_factory=list)
    greedy_match: bool = True

    def add(self, logits: torch.Tensor) -> None:
        """The next tokens of the continuation, one a row of logits [rows, vocabulary]."""
        ids = self.request.continuation_ids[len(self.tokens) : len(self.tokens) + logits.shape[0]]
        self.tokens += token_logprobs(logits, ids, self.request.top)
        self.greedy_match = self.greedy_match and logits.argmax(-1).tolist() == list(ids)


def _score_rest(model: PreTrainedModel, parts: list[_Part], cache: DynamicCache, mask: torch.Tensor) -> None:
    """The tokens after the first: row i of cache and mask belongs to parts[i]; shorter rows are padded on the right."""
    fed = [part.request.continuation_ids[:-1] for part in parts]
    width = max(map(len, fed))
    inputs = torch.tensor([[*ids, *[0] * (width - len(ids))] for ids in fed])
    mask = torch.cat([mask, torch.ones_like(inputs)], 1)  # no real token looks at the padding on its right
    columns, where = mask.shape[1] - width, positions(mask)
    piece = max(1, POSITIONS // len(parts))
    for start in range(0, width, piece):
        end = min(start + piece, width)
        wanted = torch.tensor([[column < len(ids) for column in range(start, end)] for ids in fed])
        output = model(
            input_ids=inputs[:, start:end],
            attention_mask=mask[:, : columns + end],
            position_ids=where[:, columns + start : columns + end],
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=wanted,  # a mask: the logits come out as [wanted positions, vocabulary]
        )
        logits = output.logits.reshape(int(wanted.sum()), -1)
        for part, rows in zip(parts, logits.split(wanted.sum(1).tolist()), strict=True):
            if rows.shape[0]:
                part.add(rows)
