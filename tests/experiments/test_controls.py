"""Rivals and controls as arms of a run."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import make_task, make_trials, tiny_config

import neuroblend as nb
from neuroblend.data.trials import Trials
from neuroblend.distill.objective import Objective
from neuroblend.evaluation.readout import FAMILIES, FEATURES, LOG_RATES, RATES, SAME_BIN, log_of
from neuroblend.evaluation.score import score_rates, scores_on_test
from neuroblend.evaluation.scored import Scored
from neuroblend.experiments.decoding.experiment import Decoding
from neuroblend.experiments.decoding.rivals import rival_signals
from neuroblend.experiments.decoding.shuffled import ShuffledTask
from neuroblend.models.gru import GRU
from neuroblend.privilege.roles import Student

ARMS = {
    "none": set(),
    "default": {"wiener", "direct"},
    "all": {
        *("wiener", "direct", "kalman", "two-heads", "masked-modalities"),
        *("blind-teacher", "self-distilled", "shuffled-teacher", "shuffled"),
    },
}


@pytest.mark.parametrize("controls", ARMS)
def test_controls_are_arms(controls) -> None:
    arms = {arm.name: arm for arm in Decoding(tiny_config(controls=controls)).arms()}
    assert set(arms) - {"teacher", "baseline", "multitask", "hard"} == ARMS[controls]
    rivals = ARMS[controls] & {"wiener", "kalman", "direct"}
    assert set(arms["baseline"].compared_with) == rivals
    teaching = ARMS[controls] & {"two-heads", "masked-modalities", "self-distilled", "shuffled"}
    assert set(arms["hard"].compared_with) == {"baseline", "multitask", *rivals, *teaching}
    candidates = {name for name, arm in arms.items() if arm.candidate}
    one_network = ARMS[controls] & {"two-heads", "masked-modalities"}
    assert candidates == {"baseline", "multitask", "hard", *one_network}
    for name, teacher in (("self-distilled", "blind-teacher"), ("shuffled", "shuffled-teacher")):
        if name in arms:
            assert (arms[name].teacher, arms[name].terms) == (teacher, ("hard",))
            assert list(arms).index(teacher) < list(arms).index(name)


@pytest.mark.parametrize(
    ("strategies", "terms"),
    [
        (["hard", "feature"], ("feature",)),
        (["soft", "hard"], ("soft",)),
        (["feature+multitask"], None),
    ],
)
def test_controls_without_behavior_are_distilled_by_a_strategy_of_the_run(
    strategies, terms
) -> None:
    config = tiny_config(controls="all", distill={"strategies": strategies})
    arms = {arm.name: arm for arm in Decoding(config).arms()}
    assert ("shuffled" in arms) is (terms is not None)
    if terms:
        assert arms["shuffled"].terms == arms["self-distilled"].terms == terms


def test_a_run_with_all_controls_ends_with_scores_and_names_what_to_use(tmp_path) -> None:
    run = nb.run(make_trials(), tmp_path / "run", tiny_config(controls="all"), jobs=1, quiet=True)
    results = run.results()
    assert ARMS["all"] <= set(results["arms"])
    for arm in ("wiener", "kalman", "direct"):
        assert "co_bps" not in results["arms"][arm]
        assert f"{results['selected']} - {arm}" in results["contrasts"]
    assert "shuffled - self-distilled" in results["contrasts"]
    history = pd.read_csv(run.of(run.find("hard", 0, None)) / "history.csv")
    assert (history["balance"] > 0).all()  # what distillation was multiplied by
    assert set(results["readouts"]) == set(results["arms"]) - {"oracle"}
    trials = make_trials()
    split = run.splits()[0]
    for arm in ("wiener", "kalman", "direct"):  # what is named to be used can be used
        scored = Scored.load(run.of(run.find(arm, 0, None)) / "test.h5")
        found = nb.predict_run(run, trials.spikes[split.test], arm)
        assert found.rates is None
        np.testing.assert_allclose(found.behavior, scored.decoded, rtol=1e-4, atol=1e-4)
        found.save(tmp_path / "p.h5")
    shown = {c.kind for c in nb.verdict(results | {"selected": "hard", "n_tested": 40}).caveats}
    assert "self-distilled" in shown and "shuffled" not in shown
    with pytest.raises(nb.InputError, match="a teacher needs behavior"):
        nb.predict_run(run, make_trials().spikes, "shuffled-teacher")


@pytest.mark.parametrize("goal", ["co-bps", "both"])
def test_a_verdict_follows_from_any_goal(tmp_path, goal) -> None:
    """Rivals have no co-bps: where that decides, they are not compared."""
    run = nb.run(make_trials(), tmp_path / "run", tiny_config(goal=goal, seeds=2), quiet=True)
    sentence = nb.verdict(run.results()).sentence
    assert sentence.startswith(("Use ", "For behavior alone use ", "No conclusion"))
    assert run.results()["deciding"] == ["co_bps" if goal == "co-bps" else "decoding_r2"]
    nb.write_report(run)


@pytest.mark.parametrize("arm", ["wiener", "kalman"])
def test_rivals_are_blind_to_padding(arm) -> None:
    made, lengths = make_trials(), np.r_[12, 9, np.full(38, 12)]
    here = np.arange(12)[:, None] < lengths[:, None, None]
    trials = [
        Trials.from_arrays(
            np.pad(np.where(here, made.spikes, 0), ((0, 0), (0, pad), (0, 0))),
            0.02,
            np.pad(made.behavior[:, :12], ((0, 0), (0, pad), (0, 0)), constant_values=np.nan),
            lengths=lengths,
        )
        for pad in (0, 5)
    ]
    found = []
    for each in trials:
        task = make_task(each)
        batch = task.batch_of(np.arange(40))
        found.append(rival_signals(arm, None, task, batch))
    for name, values in found[0].items():
        np.testing.assert_allclose(found[1][name][:, :12], values, rtol=1e-6, atol=1e-9)
        assert np.isnan(found[1][name][:, 12:]).all()


def test_behavior_alone_explains_spikes_in_the_terms_of_one_network() -> None:
    """A batch whose behavior is right costs less than one whose behavior is another trial's."""
    task = make_task(make_trials(n_trials=200))
    for name in ("two-heads", "masked-modalities"):
        torch.manual_seed(0)
        student = Student(GRU(task.spec, width=8))
        objective = Objective(name, layer="norm", weights={name: 1.0})
        nb.train(student, task, objective, {"epochs": 15, "lr": 1e-2, "mask": "bins"})
        losses = []
        for batch in (task.batch("test"), ShuffledTask(task, 0)._permuted(task.batch("test"))):
            torch.manual_seed(1)
            losses.append(float(objective(student, batch)[name].detach()))
        assert losses[0] < losses[1], name


