import json
import shutil
from dataclasses import replace

import h5py
import numpy as np
import pytest
import yaml
from conftest import make_trials, refuses, tiny_config, watch_fits

from neuroblend.data.trials import Trials
from neuroblend.engine.folder import RunFolder
from neuroblend.errors import InputError
from neuroblend.experiments.decoding.apply import predict_run
from neuroblend.experiments.decoding.experiment import Decoding
from neuroblend.experiments.run import run

STRATEGIES = ["hard", "feature+multitask"]


def with_conditions(**fields: object) -> Trials:
    return make_trials(n_trials=48, condition=np.arange(48) % 3, **fields)


def weights_of(folder: RunFolder, arm: str) -> bytes:
    return (folder.path / arm / "seed0/model.safetensors").read_bytes()


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> RunFolder:
    out = tmp_path_factory.mktemp("runs") / "a"
    config = tiny_config(seeds=2, distill={"strategies": STRATEGIES}, data={"forward_bins": 2})
    return run(with_conditions(), out, config)


def test_the_folder_holds_what_is_promised(finished) -> None:
    names = {path.name for path in finished.path.iterdir()}
    arms = {
        "teacher", "baseline", "student-multitask", "student-hard", "student-feature+multitask",
        "reference-wiener", "reference-direct",
    }  # fmt: skip
    files = {"config.yaml", "provenance.json", "results.json", "splits.json", "trials.h5"}
    assert names == arms | files
    for arm in arms:
        for seed in (0, 1):
            held = {path.name for path in (finished.path / arm / f"seed{seed}").iterdir()}
            network = set() if arm == "reference-wiener" else {"model.safetensors"}
            assert held == {"history.csv", "scores.json", "test.h5"} | network


def test_results_have_every_arm_metric_and_contrast(finished) -> None:
    results = finished.results()
    rivals = ["wiener", "direct"]
    students = ["multitask", *STRATEGIES]
    assert set(results["arms"]) == {"teacher", "baseline", *students, *rivals}
    assert results["candidates"] == ["baseline", *students]
    assert results["selected"] in results["candidates"]
    channels = ("", "/behavior_0", "/behavior_1")
    metrics = {f"{kind}_r2{channel}" for kind in ("decoding", "behavior") for channel in channels}
    for name, arm in results["arms"].items():
        assert set(arm) == metrics | (set() if name in rivals else {"co_bps", "fp_bps", "psth_r2"})
        for score in arm.values():
            assert len(score["per_seed"]) == 2
            assert score["mean"] == pytest.approx(np.mean(score["per_seed"]))
            assert score["ci95"][0] <= score["ci95"][1]
    assert set(results["contrasts"]) == {
        *(f"{arm} - baseline" for arm in ("teacher", *students, *rivals)),
        *(f"{arm} - multitask" for arm in STRATEGIES),
        *(f"{arm} - {rival}" for arm in ("baseline", *students) for rival in rivals),
    }
    contrast = results["contrasts"]["hard - baseline"]["co_bps"]
    means = [results["arms"][arm]["co_bps"]["mean"] for arm in ("hard", "baseline")]
    assert contrast["mean"] == pytest.approx(means[0] - means[1])


def test_scores_are_those_of_the_stored_models(finished) -> None:
    """Rebuild co-bps and R² of one student from its weights, by the plainest route."""
    from sklearn.metrics import r2_score

    from neuroblend.evaluation.metrics import bits_per_spike

    trials, split = finished.data(), finished.splits()[1]
    prediction = predict_run(finished, trials.spikes, "hard", seed=1)
    assert repr(prediction).startswith("Prediction(by hard, seed 1: ")
    assert len(repr(prediction)) < 200
    alone = replace(prediction, rates=None, latents=None)
    assert ", no rates, decoded: " in repr(alone)
    assert "neurons matched by position)" in repr(alone)
    test = split.test
    unseen = split.held_out
    seen_bins = trials.n_bins - 2
    bits = bits_per_spike(
        prediction.rates[test][:, :seen_bins, unseen], trials.spikes[test][:, :seen_bins, unseen]
    )
    r2 = r2_score(
        trials.behavior[test].reshape(-1, 2),
        prediction.behavior[test].reshape(-1, 2),
        multioutput="raw_values",
    )
    scores = finished.results()["arms"]["hard"]
    assert scores["co_bps"]["per_seed"][1] == pytest.approx(bits, rel=1e-5)
    assert scores["decoding_r2/behavior_0"]["per_seed"][1] == pytest.approx(r2[0], abs=1e-4)
    assert scores["decoding_r2"]["per_seed"][1] == pytest.approx(r2.mean(), abs=1e-4)


