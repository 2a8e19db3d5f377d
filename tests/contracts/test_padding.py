"""Padding changes nothing: trials of different length, for every model, strategy and score."""

import numpy as np
import pytest
import torch
from conftest import make_example, make_task, make_trials, refuses
from test_models import build, build_teacher, models
from test_strategies import LAYER, make_pair, make_term, value

from neuroblend.behavior.kind import Behavior
from neuroblend.data.trials import Trials
from neuroblend.distill.objective import Objective
from neuroblend.distill.pair import Output, Pair
from neuroblend.evaluation.metrics import PsthSums, psths
from neuroblend.evaluation.score import score_rates, scores_on_test
from neuroblend.privilege.roles import Student
from neuroblend.registry import MODELS, STRATEGIES
from neuroblend.task.batch import Batch
from neuroblend.training.masking import EntryMask, TimeMask

LENGTHS = np.tile([12, 9, 7, 10], 10)
LONG = np.tile([72, 50, 30, 64], 10)  # long enough for attention in blocks


def padded_trials(pad_to: int = 12, condition: bool = False) -> Trials:
    """Trials of 7 to 12 bins, padded to ``pad_to``."""
    whole, more = make_trials(), ((0, 0), (0, pad_to - 12), (0, 0))
    there = (np.arange(pad_to) < LENGTHS[:, None])[:, :, None]
    spikes, behavior = np.pad(whole.spikes, more), np.pad(whole.behavior, more)
    return make_trials(
        spikes=np.where(there, spikes, 0),
        behavior=np.where(there, behavior, np.nan),
        rates=np.where(there, 0.1 + 0.05 * spikes, np.nan),
        lengths=LENGTHS,
        condition=np.arange(40) % 2 if condition else None,
    )


def with_garbage(batch: Batch) -> Batch:
    """The batch with padding that, were it looked at, would show."""
    padding = ~batch.present[:, :, None]
    values = batch.behavior.values.masked_fill(padding, 50.0)
    return batch._replace(
        spikes=batch.spikes.masked_fill(padding, 30.0),
        behavior=Behavior(values, batch.behavior.present),
        target=batch.target.masked_fill(padding, 30.0),
    )


