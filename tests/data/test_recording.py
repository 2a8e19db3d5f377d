import numpy as np
import pandas as pd
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


def test_windows_begin_with_each_interval_and_lie_within_it() -> None:
    within = [[6.05, 8.5], [0.15, 2.2], [4.0, 4.7], [np.nan, 5.0]]
    busy = [CLOCK + 1e-4, CLOCK[::2] + 1e-4]
    trials = make(spike_times=busy).windows(1.0, 0.1, within=within)
    first = trials.behavior[:, 0, 0]  # ten samples from the start on, doubled
    np.testing.assert_allclose(first, 2 * np.array([0.195, 1.195, 6.095, 7.095]), atol=1e-5)
    assert trials.window_id.tolist() == [0, 1, 3, 4]
    assert (trials.spikes == [10, 5]).all()
    assert "1 of 3 intervals are shorter than a window of 1 s: left out." in trials.notes


def test_intervals_that_touch_stay_apart_and_those_that_overlap_are_one() -> None:
    recording = make(spike_times=[CLOCK, CLOCK[::2]])
    touching = recording.windows(1.0, 0.1, within=[[0, 2.5], [2.5, 4.5]])
    np.testing.assert_allclose(touching.behavior[2, 0, 0], 2 * 2.545, atol=1e-5)
    assert touching.window_id.tolist() == [0, 1, 3, 4]
    assert recording.windows(1.0, 0.1, within=[[0, 2], [2, 4]]).window_id.tolist() == [0, 1, 2, 3]
    joined = recording.windows(1.0, 0.1, within=[[0, 2.5], [2.0, 4.5]])
    assert joined.window_id.tolist() == [0, 1, 2, 3]
    assert "1 of 2 intervals overlap the one before: taken as one." in joined.notes
    told = "none fits into the 1 intervals, the longest of which lasts 0.5 s"
    refuses(told, recording.windows, 1.0, 0.1, within=[[0, 0.5]])
    refuses("found one from 3 to 2 s", recording.windows, 1.0, 0.1, within=[[3, 2]])


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


TABLE = pd.DataFrame(
    {
        "go": [1.0, np.nan, 3.0, 5.0, 7.0],
        "start_time": [0.5, 1.5, 2.5, 4.5, 6.5],
        "stop_time": [1.5, 2.5, 4.5, 6.5, 8.5],
        "choice": ["left", "left", "right", "left", "right"],
    }
)


def test_columns_of_the_trial_table_go_with_its_rows() -> None:
    recording = make(spike_times=[CLOCK, CLOCK], trials=TABLE)
    go = TABLE["go"].dropna().sort_values(ascending=False)
    trials = recording.align(go, (0, 0.5), 0.1, ["choice", "pos"])
    assert trials.trial_id.tolist() == [4, 3, 2, 0]
    assert trials.behavior[:, 0, 0].tolist() == [1, 0, 1, 0]
    assert trials.behavior_names == ("choice", "x")
    whole = recording.align(TABLE["go"].to_numpy(), (0, 0.5), 0.1, ["choice"])
    assert whole.trial_id.tolist() == [0, 2, 3, 4]
    refuses("no signal 'choice'", recording.align, [1.0, 2.0], (0, 0.5), 0.1, ["choice"])
    refuses("behavior 'x': found it twice", recording.windows, 1.0, 0.1, ["pos", "pos"])


def test_tables_of_intervals_are_states() -> None:
    tables = {"trial": TABLE, "none": TABLE[["go"]]}
    trials = make(tables=tables).windows(1.0, 0.1, ["trial.choice", "trial"])
    assert [c.categories for c in trials.channels] == [("left", "right"), ("0", "1")]
    assert trials.behavior[3, :, 0].tolist() == [1] * 10
    assert np.isnan(trials.behavior[0, :5, 0]).all()  # before the first
    assert trials.behavior[0, :, 1].tolist() == [0] * 5 + [1] * 5
    refuses("no column 'choic' in trial", make(tables=tables).windows, 1.0, 0.1, ["trial.choic"])
    refuses("no signal 'none'", make(tables=tables).windows, 1.0, 0.1, ["none"])


