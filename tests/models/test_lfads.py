"""The variational parts of LFADS, against closed forms, sampling and torch.distributions."""

import pytest
import torch
from conftest import make_task
from torch.distributions import Normal, kl_divergence

from neuroblend.distill.objective import Objective, own_losses
from neuroblend.models import lfads as module
from neuroblend.models.lfads import LFADS
from neuroblend.privilege.roles import Student

SMALL = {"generator": 8, "factors": 5, "encoder": 6, "controller": 7, "inputs": 2, "initial": 4}


def make_net(**changes) -> LFADS:
    torch.manual_seed(1)
    return LFADS(make_task().spec, **(SMALL | changes))


def test_the_divergence_of_initial_conditions_is_that_of_two_gaussians() -> None:
    mean, variance = torch.randn(6, 4), torch.rand(6, 4) + 0.1
    prior_mean, prior_variance = torch.randn(4), torch.tensor(0.1)
    found = module._divergence(module._Gaussian(mean, variance), prior_mean, prior_variance)
    posterior = Normal(mean, variance.sqrt())
    expected = kl_divergence(posterior, Normal(prior_mean, prior_variance.sqrt()))
    torch.testing.assert_close(found, expected)


def test_the_divergence_from_the_autoregressive_prior_goes_on_from_what_was_drawn() -> None:
    prior = module._InputPrior(2, tau_bins=4.0)
    with torch.no_grad():
        prior.log_noise.copy_(torch.tensor([-1.0, 0.3]))
        prior.log_tau.copy_(torch.tensor([1.5, 0.2]))
    mean, variance, drawn = torch.randn(3, 7, 2), torch.rand(3, 7, 2) + 0.05, torch.randn(3, 7, 2)
    found = prior.divergence(module._Inputs(module._Gaussian(mean, variance), drawn))
    keep, noise = torch.exp(-1 / prior.log_tau.exp()), prior.log_noise.exp()
    for t in range(7):
        if t == 0:
            expected_prior = Normal(torch.zeros(2), (noise / (1 - keep**2)).sqrt())
        else:
            expected_prior = Normal(keep * drawn[:, t - 1], noise.sqrt())
        nats = kl_divergence(Normal(mean[:, t], variance[:, t].sqrt()), expected_prior).sum(1)
        torch.testing.assert_close(found[:, t], nats)


def test_a_posterior_process_that_is_the_prior_does_not_diverge() -> None:
    prior = module._InputPrior(1, tau_bins=4.0)
    keep, noise = torch.exp(-1 / prior.log_tau.exp()), prior.log_noise.exp()
    drawn = torch.randn(5, 9, 1)
    mean = torch.nn.functional.pad(drawn, (0, 0, 1, 0))[:, :-1] * keep
    variance = noise.expand(5, 9, 1).clone()
    variance[:, 0] = noise / (1 - keep**2)
    found = prior.divergence(module._Inputs(module._Gaussian(mean, variance), drawn))
    torch.testing.assert_close(found, torch.zeros(5, 9), atol=1e-5, rtol=0)


@pytest.mark.parametrize("pad_to", [12, 20])
def test_the_divergence_does_not_depend_on_how_far_trials_are_padded(pad_to) -> None:
    spikes = torch.nn.functional.pad(make_task().batch("train").spikes, (0, 0, 0, pad_to - 12))
    present = (torch.arange(pad_to) < 9).expand(len(spikes), -1)
    net = make_net(dropout=0.0).train()
    kl = []
    for given, there in ((spikes, present), (spikes[:, :9], present[:, :9])):
        torch.manual_seed(0)
        net(given, there)
        kl.append(net.own_losses(1.0)["kl"].item())
    # the noise of inferred inputs is drawn for all bins, so it differs where there are more
    assert kl[0] == pytest.approx(kl[1], rel=0.1)


def test_averaged_samples_do_not_depend_on_the_batch() -> None:
    spikes = make_task().batch("train").spikes
    net = make_net(n_samples=3).eval()
    torch.testing.assert_close(net(spikes[4:5])[0], net(spikes)[4])


def test_own_losses_ramp_up_and_belong_to_one_training_call() -> None:
    net = make_net(kl_ramp=0.5, l2_generator=2.0, l2_controller=3.0)
    batch = make_task().batch("train")
    student = Student(net).train()
    kl = []
    for progress in (0.0, 0.25, 0.5, 1.0):
        torch.manual_seed(0)
        student(batch)
        kl.append(own_losses(student, progress)["kl"].item())
    assert kl[0] == 0
    assert kl[1:] == pytest.approx([kl[3] / 2, kl[3], kl[3]], rel=1e-5)
    assert kl[3] > 0
    student(batch)
    l2 = own_losses(student)["l2"].item()
    generator, controller = net.decoder.generator.weight_hh, net.decoder.controller.weight_hh
    by_hand = 2 * (generator**2).mean() / 2 + 3 * (controller**2).mean() / 2
    assert l2 == pytest.approx(by_hand.item())
    with pytest.raises(ValueError, match="before a call"):
        own_losses(student)
    assert own_losses(student.eval()) == {}


