import numpy as np
import pytest
from conftest import refuses

from neuroblend.data.recording import Recording, Signal

CLOCK = np.arange(0, 10, 0.01)


def make(**fields) -> Recording:
    given = {
        "spike_times": [np.array([0.05, 0.15, 0.151, 2.0]), np.array([5.55, 9.95])],
        "signals": {"pos": Signal.of(CLOCK, CLOCK * 2, ["x"])},
        "span": (0.0, 10.0),
    }
    return Recording.of(**(given | fields))


def test_windows_count_spikes_and_average_behavior() -> None:
    trials = make().windows(width_s=1.0, bin_s=0.1)
    assert trials.spikes.shape == (10, 10, 2)
    assert trials.spikes[0, :3, 0].tolist() == [1, 2, 0]
    assert trials.spikes[2, 0, 0] == 1
    assert trials.spikes[5, 5, 1] == 1
    assert trials.spikes[9, 9, 1] == 1
    assert trials.spikes.sum() == 6
    # ten samples 0.00 ... 0.09 s, doubled
    assert trials.behavior[0, 0, 0] == pytest.approx(0.09, abs=1e-6)
    assert trials.behavior_names == ("x",)
    assert trials.window_id.tolist() == list(range(10))


def test_windows_know_their_place_where_others_are_left_out() -> None:
    """By the user, or for want of observations; trials around events stand apart."""
    recording = make(observed=np.array([[0.0, 3.0], [4.0, 10.0]]))
    keep = np.arange(10) != 6
    assert recording.windows(1.0, 0.1, keep=keep).window_id.tolist() == [0, 1, 2, 4, 5, 7, 8, 9]
    assert recording.align([0.0, 5.0], (0, 1), 0.1).window_id is None


def test_behavior_is_read_later_by_the_lag() -> None:
    plain = make().windows(1.0, 0.1)
    late = make().windows(1.0, 0.1, lag_s=0.5)
    assert late.n_trials == 9
    np.testing.assert_allclose(late.behavior, plain.behavior[:9] + 1.0, atol=0.02)
    np.testing.assert_array_equal(late.spikes, plain.spikes[:9])


def test_trials_that_leave_the_recording_are_dropped_and_counted() -> None:
    trials = make().align([0.2, 2.0, 5.5, 9.9], (-0.5, 0.5), 0.1, condition=list("abcd"))
    assert trials.n_trials == 2
    assert trials.condition.tolist() == ["b", "c"]
    assert "2 of 4 trials leave what was recorded: dropped" in trials.notes[-1]
    refuses("none of 1 trials", make().align, [11.0], (0, 1), 0.1)


def test_short_gaps_are_bridged_and_long_ones_missing() -> None:
    keep = ~((CLOCK > 2.0) & (CLOCK < 2.2)) & ~((CLOCK > 4.0) & (CLOCK < 6.0))
    trials = make(signals={"pos": Signal.of(CLOCK[keep], CLOCK[keep] * 2, ["x"])}).windows(1.0, 0.1)
    behavior = trials.behavior.reshape(-1)
    assert behavior[21] == pytest.approx(2 * 2.15, abs=0.01)
    assert np.isnan(behavior[42:59]).all()
    assert np.isfinite(behavior[:40]).all()
    assert "samples are missing" in trials.notes[0]


def test_missing_samples_do_not_spread() -> None:
    values = CLOCK * 2
    values[105] = np.nan
    behavior = make(signals={"p": Signal.of(CLOCK, values, ["x"])}).windows(1.0, 0.1).behavior
    assert np.isfinite(behavior).all()
    assert behavior[1, 0, 0] == pytest.approx(np.mean(np.delete(CLOCK[100:110] * 2, 5)), abs=1e-5)


def test_bad_recordings_are_refused() -> None:
    refuses("ascending", Signal.of, [0, 2, 1], [1, 2, 3], ["x"])
    refuses("wanted", Signal.of, [0, 1], [[1, 2], [3, 4]], ["x"])
    refuses("no neuron has a spike", Recording.of, [[], []])
    refuses("no signal 'poss': did you mean 'pos'", make().windows, 1.0, 0.1, ["poss"])
    refuses("none fits", make().windows, 11.0, 0.1)


def test_a_real_session_without_trials(shared_data) -> None:
    with np.load(shared_data / "rat_linear_track.npz") as file:
        spike_times = np.split(file["spike_times"], file["spike_times_index"][:-1])
        position = Signal.of(file["position_times"], file["position"], ["x", "y"])
    trials = Recording.of(spike_times, {"position": position}, name="rat").windows(2.0, 0.05)
    assert trials.n_source_neurons == 31
    assert trials.spikes.sum() > 0.95 * sum(times.size for times in spike_times)
    assert np.isnan(trials.behavior).mean() < 0.05
    low, high = np.nanmin(trials.behavior), np.nanmax(trials.behavior)
    assert position.values.min() <= low < high <= position.values.max()


def test_infinite_samples_and_bins_of_no_width_are_refused() -> None:
    refuses("1 samples are infinite", Signal.of, [0.0, 0.1, 0.2], [1.0, np.inf, 2.0], ["x"])
    recording = Recording.of([[0.1, 0.5]], {"x": Signal.of([0.0, 1.0], [0.0, 1.0], ["x"])})
    refuses("bin_s: found 0 s", recording.windows, 1.0, 0.0)


def test_units_and_the_event_go_along() -> None:
    recording = make(signals={"pos": Signal.of(CLOCK, CLOCK * 2, ["x"], "cm")})
    cut = recording.align([2.0, 5.5], (-0.5, 1.5), 0.1, event="go_cue_time")
    assert cut.behavior_units == ("cm",)
    assert (cut.event, cut.start_s) == ("go_cue_time", -0.5)
    assert cut.times[[0, -1]] == pytest.approx([-0.45, 1.45])
    assert repr(cut) == (
        "Trials('recording': 2 trials x 20 bins of 100 ms x 2 neurons, "
        "-0.5 to 1.5 s from go_cue_time, behavior: x (cm))"
    )
    windows = recording.windows(1.0, 0.1)
    assert (windows.event, windows.span_s) == (None, (0.0, 1.0))


def test_reprs_hold_no_arrays() -> None:
    recording = make(signals={"pos": Signal.of(CLOCK, CLOCK * 2, ["x"], "cm")})
    assert repr(recording) == (
        "Recording('recording': 2 neurons, 6 spikes, 0 to 10 s, 0 trials, signals: pos (cm))"
    )
    assert repr(recording.signals["pos"]) == "Signal(x (cm): 1000 samples, 0 to 9.99 s)"


def test_trials_end_where_they_are_told_to_and_are_padded() -> None:
    until = [0.16, np.nan, 9.95, 9.6, 3.0]
    trials = make().align([0.0, 5.0, 9.0, 9.5, 3.0], (0.0, 2.0), 0.1, until=until)
    assert trials.lengths.tolist() == [1, 20, 9, 1]  # the last holds no bin
    assert trials.spikes.shape == (4, 20, 2)
    assert trials.spikes[0, :, 0].tolist() == [1] + [0] * 19  # not the spikes after its end
    assert trials.spikes[1, 5, 1] == 1
    assert np.isnan(trials.behavior[0, 1:]).all()
    assert not np.isnan(trials.behavior[2, :9]).any()
    assert "1 of 5 trials leave what was recorded or hold no bin" in trials.notes[-1]
    assert not any("missing" in note for note in trials.notes)  # padding is no gap
