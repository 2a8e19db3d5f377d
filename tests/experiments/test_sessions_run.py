"""Runs on several sessions: one network, scored in each session and on average."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from commands import refused, succeeds
from conftest import make_trials, refuses, tiny_config, watch_fits

import neuroblend as nb
from neuroblend.data.sessions import Sessions
from neuroblend.data.trials import Trials
from neuroblend.engine.folder import RunFolder
from neuroblend.engine.metric import Metric, metric_of
from neuroblend.engine.results import gather
from neuroblend.errors import InputError
from neuroblend.evaluation.bootstrap import Draws
from neuroblend.evaluation.metrics import bits_per_spike
from neuroblend.experiments.decoding.sessions.experiment import DecodingSessions
from neuroblend.experiments.decoding.sessions.settings import SessionsConfig
from neuroblend.report.figures import every
from neuroblend.report.verdict import verdict

STRATEGIES = ["feature+multitask"]


def sessions(n_bins: int = 12) -> list[Trials]:
    sizes = {"a": (40, 10, n_bins), "b": (30, 8, n_bins - 2)}
    return [
        make_trials(
            n_trials=trials, n_neurons=n, n_bins=bins, seed=i, name=name,
            condition=np.arange(trials) % 2,
        )
        for i, (name, (trials, n, bins)) in enumerate(sizes.items())
    ]  # fmt: skip


def config(**changes: object) -> SessionsConfig:
    given = {"distill": {"strategies": STRATEGIES}, **changes}
    data = given.pop("data", {})
    made = SessionsConfig.of(tiny_config(**given))
    return made.model_copy(update={"data": made.data.model_copy(update=data)})


def test_what_settings_leave_out_is_said_of_sessions_too() -> None:
    given = config(controls="all", data={"paired_fraction": 0.5, "kinds": {"choice": "discrete"}})
    experiment = DecodingSessions(given)
    notes = experiment.data_facts(Sessions.of(sessions()))["notes"]
    assert any(note.startswith("50 % of the training trials") for note in notes)
    assert any(note.startswith("kalman is left out") for note in notes)
    assert any(note.startswith("masked-modalities, two-heads are left out") for note in notes)


@pytest.fixture(scope="module", autouse=True)
def _one_penalty() -> Iterator[None]:
    """Read-outs of the same bin have one penalty: the search for it is most of a score."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("neuroblend.evaluation.decoder.PENALTIES", [100.0])
        yield


@pytest.fixture
def quick_page(monkeypatch) -> None:
    """Figures are drawn and not written as SVG, which takes longer than all else of a page."""
    monkeypatch.setattr("neuroblend.report.style.as_uri", lambda figure: "data:,")


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> RunFolder:
    out = tmp_path_factory.mktemp("sessions") / "run"
    return nb.run(sessions(), out, config(data={"alone": True}, references=["smoothing"]))


HELD_OUT = config(
    data={"hold_out_session": ("b",)},
    distill={"strategies": ["hard"]},
    controls="none",
    training={"epochs": 1},
)


@pytest.fixture(scope="module")
def held_out(tmp_path_factory) -> RunFolder:
    return nb.run(sessions(), tmp_path_factory.mktemp("held_out") / "run", HELD_OUT)


ON_ONE = tiny_config(distill={"strategies": ["multitask"]}, controls="none")


@pytest.fixture(scope="module")
def on_one(tmp_path_factory) -> RunFolder:
    """A run on the first session, by itself."""
    return nb.run(sessions()[0], tmp_path_factory.mktemp("one") / "run", ON_ONE)


def test_one_session_in_a_list_is_a_run_on_one(on_one, tmp_path) -> None:
    listed = nb.run(sessions()[:1], tmp_path / "run", ON_ONE)
    assert listed.results() == on_one.results() and listed.experiment.kind == "decoding"


