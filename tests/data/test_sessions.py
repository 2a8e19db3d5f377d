"""Several recordings of one task are made alike, or refused in one line that says what differs."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import make_trials, refuses

from neuroblend.data.session_split import SessionsSplit
from neuroblend.data.sessions import Sessions, padded
from neuroblend.data.split import split_trials
from neuroblend.data.trials import Trials


def two(**fields: object) -> list[Trials]:
    return [make_trials(name="a"), make_trials(**{"seed": 1, "name": "b", **fields})]


def with_choice(words: list[str], seed: int, name: str) -> Trials:
    trials = make_trials(seed=seed)
    choice = np.array(words)[np.arange(trials.n_trials) % len(words)]
    behavior = {"choice": choice, "speed": trials.behavior[:, :, 0]}
    return Trials.from_arrays(trials.spikes, 0.02, behavior=behavior, name=name)


def test_shorter_sessions_are_padded() -> None:
    sessions = Sessions.of(two(n_bins=9, rates=None))
    short = sessions.trials[1]
    assert [t.n_bins for t in sessions] == [12, 12]
    assert (short.lengths == 9).all() and sessions.trials[0].lengths is None
    assert not short.spikes[:, 9:].any() and np.isnan(short.behavior[:, 9:]).all()
    assert np.array_equal(short.behavior[:, :9], make_trials(n_bins=9, seed=1).behavior)
    with_rates = replace(short, rates=np.ones(short.spikes.shape, np.float32))
    assert np.isnan(padded(with_rates, 14).rates[:, 12:]).all()


def test_categories_are_those_of_all_sessions() -> None:
    given = [with_choice(["0.5", "1"], 0, "a"), with_choice(["0", "0.25", "1"], 1, "b")]
    sessions = Sessions.of(given)
    assert sessions.channels[0].categories == ("0", "0.25", "0.5", "1")
    for before, after in zip(given, sessions, strict=True):
        words = [np.array(t.channels[0].categories) for t in (before, after)]
        codes = [t.behavior[:, 0, 0].astype(int) for t in (before, after)]
        assert np.array_equal(words[0][codes[0]], words[1][codes[1]])
        assert np.array_equal(before.behavior[:, :, 1], after.behavior[:, :, 1])


def test_channels_take_the_order_of_the_first_session() -> None:
    given = two()
    other = given[1].take_channels(["behavior_1", "behavior_0"])
    sessions = Sessions.of([given[0], other])
    assert sessions.behavior_names == ("behavior_0", "behavior_1")
    assert np.array_equal(sessions.trials[1].behavior, given[1].behavior)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bin_s": 0.01}, "b: bins of 10 ms, and 20 ms in a; wanted the same"),
        ({"behavior_names": ["x", "y"]}, "b: behavior x, y, and behavior_0, behavior_1 in a"),
        ({"n_channels": 1}, "b: behavior behavior_0, and .*--behavior among behavior_0"),
        ({"behavior_units": ["cm", "cm"]}, "'behavior_0' has unit cm, and none in a"),
        ({"kinds": {"behavior_1": "circular"}}, "'behavior_1' has kind circular, and continuous"),
        ({"seed": 0}, "b: the same spikes as a; wanted each session once"),
    ],
)
def test_what_differs_is_refused(changes, message) -> None:
    refuses(message, Sessions.of, two(**changes))


def test_one_is_too_few() -> None:
    refuses("sessions: found a, wanted two or more", Sessions.of, two()[:1])


def test_names_can_be_those_of_files_and_are_told_apart() -> None:
    given = [make_trials(seed=s, name=n) for s, n in enumerate(["x/a 1", "x/a 1", "..", "b"])]
    assert Sessions.of(given).names == ("x_a_1", "x_a_1-2", "session", "b")
    refuses("no session 'bb': did you mean 'b'", Sessions.of(given).index, "bb")


def test_notes_say_of_which_session_and_events_that_differ_are_said() -> None:
    given = two()
    given = [replace(given[0], event="go"), given[1].with_note("Something.")]
    notes = Sessions.of(given).notes
    assert "b: Something." in notes
    assert "aligned to different events: go (a), nothing (b)" in notes[-1]


def test_files_hold_all_of_it(tmp_path) -> None:
    sessions = Sessions.of(two(n_bins=9))
    sessions.save(tmp_path)
    again = Sessions.load(tmp_path)
    assert again.names == sessions.names and again.notes == sessions.notes
    for one, other in zip(sessions, again, strict=True):
        assert np.array_equal(one.spikes, other.spikes) and one.channels == other.channels
        assert np.array_equal(one.behavior, other.behavior, equal_nan=True)


def test_a_split_of_sessions_survives_json() -> None:
    parts = tuple(split_trials(t, 3) for t in two())
    split = SessionsSplit(parts, ("a", "b"), (1,))
    again = SessionsSplit.from_json(split.to_json())
    assert again.to_json() == split.to_json()
    assert (again.seed, again.fold, again.tested) == (3, None, (0,))
    assert again.n_tested == parts[0].n_tested
    assert SessionsSplit(parts, ("a", "b"), (0, 1)).n_tested == sum(p.n_tested for p in parts)
