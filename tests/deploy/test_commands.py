import re

import h5py
import numpy as np
import pytest
from commands import refused, succeeds
from conftest import make_trials, refuses, tiny_config

from neuroblend.data.recording import Recording
from neuroblend.engine.folder import RunFolder
from neuroblend.experiments.decoding.apply import predict_run
from neuroblend.experiments.run import run
from neuroblend.simulate.reaching import simulate_reaching

IDS = np.arange(10) * 3 + 1


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    here = tmp_path_factory.mktemp("here")
    config = tiny_config(distill={"strategies": ["hard"]}, seeds=2)
    run(make_trials(unit_id=IDS), here / "mine", config)
    spikes = np.random.default_rng(0).poisson(0.4, (300, 10)).astype(np.uint8)
    np.savez(here / "night.npz", spikes=spikes[:, ::-1], unit_id=IDS[::-1], bin_s=0.02)
    np.savez(here / "less.npz", spikes=spikes[:, :6], unit_id=IDS[:6], bin_s=0.02)
    np.savez(here / "trials.npz", spikes=spikes.reshape(20, 15, 10), bin_s=0.02)
    succeeds("export", "mine", "--out", "s.nbm", cwd=here)
    return here


def test_a_night_is_predicted_by_run_and_by_file(folder) -> None:
    for source, out in (("mine", "a.h5"), ("s.nbm", "b.h5")):
        done = succeeds(
            "predict", source, "night.npz", "--out", out, "--layers", "norm", cwd=folder
        )
        assert "300 bins (6 s) of rates of 10 neurons" in done.stdout
        assert "neurons matched by id" in done.stdout
    with h5py.File(folder / "a.h5") as a, h5py.File(folder / "b.h5") as b:
        assert set(a) == set(b) >= {"rates", "behavior", "latents", "edge", "layers", "unit_id"}
        for name in ("rates", "behavior", "latents", "layers/norm"):
            np.testing.assert_allclose(a[name][()], b[name][()], atol=1e-5)
        np.testing.assert_array_equal(a["latents"], a["layers/norm"])
        assert a["unit_id"][()].tolist() == IDS.tolist()


def test_what_was_matched_by_position_is_said(folder) -> None:
    done = succeeds("predict", "s.nbm", "trials.npz", "--out", "c.h5", cwd=folder)
    assert "20 trials x 15 bins" in done.stdout
    assert "matched by position" in done.stdout
    assert "note: Neurons were matched by position, in the order of the 10" in done.stderr


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["mine", "less.npz"], "neurons that the student sees are missing"),
        (["s.nbm", "less.npz", "--match", "ids"], "match: found 'ids'"),
        (
            ["s.nbm", "night.npz", "--arm", "baselin"],
            "holds .*, seed 0 alone; found --arm baselin$",
        ),
        (["s.nbm", "night.npz", "--seed", 1], "holds .*, seed 0 alone; found --seed 1$"),
        (["s.nbm", "night.npz", "--fold", 1], "holds .*, seed 0 alone; found --fold 1$"),
        (["mine", "night.npz", "--fold", 1], "no fold 1 in this run, which has none"),
        (["s.nbm", "none.npz"], "none.npz: no such file"),
        (["night.npz", "night.npz"], "not a student that `neuroblend export` wrote"),
        (["mine", "night.npz", "--layers", "nrom"], "no layer 'nrom': did you mean 'norm'"),
    ],
)
def test_bad_input_is_refused_in_one_line(folder, args, message) -> None:
    before = {path.name for path in folder.iterdir()}

    assert re.search(message, refused("predict", *args, "--out", "x.h5", cwd=folder))
    assert {path.name for path in folder.iterdir()} == before


def test_missing_units_as_zeros(folder) -> None:
    done = succeeds(
        "predict", "s.nbm", "less.npz", "--missing-units", "zeros", "--out", "z.h5", cwd=folder
    )
    assert "are missing and taken as silent" in done.stderr


@pytest.fixture(scope="module")
def folds(tmp_path_factory):
    here = tmp_path_factory.mktemp("folds")
    config = tiny_config(distill={"strategies": ["hard"]}, data={"folds": 2}, controls="none")
    run(make_trials(unit_id=IDS), here / "mine", config)
    spikes = np.random.default_rng(0).poisson(0.4, (100, 10)).astype(np.uint8)
    np.savez(here / "night.npz", spikes=spikes, unit_id=IDS, bin_s=0.02)
    return here


