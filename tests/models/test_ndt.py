"""What NDT offers beside its defaults."""

import math

import pytest
import torch
from conftest import make_task, refuses

from neuroblend.models.ndt import NDT
from neuroblend.models.parts.positions import sinusoids
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
