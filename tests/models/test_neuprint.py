"""What NeuPRINT predicts a cell from, its dynamics by hand, and who stands for the population.

Shape legend: ``B`` windows, ``T`` frames, ``N`` neurons, ``S`` signals of a cell, ``F`` features of
the population's state, ``E`` features of an embedding.
"""

import math

import pytest
import torch
from conftest import refuses
from torch import Tensor, nn

from neuroblend.models.neuprint import DYNAMICS, Attention, Bilinear, CellSpec, NeuPRINT, Recurrent
from neuroblend.models.parts.positions import sinusoids
from neuroblend.task.batch import Batch
from neuroblend.training.masking import EntryMask

B, T, N, S, F, E = 2, 12, 10, 3, 4, 5
TESTED = (2, 7)
KINDS = ("linear", "recurrent", "attention")


def make_spec(n_behavior=0, tested=TESTED, with_position=True) -> CellSpec:
    """Cells within reach of some others, but for the last."""
    generator = torch.Generator().manual_seed(3)
    position = 150 * torch.rand(N, 2, generator=generator)
    position[-1] = 1000.0
    reference = torch.tensor([cell not in tested for cell in range(N)])
    return CellSpec(N, n_behavior, reference, position if with_position else None)


def make_net(dynamics="linear", spec=None, **settings) -> NeuPRINT:
    """A small network whose embeddings are large enough to matter."""
    torch.manual_seed(1)
    small = {"n_embedding": E, "n_pooled": 2, "n_state": F, "context_frames": 1}
    net = NeuPRINT(spec or make_spec(), dynamics, **(small | settings))
    nn.init.normal_(net.embedding.weight)
    return net.eval()


def make_activity(seed=0) -> Tensor:
    return torch.randn(B, T, N, generator=torch.Generator().manual_seed(seed))


def given_to(layer: nn.Module, call) -> tuple[Tensor, ...]:
    """Return what ``layer`` is given while ``call()`` runs."""
    seen: list[tuple[Tensor, ...]] = []
    with layer.register_forward_pre_hook(lambda _, given: seen.append(given)):
        call()
    (given,) = seen
    return given


EVERY = torch.arange(N)


def test_every_kind_of_dynamics_is_covered() -> None:
    assert set(DYNAMICS) == set(KINDS)


# what a cell is predicted from


@pytest.mark.parametrize(
    ("dynamics", "frames"), [("linear", {6}), ("attention", {5, 6}), ("recurrent", set(range(7)))]
)
def test_a_cell_is_predicted_from_its_own_past_alone(dynamics, frames) -> None:
    """A cell that stands for no population reaches its own prediction by its past and only so."""
    net, cell = make_net(dynamics), TESTED[0]
    activity = make_activity().requires_grad_()
    (gradient,) = torch.autograd.grad(net(activity, EVERY)[:, 7, cell].sum(), activity)
    heard = gradient[:, :, cell].abs().sum(dim=0) > 0
    assert {int(frame) for frame in heard.nonzero()} == frames
    changed = make_activity()
    changed[:, 7:, cell] = 1e3
    before, after = net(make_activity(), EVERY), net(changed, EVERY)
    assert torch.equal(after[:, :8, cell], before[:, :8, cell])
    assert not torch.equal(after[:, 8, cell], before[:, 8, cell])


@pytest.mark.parametrize("dynamics", KINDS)
def test_the_present_of_a_reference_cell_reaches_it_through_the_population_alone(dynamics) -> None:
    net, cell = make_net(dynamics), 4
    changed = make_activity()
    changed[:, 7, cell] += 10
    own, state, _ = given_to(net.dynamics, lambda: net(make_activity(), EVERY))
    own_then, state_then, _ = given_to(net.dynamics, lambda: net(changed, EVERY))
    assert torch.equal(own_then[:, :8, cell], own[:, :8, cell])
    assert not torch.equal(state_then[:, 7], state[:, 7])
    # with the population's state as it was, nothing of it is left
    predicted = net.dynamics(own, state, net.embedding.weight)
    then = net.dynamics(own_then, state, net.embedding.weight)
    assert torch.equal(then[:, :8, cell], predicted[:, :8, cell])
    assert not torch.equal(then[:, 8, cell], predicted[:, 8, cell])


