"""What is said of sessions before anything is learned from them."""

from dataclasses import replace
from functools import partial

import conftest
import numpy as np
import pytest

from neuroblend.data.calcium.session import CalciumSession
from neuroblend.errors import InputError
from neuroblend.experiments.identity.notes import notes_on_behavior, notes_on_sessions

POSITION = np.array([[0, 0], [50, 0], [0, 50], [900, 0]], np.float32)
make_session = partial(conftest.make_session, ids=("m/1", "m/2", "m/3", "m/4"), position=POSITION)


def said(*sessions: CalciumSession, radius=65.0) -> str:
    return "\n".join(notes_on_sessions(sessions, radius))


def test_nothing_is_said_of_sessions_that_lack_nothing() -> None:
    assert said(make_session(), make_session("b", frame_s=0.255)) == ""


def test_silent_neurons() -> None:
    activity = make_session().activity.copy()
    activity[:, [0, 2]] = 3.0
    assert "a: 2 of 4 neurons have the same activity" in said(make_session(activity=activity))


def test_frames_of_different_length() -> None:
    assert "from 0.033 to 0.25 s" in said(make_session(), make_session("b", frame_s=0.033))


def test_cells_without_an_id_matter_where_an_animal_has_several_tables() -> None:
    first = make_session(ids=("m/1", "a/1 (no id)", "m/3", "m/4"))
    second = make_session("b", ids=("m/1", "b/1 (no id)", "m/3", "b/3 (no id)"))
    run_of_the_same_day = replace(first, name="a/02")
    assert said(first, run_of_the_same_day) == ""
    assert "3 cells have no id that other sessions of their animal share" in said(first, second)
    assert said(first, replace(second, animal="n")) == ""


def test_positions_that_are_missing_or_not_in_one_frame() -> None:
    plain = make_session()
    holes = plain.position.copy()
    holes[1] = np.nan
    assert "1 neurons have no position" in said(make_session(position=holes))
    assert "4 neurons have no position" in said(plain, make_session("b", position=None))
    assert said(make_session(position=None)) == ""
    solid = np.zeros((4, 3), np.float32)
    assert "2 coordinates in some sessions" in said(plain, make_session("b", position=solid))
    moved = make_session("b", position=plain.position + np.float32(1000))
    assert "4 times a cell lies further than 65" in said(plain, moved)


@pytest.mark.parametrize(("radius", "whom"), [(0.001, "no other cell"), (5000.0, "all other")])
def test_neighbours_that_are_none_or_all(radius, whom) -> None:
    assert f"each cell has {whom}" in said(make_session(), radius=radius)


def test_behavior_that_tells_nothing() -> None:
    flat = make_session().behavior.copy()
    flat[:, 1] = np.nan
    (note,) = notes_on_behavior([make_session(behavior=flat)])
    assert note.startswith("behavior 'pupil' is the same in every frame, or missing")
    flat[:, 0] = 2.0
    with pytest.raises(InputError, match=r"behavior \(speed, pupil\) is the same"):
        notes_on_behavior([make_session(behavior=flat)])