def test_results_have_each_session_and_the_mean(finished) -> None:
    results = finished.results()
    assert results["kind"] == "sessions" and results["sessions"] == ["a", "b"]
    for scores in results["arms"].values():
        for name in ("decoding_r2", "decoding_r2/behavior_1", "co_bps"):
            if name not in scores:
                continue
            each = [scores[f"{name}@{session}"]["per_seed"] for session in "ab"]
            assert scores[name]["per_seed"] == pytest.approx(np.mean(each, axis=0))
    assert results["n_tested"] == sum(s.n_tested for s in finished.splits()[0].parts)
    assert {"baseline - baseline-alone", "feature+multitask - multitask-alone"} <= set(
        results["contrasts"]
    )
    assert results["selected"] in ["baseline", "multitask", *STRATEGIES]
    assert results["candidates"] == ["baseline", "multitask", *STRATEGIES]


def test_scores_of_a_session_are_those_of_its_student(finished) -> None:
    data, split = finished.data(), finished.splits()[0]
    for s, name in enumerate(data.names):
        trials, part = data.trials[s], split.parts[s]
        student = finished.student(*STRATEGIES, session=name)
        assert student.session == name and f"session {name}" in student.label
        rates = student.predict(trials).rates
        unseen, test = part.held_out, part.test
        bits = bits_per_spike(rates[test][:, :, unseen], trials.counts_of(test)[:, :, unseen])
        found = finished.results()["arms"]["feature+multitask"][f"co_bps@{name}"]["per_seed"][0]
        assert found == pytest.approx(bits, rel=1e-5)


def test_the_first_session_alone_is_a_run_on_it(finished, on_one) -> None:
    alone = on_one.results()["arms"]
    for arm in ("baseline", "multitask"):
        found = finished.results()["arms"][f"{arm}-alone"]
        for name in ("decoding_r2", "co_bps", "psth_r2"):
            assert found[f"{name}@a"]["per_seed"] == alone[arm][name]["per_seed"]


def test_rivals_and_references_are_fitted_to_each_session(finished, tmp_path) -> None:
    trials = finished.data().trials[1]
    given = tiny_config(
        references=["smoothing"], distill={"strategies": ["multitask"]}, training={"epochs": 1}
    )
    alone = nb.run(trials, tmp_path / "run", given).results()["arms"]
    for arm in ("wiener", "smoothing"):
        found = finished.results()["arms"][arm]["decoding_r2@b"]["per_seed"]
        assert found == alone[arm]["decoding_r2"]["per_seed"]


def test_trials_are_drawn_within_sessions() -> None:
    first, other = Draws.of(30), Draws.of(30, stream=1)
    assert (other.trials.sum(axis=1) == 30).all()
    assert abs(np.corrcoef(first.trials[::2].ravel(), other.trials[::2].ravel())[0, 1]) < 0.05
    assert np.array_equal(Draws.of(30).trials, first.trials)


def test_scores_of_a_part_are_of_the_same_metric() -> None:
    metrics = {"decoding_r2": Metric("R²", "fit")}
    for name in ("decoding_r2@a", "decoding_r2/x@a", "decoding_r2/x@y@a"):
        assert metric_of(name, metrics) is metrics["decoding_r2"]
    refuses("score 'r2@a': of no metric", metric_of, "r2@a", metrics)


def test_what_is_taken_home_works_without_the_run(finished, tmp_path) -> None:
    trials = finished.data().trials[1]
    for arm in ("feature+multitask", "direct", "baseline-alone"):
        student = finished.student(arm, session="b")
        nb.save_student(student, tmp_path / "b.nbm")
        again = nb.load_student(tmp_path / "b.nbm")
        assert again.label == student.label
        found, wanted = again.predict(trials), student.predict(trials)
        assert np.allclose(found.behavior, wanted.behavior, atol=1e-5, equal_nan=True)
    for arm in ("wiener", "smoothing"):
        assert finished.student(arm, session="b").predict(trials).behavior.shape[0] == 30
    teacher, task = finished.teacher(session="a")
    assert teacher(task.batch("test")).shape == task.batch("test").target.shape
    refuses("for the neurons of which. --session a or b", finished.student, "baseline")
    refuses("no session 'c'", finished.student, "baseline", session="c")