def test_divergence_weights_scale_each_divergence_and_count_entries() -> None:
    batch, losses = make_task().batch("train"), {}
    for weights in ((1.0, 0.0), (0.0, 1.0), (3.0, 2.0)):
        net = make_net(kl_initial=weights[0], kl_inputs=weights[1]).train()
        torch.manual_seed(0)
        net(batch.spikes)
        losses[weights] = net.own_losses(1.0)["kl"].item()
    expected = 3 * losses[1.0, 0.0] + 2 * losses[0.0, 1.0]
    assert losses[3.0, 2.0] == pytest.approx(expected, rel=1e-5)
    net = make_net(kl_inputs=0.0, dropout=0.0).train()
    net(batch.spikes)
    encoded = net.encode_initial(batch.spikes, None)[1]
    mean, log_variance = net.initial_posterior(encoded).chunk(2, dim=1)
    posterior = Normal(mean, (log_variance.exp() + module.LEAST_VARIANCE).sqrt())
    prior = Normal(net.prior_mean, module.PRIOR_VARIANCE**0.5)
    nats = kl_divergence(posterior, prior).sum(1).mean() / (12 * 10)  # bins and neurons
    assert net.own_losses(1.0)["kl"].item() == pytest.approx(nats.item(), rel=1e-5)


def test_the_objective_adds_own_losses_to_the_task() -> None:
    batch = make_task().batch("train")
    student = Student(make_net()).train()
    parts = Objective(counts_per_entry=0.5)(student, batch)
    assert set(parts) == {"loss", "task", "kl", "l2"}
    assert parts["loss"].item() == pytest.approx(
        (parts["task"] + parts["kl"] + parts["l2"]).item() / 0.5, rel=1e-5
    )


def test_training_samples_and_evaluation_takes_the_mean_or_an_average_of_samples() -> None:
    batch = make_task().batch("train")
    net = make_net(dropout=0.0)
    torch.manual_seed(0)
    drawn = [net.train()(batch.spikes) for _ in range(2)]
    assert not torch.equal(*drawn)
    net.eval()
    assert torch.equal(net(batch.spikes), net(batch.spikes))
    net.n_samples = 1000
    with torch.no_grad():
        averaged = net(batch.spikes)
        assert torch.equal(averaged, net(batch.spikes))  # the same samples at every call
        torch.manual_seed(3)
        by_hand = torch.stack([net.train()(batch.spikes).exp() for _ in range(400)]).mean(0).log()
    assert (averaged - by_hand).abs().mean() < 0.04
    assert (averaged - drawn[0]).abs().mean() > 0.1


def test_an_autonomous_generator_has_no_controller() -> None:
    net = make_net(inputs=0)
    assert net.decoder.controller is None
    log_rates = net.train()(make_task().batch("train").spikes)
    log_rates.sum().backward()
    assert torch.isfinite(log_rates).all()
    assert set(net.own_losses(1.0)) == {"kl", "l2"}


def test_the_two_encoders_may_differ_in_size() -> None:
    net = LFADS(make_task().spec, encoder=5, encoder_inputs=3)
    assert net.encode_inputs is not None
    assert net.encode_initial.recurrent.hidden_size == 5
    assert net.encode_inputs.recurrent.hidden_size == 3


def test_inferred_inputs_do_not_see_their_own_bin() -> None:
    """With the initial condition cut off, spikes of a bin move no rate before it, nor its input."""
    encoded = torch.randn(2, 6, 8)
    lagged = module._lagged(encoded, None, 8)
    forward, backward = lagged.chunk(2, dim=2)
    torch.testing.assert_close(forward[:, 1:6], encoded[:, :5, :4])
    torch.testing.assert_close(backward[:, :5], encoded[:, 1:, 4:])
    assert not forward[:, 0].any()
    assert not backward[:, 5:].any()


@pytest.mark.parametrize("n_samples", [0, 2])
def test_double_precision_stays_double(n_samples) -> None:
    net = make_net(n_samples=n_samples).double()
    spikes = torch.ones(3, 10, net.encode_initial.recurrent.input_size, dtype=torch.float64)
    net.train()(spikes).sum().backward()
    assert net.own_losses(1.0)["kl"].dtype == torch.float64
    assert net.eval()(spikes).dtype == torch.float64
