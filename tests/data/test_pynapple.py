"""Pynapple objects become recordings, and recordings become them."""

import sys
import types

import numpy as np
import pandas as pd
import pytest
from conftest import refuses
from numpy.testing import assert_allclose, assert_array_equal

import neuroblend as nb
from neuroblend.data.pynapple import kind_of

nap = pytest.importorskip("pynapple", reason="pynapple is not installed")

RNG = np.random.default_rng(0)
TRAINS = [np.sort(RNG.uniform(0, 20, n)) for n in (50, 80, 120)]
CLOCK = np.arange(0, 20, 0.02)
HAND = np.stack([np.sin(CLOCK), np.cos(CLOCK)], axis=1)
STARTS = np.arange(1.0, 19.0, 2.0)


def group(**given):
    columns = {"location": ["M1", "M1", "PMd"], "quality": ["good", "mua", "good"]}
    trains = {key: nap.Ts(t) for key, t in zip((3, 7, 9), TRAINS, strict=True)}
    return nap.TsGroup(trains, nap.IntervalSet(0.0, 20.0), metadata=columns | given)


def signals():
    return {
        "hand": nap.TsdFrame(t=CLOCK, d=HAND, columns=["x", "y"]),
        "speed": nap.Tsd(t=CLOCK, d=np.abs(HAND[:, 0])),
        "moves": nap.Tsd(t=CLOCK, d=HAND[:, 0] > 0),
        "licks": nap.Ts(np.array([1.5, 1.52, 7.5, 15.5])),
        "rest": nap.IntervalSet([2.0, 8.0], [4.0, 9.5], metadata={"depth": ["a", "b"]}),
        "sleep": nap.IntervalSet([2.0, 8.0], [4.0, 9.5], metadata={"state": ["rem", "nrem"]}),
    }


def table():
    choice = ["left", "right", "left"] * 3
    return nap.IntervalSet(STARTS, STARTS + 1.5, metadata={"choice": choice, "go": STARTS + 0.25})


def test_objects_become_a_recording() -> None:
    recording = nb.Recording.from_pynapple(group(), signals(), table(), name="day 1")
    assert recording.units["id"].tolist() == [3, 7, 9]
    assert recording.units["region"].tolist() == ["M1", "M1", "PMd"]
    assert recording.units["quality"].tolist() == ["good", "mua", "good"]
    for ours, theirs in zip(recording.spike_times, TRAINS, strict=True):
        assert_allclose(ours, theirs, atol=1e-9)
    found = {name: (s.names, s.kind) for name, s in recording.signals.items()}
    assert found == {
        "hand": (("hand_x", "hand_y"), "continuous"),
        "speed": (("speed",), "continuous"),
        "moves": (("moves",), "discrete"),
        "licks": (("licks",), "events"),
        "rest": (("rest",), "discrete"),
        "sleep": (("sleep",), "discrete"),
    }
    assert list(recording.trials) == ["start_time", "stop_time", "choice", "go"]
    names = ["hand", "licks", "rest", "rest.depth", "sleep", "choice"]
    trials = recording.align(recording.trials["go"], (0, 1), 0.1, names)
    assert trials.behavior_names == ("hand_x", "hand_y", *names[1:])
    at = STARTS[0] + 0.25 + 0.1 * np.arange(10)
    assert_allclose(trials.behavior[0, :, 0], np.sin(at + 0.04), atol=0.01)
    assert trials.behavior[:, :, 2].sum() == 4  # all of them lie in trials
    assert trials.channels[4].categories == ("a", "b")
    assert trials.channels[5].categories == ("nrem", "rem")
    assert trials.unit_id.tolist() == [3, 7, 9] and trials.has_unit_ids
    assert_array_equal(
        trials.spikes[2, :, 1], np.histogram(TRAINS[1], STARTS[2] + 0.25 + 0.1 * np.arange(11))[0]
    )


def test_recording_of_takes_them_too() -> None:
    ours = nb.Recording.of(group(), {"hand": signals()["hand"]}, trials=table())
    theirs = nb.Recording.from_pynapple(group(), {"hand": signals()["hand"]}, table())
    assert ours.units.equals(theirs.units) and ours.trials.equals(theirs.trials)
    mixed = nb.Recording.of(TRAINS, {"hand": signals()["hand"]})
    assert mixed.observed is None and mixed.signals["hand"].names == ("hand_x", "hand_y")
    parts = nap.IntervalSet([0.0, 12.0], [10.0, 20.0])
    apart = nb.Recording.of(nap.TsGroup({0: nap.Ts(TRAINS[0])}, parts))
    assert apart.span == (0.0, 20.0) and apart.observed.tolist() == [[0, 10], [12, 20]]