def test_the_student_of_each_fold_can_be_had(folds) -> None:
    folder, spikes = RunFolder.open(folds / "mine"), make_trials(unit_id=IDS).spikes
    students = [folder.student("hard", fold=fold) for fold in (None, 0, 1)]
    assert [student.fold for student in students] == [0, 0, 1]
    assert [student.task.split.fold for student in students] == [0, 0, 1]
    assert repr(students[2]).startswith("TrainedStudent(hard, seed 0, fold 1: ")
    first, same, other = (student.predict(spikes).rates for student in students)
    np.testing.assert_array_equal(first, same)
    assert not np.array_equal(first, other)
    again = predict_run(folder, spikes, "hard", fold=1)
    np.testing.assert_array_equal(again.rates, other)
    assert folder.baseline(fold=1).fold == 1
    assert folder.teacher(fold=1).task.split.fold == 1
    for of in (folder.student, folder.baseline, folder.teacher):
        refuses("no fold 2 in this run; there are 0 to 1", of, fold=2)


def test_commands_take_a_fold_and_say_which(folds) -> None:
    for given, wanted in (((), 0), (("--fold", 1), 1)):
        done = succeeds("export", "mine", "--arm", "hard", *given, "--out", "f.nbm", cwd=folds)
        assert f"TrainedStudent(hard, seed 0, fold {wanted}: " in done.stdout
    for source in ("mine", "f.nbm"):
        given = ("--arm", "hard", "--fold", 1, "--out", f"{source}.h5")
        done = succeeds("predict", source, "night.npz", *given, cwd=folds)
        assert "by hard, seed 0, fold 1; neurons matched by id" in done.stdout
    with h5py.File(folds / "mine.h5") as a, h5py.File(folds / "f.nbm.h5") as b:
        np.testing.assert_allclose(a["behavior"][()], b["behavior"][()], atol=1e-5)
    line = refused("predict", "f.nbm", "night.npz", "--fold", 0, "--out", "x.h5", cwd=folds)
    assert "holds hard, seed 0, fold 1 alone; found --fold 0" in line
    for command in (("predict", "mine", "night.npz"), ("export", "mine")):
        line = refused(*command, "--fold", 7, "--out", "x.nbm", cwd=folds)
        assert "no fold 7 in this run; there are 0 to 1" in line
    assert not (folds / "x.nbm").exists()


def test_a_teacher_is_not_a_student(folds) -> None:
    folder = RunFolder.open(folds / "mine")
    refuses(r"a teacher is no student, .*wanted run\.teacher\(\)", folder.student, "teacher")
    refuses(r"no student 'teacher' .*is run\.teacher\(\)", predict_run, folder, None, "teacher")


@pytest.mark.parametrize(
    ("form", "out", "message"),
    [
        ("nonsense", "x.nbm", "--form: no form 'nonsense'"),
        ("nonsense", "x.onnx", "--form: no form 'nonsense'"),
        ("trails", "x.onnx", "did you mean 'trials'"),
        ("trials", "x.nbm", "--form trials: found --out x.nbm, wanted a file .onnx"),
    ],
)
def test_a_form_is_one_of_two_and_of_onnx_alone(folder, form, out, message) -> None:
    assert message in refused("export", "mine", "--form", form, "--out", out, cwd=folder)
    assert not (folder / out).exists()


def test_an_export_names_what_it_holds(folder) -> None:
    done = succeeds(
        "export", "mine", "--arm", "baseline", "--seed", 1, "--out", "b.nbm", cwd=folder
    )
    assert "b.nbm: TrainedStudent(baseline, seed 1: " in done.stdout
    assert "wiener has no network" in refused(
        "export", "mine", "--arm", "wiener", "--out", "w.nbm", cwd=folder
    )
    assert "not the folder of a run" in refused("export", "nothing", cwd=folder)
    assert not (folder / "w.nbm").exists()


def test_neurons_of_the_simulation_have_ids() -> None:
    trials = simulate_reaching(n_trials=20)
    assert trials.unit_id.tolist() == trials.unit_index.tolist()
    assert 15 not in trials.unit_id  # it never fires, and those after keep their ids


def test_recordings_without_ids_are_matched_by_position(folder) -> None:
    times = [np.arange(i + 1, 500) * 0.01 for i in range(10)]
    found = predict_run(folder / "mine", Recording.of(times))
    assert found.matched.startswith("by position")
    assert found.start_s == pytest.approx(0.01)


def test_a_student_is_exported_as_onnx(folder) -> None:
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    arm = ("--arm", "multitask")
    done = succeeds("export", "mine", *arm, "--form", "trials", "--out", "t.onnx", cwd=folder)
    assert "as ONNX by trials; it gives log_rates, latents, behavior" in done.stdout
    assert (folder / "t.onnx").stat().st_size > 1000
    refusal = refused("export", "mine", *arm, "--out", "s.onnx", cwd=folder)
    assert "looks ahead" in refusal or "look ahead" in refusal
    assert "no form 'trial': did you mean 'trials'" in refused(
        "export", "mine", *arm, "--form", "trial", "--out", "s.onnx", cwd=folder
    )
    assert not (folder / "s.onnx").exists()
