import numpy as np
import pytest
from conftest import refuses, write_arrays

from neuroblend.data.arrays import load_arrays
from neuroblend.data.calcium.arrays import read_session_arrays

N_FRAMES, N_NEURONS = 30, 4


def content(**changes):
    """Every key of a session; ``None`` leaves one out."""
    rng = np.random.default_rng(0)
    behavior = rng.normal(size=(N_FRAMES, 2))
    behavior[3, 1] = np.nan
    arrays = {
        "activity": rng.exponential(size=(N_FRAMES, N_NEURONS)),
        "frame_s": 0.2,
        "behavior": behavior,
        "behavior_names": np.array(["speed", "pupil"]),
        "label": np.array(["Vip", "", "nan", "Sst"]),
        "label_ei": np.array(["IN", "EC", "", "IN"]),
        "position": rng.uniform(0, 500, (N_NEURONS, 3)),
        "neuron_id": np.array([7, 8, 9, 12]),
        "animal": "m1",
        "name": "m1/monday",
    } | changes
    return {key: value for key, value in arrays.items() if value is not None}


def within(session, arrays):
    return {f"{session}/{key}": value for key, value in arrays.items()}


@pytest.mark.parametrize("suffix", [".npz", ".h5", ".hdf5"])
def test_a_session_holds_what_its_file_holds(tmp_path, suffix) -> None:
    given = content()
    (session,) = read_session_arrays(write_arrays(tmp_path / f"mine{suffix}", given))
    assert (session.name, session.animal, session.frame_s) == ("m1/monday", "m1", 0.2)
    np.testing.assert_allclose(session.activity, given["activity"], rtol=1e-6)
    np.testing.assert_allclose(session.behavior, given["behavior"], rtol=1e-6)
    np.testing.assert_allclose(session.position, given["position"], rtol=1e-6)
    assert session.activity.dtype == session.behavior.dtype == session.position.dtype == np.float32
    assert session.behavior_names == ("speed", "pupil")
    assert {kind: labels.tolist() for kind, labels in session.labels.items()} == {
        "label": ["Vip", "", "", "Sst"],
        "ei": ["IN", "EC", "", "IN"],
    }
    assert session.neuron_id.tolist() == ["m1/7", "m1/8", "m1/9", "m1/12"]
    assert session.notes == ()


@pytest.mark.parametrize("suffix", [".npz", ".h5"])
def test_a_file_that_tells_little_is_called_as_it_is(tmp_path, suffix) -> None:
    given = {
        "activity": np.random.default_rng(0).poisson(1.0, (N_FRAMES, N_NEURONS)),
        "frame_s": np.array([0.2]),
        "label_ei": np.array([b"IN", b"EC", b"", b"IN"]),
    }
    (session,) = read_session_arrays(write_arrays(tmp_path / f"mine{suffix}", given))
    assert (session.name, session.animal) == ("mine", "mine")
    assert session.neuron_id.tolist() == [f"mine/{i} (no id)" for i in range(4)]
    assert (session.behavior, session.behavior_names, session.position) == (None, (), None)
    assert session.labels["ei"].tolist() == ["IN", "EC", "", "IN"]
    np.testing.assert_array_equal(session.activity, given["activity"])


@pytest.mark.parametrize("suffix", [".npz", ".h5"])
def test_a_file_may_hold_several_sessions(tmp_path, suffix) -> None:
    other = content(name=None, neuron_id=None, animal="m2", activity=np.ones((30, 4)))
    days = within("day1", content(name=None)) | within("more/day2", other)
    first, second = read_session_arrays(write_arrays(tmp_path / f"mine{suffix}", days))
    assert (first.name, second.name) == ("mine/day1", "mine/more/day2")
    assert (first.animal, second.animal) == ("m1", "m2")
    assert first.neuron_id.tolist() == ["m1/7", "m1/8", "m1/9", "m1/12"]
    assert second.neuron_id.tolist() == [f"mine/more/day2/{i} (no id)" for i in range(4)]
    assert (second.activity == 1).all() and not (first.activity == 1).any()


def test_cells_recur_where_their_ids_do(tmp_path) -> None:
    strings = np.array(["a", "b", "c", "d"])
    days = within("1", content(name=None, neuron_id=strings))
    days |= within("2", content(name=None, neuron_id=strings[::-1]))
    days |= within("3", content(name=None, animal="m2", neuron_id=strings))
    first, second, other = read_session_arrays(write_arrays(tmp_path / "mine.npz", days))
    assert first.neuron_id.tolist() == [f"m1/{cell}" for cell in "abcd"]
    assert second.neuron_id.tolist() == [f"m1/{cell}" for cell in "dcba"]
    assert other.neuron_id.tolist() == [f"m2/{cell}" for cell in "abcd"]


@pytest.mark.parametrize("suffix", [".npz", ".h5"])
def test_unknown_keys_are_noted(tmp_path, suffix) -> None:
    path = write_arrays(tmp_path / f"a{suffix}", content(depth=np.ones(4), **{"rig/laser": 920}))
    (session,) = read_session_arrays(path)
    assert session.notes == (
        "Keys that mean nothing here were left alone: depth.",
        "Keys that mean nothing here were left alone: rig/laser.",
    )
    days = within("1", content(depth=1)) | within("2", content(name="x")) | {"made_by": "me"}
    first, second = read_session_arrays(write_arrays(tmp_path / f"b{suffix}", days))
    assert [note.split(": ")[1] for note in first.notes] == ["depth.", "made_by."]
    assert second.notes == ()


