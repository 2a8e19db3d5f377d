"""Which arms and scores a run has follows from what its behavior is."""

from dataclasses import replace

import numpy as np
import pytest

from neuroblend.cli.options import kinds
from neuroblend.data.channel import Channel
from neuroblend.data.split import split_trials
from neuroblend.data.trials import Trials
from neuroblend.errors import InputError
from neuroblend.evaluation.score import score_signals, scores_on_test
from neuroblend.evaluation.scored import Scored
from neuroblend.experiments.decoding.experiment import Decoding
from neuroblend.experiments.decoding.load import prepared
from neuroblend.experiments.decoding.rivals import rival_signals, segments_of
from neuroblend.experiments.decoding.settings import RunConfig
from neuroblend.task.task import Task

CHOICE = Channel("choice", "discrete", categories=("left", "right"), per_trial=True)


def recording(n_trials=80, seed=0):
    rng = np.random.default_rng(seed)
    choice = rng.random(n_trials) < 0.3
    spikes = rng.poisson(0.5 + choice[:, None, None] * np.linspace(0, 1, 8), (n_trials, 6, 8))
    words = np.where(choice, "right", "left")
    return Trials.from_arrays(spikes, bin_s=0.05, behavior={"choice": words})


def names(channels):
    config = RunConfig(controls="all").of_channels(channels)
    return {arm.name for arm in Decoding(config).arms()}


def test_rivals_are_those_that_are_for_the_kinds() -> None:
    assert {"kalman", "wiener"} <= names([Channel("x")])
    assert "logistic" not in names([Channel("x")])
    assert "logistic" in names([CHOICE]) and "kalman" not in names([CHOICE])
    mixed = names([Channel("x"), CHOICE])
    assert "logistic" in mixed and "kalman" not in mixed
    state = Channel("state", "discrete", categories=("a", "b"))
    assert "logistic" not in names([state, Channel("time", per_trial=True)])
    assert RunConfig().of_channels([Channel("x")]) == RunConfig()


@pytest.mark.parametrize(("controls", "is_said"), [("all", True), ("default", False)])
def test_a_rival_that_is_not_for_the_kinds_is_said_to_be_left_out(controls, is_said) -> None:
    trials = recording()
    experiment = Decoding(RunConfig(controls=controls)).of(trials)
    notes = experiment.data_facts(trials)["notes"]
    assert any(note.startswith("kalman is left out") for note in notes) == is_said
    plain = Decoding(RunConfig(controls="all").of_channels([Channel("x")]))
    assert not plain.left_out()


def test_a_logistic_regression_on_counts_is_scored_and_stored(tmp_path) -> None:
    trials = recording()
    task = Task.of(trials, split_trials(trials, 0))
    batch = task.batch_of(np.arange(trials.n_trials))
    signals = rival_signals("logistic", None, task, batch)
    scored, valid = score_signals(signals, task, segments=segments_of("logistic"))
    assert list(signals) == ["spikes"] and list(valid) == ["decoding_skill"]
    scored.save(tmp_path / "test.h5")
    again = Scored.load(tmp_path / "test.h5")
    scores = scores_on_test([again], trials.channels)
    assert scores == scores_on_test([scored], trials.channels)
    assert scores["balanced_accuracy"] > 0.8 and scores["auc/choice"] > 0.8
    assert "decoding_r2" not in scores and "behavior_r2" not in scores
    assert again.decoder.links == scored.decoder.links


def test_of_a_mix_logistic_is_that_of_the_category_alone() -> None:
    trials = recording()
    assert trials.behavior is not None
    moves = np.random.default_rng(1).normal(size=trials.behavior.shape).astype(np.float32)
    channels = (Channel("x"), *trials.channels)
    mixed = replace(
        trials, behavior=np.concatenate([moves, trials.behavior], axis=2), channels=channels
    )
    found = {}
    for each in (trials, mixed):
        task = Task.of(each, split_trials(trials, 0))
        signals = rival_signals("logistic", None, task, task.batch_of(np.arange(each.n_trials)))
        scored, _ = score_signals(signals, task, segments=segments_of("logistic"))
        found[each is mixed] = scores_on_test([scored], each.channels)
    for name in ("balanced_accuracy/choice", "auc/choice", "log_loss_gain/choice"):
        assert found[True][name] == pytest.approx(found[False][name])
    assert found[True]["decoding_skill"] < found[False]["balanced_accuracy"]


def test_categories_without_conditions_are_split_in_proportion() -> None:
    trials = recording()
    assert trials.behavior is not None
    right = trials.behavior[:, 0, 0]
    for seed in range(5):
        split = split_trials(trials, seed)
        shares = [right[part].mean() for part in (split.train, split.valid, split.test)]
        assert np.ptp(shares) < 0.1


def test_kinds_come_from_the_command_line() -> None:
    assert kinds(["a=b=circular", "lick=events"]) == {"a=b": "circular", "lick": "events"}
    assert kinds(None) is None
    for given, what in ((["lick"], "NAME=KIND"), (["a=event"], "events"), (["a=events"] * 2, "")):
        if what:
            with pytest.raises(InputError, match=what):
                kinds(given)


def test_trials_that_have_kinds_are_not_given_others() -> None:
    settings = {"kinds": {"choice": "continuous"}}
    with pytest.raises(InputError, match="has it as discrete"):
        prepared(recording(), RunConfig(data=settings))
    with pytest.raises(InputError, match="no such channel"):
        prepared(recording(), RunConfig(data={"kinds": {"chioce": "discrete"}}))
