"""Dropout with one random byte an element."""

import pytest
import torch
from conftest import refuses

from neuroblend.models.parts.dropout import Dropout


@pytest.mark.parametrize("probability", [0.02, 0.25, 0.5, 0.9])
def test_what_is_kept_keeps_the_expectation_and_what_is_dropped_has_no_gradient(
    probability,
) -> None:
    drop = Dropout(probability)
    x = torch.full((400, 501), 3.0, requires_grad=True)
    y = drop(x)
    y.sum().backward()
    kept = y != 0
    of_256 = round(probability * 256) / 256
    assert abs(kept.float().mean() - (1 - of_256)) < 0.005
    assert y[kept].unique().tolist() == pytest.approx([3 / (1 - of_256)])
    assert x.grad is not None
    torch.testing.assert_close(x.grad, y.detach() / 3)


def test_draws_are_seeded_and_differ_between_calls() -> None:
    drop, x = Dropout(0.5), torch.ones(1000)
    torch.manual_seed(3)
    first, second = drop(x), drop(x)
    torch.manual_seed(3)
    assert torch.equal(drop(x), first)
    assert not torch.equal(first, second)


def test_nothing_is_dropped_in_eval_mode() -> None:
    x = torch.randn(20)
    assert Dropout(0.5).eval()(x) is x
    assert Dropout(0.0)(x) is x


@pytest.mark.parametrize("probability", [-0.1, 1.0])
def test_probabilities_out_of_range(probability) -> None:
    refuses("wanted 0 up to, but not, 1", Dropout, probability)