@pytest.mark.parametrize("n_behavior", [0, 2])
@pytest.mark.parametrize("dynamics", KINDS)
def test_what_is_hidden_and_asked_for_reaches_no_prediction(dynamics, n_behavior) -> None:
    net = make_net(dynamics, make_spec(n_behavior))
    behavior = torch.randn(B, T, n_behavior) if n_behavior else None
    activity = make_activity()
    scored = torch.zeros(B, T, N, dtype=torch.bool)
    masked = EntryMask(0.4)(Batch(activity, None, activity, scored), 5)
    other = activity.where(~masked.scored, 100.0)
    again = EntryMask(0.4)(Batch(other, None, other, scored), 5)
    assert 0.2 < masked.scored.float().mean() < 0.6
    assert torch.equal(net(again.spikes, EVERY, behavior), net(masked.spikes, EVERY, behavior))


@pytest.mark.parametrize("dynamics", KINDS)
def test_a_tested_cell_changes_no_prediction_but_its_own(dynamics) -> None:
    net, cell = make_net(dynamics), TESTED[1]
    others = torch.arange(N) != cell
    before = net(make_activity(), EVERY)
    changed = make_activity()
    changed[:, :, cell] = 50 * torch.randn(B, T)
    after = net(changed, EVERY)
    assert torch.equal(after[:, :, others], before[:, :, others])
    assert not torch.equal(after[:, :, cell], before[:, :, cell])
    with torch.no_grad():
        net.embedding.weight[cell] += 5
    after = net(make_activity(), EVERY)
    assert torch.equal(after[:, :, others], before[:, :, others])
    assert not torch.equal(after[:, :, cell], before[:, :, cell])
    moved = make_spec()
    moved.position[cell] = moved.position[0]
    after = make_net(dynamics, moved)(make_activity(), EVERY)
    assert torch.equal(after[:, :, others], before[:, :, others])


@pytest.mark.parametrize("dynamics", KINDS)
def test_a_reference_cell_changes_the_predictions_of_all(dynamics) -> None:
    net = make_net(dynamics)
    changed = make_activity()
    changed[:, 5, 0] += 20
    moved = (net(changed, EVERY) - net(make_activity(), EVERY)).abs().amax(dim=(0, 1))
    assert (moved > 1e-4).all()


def test_predictions_follow_the_cells_in_whatever_order_they_stand() -> None:
    net, order = make_net("attention"), torch.randperm(N)
    activity = make_activity()
    moved, there = net(activity[:, :, order], order), net(activity, EVERY)[:, :, order]
    torch.testing.assert_close(moved, there, atol=1e-5, rtol=1e-5)


# the state of the population, and neighbours


def test_signals_of_the_population_are_those_of_reference_cells_by_hand() -> None:
    net = make_net(spec=make_spec(n_behavior=2))
    activity, behavior = make_activity(), torch.randn(B, T, 2)
    neurons = torch.tensor([9, 2, 4, 0, 7])  # a session need not have all cells
    seen = activity[:, :, neurons]
    (signals,) = given_to(net.filter, lambda: net(seen, neurons, behavior))
    is_reference = torch.tensor([int(cell) not in TESTED for cell in neurons])
    crowd = seen[:, :, is_reference]
    weights = (net.embedding.weight @ net.pool.weight.T)[neurons][is_reference]
    spread = (crowd.var(dim=2, correction=0) + 1e-6).sqrt() - 1
    pooled = torch.einsum("btn,np->btp", crowd, weights) / math.sqrt(crowd.shape[2])
    expected = torch.cat([crowd.mean(dim=2)[..., None], spread[..., None], pooled, behavior], dim=2)
    torch.testing.assert_close(signals, expected.transpose(1, 2), atol=1e-5, rtol=1e-6)


@pytest.mark.parametrize("context", [0, 1, 3])
def test_the_state_looks_as_far_as_its_context(context) -> None:
    net = make_net(context_frames=context)
    changed = make_activity()
    changed[:, 6] += torch.randn(N)
    states = [
        given_to(net.dynamics, lambda x=x: net(x, EVERY))[1] for x in (make_activity(), changed)
    ]
    moved = (states[1] - states[0]).abs().amax(dim=(0, 2)) > 0
    assert moved.nonzero().flatten().tolist() == list(range(6 - context, 7 + context))


def test_the_published_state_is_mean_and_deviation_of_the_frame() -> None:
    net = make_net(n_pooled=0, context_frames=0)
    assert net.pool is None
    assert net.filter.weight.shape == (F, 2, 1)
    (signals,) = given_to(net.filter, lambda: net(make_activity(), EVERY))
    crowd = make_activity()[:, :, net.reference]
    torch.testing.assert_close(signals[:, 0], crowd.mean(dim=2))
    torch.testing.assert_close(signals[:, 1], crowd.std(dim=2, correction=0) - 1)