def test_a_causal_student_of_a_session_streams(tmp_path) -> None:
    given = config(model={"causal": True}, controls="none", distill={"strategies": ["multitask"]})
    student = nb.run(
        [replace(t, condition=None) for t in sessions()], tmp_path / "run", given
    ).student("multitask", session="a")
    stream, spikes = student.stream(), sessions()[0].spikes[0]
    seen = ~student.neurons.held_out
    steps = [stream.step(counts[seen]).behavior for counts in spikes]
    whole = student.predict(spikes[None]).behavior[0]
    assert np.allclose(np.stack(steps), whole, atol=1e-4)


def test_a_session_held_out_teaches_its_own_ends_alone(held_out, tmp_path) -> None:
    """Other spikes of it leave the core as it was; and what is pooled is of its test trials."""
    first, other = sessions()
    changed = replace(other, spikes=np.roll(other.spikes, 1, axis=0))
    runs = [held_out, nb.run([first, changed], tmp_path / "run", HELD_OUT)]
    cores = [run.student("hard", session="a").model.net.state_dict() for run in runs]
    assert all(torch.equal(cores[0][key], cores[1][key]) for key in cores[0])
    ends = [run.student("hard", session="b").model.net.state_dict() for run in runs]
    for key in ends[0]:
        assert torch.equal(ends[0][key], ends[1][key]) == key.startswith("core."), key
    results = runs[0].results()
    assert results["held_out_sessions"] == results["tested_sessions"] == ["b"]
    scores = results["arms"]["hard"]
    assert scores["co_bps"] == scores["co_bps@b"] and "co_bps@a" in scores
    assert results["n_tested"] == runs[0].splits()[0].parts[1].n_tested
    caveats = {c.kind: c.text for c in verdict(results).caveats}
    assert "From b, networks learned a read-in" in caveats["sessions"]


def test_the_page_tells_of_sessions(finished) -> None:
    html = nb.write_report(finished).read_text()
    for text in (
        "behavior R² of each session",
        "mean over 2 sessions",
        "--session a",
        "Session a.",
    ):
        assert text in html
    assert "Decoded behavior" in every(finished)
    caveats = {caveat.kind for caveat in verdict(finished.results()).caveats}
    assert {"sessions", "alone"} <= caveats


def test_a_run_goes_on_to_the_same_numbers(held_out, tmp_path, monkeypatch) -> None:
    """With a session held out, so that networks are trained in two steps each."""
    stopped = RunFolder(shutil.copytree(held_out.path, tmp_path / "run"))
    (stopped.path / "results.json").unlink()
    left = [fit for fit in stopped.fits() if fit.arm.name in ("multitask", "hard")]
    for fit in left:
        shutil.rmtree(stopped.of(fit))
    begun = watch_fits(monkeypatch)
    again = nb.run(sessions(), stopped.path, HELD_OUT)
    assert begun == [fit.label for fit in left]
    assert again.results() == held_out.results()
    assert json.dumps(gather(again)) == json.dumps(again.results())


def test_folds_test_each_trial_of_each_session(tmp_path) -> None:
    given = config(data={"folds": 2}, distill={"strategies": ["multitask"]}, controls="none")
    run = nb.run(sessions(), tmp_path / "run", given)
    results = run.results()
    assert results["intervals"] == "folds" and results["n_tested"] == 70
    assert np.isfinite(results["arms"]["baseline"]["decoding_r2"]["ci95"]).all()


def test_several_teachers_as_one(tmp_path) -> None:
    given = config(
        teacher={"average": 2, "sees": "all"}, controls="none", distill={"strategies": ["hard"]}
    )
    arms = nb.run(sessions(), tmp_path / "run", given).results()["arms"]
    assert "co_bps" not in arms["teacher"] and "co_bps" in arms["hard"]


