"""Dropout of adapters on a CPU: as many zeros, as large a mean, the same again from the same state."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from pipelines.train.dropout import Dropout
from pipelines.train.lora import add_adapter
from pipelines.train.settings import LoraSettings
from serving.engines.models import load_model
from tests.tiny_models import tiny_cohere

NUMBER = 1 << 20


@pytest.mark.parametrize("p", [0.05, 0.4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_so_many_elements_are_dropped_and_the_others_scaled(p: float, dtype: torch.dtype) -> None:
    """Within five standard deviations of a binomial distribution."""
    torch.manual_seed(1)
    found = Dropout(p)(torch.ones(NUMBER, dtype=dtype))
    dropped = int((found == 0).sum())
    assert abs(dropped - p * NUMBER) < 5 * (p * (1 - p) * NUMBER) ** 0.5
    torch.testing.assert_close(found.unique(), torch.tensor([0, 1 / (1 - p)], dtype=dtype))


def test_neighbours_are_dropped_by_themselves() -> None:
    """Also the four that share a number: that two both stay has the probability of both, and so has each distance."""
    torch.manual_seed(1)
    kept = (Dropout(0.4)(torch.ones(NUMBER)) != 0).float()
    for distance in (1, 2, 3, 4, 5):
        assert float((kept[distance:] * kept[:-distance]).mean()) == pytest.approx(0.36, abs=0.003)


def test_pytorchs_state_says_what_comes_next() -> None:
    dropout, values = Dropout(0.4), torch.ones(3, 7)
    state = torch.get_rng_state()
    first, second = dropout(values), dropout(torch.ones(1000))
    torch.set_rng_state(state)
    assert torch.equal(dropout(values), first) and torch.equal(dropout(torch.ones(1000)), second)
    assert not torch.equal(dropout(torch.ones(1000)), second)


def test_the_gradient_takes_the_same_way() -> None:
    values = torch.randn(5, 11, requires_grad=True)
    found = Dropout(0.4)(values)
    found.sum().backward()
    torch.testing.assert_close(values.grad, (found / values).detach())


def test_nothing_is_dropped_when_nothing_is_to_be() -> None:
    values = torch.randn(10)
    assert torch.equal(Dropout(0.4).eval()(values), values) and torch.equal(Dropout(0.0)(values), values)


def test_every_adapter_has_it(tmp_path: Path) -> None:
    adapted = add_adapter(load_model(tiny_cohere(tmp_path), "float32"), LoraSettings(dropout=0.1))
    assert {type(module) for module in adapted.modules() if isinstance(module, nn.Dropout)} == {Dropout}