def test_neighbours_are_reference_cells_within_the_radius_without_the_cell_itself() -> None:
    spec = make_spec()
    net, activity = make_net(spec=spec, radius=65.0), make_activity()
    own, _, _ = given_to(net.dynamics, lambda: net(activity, EVERY))
    assert own.shape == (B, T, N, 3)
    torch.testing.assert_close(own[:, 1:, :, 0], activity[:, :-1])
    assert not own[:, 0, :, 0].any()
    within = (spec.position[:, None] - spec.position).norm(dim=2) <= 65
    within &= net.reference & ~torch.eye(N, dtype=torch.bool)
    for i, near in enumerate(within):
        if not near.any():
            assert not own[:, :, i, 1:].any()
            continue
        values = activity[:, :, near]
        torch.testing.assert_close(own[:, :, i, 1], values.mean(dim=2), atol=1e-5, rtol=1e-5)
        deviation = (values.var(dim=2, correction=0) + 1e-6).sqrt() - 1
        torch.testing.assert_close(own[:, :, i, 2], deviation, atol=1e-3, rtol=1e-3)
    n_near = within.sum(dim=1).tolist()
    assert n_near[-1] == 0 and 1 in n_near and max(n_near) >= 3


def test_neighbours_do_not_hang_on_where_the_origin_is() -> None:
    """On a grid whose step is the radius, far from the origin of the microscope's coordinates."""
    n = 36
    step = 65.0 * torch.arange(6)
    grid = torch.cartesian_prod(step, step)
    activity = torch.randn(1, 4, n)
    reference, cells = torch.ones(n, dtype=torch.bool), torch.arange(n)
    found = []
    for origin in (0.0, 1e5):
        net = make_net(spec=CellSpec(n, 0, reference, grid + origin), radius=65.0)
        found.append(given_to(net.dynamics, lambda net=net: net(activity, cells))[0])
    torch.testing.assert_close(found[1], found[0])
    corner = activity[:, :, [1, 6]].mean(dim=2)
    torch.testing.assert_close(found[0][:, :, 0, 1], corner)


def test_without_positions_a_cell_has_its_past_alone() -> None:
    net = make_net(spec=make_spec(with_position=False))
    own, _, _ = given_to(net.dynamics, lambda: net(make_activity(), EVERY))
    assert own.shape == (B, T, N, 1)


# embeddings from another table


@pytest.mark.parametrize("dynamics", KINDS)
def test_a_fresh_embedding_changes_the_prediction_of_its_cell_alone(dynamics) -> None:
    net, activity = make_net(dynamics), make_activity()
    fresh = net.embedding.weight.detach().clone()
    before = net(activity, EVERY)
    assert torch.equal(net(activity, EVERY, fresh=fresh), before)
    for cell in (0, TESTED[0]):
        changed = fresh.clone()
        changed[cell] += 3
        moved = (net(activity, EVERY, fresh=changed) - before).abs().amax(dim=(0, 1)) > 0
        assert moved.nonzero().flatten().tolist() == [cell]


@pytest.mark.parametrize("dynamics", KINDS)
def test_where_no_cell_is_known_all_stand_for_the_population(dynamics) -> None:
    activity, fresh = make_activity(), torch.randn(N, E)
    strangers = make_net(dynamics, make_spec(tested=range(N)))
    known = make_net(dynamics, make_spec(tested=()))
    with torch.no_grad():
        known.embedding.weight.copy_(fresh)
    torch.testing.assert_close(strangers(activity, EVERY, fresh=fresh), known(activity, EVERY))


# behavior


@pytest.mark.parametrize("dynamics", KINDS)
def test_behavior_enters_through_the_state_of_the_population(dynamics) -> None:
    net = make_net(dynamics, make_spec(n_behavior=2))
    behavior = torch.randn(B, T, 2, requires_grad=True)
    own, state, _ = given_to(net.dynamics, lambda: net(make_activity(), EVERY, behavior))
    assert not own.requires_grad
    (gradient,) = torch.autograd.grad(state.square().sum(), behavior)
    assert (gradient.abs().sum(dim=(0, 1)) > 0).all()
    other = net(make_activity(), EVERY, behavior + 1)
    assert not torch.allclose(other, net(make_activity(), EVERY, behavior))


# weights


