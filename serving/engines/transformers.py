"""The `transformers` engine: continuous batching in one thread that owns the model.

Between two steps, which write one token for every running request, requests join and leave and at most one batch of
scoring is done. transformers' own continuous batching has one seed for all requests and no alternatives among the
log-probabilities, hence this loop. About 16 tokens/s for one request and 60 for four (Gemma 3 270M, bf16, 2 cores).
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from serving.engines.base import (
    Capabilities,
    Delta,
    Engine,
    EngineError,
    FinishReason,
    InvalidRequest,
    Request,
    Score,
    ScoreRequest,
    TokenLogprob,
    Usage,
)
from serving.engines.batch import Batch
from serving.engines.models import check_model, load_model, load_tokenizer, local_model
from serving.engines.sampling import next_token, random_source, token_logprobs
from serving.engines.scoring import score_batches

if TYPE_CHECKING:
    from transformers import PreTrainedModel

log = logging.getLogger(__name__)
MAX_LOGPROBS = 20  # as OpenAI's API


@dataclass
class _Sequence:
    """A request on its way: what was written so far and where it goes."""

    request: Request
    send: Callable[[Delta | EngineError], None]
    source: torch.Generator | None
    written: list[int] = field(default_factory=list)
    finish_reason: FinishReason | None = None

    def end(self, reason: FinishReason) -> Usage:
        self.finish_reason = reason
        return Usage(len(self.request.prompt_ids), len(self.written))


@dataclass
class _ScoreJob:
    """A call of `score` on its way."""

    requests: Sequence[ScoreRequest]
    result: Future[list[Score]]
    batches: Iterator[dict[int, Score]] | None = None
    found: dict[int, Score] = field(default_factory=dict)


@dataclass(frozen=True)
class _Cancel:
    request_id: str


_STOP = object()


class TransformersEngine(Engine):
    """A causal language model on this machine's CPU."""

    def __init__(
        self,
        model: str,
        *,
        dtype: str = "bfloat16",
        attention: str = "sdpa",
        max_batch: int = 8,
        max_context: int = 4096,
        threads: int | None = None,
    ) -> None:
        """`model`: a spec as in models.py. `max_batch`: requests that run at once, the others wait.
        `max_context`: tokens, where the model allows as many. `threads`: of torch; None leaves them alone."""
        self.model, self.dtype, self.attention = model, dtype, attention
        self.max_batch, self.max_context, self.threads = max_batch, max_context, threads
        self._inbox: queue.SimpleQueue[object] = queue.SimpleQueue()
        self._waiting: deque[_Sequence] = deque()
        self._running: list[_Sequence] = []
        self._scoring: deque[_ScoreJob] = deque()
        self._thread: threading.Thread | None = None
        self._loaded: PreTrainedModel | None = None
        self._capabilities: Capabilities | None = None
        self._end_ids: frozenset[int] = frozenset()

    @property
    def capabilities(self) -> Capabilities:
        assert self._capabilities is not None, "start() comes first"
        return self._capabilities

    async def start(self) -> None:
        ready: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, args=(ready,), name="engine", daemon=True)
        self._thread.start()
        await asyncio.wrap_future(ready)

    async def stop(self) -> None:
        self._inbox.put(_STOP)
        if self._thread:
            await asyncio.to_thread(self._thread.join)

    async def generate(self, request: Request) -> AsyncGenerator[Delta, None]:
        self._check(request)
        loop, deltas = asyncio.get_running_loop(), asyncio.Queue[Delta | EngineError]()

        def send(item: Delta | EngineError) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(deltas.put_nowait, item)

        self._put(_Sequence(request, send, random_source(request.sampling)))
        ended = False
        try:
            while not ended:
                item = await deltas.get()
                ended = isinstance(item, EngineError) or item.finish_reason is not None
                if isinstance(item, EngineError):
                    raise item
                yield item
        finally:
            if not ended:
                await self.cancel(request.id)

    async def score(self, requests: Sequence[ScoreRequest]) -> list[Score]:
        for request in requests:
            self._check_score(request)
        job = _ScoreJob(list(requests), Future())
        self._put(job)
        return await asyncio.wrap_future(job.result)

    async def cancel(self, request_id: str) -> None:
        self._inbox.put(_Cancel(request_id))

    def _put(self, work: _Sequence | _ScoreJob) -> None:
        if self._thread is None or not self._thread.is_alive():
            raise EngineError("the engine is not running")
        self._inbox.put(work)

    def _check(self, request: Request) -> None:
        limits, sampling = self.capabilities, request.sampling
        if request.adapter:
            raise InvalidRequest("this engine has no adapters")
        if sampling.max_tokens < 1:
            raise InvalidRequest("max_tokens must be at least 1")
        if (sampling.logprobs or 0) > limits.max_logprobs:
            raise InvalidRequest(f"at most {limits.max_logprobs} log-probabilities a token are given")
        self._check_ids(request.prompt_ids, len(request.prompt_ids) + sampling.max_tokens)

    def _check_score(self, request: ScoreRequest) -> None:
        if not request.continuation_ids:
            raise InvalidRequest("an empty continuation has no score")
        ids = (*request.prompt_ids, *request.continuation_ids)
        self._check_ids(ids if request.prompt_ids else (), len(ids))

    def _check_ids(self, ids: Sequence[int], length: int) -> None:
        limits = self.capabilities
        if not ids:
            raise InvalidRequest("the prompt is empty: give at least one token")
        if not 0 <= min(ids) <= max(ids) < limits.vocabulary:
            raise InvalidRequest(f"token ids must be between 0 and {limits.vocabulary - 1}")
        if length > limits.max_context:
            raise InvalidRequest(
                f"{length} tokens (prompt and max_tokens together) are more than this model's context of {limits.max_context}"
            )

    # Everything below runs in the engine's thread.

    def _run(self, ready: Future[None]) -> None:
        try:
            self._load()
        except Exception as error:  # it goes to whoever waits for start()
            ready.set_exception(error)
            return
        ready.set_result(None)
        assert self._loaded is not None
        batch = Batch(self._loaded)
        with torch.inference_mode():
            while self._receive():
                self._score_one_batch()
                try:
                    self._join(batch)
                    self._step(batch)
                except Exception as error:  # a request that breaks the model must not end the others that come later
                    log.exception("a step failed; its requests are ended")
                    self._fail_running(EngineError(f"the model failed: {type(error).__name__}"))
                    batch = Batch(self._loaded)
        self._fail_running(EngineError("the engine was stopped"))
        for job in self._scoring:
            job.result.set_exception(EngineError("the engine was stopped"))
        self._loaded = None

    def _load(self) -> None:
        if self.threads:
            torch.set_num_threads(self.threads)
        check_model(self.model, dtype=self.dtype)
        folder = local_model(self.model)
        self.tokenizer = load_tokenizer(folder)
        self._loaded = load_model(folder, self.dtype, self.attention)
        config = self._loaded.config
        limit = min(self.max_context, config.max_position_embeddings)
        self._capabilities = Capabilities(max_context=limit, vocabulary=config.vocab_size, max_logprobs=MAX_LOGPROBS)
        declared = self._loaded.generation_config.eos_token_id
        ends = [*(declared if isinstance(declared, list) else [declared]), self.tokenizer.eos_token_id]
        self._end_ids = frozenset(token for token in ends if token is not None)

    def _receive(self) -> bool:
        """Take in what has arrived, waiting for it when there is nothing to do; False when the engine is to stop."""
        idle = not (self._running or self._waiting or self._scoring)
        while idle or not self._inbox.empty():
            item, idle = self._inbox.get(), False
            if item is _STOP:
                return False
            if isinstance(item, _Sequence):
                self._waiting.append(item)
            elif isinstance(item, _ScoreJob):
                self._scoring.append(item)
            elif isinstance(item, _Cancel):
                self._cancel(item.request_id)
        return True

    def _cancel(self, request_id: str) -> None:
        for sequence in (*self._waiting, *self._running):
            if sequence.request.id == request_id and sequence.finish_reason is None:
                sequence.send(Delta(finish_reason="cancelled", usage=sequence.end("cancelled")))
        self._waiting = deque(sequence for sequence in self._waiting if sequence.finish_reason is None)

    def _join(self, batch: Batch) -> None:
        self._let_go(batch)
        while self._waiting and len(self._running) < self.max_batch:
            sequence = self._waiting.popleft()
            self._running.append(sequence)
            self._write(sequence, batch.join(sequence.request.prompt_ids))
            self._let_go(batch)

    def _step(self, batch: Batch) -> None:
        if self._running:
            logits = batch.step([sequence.written[-1] for sequence in self._running])
            for sequence, row in zip(self._running, logits, strict=True):
                self._write(sequence, row)

    def _write(self, sequence: _Sequence, logits: torch.Tensor) -> None:
        """Choose the next token from logits [vocabulary] and send it."""
        sampling = sequence.request.sampling
        token = next_token(logits, sampling, sequence.source)
        sequence.written.append(token)
        logprobs: list[TokenLogprob] = []
        if sampling.logprobs is not None:
            logprobs = token_logprobs(logits[None], [token], sampling.logprobs)
        usage = None
        if token in self._end_ids or token in sampling.stop_ids:
            usage = sequence.end("stop")
        elif len(sequence.written) == sampling.max_tokens:
            usage = sequence.end("length")
        sequence.send(Delta((token,), tuple(logprobs), sequence.finish_reason, usage))

    def _let_go(self, batch: Batch) -> None:
        """Take the requests that have ended out of the batch."""
        kept = [row for row, sequence in enumerate(self._running) if sequence.finish_reason is None]
        batch.keep(kept)
        self._running = [self._running[row] for row in kept]

    def _fail_running(self, error: EngineError) -> None:
        for sequence in (*self._running, *self._waiting):
            if sequence.finish_reason is None:
                sequence.send(error)
        self._running, self._waiting = [], deque()

    def _score_one_batch(self) -> None:
        if not self._scoring:
            return
        job = self._scoring[0]
        assert self._loaded is not None
        try:
            job.batches = job.batches or score_batches(self._loaded, job.requests)
            found = None if job.result.cancelled() else next(job.batches, None)
        except Exception as error:  # it goes to whoever waits for the scores
            job.result.set_exception(EngineError(f"scoring failed: {type(error).__name__}: {error}"))
            self._scoring.popleft()
            return
        if found is not None:
            job.found |= found
            return
        self._scoring.popleft()
        if not job.result.cancelled():
            job.result.set_result([job.found[place] for place in range(len(job.requests))])