def test_bad_sessions_are_refused(tmp_path) -> None:
    first, other = sessions()
    out = tmp_path / "run"
    refuses("b: the same spikes as a", nb.run, [first, replace(first, name="b")], out)
    refuses(
        "b: behavior behavior_0, and", nb.run, [first, other.take_channels(["behavior_0"])], out
    )
    refuses("b: too few trials: 5", nb.run, [first, other[:5]], out)
    refuses("b: bins of 10 ms", nb.run, [first, replace(other, bin_s=0.01)], out)
    refuses(
        "--hold-out-session: no session 'c'",
        nb.run, [first, other], out, {"data": {"hold_out_session": ["c"]}},
    )  # fmt: skip
    refuses(
        "every session", nb.run, [first, other], out, {"data": {"hold_out_session": ["a", "b"]}}
    )
    for section in (
        {"teacher": {"cross_fitted": 2}},
        {"distill": {"cache_teacher": True}},
        {"distill": {"strategies": ["two-heads"]}},
    ):
        refuses("several sessions", nb.run, [first, other], out, section)
    with pytest.raises(InputError, match="wanted a list of files or Trials"):
        nb.run(first, out, config())
    assert not out.exists()


def test_the_command_line_takes_several(quick_page, tmp_path) -> None:
    for trials in sessions():
        np.savez(
            tmp_path / f"{trials.name}.npz", spikes=trials.spikes, behavior=trials.behavior,
            bin_s=0.02, condition=trials.condition,
        )  # fmt: skip
    quick = ["--model", "gru", "--epochs", "1", "--seeds", "1", "--strategies", "multitask"]
    quick += ["--controls", "none", "--accelerator", "cpu", "--jobs", "1", "--quiet"]
    done = succeeds("run", "a.npz", "b.npz", *quick, cwd=tmp_path)
    assert "mean over 2 sessions" in done.stdout
    run = tmp_path / "runs/a-and-1-more"
    assert (run / "report.html").is_file()
    succeeds("run", "--config", run / "config.yaml", *quick, "--out", run, cwd=tmp_path)
    predict = ["predict", run, "b.npz", "--arm", "multitask", "--out", "rates.h5"]
    assert "--session a or b" in refused(*predict, cwd=tmp_path)
    told = succeeds(*predict, "--session", "b", cwd=tmp_path).stdout
    assert "by multitask, seed 0, session b" in told
    succeeds("export", run, "--session", "a", "--arm", "multitask", "--out", "a.nbm", cwd=tmp_path)
    asked = ["predict", "a.nbm", "a.npz", "--session", "b"]
    assert "found --session b" in refused(*asked, cwd=tmp_path)
    succeeds("predict", "a.nbm", "a.npz", "--out", "a.h5", cwd=tmp_path)
    twice = refused("run", "a.npz", "a.npz", *quick, cwd=tmp_path)
    assert "given twice" in twice
    for option in (["--hold-out-session", "a"], ["--alone"]):
        assert "found one SOURCE" in refused("run", "a.npz", *option, *quick, cwd=tmp_path)


def test_choices_are_scored_in_each_session_and_against_chance(quick_page, tmp_path) -> None:
    """One session lacks a category that another has; what is compared with chance is the mean."""
    made = []
    for trials, words in zip(
        sessions(), (["left", "right"], ["left", "right", "none"]), strict=True
    ):
        choice = np.array(words)[np.arange(trials.n_trials) % len(words)]
        made.append(Trials.from_arrays(trials.spikes, 0.02, {"choice": choice}, name=trials.name))
    given = config(distill={"strategies": ["multitask"]}, training={"epochs": 1})
    run = nb.run(made, tmp_path / "run", given)
    results = run.results()
    (score,) = results["deciding"]
    scores = results["arms"]["multitask"]
    each = [scores[f"{score}@{name}"]["mean"] for name in "ab"]
    assert scores[score]["mean"] == pytest.approx(np.mean(each))
    assert "logistic" in results["references"]
    against = results["contrasts"]["multitask - chance"][score]["mean"]
    chances = [
        results["contrasts"]["multitask - chance"][f"{score}@{name}"]["mean"] for name in "ab"
    ]
    assert against == pytest.approx(np.mean(chances))
    assert nb.write_report(run).is_file()