def test_there_and_back_again() -> None:
    given = signals() | {
        "heading": nb.Signal.of(CLOCK, CLOCK * 50 % 360, ["heading"], "deg", kind="circular"),
        "room": nb.Signal.of(CLOCK, np.where(CLOCK < 5, "a", "b"), ["room"], kind="discrete"),
        "vel": nb.Signal.of(CLOCK, HAND, ["vx", "vy"], "cm/s"),
        "gain": nb.Signal.of([2.0, 7.5], [1.0, 3.0], ["gain"]).held(),
    }
    before = nb.Recording.of(group(), given, trials=table())
    objects = before.to_pynapple()
    assert kind_of(objects.units) == "TsGroup" and kind_of(objects.signals["licks"]) == "Ts"
    after = nb.Recording.from_pynapple(*objects)
    assert after.units.equals(before.units)
    assert after.span == before.span
    for a, b in zip(after.spike_times, before.spike_times, strict=True):
        assert_allclose(a, b, atol=1e-9)
    assert after.signals.keys() == before.signals.keys()
    for name, signal in before.signals.items():
        assert after.signals[name].channels == signal.channels, name
        edges = np.arange(1.0, 19.0, 0.25)
        # pynapple ends an interval a microsecond early where the next begins
        assert_allclose(after.signals[name].in_bins(edges), signal.in_bins(edges), atol=1e-5)
    pd.testing.assert_frame_equal(after.trials, before.trials)


def test_numbers_of_categories_that_hold_are_states_until_the_next() -> None:
    about = {"kind": ["discrete"], "categories": ['["off", "on"]'], "held": [True]}
    frame = nap.TsdFrame(np.array([2.0, 5.0]), np.array([[1.0], [0.0]]), columns=["light"],
                         metadata=about)  # fmt: skip
    signal = nb.Recording.from_pynapple(group(), {"light": frame}).signals["light"]
    assert signal.channels[0].categories == ("off", "on")
    assert_array_equal(signal.in_bins(np.arange(0.0, 9.0, 2.0))[:, 0], [np.nan, 1, 0, 0])


def test_units_with_names_keep_them() -> None:
    units = pd.DataFrame({"id": ["b", "a", "c"], "rate": [1.0, 2.0, 3.0]})
    before = nb.Recording.of(TRAINS, units=units)
    objects = before.to_pynapple()
    assert objects.trials is None
    assert nb.Recording.from_pynapple(*objects).units["id"].tolist() == ["b", "a", "c"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"units": nap.Ts([1.0, 2.0])}, "spike_times: found a pynapple Ts, wanted a TsGroup"),
        ({"units": TRAINS}, "spike_times: found a list, wanted a pynapple TsGroup"),
        ({"trials": nap.Ts([1.0, 2.0])}, "trials: found a pynapple Ts, wanted an IntervalSet"),
        ({"signals": {"hand": HAND}}, "signal 'hand': found a ndarray, wanted a Signal, or"),
        (
            {"signals": {"video": nap.TsdTensor(t=CLOCK, d=np.zeros((1000, 2, 2)))}},
            r"signal 'video': found a TsdTensor of shape \(1000, 2, 2\)",
        ),
        ({"signals": {"units": group()}}, "signal 'units': found a TsGroup"),
    ],
)
def test_other_objects_are_refused(given, message) -> None:
    refuses(message, nb.Recording.from_pynapple, **({"units": group()} | given))


def test_tables_that_pynapple_would_change_are_refused() -> None:
    overlapping = pd.DataFrame({"start_time": [0.0, 1.0], "stop_time": [1.5, 2.0]})
    recording = nb.Recording.of(TRAINS, trials=overlapping)
    refuses("trials: intervals overlap", recording.to_pynapple)


class BaseSorting:
    """A stand-in for SpikeInterface's class of that name."""


BaseSorting.__module__ = "spikeinterface.core.basesorting"


def test_sortings_go_through_their_own_bridge(monkeypatch) -> None:
    bridge = types.ModuleType("spikeinterface.exporters")
    bridge.to_pynapple_tsgroup = lambda sorting: group(unit_id=["u1", "u2", "u3"])
    monkeypatch.setitem(sys.modules, "spikeinterface", types.ModuleType("spikeinterface"))
    monkeypatch.setitem(sys.modules, "spikeinterface.exporters", bridge)
    for make in (nb.Recording.from_pynapple, nb.Recording.of):
        recording = make(type("NumpySorting", (BaseSorting,), {})(), {"hand": signals()["hand"]})
        assert recording.units["id"].tolist() == ["u1", "u2", "u3"]

    def segments(sorting):
        raise ValueError("segment_index must be given")

    bridge.to_pynapple_tsgroup = segments
    refuses(
        r"of this sorting it fails \(ValueError: segment_index must", nb.Recording.of, BaseSorting()
    )
