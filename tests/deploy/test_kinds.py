"""Students that decode behavior of several kinds: predicted, streamed, exported, kept in files."""

from dataclasses import replace

import h5py
import numpy as np
import pytest
from conftest import make_trials
from numpy.testing import assert_allclose, assert_array_equal
from students import make_student

import neuroblend as nb
from neuroblend.data.channel import Channel
from neuroblend.deploy.bundle import load_student, save_student
from neuroblend.deploy.student import TrainedStudent
from neuroblend.evaluation.decoder import Decoder
from neuroblend.evaluation.link import Link

SPEED = Channel("speed", unit="cm/s")
HEADING = Channel("heading", "circular", "deg", period=360.0)
STATE = Channel("state", "discrete", categories=("rest", "walk", "run"))
LICKS = Channel("licks", "events")
CHOICE = Channel("choice", "discrete", categories=("left", "right"), per_trial=True)
OF_BINS = (
    Link(SPEED, 0, 1),
    Link(HEADING, 1, 3, low=-180.0),
    Link(STATE, 3, 6, (-0.7, -1.2, -1.6)),
    Link(LICKS, 6, 7),
)
OF_TRIALS = (Link(CHOICE, 0, 2, (-0.4, -1.1)),)


def student_of(
    links: tuple[Link, ...], lags: tuple[int, ...] = (-2, 0), model: str = "gru", **settings: object
) -> TrainedStudent:
    """A student whose read-out is drawn at random, one link a channel."""
    base = make_student(model, dict(settings) or {"bidirectional": False}, lags=lags)
    n_from = base.decoder.weights.shape[1]
    rng = np.random.default_rng(5)
    n_bins_out = max((k.stop for k in links if not k.channel.per_trial), default=0)
    per_trial = [k for k in links if k.channel.per_trial]
    decoder = Decoder(
        rng.normal(size=(len(lags), n_from, n_bins_out)),
        rng.normal(size=n_bins_out),
        np.array(lags),
        links,
        rng.normal(size=(4, n_from, 2)) if per_trial else None,
        rng.normal(size=2) if per_trial else None,
    )
    channels = tuple(link.channel for link in links)
    names = tuple(channel.name for channel in channels)
    spec = replace(base.spec, behavior=names)
    return replace(base, decoder=decoder, channels=channels, spec=spec, task=None)


def counts() -> np.ndarray:
    return make_trials().spikes[:6]


def test_predictions_are_in_the_units_of_each_kind(tmp_path) -> None:
    student = student_of(OF_BINS + OF_TRIALS)
    said = student.predict(counts(), match="position")
    heading, state, licks, choice = (said.behavior[:, :, i] for i in (1, 2, 3, 4))
    assert heading.min() >= -180 and heading.max() < 180 and np.ptp(heading) > 90
    assert set(np.unique(state)) == {0, 1, 2} and (licks > 0).all()
    assert (choice == choice[:, :1]).all() and said.probabilities.keys() == {"state", "choice"}
    for odds in said.probabilities.values():
        assert_allclose(odds.sum(axis=2), 1, rtol=1e-5)
    share = np.exp([-0.7, -1.2, -1.6])
    assert_array_equal((said.probabilities["state"] / share).argmax(2), state)

    frame = said.to_dataframe()
    assert frame["state"].cat.categories.tolist() == ["rest", "walk", "run"]
    assert frame["choice"].iloc[0] == CHOICE.categories[int(choice[0, 0])]
    assert said.to_xarray()["probability:state"].shape == said.probabilities["state"].shape
    assert said[1:3].probabilities["choice"].shape[0] == 2
    said.save(tmp_path / "said.h5")
    with h5py.File(tmp_path / "said.h5") as file:
        assert_allclose(file["probabilities/state"][()], said.probabilities["state"])
        assert "rest" in file["channels"].asstr()[2]


def test_a_stretch_of_time_has_no_value_of_a_trial() -> None:
    student = student_of(OF_BINS + OF_TRIALS)
    said = student.predict(np.concatenate(list(counts())), match="position")
    assert np.isnan(said.behavior[:, :, 4]).all() and np.isfinite(said.behavior[:, :, :4]).all()
    assert np.isnan(said.probabilities["choice"]).all()
    assert "choice: one value a trial" in " ".join(said.notes)
    assert len(said.to_dataframe()) == said.behavior.shape[1]
    with pytest.raises(nb.InputError, match=r"one value a trial is all that is decoded \(choice\)"):
        student_of(OF_TRIALS, (0,)).predict(np.concatenate(list(counts())), match="position")


def test_a_stream_gives_what_a_prediction_does() -> None:
    student = student_of(OF_BINS + OF_TRIALS)
    said, stream = student.predict(counts()[:1], match="position"), student.stream()
    steps = [stream.step(each[~student.neurons.held_out]) for each in counts()[0]]
    behavior = np.stack([step.behavior for step in steps])
    assert_allclose(behavior[:, :4], said.behavior[0, :, :4], rtol=1e-4, atol=1e-4)
    assert np.isnan(behavior[:, 4]).all()
    odds = np.stack([step.probabilities["state"] for step in steps])
    assert_allclose(odds, said.probabilities["state"][0], atol=1e-5)
    assert steps[0].probabilities.keys() == {"state"}
    with pytest.raises(nb.InputError, match="known when the trial is over"):
        student_of(OF_TRIALS, (0,)).stream()


def test_a_file_keeps_kinds_and_links(tmp_path) -> None:
    student = student_of(OF_BINS + OF_TRIALS)
    again = load_student(save(student, tmp_path))
    assert again.channels == student.channels and again.decoder.links == student.decoder.links
    wanted, said = (s.predict(counts(), match="position") for s in (student, again))
    assert_array_equal(said.behavior, wanted.behavior)
    assert_array_equal(said.probabilities["choice"], wanted.probabilities["choice"])


def save(student: TrainedStudent, folder) -> str:
    save_student(student, folder / "student.nbm")
    return str(folder / "student.nbm")


@pytest.mark.parametrize("links", [OF_BINS, OF_BINS + OF_TRIALS, OF_TRIALS], ids=len)
def test_exported_trials_give_the_same(tmp_path, links) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    student = student_of(links, (-2, -1, 0, 1) if len(links) > 1 else (0,))
    names = student.export_onnx(tmp_path / "s.onnx", "trials")
    session = onnxruntime.InferenceSession(str(tmp_path / "s.onnx"))
    seen = counts()[:, :, ~student.neurons.held_out].astype(np.float32)
    found = session.run(None, {"counts": seen})[names.index("behavior")]
    wanted = student.predict(counts(), match="position").behavior
    assert_allclose(found, wanted, rtol=1e-3, atol=1e-3)


def test_an_exported_step_decodes_bins_and_no_trials(tmp_path) -> None:
    pytest.importorskip("onnxruntime")
    assert "behavior" in student_of(OF_BINS).export_onnx(tmp_path / "s.onnx")
    with pytest.raises(nb.InputError, match="wanted form='trials'"):
        student_of(OF_BINS + OF_TRIALS).export_onnx(tmp_path / "t.onnx")
    assert not (tmp_path / "t.onnx").exists()