def test_kinds_of_channels_and_of_signals() -> None:
    signals = {"hand": Signal.of(CLOCK, np.stack([CLOCK % 6, CLOCK // 5], 1), ["hand_x", "hand_y"])}
    recording = make(signals=signals)
    both = recording.windows(1.0, 0.1, kinds={"hand": "circular", "hand_y": "discrete"})
    assert [channel.kind for channel in both.channels] == ["circular", "discrete"]
    assert both.channels[1].categories == ("0", "1")
    refuses("no behavior channel 'hand_z'", recording.windows, 1.0, 0.1, kinds={"hand_z": "events"})


def test_windows_that_bins_do_not_divide_are_refused() -> None:
    message = "-250 to 450 ms is not whole bins of 15 ms; nearest are -250 to 455 ms, 47 bins, or"
    refuses(f"{message} bins of 14 ms", make().align, [2.0], (-0.25, 0.45), 0.015)
    refuses("0 to 1000 ms is not whole bins of 300 ms", make().windows, 1.0, 0.3)
    thirtieth = make().windows(1.0, 1 / 30)  # no whole number of nanoseconds
    assert thirtieth.n_bins == 30 and thirtieth.spikes.sum() == 6


def test_values_under_a_mask_are_no_spikes_and_no_events() -> None:
    masked = np.ma.MaskedArray([0.05, 3.0, 999.0], [False, True, True])
    recording = make(spike_times=[masked, np.array([0.2, 1.2])])
    assert [times.size for times in recording.spike_times] == [1, 2]
    events = np.ma.MaskedArray([0.0, 1.0, 5.0], [False, False, True])
    assert recording.align(events, (0, 1), 0.1).n_trials == 2


def test_clocks_without_a_second_in_common_are_named() -> None:
    later = {"a": Signal.of(CLOCK, CLOCK, ["a"]), "b": Signal.of(CLOCK + 50, CLOCK, ["b"])}
    refuses(
        "'b' from 50 to 59.99 s and samples of 'a' from 0 to 9.99 s do not",
        make,
        signals=later,
        span=None,
    )
    since = {"a": Signal.of(CLOCK + 1.7e9, CLOCK, ["a"])}
    refuses("spikes from .* since 1970", make, signals=since, span=None)
    refuses(
        "samples of signal 'a' .* the recording from 0 to 10 s",
        make(signals=since).windows,
        1.0,
        0.1,
    )
    refuses(
        "events are at 2000 to 3000 s; are they milliseconds", make().align, [2e3, 3e3], (0, 1), 0.1
    )


def test_spike_times_in_samples_are_refused_without_a_clock_beside_them() -> None:
    rng = np.random.default_rng(0)
    samples = [np.sort(rng.integers(0, 30000 * 100, 900)) for _ in range(3)]
    refuses("look like samples", Recording.of, samples)
    slow = [np.sort(rng.uniform(0, 1000, 120)) for _ in range(3)]  # and these are seconds
    assert len(Recording.of(slow).spike_times) == 3


def test_notes_of_a_recording_reach_its_trials() -> None:
    recording = make(notes=["one thing."]).take_units([1, 0], "two of two.")
    assert recording.windows(1.0, 0.1).notes[-2:] == ("one thing.", "two of two.")
    assert recording.spike_times[0].size == 2


def test_parts_that_do_not_fit_are_refused() -> None:
    times = [np.arange(0.0, 20.0, 0.5), np.arange(0.1, 20.0, 0.5)]
    refuses(
        "units: found 1 rows for 2 neurons", Recording.of, times, units=pd.DataFrame({"id": [1]})
    )
    refuses("signals: found a list, wanted a dict", Recording.of, times, [times[0]])
    assert len(Recording.of(times, trials={"start_time": [1.0, 2.0]}).trials) == 2
    recording = Recording.of(times)
    refuses("window: found 0 to nan s, wanted finite", recording.align, [1.0], (0, np.nan), 0.1)
    refuses("lag: found nan s", recording.align, [1.0, 2.0], (0, 1), 0.1, (), np.nan)