def test_shuffling_moves_behavior_between_trials_and_nothing_else() -> None:
    task = make_task()
    shuffled = ShuffledTask(task, seed=0)
    mine, whole = shuffled.example(), task.example()
    assert torch.equal(mine.spikes, whole.spikes) and torch.equal(mine.target, whole.target)
    assert not torch.equal(mine.behavior.values, whole.behavior.values)
    as_rows = {row.numpy().tobytes() for row in whole.behavior.values}
    assert {row.numpy().tobytes() for row in mine.behavior.values} == as_rows
    assert torch.equal(mine.behavior.values, shuffled.example().behavior.values)


def test_behavior_may_be_read_out_of_features_but_for_the_benchmarks_score() -> None:
    task = make_task()
    trials = task.trials
    rates = np.random.default_rng(0).random(trials.spikes.shape).astype(np.float32) + 0.1
    alone, valid = score_rates(rates, task)
    scored, valid_both = score_rates(rates, task, trials.behavior.astype(np.float32))
    assert alone.readout[0] in (RATES, LOG_RATES)
    assert scored.readout == (FEATURES, SAME_BIN)
    assert valid_both["behavior_r2"] == valid["behavior_r2"]
    before, after = (scores_on_test([s], trials.channels) for s in (alone, scored))
    assert after["behavior_r2"] == before["behavior_r2"]
    assert after["decoding_r2"] > 0.99 > before["decoding_r2"]
    np.testing.assert_allclose(
        scored.decoder(trials.behavior[task.split.test]), scored.decoded, rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize(
    ("model", "given", "expected"), [("ndt", {}, 0.1), ("gru", {}, 0.3), ("gru", 0.2, 0.2)]
)
def test_a_behavior_read_out_weighs_what_suits_the_model(model, given, expected) -> None:
    distill = {"strategies": ["multitask"]} | ({"multitask_weight": given} if given else {})
    decoding = Decoding(tiny_config(distill=distill, model={"name": model, "settings": {}}))
    task = make_task()
    arm = next(arm for arm in decoding.arms() if arm.name == "multitask")
    objective = decoding.objective(arm, decoding.build(arm, task, 0), task, None)
    assert objective.weights["multitask"] == expected
    arm = replace(arm, name="two-heads", terms=("two-heads",))
    objective = decoding.objective(arm, decoding.build(arm, task, 0), task, None)
    assert objective.weights["two-heads"] == (given or 0.1)


def test_behavior_may_be_read_out_of_log_rates() -> None:
    """Where these are linear in it; the benchmark's score stays that of rates."""
    trials = make_trials(n_trials=60)
    task, rng = make_task(trials), np.random.default_rng(0)
    mixing = rng.normal(size=(2, trials.n_neurons))
    rates = np.exp(trials.behavior @ mixing - 1).astype(np.float32)
    scored, valid = score_rates(rates, task)
    assert scored.readout[0] == LOG_RATES and valid["decoding_r2"] > 0.999
    assert valid["behavior_r2"] < valid["decoding_r2"]
    decoded = scored.decoder(log_of(rates[task.split.test]))
    np.testing.assert_allclose(decoded, scored.decoded, rtol=1e-4, atol=1e-4)
    assert np.isfinite(log_of(np.zeros((1, 1, 1)))).all()
    assert np.isnan(log_of(np.full((1, 1, 1), np.nan))).all()


def test_a_student_that_is_read_out_of_log_rates_predicts(tmp_path, monkeypatch) -> None:
    def of_log_rates(found):
        return max(found, key=lambda each: (each.signal == LOG_RATES, each.valid_skill))

    monkeypatch.setattr("neuroblend.evaluation.score.best_of", of_log_rates)
    trials = make_trials()
    run = nb.run(trials, tmp_path / "run", tiny_config(controls="none"), quiet=True)
    assert set(run.results()["readouts"]["hard"]) <= {
        f"{family} of {LOG_RATES}" for family in FAMILIES
    }
    predicted = nb.predict_run(run, trials.spikes, "hard")
    fit = run.find("hard", 0, None)
    scored = Scored.load(run.of(fit) / "test.h5")
    np.testing.assert_allclose(predicted.behavior[scored.trial], scored.decoded, atol=1e-4)


@pytest.mark.parametrize(
    ("strategies", "expected"),
    [
        (["denoised"], ("feature",)),
        (["hard+subspace", "soft"], ("soft",)),
        (["hard", "feature", "denoised"], ("feature",)),
        (["feature+multitask"], None),
    ],
)
def test_what_is_distilled_without_behavior_looks_at_none(strategies, expected) -> None:
    """A read-out fitted to behavior would bring in what self-distillation is to leave out."""
    config = tiny_config(controls="all", distill={"strategies": strategies})
    arms = {arm.name: arm for arm in Decoding(config).arms()}
    found = arms["self-distilled"].terms if "self-distilled" in arms else None
    assert found == expected