def test_settings_and_provenance_tell_how(finished) -> None:
    config = yaml.safe_load((finished.path / "config.yaml").read_text())
    assert config["distill"]["strategies"] == STRATEGIES
    provenance = finished.provenance()
    assert provenance["data_hash"].startswith("sha256:")
    assert provenance["versions"]["torch"]
    assert provenance["data"]["n_neurons"] == 10
    assert not provenance["data"]["simulated"]
    assert provenance["cpu_s"] > 0
    assert set(provenance["fits"]) >= {"teacher seed 0", "hard seed 1"}


@pytest.mark.parametrize("jobs", [1, 2])
def test_the_same_command_twice_and_worker_processes_give_the_same_scores(
    finished, tmp_path, jobs
) -> None:
    again = run(with_conditions(), tmp_path / "b", finished.config(), jobs=jobs)
    assert again.results() == finished.results()


def test_a_run_goes_on_where_it_was_interrupted(finished, tmp_path, monkeypatch) -> None:
    calls = watch_fits(monkeypatch, stop_at=4)
    with pytest.raises(KeyboardInterrupt):
        run(with_conditions(), tmp_path / "d", finished.config())
    assert not (tmp_path / "d" / "results.json").exists()
    again = run(with_conditions(), tmp_path / "d", finished.config())
    assert again.results() == finished.results()
    assert len(calls) == 15  # fourteen fits, one of them begun twice
    assert len(set(calls)) == 14


def test_behavior_of_test_trials_reaches_no_model(tmp_path, finished) -> None:
    """Scores may change with the behavior they are compared with; rates and choices may not."""
    trials = with_conditions()
    test = finished.splits()[0].test
    behavior = trials.behavior.copy()
    behavior[test] = behavior[test][::-1]
    changed = with_conditions(behavior=behavior)
    config = tiny_config(seeds=1, distill={"strategies": STRATEGIES}, data={"forward_bins": 2})
    other = run(changed, tmp_path / "e", config)
    for arm in ("baseline", "hard", "feature+multitask"):
        expected = predict_run(finished, trials.spikes, arm, seed=0).rates
        assert np.array_equal(predict_run(other, trials.spikes, arm, seed=0).rates, expected)


def test_folds_test_every_trial_once(tmp_path) -> None:
    folder = run(make_trials(), tmp_path / "f", tiny_config(data={"folds": 2}))
    tested = [split.test for split in folder.splits()]
    assert sorted(np.concatenate(tested)) == list(range(40))
    assert (folder.path / "baseline" / "seed0" / "fold1" / "scores.json").is_file()
    assert len(folder.results()["arms"]["hard"]["behavior_r2"]["per_seed"]) == 1


def test_simulated_data_have_an_oracle(tmp_path) -> None:
    from neuroblend.simulate.reaching import simulate_reaching

    trials = simulate_reaching(n_trials=48, n_neurons=16, n_bins=45)
    results = run(trials, tmp_path / "s", tiny_config()).results()
    oracle = results["arms"]["oracle"]
    assert oracle["rate_r2"]["mean"] == pytest.approx(1, abs=1e-6)
    for arm in ("teacher", "baseline", "hard"):
        assert oracle["co_bps"]["mean"] > results["arms"][arm]["co_bps"]["mean"]
    assert "oracle - baseline" not in results["contrasts"]


def test_a_selected_strategy_decodes_best_without_losing_co_bps() -> None:
    def scores(r2: float, bps: float) -> dict[str, float]:
        return {"decoding_r2": r2, "co_bps": bps}

    valid = {"baseline": scores(0.1, 0.30), "a": scores(0.5, 0.20), "b": scores(0.3, 0.297)}
    assert Decoding(tiny_config()).select(valid, list(valid)) == "b"
    assert (
        Decoding(tiny_config()).select(valid | {"b": scores(0.3, 0.1)}, list(valid)) == "baseline"
    )
    blind = {name: {"decoding_r2": score["decoding_r2"]} for name, score in valid.items()}
    assert Decoding(tiny_config()).select(blind, ["a", "b"]) == "a"
    for goal, best in (("behavior", "a"), ("co-bps", "baseline"), ("both", "b")):
        assert Decoding(tiny_config(goal=goal)).select(valid, list(valid)) == best


