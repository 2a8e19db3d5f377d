"""Sessions as windows: what is standardised, and who and what is in which window.

Activity is a code of cell and frame here, so that a window can be traced to where it was cut.
"""

import conftest
import numpy as np
import pytest
import torch
from conftest import refuses

from neuroblend.data.calcium.session import CalciumSession
from neuroblend.errors import InputError
from neuroblend.experiments.identity.task import VALID_SHARE, CellTask, usual_window

WINDOW = 10
CPU = torch.device("cpu")
NAMES = ("speed", "pupil", "running")
CELLS = {"a": ("m/1", "m/2", "m/3", "a/0"), "b": ("m/3", "b/0", "m/1", "b/1", "b/2")}
TESTED = frozenset({"m/3", "b/0"})


def make_session(name="a", n_frames=100, seed=0, **changes) -> CalciumSession:
    rng = np.random.default_rng([seed, ord(name[0])])
    cells = changes.pop("cells", CELLS.get(name, CELLS["a"]))
    behavior = np.stack(
        [
            rng.exponential(5, n_frames),
            rng.normal(1000, 300, n_frames),
            rng.random(n_frames) < (0.2 if name == "a" else 0.6),
        ],
        axis=1,
    ).astype(np.float32)
    behavior[3:6, 1] = np.nan
    given = {
        "activity": rng.exponential(size=(n_frames, len(cells))).astype(np.float32),
        "behavior": behavior,
        "behavior_names": NAMES,
        "position": rng.uniform(0, 500, (len(cells), 3)).astype(np.float32),
    }
    return conftest.make_session(name, n_frames, cells, **(given | changes))


@pytest.fixture
def sessions() -> list[CalciumSession]:
    return [make_session("a", 100), make_session("b", 137)]


@pytest.fixture
def task(sessions) -> CellTask:
    return CellTask.of(sessions, TESTED, WINDOW)


def frames_of(task: CellTask, batch) -> tuple[int, list[list[int]]]:
    """Return which session the windows of a batch are of, and their frames."""
    for i, frames in enumerate(task.sessions):
        column = {cell: column for column, cell in enumerate(frames.neurons.tolist())}
        if not set(batch.neurons.tolist()) <= set(column):
            continue
        seen = frames.activity[:, [column[cell] for cell in batch.neurons.tolist()]]
        rows = {tuple(row): t for t, row in enumerate(seen.tolist())}
        if tuple(batch.spikes[0, 0].tolist()) in rows:
            return i, [[rows[tuple(row)] for row in window.tolist()] for window in batch.spikes]
    raise AssertionError("a window of no session")


# cells


def test_the_same_cell_in_two_sessions_has_one_row(task) -> None:
    assert task.cells == ("a/0", "b/0", "b/1", "b/2", "m/1", "m/2", "m/3")
    assert task.spec.n_cells == 7
    for frames in task.sessions:
        named = [task.cells[row] for row in frames.neurons.tolist()]
        assert named == list(CELLS[frames.name])
    named = zip(task.cells, task.spec.reference.tolist(), strict=True)
    assert {cell for cell, is_reference in named if not is_reference} == TESTED


def test_tested_cells_that_no_session_has_take_no_row(sessions) -> None:
    task = CellTask.of(sessions, TESTED | {"elsewhere/1"}, WINDOW)
    assert len(task.cells) == 7
    assert task.spec.n_behavior == 0


def test_a_cell_is_where_the_first_session_saw_it(sessions, task) -> None:
    assert task.spec.position.shape == (7, 3)
    for cell in task.cells:
        where = next(s for s in sessions if cell in s.neuron_id)
        expected = where.position[where.neuron_id.tolist().index(cell)]
        assert task.spec.position[task.cells.index(cell)].tolist() == expected.tolist()


def test_a_position_that_one_session_lacks_is_taken_from_another(sessions) -> None:
    first, second = sessions
    first.position[2] = np.nan  # m/3, which the second session has at its first place
    task = CellTask.of(sessions, TESTED, WINDOW)
    assert task.spec.position[task.cells.index("m/3")].tolist() == second.position[0].tolist()
    first.position[1] = np.nan  # m/2, which no other session has
    task = CellTask.of(sessions, TESTED, WINDOW)
    known = task.spec.position.isfinite().all(dim=1)
    assert [task.cells[i] for i in (~known).nonzero().flatten()] == ["m/2"]


def test_positions_of_one_session_are_used_for_its_cells() -> None:
    sessions = [make_session("a"), make_session("b", position=None)]
    known = CellTask.of(sessions, TESTED, WINDOW).spec.position.isfinite().all(dim=1)
    assert int(known.sum()) == sessions[0].n_neurons


