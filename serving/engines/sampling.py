"""From logits to the next token, and to log-probabilities."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from serving.engines.base import Sampling, TokenLogprob


def random_source(sampling: Sampling) -> torch.Generator | None:
    """The random numbers of one request: its own, so that its neighbours in the batch do not change its answer."""
    if sampling.temperature == 0:
        return None
    generator = torch.Generator()
    if sampling.seed is None:
        generator.seed()
    else:
        generator.manual_seed(sampling.seed)
    return generator


def next_token(logits: torch.Tensor, sampling: Sampling, source: torch.Generator | None) -> int:
    """Choose from logits [vocabulary]: the likeliest without a random source, else nucleus sampling (arXiv 1904.09751)."""
    if source is None:
        return int(logits.argmax())
    probabilities = torch.softmax(logits.float() / sampling.temperature, -1)
    if sampling.top_p < 1:
        probabilities = _nucleus(probabilities, sampling.top_p)
    return int(torch.multinomial(probabilities, 1, generator=source))


def _nucleus(probabilities: torch.Tensor, top_p: float) -> torch.Tensor:
    """Only the likeliest tokens that together reach top_p keep their probability; at least one does."""
    ordered, order = probabilities.sort(descending=True)
    beyond = ordered.cumsum(-1) - ordered >= top_p
    beyond[0] = False
    return probabilities.index_fill(0, order[beyond], 0.0)


def token_logprobs(logits: torch.Tensor, token_ids: Sequence[int], top: int) -> list[TokenLogprob]:
    """Log-probabilities of `token_ids`, one a row of logits [rows, vocabulary], with the `top` likeliest of each row."""
    scores = logits.float()
    total = torch.logsumexp(scores, -1, keepdim=True)
    chosen = (scores.gather(1, torch.tensor(token_ids)[:, None]) - total)[:, 0].tolist()
    if not top:
        return [TokenLogprob(token, value) for token, value in zip(token_ids, chosen, strict=True)]
    best = scores.topk(top)
    values, ids = (best.values - total).tolist(), best.indices.tolist()
    return [
        TokenLogprob(token, value, tuple(zip(row_ids, row_values, strict=True)))
        for token, value, row_ids, row_values in zip(token_ids, chosen, ids, values, strict=True)
    ]