def test_another_run_is_not_overwritten(finished) -> None:
    before = (finished.path / "results.json").read_bytes()
    changed = finished.config().model_copy(update={"seeds": 1})
    with pytest.raises(InputError, match=r"holds another run \(seeds is 2 there and 1 here\)"):
        run(with_conditions(), finished.path, changed)
    for other in (
        with_conditions(seed=3),
        with_conditions(bin_s=0.01),
        with_conditions(behavior_names=["a", "b"]),
    ):
        refuses("a run on other data", run, other, finished.path, finished.config())
    assert (finished.path / "results.json").read_bytes() == before


def test_a_folder_of_something_else_is_left_alone(tmp_path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    refuses("not the folder of a run", run, make_trials(), tmp_path, tiny_config())
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize(
    ("fields", "changes", "message"),
    [
        ({"n_channels": 0}, {}, "no behavior"),
        ({"n_trials": 6}, {}, "too few trials"),
        ({}, {"data": {"behavior": ["behavior_3"]}}, "did you mean 'behavior_0'|There are"),
        ({}, {"data": {"units": 11}}, "--units 11"),
        ({}, {"data": {"forward_bins": 12}}, "forward bins"),
        ({}, {"model": {"name": "gruu"}}, "unknown model 'gruu': did you mean 'gru'"),
        ({}, {"model": {"name": "no.such:thing"}}, "cannot import 'no.such'"),
        ({}, {"model": {"settings": {"widht": 3}}}, "no setting 'widht': did you mean 'width'"),
        ({}, {"model": {"layer": "nrom"}}, "no layer 'nrom': did you mean 'norm'"),
        ({}, {"distill": {"strategies": ["fature"]}}, "did you mean 'feature'"),
        ({}, {"distill": {"strategies": ["hard+hard"]}}, "appears twice"),
    ],
)
def test_bad_input_leaves_no_folder(tmp_path, fields, changes, message) -> None:
    refuses(message, run, make_trials(**fields), tmp_path / "out", tiny_config(**changes))
    assert not list(tmp_path.iterdir())


class TestPredict:
    def test_any_way_of_giving_the_neurons(self, finished, tmp_path) -> None:
        trials, split = finished.data(), finished.splits()[0]
        spikes = trials.spikes[:5]
        whole = predict_run(finished, spikes)
        seen = predict_run(finished, spikes[:, :, ~split.held_out])
        np.testing.assert_array_equal(whole.rates, seen.rates)
        short = predict_run(finished, spikes[:, :-2])
        np.testing.assert_array_equal(whole.rates, short.rates)
        np.savez(tmp_path / "s.npz", spikes=spikes)
        np.testing.assert_array_equal(whole.rates, predict_run(finished, tmp_path / "s.npz").rates)
        assert whole.rates.shape == (5, 12, 10)
        assert whole.behavior.shape == (5, 12, 2)
        assert whole.arm == finished.results()["selected"]

    def test_held_out_spikes_do_not_matter(self, finished) -> None:
        trials, split = finished.data(), finished.splits()[0]
        spikes = trials.spikes[:5].copy()
        spikes[:, :, split.held_out] = 9
        spikes[:, -2:] = 9
        expected = predict_run(finished, trials.spikes[:5]).rates
        np.testing.assert_array_equal(predict_run(finished, spikes).rates, expected)

    def test_neurons_that_the_run_left_out_may_be_given(self, tmp_path) -> None:
        trials = make_trials()
        folder = run(trials, tmp_path / "u", tiny_config(data={"units": 6}))
        kept = folder.data().unit_id
        a = predict_run(folder, trials.spikes[:3])
        b = predict_run(folder, trials.spikes[:3][:, :, kept])
        np.testing.assert_array_equal(a.rates, b.rates)
        assert a.unit_id.tolist() == kept.tolist()

    def test_the_file_says_what_it_holds(self, finished, tmp_path) -> None:
        prediction = predict_run(finished, finished.data().spikes[:4], "baseline", seed=1)
        prediction.save(tmp_path / "rates.h5")
        with h5py.File(tmp_path / "rates.h5") as file:
            np.testing.assert_array_equal(file["rates"][()], prediction.rates)
            assert file["rates"].attrs["unit"] == "counts/bin"
            expected = {"arm": "baseline", "seed": 1, "bin_s": 0.02, "start_s": 0.0}
            how = file.attrs["matched"]
            assert dict(file.attrs) == expected | {"matched": how}
            assert how == "by position, in the order of the 10 that the training used"
            assert file["latents"].shape == (4, 12, 12)
            assert file["edge"].attrs["axes"] == "trial, bin"
            assert file["behavior_names"].asstr()[()].tolist() == ["behavior_0", "behavior_1"]

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ({"arm": "teacher"}, "a teacher needs behavior"),
            ({"arm": "hart"}, "did you mean 'hard'"),
            ({"seed": 5}, "no seed 5 in this run; there are 0 to 1"),
            ({"spikes": np.zeros((3, 12, 7), int)}, "found 7 neurons, wanted the 10"),
            ({"spikes": np.zeros((3, 11, 10), int)}, "found 11 bins, wanted trials of 10"),
            ({"spikes": np.zeros((120, 10), int)}, "the run has forward bins"),
            ({"spikes": np.full((3, 12, 10), 0.5)}, "fractional"),
            ({"spikes": np.full((3, 12, 10), -1)}, "negative"),
        ],
    )
    def test_what_does_not_fit_is_refused(self, finished, given, message) -> None:
        spikes = given.pop("spikes", finished.data().spikes)
        refuses(message, predict_run, finished, spikes, **given)

    def test_bins_of_another_width_are_refused(self, finished, tmp_path) -> None:
        np.savez(tmp_path / "s.npz", spikes=finished.data().spikes, bin_s=0.01)
        refuses(r"found bins of 0.01 s, wanted 0.02 s", predict_run, finished, tmp_path / "s.npz")

    def test_only_runs_can_predict(self, tmp_path) -> None:
        refuses("not the folder of a run", predict_run, tmp_path, np.zeros((1, 2, 3)))


