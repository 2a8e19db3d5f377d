import numpy as np
import pytest
from conftest import refuses

from neuroblend.data.calcium.bugeon import is_bugeon, read_bugeon
from neuroblend.data.calcium.read import read_sessions
from neuroblend.errors import InputError

FRAME_S = 0.25
TYPES = ("EC", "Lamp5-Plch2-Dock5", "IN", "Sst-Tac1", "Vip")
IDS = (1.0, 2.0, np.nan, 1234567.0, 1234568.0)


def write_cells(folder, types=TYPES, ids=IDS):
    folder.mkdir(parents=True)
    (folder / "neuron.ttype.txt").write_text("".join(f"{name}\n" for name in types))
    np.save(folder / "neuron.UniqueID.npy", np.array(ids)[:, None])
    position = np.random.default_rng(0).uniform(0, 500, (len(types), 3))
    np.save(folder / "neuron.stackPosCorrected.npy", position)


def write_run(folder, n_neurons=5, n_frames=40, **changes):
    """Speed is twice the time and the pupil thrice, both on clocks of their own."""
    rng = np.random.default_rng(n_frames)
    frames = 5 + FRAME_S * np.arange(n_frames)
    running, eye = np.arange(3, 18, 0.02), np.arange(6, 18, 0.03)
    arrays = {
        "frame.neuralActivity": rng.exponential(size=(n_frames, n_neurons)),
        "frame.times": frames[:, None],
        "frame.states": (np.arange(n_frames) % 3)[:, None].astype(float),
        "running.speed": 2 * running[:, None],
        "running.times": running[:, None],
        "eye.size": 3 * eye[:, None],
        "eye.times": eye[:, None],
    }
    folder.mkdir(parents=True)
    for name, array in (arrays | changes).items():
        np.save(folder / f"{name}.npy", array)


@pytest.fixture
def root(tmp_path):
    day = tmp_path / "SB025" / "2019-10-07"
    write_cells(day)
    write_run(day / "Blank" / "01")
    write_run(day / "Natural Scenes" / "01", n_frames=30)
    return tmp_path


def test_a_run_holds_what_its_files_hold(root) -> None:
    assert is_bugeon(root)
    first, second = read_sessions(root)
    runs = ["Blank/01", "Natural Scenes/01"]
    assert [s.name for s in (first, second)] == [f"SB025/2019-10-07/{run}" for run in runs]
    run = root / first.name
    np.testing.assert_allclose(first.activity, np.load(run / "frame.neuralActivity.npy"), rtol=1e-6)
    assert first.activity.dtype == np.float32
    assert (first.animal, first.frame_s, first.notes) == ("SB025", FRAME_S, ())
    assert first.behavior_names == ("speed", "pupil", "running", "desynchronized", "synchronized")
    frames = np.load(run / "frame.times.npy")[:, 0]
    np.testing.assert_allclose(first.behavior[:, 0], 2 * frames, rtol=1e-5)
    pupil = np.where(frames < 6, np.nan, 3 * frames)
    np.testing.assert_allclose(first.behavior[:, 1], pupil, rtol=1e-5)
    np.testing.assert_array_equal(first.behavior[:, 2:], np.eye(3)[np.arange(40) % 3])
    position = np.load(run.parents[1] / "neuron.stackPosCorrected.npy")
    np.testing.assert_allclose(first.position, position, rtol=1e-6)


def test_cells_have_three_kinds_of_labels_and_ids_that_recur(root) -> None:
    write_cells(root / "SB025" / "2019-10-08")
    write_run(root / "SB025" / "2019-10-08" / "Blank" / "01")
    first, second = read_bugeon(root, ["Blank"])
    assert first.labels["subclass"].tolist() == ["", "Lamp5", "", "Sst", "Vip"]
    assert first.labels["ei"].tolist() == ["EC", "IN", "IN", "IN", "IN"]
    assert first.labels["type"].tolist() == list(TYPES)
    ids = ("1", "2", "2019-10-07/2 (no id)", "1234567", "1234568")
    assert first.neuron_id.tolist() == [f"SB025/{cell}" for cell in ids]
    assert set(first.neuron_id) - set(second.neuron_id) == {"SB025/2019-10-07/2 (no id)"}


def test_unknown_types_are_kept_and_counted(tmp_path) -> None:
    day = tmp_path / "SB025" / "2019-10-07"
    write_cells(day, ("EC", "Astro-1", "Astro-2", "Vip", "Micro"))
    write_run(day / "Blank" / "01")
    (session,) = read_bugeon(tmp_path)
    assert session.labels["type"].tolist() == ["EC", "other", "other", "Vip", "other"]
    assert session.labels["ei"].tolist() == ["EC", "", "", "IN", ""]
    assert session.labels["subclass"].tolist() == ["", "", "", "Vip", ""]
    assert session.notes == (
        "2 cells of type 'Astro' are kept as 'other'",
        "1 cells of type 'Micro' are kept as 'other'",
    )


def test_stimuli_are_chosen_by_name(root) -> None:
    assert [s.n_frames for s in read_sessions(root, ["Natural Scenes"])] == [30]
    with pytest.raises(InputError, match="no stimulus 'Natural Scene': did you mean 'Natural Sc"):
        read_sessions(root, ["Blank", "Natural Scene"])


def test_a_run_of_other_cells_is_left_out_and_noted(root) -> None:
    write_run(root / "SB025" / "2019-10-07" / "Blank" / "02", n_neurons=4)
    sessions = read_bugeon(root)
    assert [s.name[-2:] for s in sessions] == ["01", "01"]
    assert sessions[0].notes == (
        "SB025/2019-10-07/Blank/02: activity has shape (40, 4) and the table of cells 5 rows; "
        "this run is left out",
    )


