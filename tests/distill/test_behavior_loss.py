"""Encodings and losses of each kind of behavior, against closed forms and scikit-learn."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy.stats import poisson
from sklearn.metrics import log_loss

import neuroblend as nb
from neuroblend.behavior.encoding import BehaviorEncoding
from neuroblend.data.channel import Channel
from neuroblend.distill.behavior_loss import behavior_loss, loss_of

B, T = 40, 12
RNG = np.random.default_rng(3)
CHANNELS = (
    Channel("speed"),
    Channel("heading", "circular", "deg", period=360.0),
    Channel("state", "discrete", categories=("rest", "walk", "run")),
    Channel("licks", "events"),
    Channel("choice", "discrete", categories=("left", "right"), per_trial=True),
    Channel("reaction_time", per_trial=True),
)


def samples() -> np.ndarray:
    per_bin = [
        RNG.normal(3, 2, (B, T)),
        RNG.vonmises(0.5, 1, (B, T)) * 180 / np.pi,
        RNG.choice(3, (B, T), p=[0.5, 0.3, 0.2]),
        RNG.poisson(0.4, (B, T)),
    ]
    per_trial = [RNG.choice(2, (B, 1), p=[0.7, 0.3]), RNG.gamma(2, 1, (B, 1))]
    columns = per_bin + [np.repeat(values, T, axis=1) for values in per_trial]
    return np.stack(columns, axis=2).astype(np.float32)


SAMPLES = samples()
ENCODING = BehaviorEncoding.of(SAMPLES, CHANNELS)
BEHAVIOR = ENCODING.encode(SAMPLES)
P = BEHAVIOR.values.shape[2]


def of(kind: str, per_trial: bool = False):
    return next(g for g in ENCODING.groups if (g.kind, g.per_trial) == (kind, per_trial))


def alone(group, outputs: torch.Tensor) -> float:
    """The loss of one channel: of ``outputs`` within its features."""
    own = BEHAVIOR._replace(groups=(group,))
    everything = torch.zeros(*outputs.shape[:2], P)
    everything[..., group.start : group.stop] = outputs
    return float(behavior_loss(everything, own))


def test_features_of_each_kind() -> None:
    values = BEHAVIOR.values.numpy()
    assert [(g.start, g.stop) for g in ENCODING.groups] == [
        (0, 1), (1, 3), (3, 6), (6, 7), (7, 9), (9, 10),
    ]  # fmt: skip
    for column in (0, 6, 9):
        assert_allclose(values[..., column].mean(), 0, atol=1e-6)
        assert_allclose(values[..., column].std(), 1, rtol=1e-6)
    angle = np.rad2deg(np.arctan2(values[..., 2], values[..., 1]))
    assert_allclose(np.cos(np.deg2rad(angle - SAMPLES[..., 1])), 1, atol=1e-6)
    assert (values[..., 3:6].argmax(-1) == SAMPLES[..., 2]).all()
    assert (values[..., 3:6].sum(-1) == 1).all()


def test_the_best_guess_without_spikes_has_loss_one() -> None:
    guess = torch.zeros(B, T, P)
    turn = np.exp(1j * np.deg2rad(SAMPLES[..., 1])).mean()
    guess[..., 1], guess[..., 2] = float(turn.real), float(turn.imag)
    for group, column in ((of("discrete"), 2), (of("discrete", True), 4)):
        share = np.bincount(SAMPLES[..., column].astype(int).ravel()) / (B * T)
        guess[..., group.start : group.stop] = torch.from_numpy(np.log(share)).float()
    for group in ENCODING.groups:
        assert_allclose(float(behavior_loss(guess, BEHAVIOR._replace(groups=(group,)))), 1, 1e-5)
    assert_allclose(float(behavior_loss(guess, BEHAVIOR)), 1, 1e-5)


def test_cross_entropy_is_that_of_scikit_learn() -> None:
    logits = torch.randn(B, T, 3, generator=torch.Generator().manual_seed(0))
    probabilities = logits.softmax(2).reshape(-1, 3).numpy().astype(np.float64)
    probabilities /= probabilities.sum(1, keepdims=True)
    wanted = log_loss(SAMPLES[..., 2].ravel(), probabilities, labels=[0, 1, 2])
    assert_allclose(alone(of("discrete"), logits), wanted / of("discrete").chance, rtol=1e-5)


def test_deviance_of_events_is_that_of_scipy() -> None:
    group, counts = of("events"), SAMPLES[..., 3].astype(np.float64)
    log_ratio = np.full((B, T), 0.3)
    rate = counts.mean() * np.exp(log_ratio)
    half_deviance = poisson.logpmf(counts, np.maximum(counts, 1e-12)) - poisson.logpmf(counts, rate)
    found = alone(group, torch.from_numpy(log_ratio).float()[..., None])
    assert_allclose(found, half_deviance.mean() / group.chance, rtol=1e-4)


def test_a_value_of_a_trial_is_compared_once_with_the_mean_over_its_bins() -> None:
    group = of("continuous", per_trial=True)
    outputs = torch.randn(B, T, 1, generator=torch.Generator().manual_seed(1))
    wanted = BEHAVIOR.values[:, 0, group.start]
    expected = (outputs.mean(1)[:, 0] - wanted).square().mean()
    assert_allclose(alone(group, outputs), float(expected), rtol=1e-5)


def test_missing_samples_enter_no_loss() -> None:
    gappy = SAMPLES.copy()
    gappy[:5] = np.nan  # whole trials
    gappy[7, 3:6, :4] = np.nan
    behavior = ENCODING.encode(gappy)
    outputs = torch.randn(B, T, P, generator=torch.Generator().manual_seed(2))
    wild = outputs.clone()
    wild[:5] = 1e3
    wild[7, 3:6, :7] = 1e3
    kept = [
        behavior_loss(o, behavior._replace(groups=ENCODING.groups[:4])) for o in (outputs, wild)
    ]
    assert_allclose(float(kept[0]), float(kept[1]))
    whole = [behavior_loss(o[5:], behavior.map(lambda part: part[5:])) for o in (outputs, wild)]
    assert_allclose(float(whole[0]), float(behavior_loss(outputs, behavior)), rtol=1e-5)


def test_all_continuous_is_the_mean_squared_error_as_ever() -> None:
    plain = BehaviorEncoding.of(SAMPLES[..., [0, 0]], CHANNELS[:1] * 2).encode(SAMPLES[..., [0, 0]])
    outputs = torch.randn(B, T, 2, generator=torch.Generator().manual_seed(2))
    assert plain.groups == ()
    expected = (outputs - plain.values).square().mean()
    assert_allclose(float(behavior_loss(outputs, plain)), float(expected), rtol=1e-6)
    same = loss_of(())(outputs, plain.values, plain.present)
    assert_allclose(float(same), float(expected), rtol=1e-6)


@pytest.mark.parametrize(
    ("channel", "values", "message"),
    [
        (CHANNELS[4], np.zeros((4, T)), "'choice' is left in every trial of the train trials"),
        (CHANNELS[3], np.ones((4, T)), "'licks' is 1 in every bin"),
    ],
)
def test_what_does_not_vary_is_refused(channel, values, message) -> None:
    with pytest.raises(nb.InputError, match=message):
        BehaviorEncoding.of(values[..., None].astype(np.float32), [channel])