def test_groups_are_read_where_they_are_wanted(tmp_path) -> None:
    path = write_arrays(tmp_path / "a.h5", {"x": 1, "g/y": 2, "g/h/z": 3})
    assert load_arrays(path) == {"x": 1}
    assert load_arrays(path, groups=True) == {"x": 1, "g/y": 2, "g/h/z": 3}


def one_bad(shape, value):
    array = np.ones(shape)
    array[5, 1] = value
    return array


BAD = [
    ({"activity": None, "activty": np.ones((30, 4))}, "no key 'activity'; did you mean 'activty'"),
    ({"frame_s": None}, "no key 'frame_s'; .*There are: "),
    ({"label": None, "label_ei": None, "labels": 1}, "no key 'label'; did you mean 'labels'"),
    ({"activity": np.ones(30)}, r"activity: found shape \(30,\) of float64, wanted \(frame, neuro"),
    ({"activity": np.ones((2, 30, 4))}, r"activity: found shape \(2, 30, 4\)"),
    ({"activity": np.full((30, 4), "a")}, r"activity: found shape \(30, 4\) of .*of numbers"),
    ({"activity": one_bad((30, 4), np.nan)}, "activity is not finite in 1 of 30 frames, frame 5"),
    ({"activity": one_bad((30, 4), np.inf)}, "activity is not finite in 1 of 30 frames, frame 5"),
    ({"activity": np.ones((30, 5))}, "activity has 5 neurons and label 'label' has 4"),
    ({"frame_s": [0.1, 0.2]}, r"frame_s: found shape \(2,\) of float64, wanted one number"),
    ({"frame_s": "fast"}, r"frame_s: found shape \(\) of .*, wanted one number"),
    ({"frame_s": -0.2}, "frame_s -0.2, wanted seconds above 0"),
    ({"frame_s": np.nan}, "frame_s nan, wanted seconds above 0"),
    ({"label": np.arange(4)}, r"label: found numbers \(int64\), wanted strings"),
    ({"label_ei": np.full((4, 2), "EC")}, r"label_ei: found shape \(4, 2\), wanted \(neuron,\)"),
    ({"label": np.array(["EC"] * 3)}, "activity has 4 neurons and label 'label' has 3"),
    (
        {"label": np.array(["", "nan", "NaN", " "]), "label_ei": np.full(4, np.nan)},
        "no neuron has a label: all are missing in label, ei",
    ),
    ({"behavior": np.ones((29, 2))}, r"behavior has shape \(29, 2\), wanted \(30 frames, 2 chan"),
    ({"behavior": np.ones((2, 30, 2))}, r"behavior: found shape \(2, 30, 2\)"),
    ({"behavior": one_bad((30, 2), -np.inf)}, "behavior: 1 samples are infinite; mark missing"),
    ({"behavior_names": ["a"]}, "behavior_names: found a, wanted 2 different names"),
    ({"behavior": None}, "behavior_names: found names, wanted 'behavior' beside them"),
    ({"position": np.ones((4, 5))}, r"position: found shape \(4, 5\), wanted \(neuron, 2 or 3\)"),
    ({"position": np.ones((3, 2))}, "activity has 4 neurons and position has 3"),
    ({"neuron_id": [1, 2, 2, 3]}, "neuron_id 'm1/2' appears 2 times in one session"),
    ({"neuron_id": [1, 2, 3]}, "activity has 4 neurons and neuron_id has 3"),
    ({"neuron_id": [1, 2, 3, 4.5]}, "neuron_id: found 4.5, wanted whole numbers or strings"),
    ({"animal": ["a", "b"]}, r"animal: found shape \(2,\) of .*, wanted one string"),
    ({"name": 0.5}, "name: found shape .* of float64, wanted one string"),
]


@pytest.mark.parametrize("session", ["", "day1"])
@pytest.mark.parametrize(("change", "message"), BAD)
def test_files_that_do_not_fit_are_refused(tmp_path, session, change, message) -> None:
    arrays = content(**change)
    path = write_arrays(tmp_path / "a.npz", within(session, arrays) if session else arrays)
    where = f"{path}: {session}" if session else path
    refuses(f"^{where}: .*{message}", read_session_arrays, path)


def test_files_that_cannot_be_read_are_refused(tmp_path) -> None:
    refuses(r"none.npz: no such file", read_session_arrays, tmp_path / "none.npz")
    path = write_arrays(tmp_path / "a.npz", {"something": np.ones(3), "g/other": np.ones(3)})
    refuses(r"a.npz: no key 'activity'; There are: something, g/oth", read_session_arrays, path)
    path = write_arrays(tmp_path / "a.npz", content(label=np.array(["Vip", None], dtype=object)))
    refuses(r"a.npz: holds pickled objects", read_session_arrays, path)
    path = write_arrays(tmp_path / "a.h5", content())
    path.write_bytes(path.read_bytes()[:900])
    refuses(r"a.h5: truncated or not an HDF5 file", read_session_arrays, path)