def gradient_of(student: Student, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """The loss of a batch, and its gradient by every weight."""
    student.train().zero_grad()
    torch.manual_seed(4)
    loss = Objective()(student, batch)["loss"]
    loss.backward()
    return loss, torch.cat([weight.grad.flatten() for weight in student.parameters()])


@models
def test_what_stands_in_padding_reaches_no_rate(name) -> None:
    task, batch = make_example(padded_trials())
    assert not batch.present.all()
    for model in (build(name, task).eval(), build_teacher(name, task).eval()):
        clean, dirty = model(batch), model(with_garbage(batch))
        torch.testing.assert_close(clean[batch.present], dirty[batch.present])


@pytest.mark.parametrize(
    ("name", "settings"), [*((name, {}) for name in sorted(MODELS)), ("lfads", {"n_samples": 2})]
)
def test_a_padded_trial_has_the_rates_of_the_trial_alone(name, settings) -> None:
    task, batch = make_example(padded_trials())
    student = build(name, task, **settings).eval()
    padded = student(batch)
    for i in range(8):
        n = int(batch.present[i].sum())
        alone = student(Batch(batch.spikes[i : i + 1, :n]))
        torch.testing.assert_close(padded[i, :n], alone[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["ndt", "stndt"])
def test_padding_changes_nothing_where_attention_is_in_blocks(name, monkeypatch) -> None:
    monkeypatch.setattr("neuroblend.models.parts.attention.LEAST_ROWS", 1000)
    whole = make_trials(n_bins=72)
    padding = np.arange(72) >= LONG[:, None]
    spikes, behavior = whole.spikes.copy(), whole.behavior.copy()
    spikes[padding], behavior[padding] = 0, np.nan
    task, batch = make_example(make_trials(spikes=spikes, behavior=behavior, lengths=LONG))
    reach = {"context_forward_s": 0.08, "context_backward_s": 0.16}
    student = build(name, task, **reach)
    assert student.net.window(batch.present, 72).blocks
    assert batch.n_trials * 2 * 72 > 1000
    padded = student.eval()(batch)
    torch.testing.assert_close(
        padded[batch.present], student(with_garbage(batch))[batch.present], rtol=1e-4, atol=1e-5
    )
    for i in range(4):  # a batch of one is too small for blocks: the same rates with a mask
        n = int(batch.present[i].sum())
        alone = student(Batch(batch.spikes[i : i + 1, :n]))
        torch.testing.assert_close(padded[i, :n], alone[0], rtol=1e-4, atol=1e-5)
    gradients = [gradient_of(student, given)[1] for given in (batch, with_garbage(batch))]
    torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-5)


@models
@pytest.mark.parametrize("mask", [TimeMask(), EntryMask()])
def test_padding_enters_no_loss_and_no_gradient(name, mask) -> None:
    task = make_task(padded_trials())
    batch = mask(task.batch("train"), 3)
    losses, gradients = zip(
        *(gradient_of(build(name, task), given) for given in (batch, with_garbage(batch))),
        strict=True,
    )
    torch.testing.assert_close(*losses)
    torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("mask", [TimeMask(ratio=0.5), EntryMask(ratio=0.5)])
def test_a_mask_hides_nothing_of_padding_and_scores_none(mask) -> None:
    batch = mask(make_task(padded_trials()).batch("train"), 0)
    assert not batch.scored[~batch.present].any()
    assert batch.scored[batch.present].any()


@pytest.mark.parametrize("normalisation", ["element", "released"])
@pytest.mark.parametrize("name", sorted(STRATEGIES))
def test_a_strategy_is_blind_to_padding(name, normalisation) -> None:
    """The loss of trials cut to 30 bins, whatever stands in the ten after."""
    pair = make_pair()
    present = (torch.arange(40) < 30).expand(64, -1)

    def dirty(x):
        return x.masked_fill(~present[:, :, None], 70.0)

    def cut(x):
        return x[:, :30]

    def changed(change, present) -> Pair:
        batch = pair.batch.map(change)._replace(present=present)
        if present is not None:
            values, known, _ = batch.behavior
            batch = batch._replace(behavior=Behavior(values, known & present[:, :, None]))
        outputs = [
            Output(change(o.log_rates), {LAYER: change(o.features[LAYER])})
            for o in (pair.student, pair.teacher)
        ]
        return Pair(batch, *outputs, pair.model)

    losses = []
    for change, given in ((dirty, present), (cut, None)):
        torch.manual_seed(0)
        losses.append(value(make_term(name, normalisation), changed(change, given)))
    torch.testing.assert_close(*losses, rtol=1e-4, atol=1e-6)


def test_scores_do_not_depend_on_how_far_trials_are_padded() -> None:
    scores = []
    for pad_to in (12, 20):
        task = make_task(padded_trials(pad_to, condition=True))
        rng = np.random.default_rng(5)
        rates = np.full((40, pad_to, 10), 7.0)  # of padding, which no score may see
        rates[:, :12] = 0.2 + rng.random((40, 12, 10))
        scored, valid = score_rates(rates.astype(np.float32), task)
        scores.append(
            scores_on_test([scored], task.trials.channels)
            | {f"valid {k}": v for k, v in valid.items()}
        )
    assert {"co_bps", "behavior_r2", "psth_r2", "rate_r2"} <= set(scores[0])
    assert scores[0] == pytest.approx(scores[1])


def test_psths_of_padded_trials_are_means_of_those_that_are_there() -> None:
    counts = np.full((3, 60, 2), np.nan)
    counts[0, :60], counts[1, :60], counts[2, :20] = 1.0, 3.0, 8.0
    found = psths(counts, np.array([0, 0, 0]), 1, 0.01)[0]
    assert found[0] == pytest.approx(4.0, rel=0.1)
    assert found[-1] == pytest.approx(2.0, rel=0.01)
    assert found[0, 0] > found[30, 0] > found[-1, 0]
    one = psths(counts[2:], np.array([0]), 1, 0.01)[0]
    np.testing.assert_allclose(one[:20], 8.0)
    assert np.isnan(one[20:]).all()
    rates = np.random.default_rng(0).random((3, 60, 2))
    rates[2, 20:] = np.nan
    truth = np.random.default_rng(1).random((1, 60, 2))
    by_hand = np.nanmean(rates, axis=0)
    expected = 1 - ((by_hand - truth[0]) ** 2).sum(0) / ((truth[0] - truth[0].mean(0)) ** 2).sum(0)
    assert PsthSums(rates, np.zeros(3, int), truth).r2()[0] == pytest.approx(expected.mean())


def test_forward_bins_want_trials_of_one_length() -> None:
    message = "forward bins: found 2 and trials of 7 to 12 bins"
    refuses(message, make_task, padded_trials(), forward_bins=2)


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        (np.full(40, 13), "wanted 40 whole numbers of bins, each 1 to 12"),
        (np.zeros(40, int), "each 1 to 12"),
        (np.full(39, 12), "wanted 40 whole numbers"),
        (np.full(40, 7.5), "whole numbers"),
        (np.full(40, 3), "trial 0 has 3 bins, but spikes after them"),
    ],
)
def test_lengths_that_cannot_be(lengths, message) -> None:
    refuses(message, make_trials, lengths=lengths)


def test_lengths_survive_a_file_and_whole_trials_have_none(tmp_path) -> None:
    trials = padded_trials()
    trials.save(tmp_path / "t.h5")
    back = Trials.load(tmp_path / "t.h5")
    np.testing.assert_array_equal(back.lengths, LENGTHS)
    np.testing.assert_array_equal(back.rates, trials.rates)
    assert make_trials(lengths=np.full(40, 12)).lengths is None
    n_bins = LENGTHS.sum()
    np.testing.assert_allclose(trials.rate_hz, trials.spikes.sum((0, 1)) / n_bins / 0.02)