def test_a_run_killed_before_its_results_goes_on(finished, tmp_path) -> None:
    copy = shutil.copytree(finished.path, tmp_path / "copy")
    (copy / "results.json").unlink()
    again = run(with_conditions(), copy, finished.config())
    assert again.results() == finished.results()
    assert again.provenance()["data"]["n_trials"] == 48


def test_the_baseline_is_trained_without_any_behavior(finished, tmp_path) -> None:
    """Other behavior everywhere: the baseline's weights stay bit-identical, students' do not."""
    behavior = with_conditions().behavior[::-1].copy()
    config = finished.config().model_copy(update={"seeds": 1})
    other = run(with_conditions(behavior=behavior), tmp_path / "g", config)
    assert weights_of(other, "baseline") == weights_of(finished, "baseline")
    assert weights_of(other, "student-hard") != weights_of(finished, "student-hard")


def test_spikes_of_test_trials_reach_no_model(tmp_path) -> None:
    held_out = np.arange(10) % 4 == 0
    split = np.array(["train"] * 24 + ["valid"] * 12 + ["test"] * 12)
    spikes = with_conditions().spikes.copy()
    spikes[36:] = np.minimum(spikes[36:] * 3 + 1, 9)
    models = []
    for name, counts in (("h", with_conditions().spikes), ("i", spikes)):
        trials = with_conditions(spikes=counts, held_out=held_out, split=split)
        folder = run(trials, tmp_path / name, tiny_config())
        models.append([weights_of(folder, a) for a in ("teacher", "baseline", "student-hard")])
    assert models[0] == models[1]


def test_a_damaged_results_file_is_named(finished, tmp_path) -> None:
    copy = shutil.copytree(finished.path, tmp_path / "copy")
    (copy / "results.json").write_text("{")
    refuses("damaged", RunFolder.open(copy).results)
    (copy / "results.json").unlink()
    refuses("not there", RunFolder.open(copy).results)
    assert json.loads((finished.path / "results.json").read_text())
