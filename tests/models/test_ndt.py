"""What NDT offers beside its defaults."""

import math
from dataclasses import replace

import pytest
import torch
from conftest import make_task, refuses

from neuroblend.models.ndt import NDT
from neuroblend.models.parts.positions import rotated, rotations, sinusoids
from neuroblend.models.stndt import STNDT


def make_net(**changes) -> NDT:
    torch.manual_seed(0)
    return NDT(make_task(forward_bins=2).spec, **({"n_layers": 1, "width": 16} | changes))


def test_sinusoidal_positions_are_those_of_the_paper() -> None:
    found = sinusoids(7, 6)
    for t in range(7):
        for i in range(3):
            angle = t / 10000 ** (2 * i / 6)
            assert found[t, 2 * i].item() == pytest.approx(math.sin(angle), abs=1e-6)
            assert found[t, 2 * i + 1].item() == pytest.approx(math.cos(angle), abs=1e-6)


def test_sinusoidal_positions_are_no_weights_and_make_a_difference() -> None:
    learned, fixed = make_net(), make_net(positions="sinusoidal")
    assert "position" in dict(learned.named_parameters())
    assert "position" not in fixed.state_dict()
    fixed.eval()
    spikes = torch.ones(1, 10, learned.embed.in_features)
    different = fixed(spikes)
    with torch.no_grad():
        fixed.position.zero_()
    assert not torch.allclose(different, fixed(spikes))


def test_a_readout_of_two_layers_has_the_units_that_were_asked_for() -> None:
    net = make_net(readout_hidden=5)
    assert net.readout.in_features == 5
    log_rates = net(torch.ones(3, 10, net.embed.in_features))
    log_rates.square().mean().backward()
    assert all(weight.grad is not None for weight in net.hidden.parameters())
    assert net.hidden[0].weight.shape == (5, 16)


@pytest.mark.parametrize("model", [NDT, STNDT])
def test_trials_longer_than_those_it_was_built_for_are_refused(model) -> None:
    spec = make_task().spec
    longer = torch.zeros(2, 15, spec.n_in)
    refuses("found trials of 15 bins, wanted 12 or fewer", model(spec), longer)


def test_rotary_positions_are_relative_and_have_no_weights() -> None:
    """As the paper's equation: neighbouring pairs turned by t / 10000^(2 i / F)."""
    net = make_net(positions="rotary").eval()
    assert not [name for name in net.state_dict() if "position" in name or "turn" in name]
    x, at = torch.randn(2, 6), torch.tensor([3, 11])
    found = rotated(x, rotations(at, 6))
    for row, t in enumerate(at.tolist()):
        for i in range(3):
            angle = t / 10000 ** (2 * i / 6)
            one, other = x[row, i].item(), x[row, i + 3].item()
            turned = one * math.cos(angle) - other * math.sin(angle)
            assert found[row, i].item() == pytest.approx(turned, abs=1e-6)
    query, key = torch.randn(1, 6), torch.randn(1, 6)
    scores = [
        rotated(query, rotations(torch.tensor([t]), 6))
        @ rotated(key, rotations(torch.tensor([t - 4]), 6)).T
        for t in (4, 1_000_000)
    ]
    torch.testing.assert_close(*scores)


@pytest.mark.parametrize("forward_bins", [0, 2])
@pytest.mark.parametrize("padded", [False, True])
def test_trials_may_be_longer_with_rotary_positions(forward_bins, padded) -> None:
    """In blocks, and with a mask of all pairs of bins: the same rates."""
    settings = {"context_forward_s": 0.04, "context_backward_s": 0.08, "positions": "rotary"}
    short = make_task(forward_bins=forward_bins).spec
    long = replace(short, t_in=150 - forward_bins, t_out=150)
    torch.manual_seed(0)
    net = NDT(short, width=16, **settings).eval()
    whole = NDT(long, width=16, **settings).eval()
    whole.load_state_dict(net.state_dict())
    spikes = torch.poisson(torch.ones(2, 150 - forward_bins, short.n_in))
    present = torch.arange(150) < torch.tensor([[150], [90]]) if padded else None
    reach = net.window(present, 150)
    assert reach.allowed is None and len(reach.blocks) > 5
    mask = whole.window(present, 150)
    for rows, columns, barred in reach.blocks:
        expected = mask.allowed[..., rows, columns]
        assert torch.equal(barred == 0, expected)
        outside = mask.allowed[..., rows, :].clone()
        outside[..., columns] = torch.zeros((), dtype=torch.bool)
        assert padded or not outside.any()
    shown = slice(None) if present is None else present
    torch.testing.assert_close(
        net(spikes, present)[shown], whole(spikes, present)[shown], rtol=1e-4, atol=1e-5
    )
    everywhere = NDT(short, width=16, positions="rotary", context_forward_s=None,
                     context_backward_s=0.5)  # fmt: skip
    assert everywhere(spikes, present).shape == (2, 150, short.n_out)


def test_a_head_of_rotary_positions_wants_pairs() -> None:
    refuses("width 9 in 3 heads, wanted an even number", make_net, width=9, n_heads=3,
            positions="rotary")  # fmt: skip
