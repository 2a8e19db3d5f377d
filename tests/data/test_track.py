import numpy as np
import pytest
from conftest import refuses

from neuroblend.data.signal import Signal
from neuroblend.data.track import track_of

CLOCK = np.arange(0, 60, 1 / 60)
PLACE = 50 * (1 - np.cos(CLOCK * 2 * np.pi / 12))  # to the other end and back in twelve seconds
AXIS = np.array([0.8, 0.6])


def signal(rest_s: float = 0.0) -> Signal:
    """A run along an oblique track, and a rest beside it."""
    points = PLACE[:, None] * AXIS + np.array([20.0, 10.0])
    at = CLOCK[-1] + np.arange(1, 60 * rest_s + 1) / 60
    points = np.concatenate([points, np.full((at.size, 2), [20.0, 90.0])])
    return Signal.of(np.r_[CLOCK, at], points, ["x", "y"], "cm")


@pytest.mark.parametrize("rest_s", [0, 200])
def test_places_along_the_axis(rest_s) -> None:
    track = track_of(signal(rest_s), "position")
    along = track.linear.values[: CLOCK.size, 0]
    np.testing.assert_allclose(along, PLACE, atol=2.0)
    assert (track.linear.names, track.linear.unit) == (("position_linear",), "cm")
    assert np.isnan(track.linear.values[CLOCK.size :]).all()  # beside the track


def test_directions_where_the_animal_moves() -> None:
    track = track_of(signal(), "position")
    speed = np.gradient(PLACE, CLOCK)
    codes = track.direction.values[:, 0]
    fast = np.abs(speed) > 10
    assert (codes[fast] == (speed < 0)[fast]).all()
    assert np.isnan(codes[np.abs(speed) < 3]).all()
    assert track.direction.channels[0].categories == ("outbound", "inbound")
    assert "missing under 5 cm/s" in track.notes[1]


def test_gaps_have_no_direction_and_one_coordinate_is_enough() -> None:
    keep = (CLOCK < 20) | (CLOCK > 30)
    one = Signal.of(CLOCK[keep], PLACE[keep], ["x"])
    track = track_of(one, "x")
    np.testing.assert_allclose(track.linear.values[:, 0], PLACE[keep], atol=1e-9)
    in_bins = track.direction.in_bins(np.array([14.0, 16.0, 22.0, 24.0, 26.0, 28.0]))[:, 0]
    assert in_bins[0] == 0 and np.isnan(in_bins[2:]).all()


def test_what_never_moves_has_no_axis() -> None:
    still = Signal.of(CLOCK, np.ones((CLOCK.size, 2)), ["x", "y"])
    refuses("'p' never moves", track_of, still, "p")
    refuses("'lick' is events, wanted positions", track_of, Signal.events([1.0], "lick"), "lick")