@pytest.mark.parametrize("n_behavior", [0, 2])
@pytest.mark.parametrize("with_position", [True, False])
@pytest.mark.parametrize("dynamics", KINDS)
def test_a_gradient_reaches_every_weight(dynamics, with_position, n_behavior) -> None:
    net = make_net(dynamics, make_spec(n_behavior, with_position=with_position)).train()
    behavior = torch.randn(B, T, n_behavior) if n_behavior else None
    present = EVERY[:-1]
    predicted = net(make_activity()[:, :, present], present, behavior)
    (predicted * torch.randn(predicted.shape)).sum().backward()
    for name, weight in net.named_parameters():
        assert weight.grad is not None and weight.grad.abs().sum() > 0, name
    reached = net.embedding.weight.grad.abs().sum(dim=1) > 0
    assert reached.tolist() == [True] * (N - 1) + [False]


@pytest.mark.parametrize("dynamics", KINDS)
def test_what_is_asked_of_reference_cells_moves_no_embedding_of_a_tested_one(dynamics) -> None:
    net = make_net(dynamics)
    net(make_activity(), EVERY)[:, :, net.reference].square().sum().backward()
    reached = net.embedding.weight.grad.abs().sum(dim=1) > 0
    assert torch.equal(reached, net.reference)


def test_only_weights_are_stored() -> None:
    """Which cells are tested and where they are belongs to a task."""
    net = make_net()
    assert set(net.state_dict()) == {name for name, _ in net.named_parameters()}


# the three dynamics by hand


def make_signals() -> tuple[Tensor, Tensor, Tensor]:
    return torch.randn(B, T, N, S), torch.randn(B, T, F), torch.randn(N, E)


def test_the_bilinear_form_by_hand() -> None:
    torch.manual_seed(2)
    form, (own, state, embedding) = Bilinear(S, F, E), make_signals()
    takes, keeps, offset = (
        embedding @ part.weight.T + part.bias for part in (form.of_state, form.of_own, form.offset)
    )
    from_state = torch.einsum("btf,nf->btn", state, takes) / math.sqrt(F)
    expected = from_state + torch.einsum("btns,ns->btn", own, keeps) + offset[:, 0]
    torch.testing.assert_close(form(own, state, embedding), expected, atol=1e-5, rtol=1e-6)


def inputs_of(own: Tensor, state: Tensor, embedding: Tensor) -> Tensor:
    """Return (B * N, T, S + F + E) everything side by side for each cell and frame."""
    parts = [own, state[:, :, None].expand(B, T, N, F), embedding.expand(B, T, N, E)]
    return torch.cat(parts, dim=3).transpose(1, 2).flatten(0, 1)


def side_by_side(tokens: nn.Module) -> Tensor:
    return torch.cat([tokens.own.weight, tokens.frame.weight, tokens.cell.weight], dim=1)


