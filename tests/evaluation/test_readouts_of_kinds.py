"""Read-outs of behavior of a mix of kinds."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from neuroblend.data.channel import Channel
from neuroblend.evaluation.behavior_sums import BehaviorSums, deciding_score
from neuroblend.evaluation.decoder import Decoder
from neuroblend.evaluation.glm import MOST_SAMPLES, PENALTIES, fit_channel
from neuroblend.evaluation.lagged import segment_means
from neuroblend.evaluation.mixed import OfTrials
from neuroblend.evaluation.readout import FAMILIES, WHOLE_TRIAL, best_of, read_outs

MIX = (
    Channel("x"),
    Channel("angle", "circular", "deg", period=360.0),
    Channel("state", "discrete", categories=("a", "b", "c")),
    Channel("lick", "events"),
    Channel("choice", "discrete", categories=("left", "right"), per_trial=True),
    Channel("time", per_trial=True),
)


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def recording(n_trials=60, n_bins=12, seed=0):
    """Signals from which everything follows, and behavior of each kind."""
    rng = np.random.default_rng(seed)
    signal = rng.normal(size=(n_trials, n_bins, 8)) + rng.normal(size=(n_trials, 1, 8))
    angle = np.degrees(np.arctan2(signal[..., 1], signal[..., 2])) % 360
    mean = signal.mean(axis=1)
    once = np.stack([mean[:, 5] > 0, mean[:, 6]], axis=1)[:, None].repeat(n_bins, axis=1)
    of_bins = [
        signal[..., 0],
        angle,
        (signal[..., 3] > -0.5).astype(float) + (signal[..., 3] > 0.5),
        rng.poisson(np.exp(signal[..., 4] - 1)),
    ]
    return signal, np.concatenate([np.stack(of_bins, axis=2), once], axis=2)


def parts(values):
    return {"train": values[:36], "valid": values[36:48], "test": values[48:]}


@pytest.fixture(scope="module")
def mixed():
    signal, behavior = recording()
    behavior[3, 4:, 2] = behavior[5, :, 4] = behavior[7, 2, 1] = np.nan
    found = read_outs(parts(signal), parts(behavior), FAMILIES[:1], 0.2, channels=MIX)
    return best_of(found), signal, behavior


def test_each_kind_is_decoded_from_one_signal(mixed) -> None:
    found, _, _ = mixed
    scores = {name: value[0] for name, value in found.test.scores(MIX).items()}
    assert scores["decoding_r2/x"] > 0.95 and scores["decoding_r2/time"] > 0.8
    assert scores["circular_skill"] > 0.8 and scores["angular_error"] < 30
    assert scores["balanced_accuracy/state"] > 0.8 > 1 / 3
    assert scores["balanced_accuracy/choice"] > 0.7 and scores["auc/choice"] > 0.8
    assert "auc/state" not in scores
    assert scores["event_bits"] > 0.2
    assert next(iter(scores)) == "decoding_skill" == deciding_score(MIX)
    assert 0.5 < scores["decoding_skill"] < 1
    assert found.valid_skill > 0.5


def test_decoded_values_are_in_the_units_of_the_recording(mixed) -> None:
    found, signal, behavior = mixed
    decoded = found.decoder(signal)
    assert decoded.shape == behavior.shape
    assert decoded[..., 1].min() >= 0 and decoded[..., 1].max() < 360
    assert set(np.unique(decoded[..., 2])) <= {0, 1, 2} and (decoded[..., 3] >= 0).all()
    assert (np.ptp(decoded[..., 4:], axis=1) == 0).all()
    probabilities = found.decoder.probabilities(signal)
    assert set(probabilities) == {"state", "choice"}
    np.testing.assert_allclose(probabilities["state"].sum(axis=2), 1)


def test_a_decoder_is_the_same_from_its_arrays(mixed) -> None:
    found, signal, _ = mixed
    again = Decoder.from_arrays(found.decoder.to_arrays())
    assert again.links == found.decoder.links
    np.testing.assert_array_equal(again(signal), found.decoder(signal))


def test_missing_behavior_enters_neither_fit_nor_score(mixed) -> None:
    found, signal, behavior = mixed
    wild = np.where(np.isnan(behavior), 0, behavior)
    wild[50] = 1e6
    wild[50, :, 2:5] = np.nan
    wild[50, :, :2] = wild[50, :, 5:] = np.nan
    sums, _ = BehaviorSums.of(found.decoder, signal[48:], wild[48:], MIX)
    left = np.delete(np.arange(48, 60), 2)
    alone, _ = BehaviorSums.of(found.decoder, signal[left], wild[left], MIX)
    for name, score in sums.scores(MIX).items():
        np.testing.assert_allclose(score, alone.scores(MIX)[name], err_msg=name, atol=0.01)


def test_bins_after_the_end_of_a_trial_are_nan_and_change_nothing(mixed) -> None:
    found, signal, _ = mixed
    short = signal.copy()
    short[:5, 8:] = np.nan
    decoded = found.decoder(short)
    assert np.isnan(decoded[:5, 8:]).all() and np.isfinite(decoded[:5, :8]).all()
    alone = found.decoder(signal[:5, :8])
    np.testing.assert_allclose(decoded[:5, :8], alone)


def test_values_of_trials_alone_need_no_lags() -> None:
    signal, behavior = recording()
    once = tuple(channel for channel in MIX if channel.per_trial)
    found = read_outs(parts(signal), parts(behavior[..., 4:]), FAMILIES, channels=once)
    assert [each.family for each in found] == [WHOLE_TRIAL]
    assert "whole trial" in repr(found[0].decoder)


def test_categories_of_trials_are_a_plain_logistic_regression() -> None:
    signal, behavior = recording()
    choice = (MIX[4],)
    found, _ = OfTrials.fit(parts(signal), parts(behavior[..., 4:5]), choice, segments=(1,))
    decoder = Decoder(
        np.zeros((1, 8, 0)), np.zeros(0), np.zeros(1, int), found.links, found.weights, found.offset
    )
    x, y = parts(signal.mean(axis=1)), parts(behavior[:, 0, 4])
    scaled = {p: (each - x["train"].mean(0)) / x["train"].std(0) for p, each in x.items()}
    models = [
        LogisticRegression(C=1 / p, tol=1e-6, max_iter=999).fit(scaled["train"], y["train"])
        for p in PENALTIES
    ]
    wanted = [m.predict_proba(scaled["test"])[:, 1] for m in models]
    probability = decoder.probabilities(parts(signal)["test"])["choice"][:, 0, 1]
    assert min(np.abs(probability - each).max() for each in wanted) < 0.01


def test_what_validation_trials_chose_is_fitted_again_with_them() -> None:
    signal, behavior = recording()
    choice = (MIX[4],)
    given = parts(signal), parts(behavior[..., 4:5])
    first, again = OfTrials.fit(*given, choice, segments=(1,))
    x, y = signal.mean(axis=1)[:48], behavior[:48, 0, 4]
    x = (x - x.mean(0)) / x.std(0)
    slopes = [
        LogisticRegression(C=1 / p, tol=1e-6, max_iter=999).fit(x, y).coef_[0] for p in PENALTIES
    ]
    outputs = np.einsum("btn,nq->bq", signal[:48], again.weights[0]) / signal.shape[1]
    logits = outputs[:, 1] - outputs[:, 0]
    off = [np.abs(logits - logits.mean() - x @ slope).max() for slope in slopes]
    assert min(off) < 0.01 < np.abs(again.weights - first.weights).max()


def test_trials_that_judge_a_read_out_were_not_fitted() -> None:
    """Labels at random, which a decoder of many neurons knows by heart once it has seen them."""
    rng = np.random.default_rng(5)
    signal = rng.normal(size=(90, 2, 200))
    label = rng.integers(0, 2, size=(90, 1, 1)).repeat(2, axis=1).astype(float)
    of = [{"train": v[:30], "valid": v[30:60], "test": v[60:]} for v in (signal, label)]
    found = read_outs(*of, FAMILIES, channels=(MIX[4],))[0]
    assert found.valid_skill < 0.3
    assert found.test.scores((MIX[4],))["balanced_accuracy"][0] < 0.75


def test_a_rare_category_is_not_passed_over_for_being_rare() -> None:
    rng = np.random.default_rng(1)
    signal = rng.normal(size=(200, 1, 3))
    rare = (signal[..., 0] + rng.normal(0, 1, size=(200, 1)) > 1.8).astype(float)[:, :, None]
    channel = replace(MIX[4], name="rare")
    cut = {"train": slice(100), "valid": slice(100, 150), "test": slice(150, 200)}
    of = {p: signal[s] for p, s in cut.items()}, {p: rare[s] for p, s in cut.items()}
    scores = read_outs(*of, FAMILIES, channels=(channel,))[0].test.scores((channel,))
    assert scores["balanced_accuracy"][0] > 0.65


@pytest.mark.parametrize("kind", ["discrete", "events"])
def test_what_is_rare_among_many_samples_is_fitted(rng, kind) -> None:
    """Every eighth sample, which a fit would look at, has none of it."""
    n = 8 * MOST_SAMPLES
    x = rng.normal(size=(n, 2))
    y = ((x[:, 0] > 1) & (np.arange(n) % 8 != 0)).astype(float)
    channel = Channel("lick", kind, categories=("no", "yes") if kind == "discrete" else ())
    assert fit_channel(channel, x, y, x[:999], y[:999]).skill > 0.2


def test_a_category_with_few_of_many_samples_leaves_the_others_to_be_told_apart(rng) -> None:
    n = 8 * MOST_SAMPLES
    x = rng.normal(size=(n, 2))
    y = (x[:, 0] > 0).astype(float)
    y[1:40:8] = 2
    channel = Channel("state", "discrete", categories=("a", "b", "c"))
    assert fit_channel(channel, x, y, x[:999], y[:999]).skill > 0.5


def test_angular_errors_have_no_chance_since_directions_may_lie_close_together(mixed) -> None:
    found, _, _ = mixed
    assert found.test.chance(MIX, "angular_error/angle") is None
    assert found.test.chance(MIX, "circular_skill/angle") == 0
    assert found.test.chance(MIX, "balanced_accuracy/choice") == 0.5


def test_segments_of_a_trial_share_its_bins_evenly() -> None:
    signal = np.arange(10.0)[None, :, None].repeat(2, axis=0)
    signal[1, 3:] = np.nan
    np.testing.assert_allclose(segment_means(signal, 2)[:, :, 0], [[2, 7], [0, 1.5]])
    np.testing.assert_allclose(segment_means(signal, 4)[1, :, 0], [0, 0, 1, 2])
    np.testing.assert_allclose(segment_means(signal, 1)[:, 0, 0], [4.5, 1])