def test_folders_that_are_no_runs_and_days_without_any_are_told(root) -> None:
    day = root / "SB025" / "2019-10-07"
    write_run(day / "Blank" / "1")
    (day / "Blank" / "03").write_text("a file and no run")
    write_cells(root / "SB025" / "2019-10-09")
    notes = "\n".join(read_bugeon(root, ["Blank"])[0].notes)
    assert "SB025/2019-10-07/Blank/1: is not called as a run is" in notes
    assert "SB025/2019-10-09: no <stimulus>/<run>; it is left out" in notes
    (root / "SB025" / "2019-10-10").mkdir()
    refuses(r"2019-10-10.neuron.ttype.txt: not there", read_bugeon, root)


def test_a_clock_that_stops_is_told(root) -> None:
    file = root / "SB025" / "2019-10-07" / "Blank" / "01" / "frame.times.npy"
    times = np.load(file)
    times[20:] += 3.0
    np.save(file, times)
    notes = "\n".join(read_bugeon(root, ["Blank"])[0].notes)
    assert "the clock of frames stops 1 times, for 3." in notes


def test_nothing_but_runs_of_other_cells_is_refused(tmp_path) -> None:
    day = tmp_path / "SB025" / "2019-10-07"
    write_cells(day)
    refuses(r"no run that can be used \(SB025/2019-10-07: no <", read_bugeon, tmp_path)
    write_run(day / "Blank" / "01", n_neurons=4)
    refuses(r"no run that can be used \(SB025.*this run is left out", read_bugeon, tmp_path)


@pytest.mark.parametrize(
    "file",
    [
        *("neuron.ttype.txt", "neuron.UniqueID.npy", "neuron.stackPosCorrected.npy"),
        *(f"Blank/01/frame.{name}.npy" for name in ("neuralActivity", "times", "states")),
        *(f"Blank/01/{name}.npy" for name in ("running.speed", "running.times")),
        *(f"Blank/01/eye.{name}.npy" for name in ("size", "times")),
    ],
)
def test_a_missing_file_is_named(root, file) -> None:
    path = root / "SB025" / "2019-10-07" / file
    whole = path.read_bytes()
    path.unlink()
    refuses(f"^{path}: not there; the layout of Bugeon", read_sessions, root)
    if path.suffix == ".npy":
        for share in (0, 0.5):
            path.write_bytes(whole[: int(share * len(whole))])
            refuses(f"^{path}: damaged", read_sessions, root)
    path.write_bytes(b"\xff\xfe\x00 not what it should be")
    refuses(f"^{path}: damaged", read_sessions, root)


def save(name, array):
    def edit(day):
        np.save(day / name, array)

    return edit


def with_missing(day):
    path = day / "Blank" / "01" / "frame.neuralActivity.npy"
    activity = np.load(path)
    activity[[3, 7]] = np.nan
    np.save(path, activity)


RUN = "Blank/01"


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (save("neuron.UniqueID.npy", np.arange(4.0)), "has 5 cells and neuron.UniqueID.npy 4"),
        (save("neuron.stackPosCorrected.npy", np.ones((6, 2))), "neuron.stackPosCorrected.npy 6"),
        (save("neuron.stackPosCorrected.npy", np.ones(5)), r"has shape \(5,\), wanted \(N, 2\)"),
        (save("neuron.UniqueID.npy", np.array(list("abcde"))), "UniqueID.npy: holds <U1, wanted n"),
        (save("neuron.UniqueID.npy", np.array([1, 2, 3, 4, 4.5])), r"UniqueID.npy as .* found 4.5"),
        (save("neuron.UniqueID.npy", np.array([1, 2, 3, 4, 4])), "'SB025/4' appears 2 times"),
        (save(f"{RUN}/frame.times.npy", np.arange(39.0)), "40 frames of activity and 39 of frame"),
        (save(f"{RUN}/frame.states.npy", np.ones(41)), "40 frames of activity and 41 of frame"),
        (save(f"{RUN}/frame.times.npy", -np.arange(40.0)), "frame.times.npy is not ascending"),
        (save(f"{RUN}/frame.times.npy", np.full(40, np.nan)), "frame.times.npy is not ascending"),
        (save(f"{RUN}/running.times.npy", np.arange(9.0)), "running.speed: found 750 samples at 9"),
        (save(f"{RUN}/eye.times.npy", 900 + np.arange(400.0)), "01/eye.size: samples from 900.0"),
        (save(f"{RUN}/eye.size.npy", np.full(400, np.nan)), "eye.size: no sample that is a number"),
        (with_missing, "Blank/01: activity is not finite in 2 of 40 frames, frame 3 first"),
    ],
)
def test_files_that_do_not_fit_are_refused(root, edit, message) -> None:
    edit(root / "SB025" / "2019-10-07")
    refuses(message, read_sessions, root)


def test_states_that_are_not_known_are_missing(root) -> None:
    states = (np.arange(40) % 3).astype(float)
    states[[5, 6]], states[8] = 7, np.nan
    np.save(root / "SB025/2019-10-07/Blank/01/frame.states.npy", states)
    session = read_bugeon(root)[0]
    missing = np.isnan(session.behavior[:, 2:])
    assert np.flatnonzero(missing.all(axis=1)).tolist() == [5, 6, 8]
    assert missing.sum() == 9
    assert session.notes == ("SB025/2019-10-07/Blank/01: 2 frames of an unknown state are missing",)


def test_a_cell_of_two_types_is_refused(root) -> None:
    day = root / "SB025" / "2019-10-08"
    write_cells(day, ("EC", "Vip", "IN", "Sst-Tac1", "Vip"))
    write_run(day / "Blank" / "01")
    refuses("10-08/Blank/01: neuron 'SB025/2' is Vip here and Lamp5", read_sessions, root)