def test_the_recurrent_form_is_a_gated_recurrent_network_of_each_cell() -> None:
    torch.manual_seed(2)
    form, signals = Recurrent(S, F, E, width=6), make_signals()
    theirs = nn.GRU(S + F + E, 6, batch_first=True)
    with torch.no_grad():
        theirs.weight_ih_l0.copy_(side_by_side(form.tokens))
        theirs.bias_ih_l0.copy_(form.tokens.own.bias)
        theirs.weight_hh_l0.copy_(form.hidden.weight)
        theirs.bias_hh_l0.copy_(form.hidden.bias)
    hidden, _ = theirs(inputs_of(*signals))
    expected = form.readout(hidden)[..., 0].unflatten(0, (B, N)).transpose(1, 2)
    torch.testing.assert_close(form(*signals), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("positions", [False, True])
@pytest.mark.parametrize("scale_tokens", [False, True])
def test_attention_is_one_layer_of_a_transformer_that_sees_two_frames(
    positions, scale_tokens
) -> None:
    torch.manual_seed(2)
    form = Attention(S, F, E, 6, 2, 11, positions=positions, scale_tokens=scale_tokens).eval()
    theirs = nn.TransformerEncoderLayer(6, 2, 11, 0.0, batch_first=True, norm_first=True)
    layers = {
        "self_attn.out_proj": form.project,
        "linear1": form.expand,
        "linear2": form.contract,
        "norm1": form.norm_attention,
        "norm2": form.norm_perceptron,
    }
    pairs = {f"{k}.{name}": w for k, part in layers.items() for name, w in part.named_parameters()}
    pairs |= {f"self_attn.in_proj_{name}": w for name, w in form.qkv.named_parameters()}
    with torch.no_grad():
        for norm in (form.norm_attention, form.norm_perceptron):
            nn.init.normal_(norm.weight)
            nn.init.normal_(norm.bias)
    theirs.load_state_dict(pairs)
    signals = make_signals()
    tokens = inputs_of(*signals) @ side_by_side(form.tokens).T + form.tokens.own.bias
    if scale_tokens:
        tokens = tokens * math.sqrt(6)
    if positions:
        tokens = tokens + sinusoids(T, 6)
    frame = torch.arange(T)
    hidden = (frame[:, None] - frame[None] < 0) | (frame[:, None] - frame[None] > 1)
    expected = form.readout(theirs(tokens, src_mask=hidden))[..., 0]
    torch.testing.assert_close(
        form(*signals), expected.unflatten(0, (B, N)).transpose(1, 2), atol=1e-5, rtol=1e-5
    )


def test_dropout_of_attention_is_there_in_training_alone() -> None:
    net = make_net("attention", dropout=0.5)
    activity = make_activity()
    assert torch.equal(net(activity, EVERY), net(activity, EVERY))
    net.train()
    assert not torch.equal(net(activity, EVERY), net(activity, EVERY))


# settings


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_embedding": 0}, "found n_embedding 0, .* wanted 1 or more"),
        ({"n_state": 0}, "n_state 0"),
        ({"n_pooled": -1}, "n_pooled -1"),
        ({"context_frames": -1}, "context_frames -1"),
        ({"radius": 0.0}, "radius 0, wanted .* a distance above 0"),
        ({"dynamics": "liner"}, "no dynamics 'liner': did you mean 'linear'"),
        ({"dynamics": "linear", "width": 8}, "linear dynamics: .*unexpected .*'width'"),
        ({"dynamics": "recurrent", "width": 0}, "recurrent dynamics: found width 0, wanted 1"),
        ({"dynamics": "recurrent", "n_heads": 2}, "recurrent dynamics: .*'n_heads'"),
        ({"dynamics": "attention", "width": 9}, "found width 9, n_heads 2 .*a multiple of n_heads"),
        ({"dynamics": "attention", "feedforward": 0}, "feedforward 0, wanted 1 or more"),
        ({"dynamics": "attention", "dropout": 1.0}, "dropout: found 1"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message) -> None:
    refuses(message, NeuPRINT, make_spec(), **settings)


@pytest.mark.parametrize("dynamics", KINDS)
def test_who_is_asked_is_predicted_from_the_others(dynamics) -> None:
    """As a cell that is no reference is; of itself, it sees the frames before."""
    net = make_net(dynamics)
    activity = make_activity().requires_grad_()
    asked = torch.tensor([5, 0])
    predicted = net(activity, EVERY, asked=asked)
    assert predicted.shape == (B, T, 2)
    others = net.reference.clone()
    others[asked] = False
    as_others = make_net(dynamics, make_spec(tested=(*TESTED, 5, 0)))
    with torch.no_grad():  # averages are of fewer cells, and what cells share is as large in them
        as_others.pool.weight *= math.sqrt(8 / 6)
    torch.testing.assert_close(predicted, as_others(activity, EVERY)[:, :, asked])
    (gradient,) = torch.autograd.grad(predicted[:, 5, 0].sum(), activity)
    own = gradient[:, :, asked[0]].abs().sum(dim=0)
    assert own[4] > 0
    assert not own[5:].any()
    assert gradient[:, 5:, others].any()


def test_who_is_asked_alone_has_no_population() -> None:
    """No population is one of mean activity, and of no deviation from what is usual."""
    net = make_net()
    (signals,) = given_to(net.filter, lambda: net(make_activity(), EVERY, asked=EVERY))
    assert not signals.any()


def test_a_cell_without_a_position_has_no_neighbours() -> None:
    spec = make_spec()
    spec.position[3] = torch.nan
    predicted = make_net(spec=spec)(make_activity(), EVERY)
    assert torch.isfinite(predicted).all()
    spec.position[3] = 5000.0
    torch.testing.assert_close(predicted, make_net(spec=spec)(make_activity(), EVERY))


def test_where_all_are_tested_nothing_is_learned_from_standing_for_the_population() -> None:
    net = make_net(spec=make_spec(tested=range(N)))
    fresh = torch.randn(N, E, requires_grad=True)
    predicted = net(make_activity(), EVERY, fresh=fresh, asked=torch.tensor([1, 4]))
    (gradient,) = torch.autograd.grad(predicted.square().sum(), fresh)
    assert (gradient.abs().sum(dim=1) > 0).nonzero().flatten().tolist() == [1, 4]