def test_positions_that_do_not_go_together_are_left_out() -> None:
    position = np.zeros((5, 2), np.float32)
    task = CellTask.of([make_session("a"), make_session("b", position=position)], TESTED, WINDOW)
    assert task.spec.position is None
    assert task.spec.n_neighbors == 0


# numbers


def test_activity_is_standardised_neuron_by_neuron(sessions) -> None:
    sessions[0].activity[:, 1] = 0
    sessions[0].activity[:, 2] = 0.7
    sessions[0].activity[:, 3] *= 1e-9
    first, second = CellTask.of(sessions, TESTED, WINDOW).sessions
    for frames, session in ((first, sessions[0]), (second, sessions[1])):
        assert frames.activity.dtype == torch.float32
        for i in range(session.n_neurons):
            x = session.activity[:, i].astype(float)
            if i in (1, 2) and session.name == "a":
                assert not frames.activity[:, i].any()
            else:
                expected = (x - x.mean()) / x.std()
                np.testing.assert_allclose(frames.activity[:, i], expected, atol=1e-4)


def test_behavior_is_standardised_by_session_but_states_over_all(sessions, task) -> None:
    both = np.concatenate([session.behavior for session in sessions])
    for frames, session in zip(task.sessions, sessions, strict=True):
        for i in range(3):
            x = session.behavior[:, i].astype(float)
            known = (both if NAMES[i] == "running" else session.behavior)[:, i].astype(float)
            expected = (x - np.nanmean(known)) / np.nanstd(known)
            np.testing.assert_allclose(frames.behavior[:, i], np.nan_to_num(expected), atol=1e-4)
            assert torch.equal(frames.present[:, i], torch.from_numpy(~np.isnan(x)))
    means = [float(frames.behavior[:, 2].mean()) for frames in task.sessions]
    assert means[1] - means[0] > 0.3  # sessions differ in how much a mouse ran
    assert task.behavior_names == NAMES


def test_gaps_are_known_and_behavior_that_never_moves_is_nothing(sessions) -> None:
    assert CellTask.of(sessions, TESTED, WINDOW).gaps
    for session in sessions:
        session.behavior[3:6, 1] = 900.0
    assert not CellTask.of(sessions, TESTED, WINDOW).gaps
    sessions[0].behavior[:, 0] = 7.3
    sessions[0].behavior[::2, 0] = np.nextafter(np.float32(7.3), np.float32(8))  # of rounding
    sessions[0].behavior[:, 1] = np.nan
    task = CellTask.of(sessions, TESTED, WINDOW)
    first = task.sessions[0]
    assert task.gaps
    assert first.behavior[:, 0].abs().max() < 1e-5
    assert not first.behavior[:, 1].any()
    assert not first.present[:, 1].any()
    assert bool(first.behavior.isfinite().all())


def test_sessions_without_behavior(sessions) -> None:
    without = {"behavior": None, "behavior_names": ()}
    task = CellTask.of([make_session("a", **without), make_session("b", **without)], TESTED, WINDOW)
    assert (task.behavior_names, task.gaps) == ((), False)
    for batch in [task.example(), *task.train_batches(2, 0, CPU), *task.valid_batches()]:
        assert batch.behavior is None


# windows


def test_windows_hold_what_the_session_holds(task) -> None:
    for batch in [*task.train_batches(3, 0, CPU), *task.valid_batches()]:
        i, frames = frames_of(task, batch)
        session = task.sessions[i]
        assert batch.spikes.shape == (len(frames), WINDOW, len(batch.neurons))
        assert torch.equal(batch.target, batch.spikes)
        assert not batch.scored.any()
        assert batch.scored.shape == batch.spikes.shape
        for b, window in enumerate(frames):
            assert window == list(range(window[0], window[0] + WINDOW))
            assert torch.equal(batch.behavior.values[b], session.behavior[window])
            assert torch.equal(batch.behavior.present[b], session.present[window])


def test_tested_cells_are_in_no_window_that_trains_or_validates(task) -> None:
    n_seen = 0
    for batch in [task.example(), *task.train_batches(3, 0, CPU), *task.valid_batches()]:
        named = [task.cells[row] for row in batch.neurons.tolist()]
        assert not TESTED & set(named)
        i, _ = frames_of(task, batch)
        assert named == [cell for cell in CELLS[task.sessions[i].name] if cell not in TESTED]
        n_seen += batch.n_trials
    assert n_seen > 12
    everyone = [row for frames in task.sessions for row in frames.neurons.tolist()]
    assert set(everyone) == set(range(7))  # they are there to be met later


