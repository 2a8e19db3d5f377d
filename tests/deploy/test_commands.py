import re

import h5py
import numpy as np
import pytest
from commands import refused, succeeds
from conftest import make_trials, tiny_config

from neuroblend.data.recording import Recording
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
        (["s.nbm", "night.npz", "--arm", "baselin"], "holds .* of seed 0 alone"),
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
