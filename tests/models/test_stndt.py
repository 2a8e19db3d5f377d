"""Attention over neurons and the contrastive term of STNDT."""

import math

import pytest
import torch
from conftest import make_task

from neuroblend.distill.objective import own_losses
from neuroblend.models.stndt import STNDT
from neuroblend.privilege.roles import Student


def make_net(forward_bins=0, **changes) -> STNDT:
    torch.manual_seed(1)
    task = make_task(forward_bins=forward_bins)
    return STNDT(task.spec, **({"n_layers": 1, "feedforward": 12} | changes))


def test_slots_are_a_round_number_for_the_heads() -> None:
    assert make_net().width == 16  # of 10 neurons
    assert make_net(n_heads=3).width == 24


def test_the_contrast_is_info_nce_by_hand() -> None:
    net = make_net(contrast_temperature=0.5)
    views = [torch.randn(5, 3, 2), torch.randn(5, 3, 2)]
    z = torch.cat([view.flatten(1) for view in views])
    z = z / z.norm(dim=1, keepdim=True)
    losses = []
    for i in range(10):
        partner = (i + 5) % 10
        others = [math.exp((z[i] @ z[j]).item() / 0.5) for j in range(10) if j != i]
        losses.append(-math.log(math.exp((z[i] @ z[partner]).item() / 0.5) / sum(others)))
    assert net._contrast(views).item() == pytest.approx(sum(losses) / 10, rel=1e-5)


def test_views_change_the_share_of_entries_that_was_asked_for() -> None:
    net = make_net(contrast_ratio=0.2)
    spikes = torch.randint(1, 50, (200, 12, 8)).float()
    view = net._corrupted(spikes, None)
    assert (view == 0).float().mean().item() == pytest.approx(0.1, abs=0.01)
    other = (view != spikes) & (view != 0)
    assert other.float().mean().item() == pytest.approx(0.05, abs=0.01)
    assert set(view.unique().tolist()) <= set(spikes.unique().tolist()) | {0.0}


def test_own_losses_are_there_in_training_alone_and_can_be_left_out() -> None:
    batch = make_task().batch("train")
    student = Student(make_net(contrast_weight=0.5)).train()
    student(batch)
    torch.manual_seed(0)
    half = own_losses(student)["contrast"].item()
    student.net.contrast_weight = 1.0
    student(batch)
    torch.manual_seed(0)
    assert own_losses(student)["contrast"].item() == pytest.approx(2 * half, rel=1e-5)
    assert own_losses(student.eval()) == {}
    without = Student(make_net(contrast_weight=0.0)).train()
    without(batch)
    assert own_losses(without) == {}


def test_a_neuron_is_heard_in_every_bin_through_attention_over_neurons() -> None:
    """Bins attend to themselves alone here, so what else reaches a bin came by time courses."""
    net = make_net(context_forward_s=0.0, context_backward_s=0.0, contrast_weight=0.0).eval()
    spikes = make_task().batch("train").spikes[:2].clone().requires_grad_()
    (gradient,) = torch.autograd.grad(net(spikes)[:, 3].sum(), spikes)
    assert gradient[:, [0, 7, 11]].abs().sum() > 0
