"""The host's turn: delays, rests of slow and of failing hosts."""

from __future__ import annotations

import asyncio
import time

import pytest

from pipelines.crawl.gate import MAX_BACKOFF, MAX_REST, Gate


def starts(gate: Gate, exchanges: int, seconds: float = 0.0) -> list[float]:
    """When the exchanges began and ended."""

    async def run() -> list[float]:
        times = []
        for _ in range(exchanges):
            async with gate:
                times.append(time.monotonic())
                await asyncio.sleep(seconds)
                times.append(time.monotonic())
        return times

    return asyncio.run(run())


def test_the_delay_runs_from_the_end_of_the_exchange_before() -> None:
    times = starts(Gate(0.05), 3, seconds=0.02)
    assert all(begin - end >= 0.05 for end, begin in zip(times[1::2], times[2::2], strict=False))


def test_a_host_that_gets_slow_rests_as_long_as_its_answers_take() -> None:
    gate = Gate(0.01, throttle=2.0)
    assert gate.rest == 0.01
    gate.answered_in(0.5)
    assert gate.rest == 1.0
    for _ in range(20):
        gate.answered_in(0.001)
    assert gate.rest == 0.01
    gate.answered_in(1000.0)
    assert gate.rest == MAX_REST


def test_without_a_throttle_only_the_delay_counts() -> None:
    gate = Gate(0.0)
    gate.answered_in(5.0)
    assert gate.rest == 0.0


def test_faults_in_a_row_make_longer_and_longer_rests_that_end_when_it_answers() -> None:
    gate, rests = Gate(0.0), []
    for _ in range(9):
        gate._not_before = 0.0
        gate.back_off()
        rests.append(gate.resumes_in)
    for rest, most in zip(rests, [1, 2, 4, 8, 16, 32, 60, 60, 60], strict=True):
        assert most / 2 - 0.01 <= rest <= most <= MAX_BACKOFF
    for _ in range(8):
        gate.recover()
    gate._not_before = 0.0
    gate.back_off()
    assert gate.resumes_in <= 1.0


def test_the_throttle_is_felt_by_the_server() -> None:
    gate = Gate(0.0, throttle=1.0)
    gate.answered_in(0.05)
    times = starts(gate, 3)
    assert all(begin - end >= 0.05 for end, begin in zip(times[1::2], times[2::2], strict=False))


@pytest.mark.parametrize("concurrency", [1, 3])
def test_never_more_than_so_many_at_once(concurrency: int) -> None:
    gate, running, most = Gate(0.0, concurrency), 0, 0

    async def exchange() -> None:
        nonlocal running, most
        async with gate:
            running += 1
            most = max(most, running)
            await asyncio.sleep(0.01)
            running -= 1

    async def run() -> None:
        await asyncio.gather(*(exchange() for _ in range(9)))

    asyncio.run(run())
    assert most == concurrency


@pytest.mark.parametrize("exchanges", [1, 0])  # none yet: another process may have used the host just now
def test_a_delay_that_robots_txt_asks_for_counts_from_the_exchange_before(exchanges: int) -> None:
    async def waited() -> float:
        gate = Gate(delay=0)
        for _ in range(exchanges):
            async with gate:
                pass
        before = time.monotonic()
        gate.slow_down(0.2)
        async with gate:
            return time.monotonic() - before

    assert asyncio.run(waited()) >= 0.19