@pytest.mark.parametrize("n_frames", [100, 103, 137, 149])
def test_no_frame_trains_and_validates(n_frames) -> None:
    task = CellTask.of([make_session("a", n_frames), make_session("b", 100)], TESTED, WINDOW)
    trained: dict[int, set[int]] = {0: set(), 1: set()}
    batches = task.train_batches(3, 0, CPU)
    for batches.epoch in range(30):
        for batch in batches:
            i, frames = frames_of(task, batch)
            trained[i] |= {t for window in frames for t in window}
    validated: dict[int, set[int]] = {}
    for batch in task.valid_batches():
        i, frames = frames_of(task, batch)
        assert i not in validated
        validated[i] = {t for window in frames for t in window}
        assert len(validated[i]) == WINDOW * len(frames)
    for i, n in enumerate((n_frames, 100)):
        # over many epochs every frame of the first part is used, and none of the last
        assert trained[i] == set(range(round(n * (1 - VALID_SHARE))))
        assert len(validated[i]) >= WINDOW
        assert min(validated[i]) > max(trained[i])


def test_windows_of_an_epoch_do_not_overlap_and_change_with_epoch_and_seed(task) -> None:
    def cut(epoch, seed=3):
        batches = task.train_batches(2, seed, CPU)
        batches.epoch = epoch
        return [frames_of(task, batch) for batch in batches]

    for epoch in range(4):
        for i in range(2):
            used = [t for j, windows in cut(epoch) if j == i for window in windows for t in window]
            assert len(used) == len(set(used)) > 0
    assert cut(1) == cut(1)
    firsts = [
        {(i, window[0]) for i, windows in cut(epoch) for window in windows} for epoch in range(6)
    ]
    assert len({frozenset(first) for first in firsts}) == 6  # other cuts, not just another order
    assert cut(1) != cut(1, seed=4)
    assert any([w[0] for w in windows] != sorted(w[0] for w in windows) for _, windows in cut(0))
    order = [i for i, _ in cut(0)]
    assert order not in (sorted(order), sorted(order, reverse=True))  # sessions take turns


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_counts_are_those_of_the_windows(task, size) -> None:
    batches = task.train_batches(size, 0, CPU)
    found = list(batches)
    assert len(batches) == len(found)
    assert max(batch.n_trials for batch in found) <= size
    assert sum(batch.n_trials for batch in found) == task.n_train


def test_the_example_is_of_the_first_session(task) -> None:
    i, frames = frames_of(task, task.example())
    assert i == 0
    assert frames == [list(range(WINDOW)), list(range(WINDOW, 2 * WINDOW))]


def test_a_session_of_tested_cells_alone_is_met_later(sessions) -> None:
    task = CellTask.of(sessions, frozenset(CELLS["a"]), WINDOW)
    assert len(task.sessions) == 2
    for batch in [task.example(), *task.train_batches(3, 0, CPU), *task.valid_batches()]:
        assert frames_of(task, batch)[0] == 1


# what the window is


@pytest.mark.parametrize(("shortest", "window"), [(5000, 200), (1600, 200), (800, 100), (50, 10)])
def test_the_window_fits_the_shortest_session(shortest, window) -> None:
    sessions = [make_session("a", 6000), make_session("b", shortest)]
    assert usual_window(sessions) == window
    task = CellTask.of(sessions, TESTED)
    assert task.window == window
    assert all(len(batch.spikes) for batch in task.valid_batches())


# what is refused


def test_a_session_that_is_too_short_says_how_long_it_must_be() -> None:
    for window in (10, 11, 33):
        least = round(window / VALID_SHARE)
        first, second = make_session("a", least), make_session("b", least - 1)
        CellTask.of([first], TESTED, window)
        lower = "; lower it with --window" if window > 10 else ""
        wanted = f"wanted {least} or more for windows of {window}{lower}$"
        refuses(f"^b: {least - 1} frames, {wanted}", CellTask.of, [first, second], TESTED, window)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"behavior_names": ("speed", "pupil", "other")},
            "^b: behavior speed, pupil, other, and speed, pupil, running in a; wanted the same in "
            "all sessions; choose channels with --behavior",
        ),
        ({"behavior": None, "behavior_names": ()}, "^b: behavior none, and speed, pupil, running"),
    ],
)
def test_behavior_that_differs_is_refused(changes, message) -> None:
    refuses(message, CellTask.of, [make_session("a"), make_session("b", **changes)], TESTED, WINDOW)


def test_something_must_be_left_to_learn_from() -> None:
    with pytest.raises(InputError, match="every cell is set aside for testing"):
        CellTask.of([make_session("a")], frozenset(CELLS["a"]), WINDOW)
