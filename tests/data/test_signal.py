import numpy as np
import pytest
from conftest import refuses

from neuroblend.data.signal import Signal

EDGES = np.arange(0, 10.01, 0.5)


def test_circular_means_go_around() -> None:
    clock = np.arange(0, 10, 0.1)
    angles = (350 + 5 * clock * 2) % 360  # passes 0 after a second
    signal = Signal.of(clock, angles, ["heading"], "degrees", "circular")
    (mean,) = signal.in_bins(np.array([0.5, 1.5]))[:, 0]
    expected = np.angle(np.exp(1j * np.radians(angles[5:15])).mean(), deg=True) % 360
    assert mean == pytest.approx(expected, abs=1e-3)
    assert min(mean, 360 - mean) < 1  # not 180, as a mean of numbers would be
    signed = Signal.of(clock, (angles + 180) % 360 - 180, ["heading"], "degrees", "circular")
    assert signed.in_bins(EDGES)[:, 0].min() < 0  # as it was given


def test_samples_that_cancel_out_point_nowhere() -> None:
    signal = Signal.of([0.1, 0.2, 1.1, 1.2], [0, 180, 10, 20], ["a"], "deg", "circular")
    assert np.isnan(signal.in_bins(np.array([0.0, 1.0]))).all()
    assert signal.in_bins(np.array([1.0, 2.0]))[0, 0] == pytest.approx(15, abs=1e-4)


def test_the_state_that_covers_most_of_a_bin() -> None:
    rng = np.random.default_rng(0)
    clock = np.sort(rng.uniform(0, 10, 80))
    words = rng.choice(["rest", "run", "turn"], 80)
    signal = Signal.of(clock, words, ["state"])
    assert signal.channels[0].categories == ("rest", "run", "turn")
    fine = np.arange(0, 10, 0.0005) + 0.00025
    last = np.searchsorted(clock, fine, side="right") - 1
    codes = np.searchsorted(["rest", "run", "turn"], words)
    step, usual = np.diff(clock), np.median(np.diff(clock))
    until = clock + np.r_[np.where(step <= 0.25, step, usual), usual]
    known = (last >= 0) & (fine < until[last])
    for found, start, end in zip(signal.in_bins(EDGES)[:, 0], EDGES, EDGES[1:], strict=False):
        inside = known & (fine >= start) & (fine < end)
        covered = np.bincount(codes[last[inside]], minlength=3)
        order = np.sort(covered)
        if order[-1] - order[-2] > 4:  # else a tie, as far as this grid tells
            assert found == covered.argmax()


def test_states_from_intervals() -> None:
    signal = Signal.states([[2.0, 3.0], [5.0, 7.3], [2.5, 3.5]], "lever")
    found = signal.in_bins(EDGES)[:, 0]
    expected = [0] * 4 + [1] * 3 + [0] * 3 + [1] * 5 + [0] * 5  # 7 to 7.3 is most of 7 to 7.5
    assert found.tolist() == expected
    assert signal.span is None
    labelled = Signal.states([[6.0, 8.0], [1.0, 3.0]], "sleep", ["rem", "nrem"])
    found = labelled.in_bins(np.array([0.0, 1.0, 3.0, 5.0, 6.0, 8.0, 9.0]))[:, 0]
    np.testing.assert_array_equal(found, [np.nan, 0, np.nan, np.nan, 1, np.nan])
    refuses("interval 1 is 4 to 3 s", Signal.states, [[0, 1], [4, 3]], "s")
    refuses("1 labelled intervals overlap", Signal.states, [[0, 2], [1, 3]], "s", ["a", "b"])


def test_events_are_counted_where_they_happen() -> None:
    rng = np.random.default_rng(1)
    times = rng.uniform(0, 10, 40)
    signal = Signal.events(times, "lick")
    expected = np.histogram(times, EDGES)[0]
    assert signal.in_bins(EDGES)[:, 0].tolist() == expected.tolist()
    assert repr(signal).startswith("Signal(lick events: 40 events, ")
    assert Signal.events([], "never").in_bins(EDGES).sum() == 0
    edge = Signal.events([0.1 + 0.2], "edge").in_bins(np.array([0.0, 0.3, 0.6]))
    assert edge[:, 0].tolist() == [0, 1]


def test_sampled_values_are_taken_as_another_kind() -> None:
    clock = np.arange(0, 10, 0.1)
    steps = Signal.of(clock, np.floor(clock / 5), ["part"])
    assert steps.as_kind("discrete").channels[0].categories == ("0", "1")
    assert steps.as_kind("events").in_bins(EDGES).sum() == 50
    refuses(
        "is events, and cannot be taken as circular", Signal.events([1], "e").as_kind, "circular"
    )


def test_values_under_a_mask_are_missing() -> None:
    clock = np.arange(0, 1, 0.01)
    values = np.ma.masked_greater(np.where(clock < 0.5, clock, 999.0), 100)
    found = Signal.of(clock, values, ["x"]).in_bins(np.array([0.0, 0.5, 1.0]))[:, 0]
    assert found[0] == pytest.approx(0.245) and np.isnan(found[1])
    text = Signal.of(clock, np.ma.MaskedArray(["a", "b"] * 50, [False] * 50 + [True] * 50), ["s"])
    assert np.isnan(text.values[50:]).all()
    events = np.ma.MaskedArray([0.1, 0.2, 999.0], [False, False, True])
    assert Signal.events(events, "lick").times.tolist() == [0.1, 0.2]


def test_bins_do_not_depend_on_how_their_edges_round() -> None:
    """Samples of a 1 kHz clock, on edges that are sums of fractions."""
    clock = np.arange(2000) / 1000
    signal = Signal.of(clock, np.arange(2000.0), ["n"])
    edges = 0.1 + 0.005 * np.arange(301)
    np.testing.assert_array_equal(signal.in_bins(edges)[:, 0], 102 + 5 * np.arange(300))


def test_values_that_hold_are_means_over_time_and_missing_before_the_first() -> None:
    """Against a staircase that is looked up a thousand times a bin."""
    times, values = np.array([1.0, 1.25, 3.0, 6.05]), np.array([[2.0], [5.0], [np.nan], [-1.0]])
    signal = Signal.of(times, values, ["contrast"], "%").held()
    assert signal.span is None and signal.unit == "%"
    edges = np.arange(0, 9, 0.5)
    fine = edges[:-1, None] + (np.arange(1000) + 0.5) * 0.0005
    before = np.searchsorted(times, fine, side="right") - 1
    stairs = np.where(before < 0, np.nan, values[before.clip(0), 0])
    known = ~np.isnan(stairs)
    with np.errstate(invalid="ignore"):
        expected = np.where(known, stairs, 0).sum(axis=1) / known.sum(axis=1)
    np.testing.assert_allclose(signal.in_bins(edges)[:, 0], expected, atol=1e-9)
    assert np.isnan(expected[[0, 1, 6]]).all() and expected[-1] == -1.0
    codes = signal.as_kind("discrete").in_bins(edges)[:, 0]
    assert np.isnan(codes[:2]).all() and codes[3] == 2 and codes[-1] == 0  # of -1, 2, 5
    turns = Signal.of([0.0, 1.0], [350.0, 30.0], ["heading"], "degrees", "circular").held()
    np.testing.assert_allclose(turns.in_bins(np.array([0.5, 1.5]))[0], 10, atol=1e-9)
    assert turns.held() is turns
    refuses("events do not hold", Signal.events([0, 1], "e").held)
