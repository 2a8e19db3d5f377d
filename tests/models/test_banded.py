"""Attention in blocks gives what attention with a mask gives."""

import warnings

import pytest
import torch
from torch import nn

from neuroblend.models.ndt import NDT
from neuroblend.models.parts.attention import attended
from neuroblend.models.parts.banded import banded_attention
from neuroblend.models.parts.window import Reach, Window
from neuroblend.task.spec import TaskSpec


def make_qkv(n_bins: int, n_heads: int = 2, n_trials: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(n_trials, n_bins, 3, n_heads, 5, generator=generator).requires_grad_()


def with_a_mask(qkv: torch.Tensor, reach: Reach) -> torch.Tensor:
    q, k, v = (part.transpose(1, 2) for part in qkv.unbind(dim=2))
    mixed = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=reach.allowed)
    return mixed.transpose(1, 2)


def gradient(mixed: torch.Tensor, qkv: torch.Tensor) -> torch.Tensor:
    into = torch.sin(torch.arange(mixed.numel(), dtype=mixed.dtype)).view(mixed.shape)
    return torch.autograd.grad(mixed, qkv, into)[0]


WINDOWS = [
    Window(90, 4, 8, 20),  # 70 bins seen, the last block of them shorter, and forward bins
    Window(80, 0, 3),
    Window(80, 3, 0),
    Window(400, None, 0),  # half of all pairs: the upper triangle
]


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("padded", [False, True])
def test_values_and_gradients_are_those_of_a_mask(window: Window, padded: bool) -> None:
    assert window.allowed is not None
    n_bins = len(window.allowed)
    present = torch.arange(n_bins) < torch.tensor([[n_bins], [n_bins - 30], [1]])
    reach = window(present if padded else None, n_bins)
    assert reach.blocks
    qkv = make_qkv(n_bins)
    ours, theirs = banded_attention(qkv, reach.blocks), with_a_mask(qkv, reach)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(gradient(ours, qkv), gradient(theirs, qkv))
    with torch.no_grad():
        torch.testing.assert_close(banded_attention(qkv, reach.blocks), theirs)


def test_bfloat16_is_as_close_to_single_precision_as_the_mask_is() -> None:
    reach = WINDOWS[0](None, 90)
    exact, coarse = make_qkv(90), make_qkv(90).detach().bfloat16().requires_grad_()
    wanted = gradient(with_a_mask(exact, reach), exact)

    def error(attend) -> float:
        return (gradient(attend(coarse, reach), coarse).float() - wanted).abs().max().item()

    assert banded_attention(coarse, reach.blocks).dtype == torch.bfloat16
    ours = error(lambda qkv, reach: banded_attention(qkv, reach.blocks))
    assert ours <= 1.5 * error(with_a_mask)


@pytest.mark.parametrize("window", WINDOWS)
def test_blocks_hold_every_allowed_pair_once(window: Window) -> None:
    for n_bins in (len(window.allowed), len(window.allowed) - 17):
        held = torch.zeros(n_bins, n_bins, dtype=torch.int)
        for rows, columns in window.blocks(n_bins):
            held[rows, columns] += 1
        allowed = window(None, n_bins).allowed
        assert bool((held[allowed] == 1).all()) or not held.any()


def test_blocks_are_left_out_where_they_save_little() -> None:
    assert Window(40, 16, 16).blocks(40) == []
    assert Window(40, None, None)(None, 40) == Reach(None)


def test_double_precision_stays_double() -> None:
    reach = WINDOWS[0](None, 90)
    qkv = make_qkv(90).detach().double().requires_grad_()
    ours, theirs = banded_attention(qkv, reach.blocks), with_a_mask(qkv, reach)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(gradient(ours, qkv), gradient(theirs, qkv), rtol=1e-12, atol=1e-12)


def make_network() -> tuple[NDT, torch.Tensor]:
    torch.manual_seed(3)
    spec = TaskSpec(6, 8, 90, 90, (), 0.02, (0.0,) * 8)
    net = NDT(spec, context_forward_s=0.08, context_backward_s=0.16).eval()
    assert net.window(None, 90).blocks
    return net, torch.randn(16, 90, 6)


def test_a_traced_or_exported_network_takes_other_batches() -> None:
    net, spikes = make_network()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of tracing, that sizes are compared
        traced = torch.jit.trace(net, (spikes,))
    torch.testing.assert_close(traced(spikes[:3]), net(spikes[:3]))
    exported = torch.export.export(net, (spikes,)).module()
    torch.testing.assert_close(exported(spikes), net(spikes))


def test_gradients_of_functional_transforms(monkeypatch) -> None:
    monkeypatch.setattr("neuroblend.models.parts.attention.LEAST_ROWS", 0)
    net, spikes = make_network()
    weights = {name: weight.detach() for name, weight in net.named_parameters()}

    def loss(weights: dict[str, torch.Tensor], spikes: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(net, weights, (spikes,)).square().mean()

    found = torch.func.grad(loss)(weights, spikes)
    loss(dict(net.named_parameters()), spikes).backward()
    for name, weight in net.named_parameters():
        torch.testing.assert_close(found[name], weight.grad)
    groups = torch.stack([spikes, spikes.flip(0) * 2])
    each = torch.func.vmap(torch.func.grad(loss), (None, 0))(weights, groups)
    torch.testing.assert_close(each["embed.weight"][0], found["embed.weight"])
    assert not torch.allclose(each["embed.weight"][1], found["embed.weight"])


def test_the_layer_takes_blocks_where_there_are_some(monkeypatch) -> None:
    monkeypatch.setattr(
        "neuroblend.models.parts.attention.banded_attention", lambda qkv, blocks: qkv[:, :, 2]
    )
    qkv = make_qkv(90, n_trials=12)
    assert torch.equal(attended(qkv, WINDOWS[0](None, 90)), qkv[:, :, 2])
    few = attended(qkv[:2], WINDOWS[0](None, 90))
    torch.testing.assert_close(few, with_a_mask(qkv[:2], WINDOWS[0](None, 90)))
    whole = attended(qkv, Reach(None))
    torch.testing.assert_close(whole, with_a_mask(qkv, Reach(None)))
