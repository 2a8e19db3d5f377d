from dataclasses import replace

import numpy as np
import pytest
from conftest import make_session, refuses, write_arrays

from neuroblend.data.calcium.read import one_cell_an_id, read_sessions
from neuroblend.data.calcium.session import CalciumSession, as_labels, as_neuron_ids, labels_of
from neuroblend.errors import InputError


def session(name="a", ids=("x", "y", "z"), labels=("Vip", "", "Sst")) -> CalciumSession:
    return make_session(name, ids=ids, labels={"subclass": np.array(labels)})


def test_a_session_tells_its_sizes() -> None:
    assert (session().n_frames, session().n_neurons) == (20, 3)
    assert repr(session()) == (
        "CalciumSession('a': 20 frames of 0.250 s x 3 neurons, behavior: speed, pupil)"
    )
    assert repr(replace(session(), behavior=None, behavior_names=())).endswith("behavior: none)")


def not_finite() -> np.ndarray:
    activity = np.ones((20, 3), np.float32)
    activity[[4, 9], [0, 1]] = np.nan, np.inf
    return activity


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"activity": np.ones(20)}, r"a: activity has shape \(20,\), wanted \(frame, neuron\)"),
        ({"activity": np.ones((0, 3))}, r"a: activity has shape \(0, 3\)"),
        ({"activity": not_finite()}, "a: activity is not finite in 2 of 20 frames, frame 4 first"),
        ({"labels": {"ei": np.array(["EC"])}}, "a: activity has 3 neurons and label 'ei' has 1"),
        *(
            ({"labels": {kind: np.array(["EC"] * 3)}}, f"a: labels are called '{kind}', wanted")
            for kind in ("", "vectors", "a/b")
        ),
        ({"neuron_id": np.array(["x"])}, "a: activity has 3 neurons and neuron_id has 1"),
        ({"position": np.ones((4, 2))}, "a: activity has 3 neurons and position has 4"),
        ({"neuron_id": np.array(["x", "y", "y"])}, "a: neuron_id 'y' appears 2 times in one"),
        ({"behavior": np.ones((19, 2))}, r"a: behavior has shape \(19, 2\), wanted \(20 frames, 2"),
        ({"behavior_names": ("speed",)}, r"wanted \(20 frames, 1 channels\)"),
        ({"frame_s": 0.0}, "a: frame_s 0, wanted seconds above 0"),
        ({"frame_s": np.nan}, "a: frame_s nan"),
        ({"frame_s": np.inf}, "a: frame_s inf"),
    ],
)
def test_sessions_that_do_not_fit_are_refused(change, message) -> None:
    refuses(message, replace, session(), **change)


def test_a_cell_has_one_label_in_all_its_sessions() -> None:
    again = session("b", ("z", "y", "w"), ("Sst", "Pvalb", ""))
    both = [session(), again]
    assert one_cell_an_id(both) is both
    assert labels_of(both, "subclass") == {"x": "Vip", "z": "Sst", "y": "Pvalb"}
    assert labels_of(both, "ei") == {}
    with pytest.raises(InputError, match="c: neuron 'z' is Vip here and Sst in a"):
        one_cell_an_id([*both, session("c", ("z", "u", "v"), ("Vip", "", ""))])
    other_kind = replace(session("c", ("z", "u", "v")), labels={"ei": np.array(["IN", "", ""])})
    assert len(one_cell_an_id([*both, other_kind])) == 3


def test_a_cell_is_of_one_animal() -> None:
    other = replace(session("b"), animal="n")
    with pytest.raises(InputError, match="b: neuron 'x' is of n here and of m in a; wanted ids"):
        one_cell_an_id([session(), other])


def test_labels_that_stand_for_none_are_absent() -> None:
    given = np.array(["Vip", " Sst ", "", "nan", "NaN", None, np.nan, b"Pvalb"], dtype=object)
    assert as_labels("label", given).tolist() == ["Vip", "Sst", "", "", "", "", "", "Pvalb"]
    assert as_labels("label", np.full(2, np.nan)).tolist() == ["", ""]
    refuses(r"label: found numbers \(int64\), wanted strings", as_labels, "label", np.arange(3))
    refuses(r"label: found shape \(2, 1\), wanted \(neuron,\)", as_labels, "label", [["a"], ["b"]])


def test_ids_count_within_the_animal() -> None:
    big = as_neuron_ids([1234567.0, np.nan, 1234568.0], "m1", "m1/day")
    assert big.tolist() == ["m1/1234567", "m1/day/1 (no id)", "m1/1234568"]
    assert as_neuron_ids(np.arange(2), "m1", "s").tolist() == ["m1/0", "m1/1"]
    assert as_neuron_ids(["c3", ""], "m1", "s").tolist() == ["m1/c3", "s/1 (no id)"]
    with pytest.raises(InputError, match=r"neuron_id: found 1\.5, wanted whole numbers or strings"):
        as_neuron_ids([1.0, 1.5], "m1", "s")
    refuses("neuron_id: found bool", as_neuron_ids, [True], "m1", "s")


def write(path, **changes):
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {"activity": np.ones((9, 2)), "frame_s": 0.2, "label": np.array(["Vip", "Sst"])}
    return write_arrays(path, arrays | changes)


def test_a_folder_of_files_is_read_in_order(tmp_path) -> None:
    write(tmp_path / "m2" / "b.npz")
    write(tmp_path / "m1" / "a.npz")
    (tmp_path / "readme.txt").write_text("not data")
    assert [found.name for found in read_sessions(tmp_path)] == ["a", "b"]
    assert [found.name for found in read_sessions(str(tmp_path / "m1" / "a.npz"))] == ["a"]
    (tmp_path / "m1" / "a.npz").rename(tmp_path / "m1" / "A.NPZ")
    assert [found.name for found in read_sessions(tmp_path / "m1" / "A.NPZ")] == ["A"]


def test_sources_that_hold_nothing_are_refused(tmp_path) -> None:
    refuses("none: not there; wanted a folder or a file", read_sessions, tmp_path / "none")
    refuses(r"holds neither sessions .* nor files of type .*\.nwb", read_sessions, tmp_path)
    (tmp_path / "a.csv").write_text("1,2")
    refuses(r"a.csv: unknown file type '.csv', wanted .*\.npz", read_sessions, tmp_path / "a.csv")
    with pytest.raises(InputError, match="--stimuli chooses runs of the layout"):
        read_sessions(write(tmp_path / "a.npz"), ["Blank"])


def test_sessions_of_one_name_are_refused(tmp_path) -> None:
    write(tmp_path / "m1" / "day.npz")
    write(tmp_path / "m2" / "day.npz")
    refuses("2 sessions are called 'day'; name them apart", read_sessions, tmp_path)
    write(tmp_path / "m2" / "day.npz", name="m2/day")
    first, second = read_sessions(tmp_path)
    assert not set(first.neuron_id) & set(second.neuron_id)


def test_labels_are_compared_across_files(tmp_path) -> None:
    write(tmp_path / "a.npz", neuron_id=np.array(["x", "y"]), animal="m")
    write(tmp_path / "b.npz", neuron_id=np.array(["y", "x"]), animal="m")
    refuses("b: neuron 'm/y' is Vip here and Sst in a", read_sessions, tmp_path)
