import h5py
import numpy as np
import pytest
from conftest import edited, refuses
from lab_nwb import LICKS, STARTS, lab_nwb
from pynwb import NWBFile, TimeSeries
from pynwb.epoch import TimeIntervals

from neuroblend.data.cut import Cut
from neuroblend.data.nwb import open_nwb, read_nwb
from neuroblend.data.nwb_tables import read_units
from neuroblend.inspect.look import inspect_file
from neuroblend.readers.prepare import cut_trials


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    return lab_nwb(tmp_path_factory.mktemp("lab") / "lab.nwb")


def cut(path, behavior=(), **changes):
    given = {"align": "start_time", "window_ms": (0, 1000), "bin_ms": 100, "behavior": behavior}
    return cut_trials(path, Cut(**(given | changes)))


def test_events_are_counted_in_bins(lab) -> None:
    signal = read_nwb(lab, ["BehavioralEvents_lick"]).signals["BehavioralEvents_lick"]
    np.testing.assert_array_equal(signal.times, LICKS)
    trials = cut(lab, ["BehavioralEvents_lick", "rewards"])
    assert [channel.kind for channel in trials.channels] == ["events", "events"]
    expected = [np.histogram(LICKS, s + 0.1 * np.arange(11) - 1e-9)[0] for s in STARTS]
    np.testing.assert_array_equal(trials.behavior[:, :, 0], expected)
    assert trials.behavior[0, :, 1].tolist() == [0] * 9 + [1]  # a series whose value never changes


@pytest.mark.skipif(not hasattr(NWBFile, "create_events_table"), reason="pynwb before 4")
def test_tables_of_events_are_events(lab) -> None:
    trials = cut(lab, ["pokes"])
    assert trials.behavior[0, :, 0].tolist() == [1] + [0] * 9
    assert trials.behavior.sum() == 2


def test_annotations_are_events_of_each_text(lab) -> None:
    trials = cut(lab, ["notes"])
    assert trials.behavior_names == ("notes_poke", "notes_tone")
    assert trials.behavior.sum(axis=(0, 1)).tolist() == [2, 1]
    assert trials.behavior[1, 5, 1] == 1  # the tone, half a second into the second trial


def test_interval_series_are_a_state(lab) -> None:
    trials = cut(lab, ["BehavioralEpochs_running"])
    (channel,) = trials.channels
    assert (channel.kind, channel.categories) == ("discrete", ("0", "1"))
    running = trials.behavior[:, :, 0]
    assert (running[[1]] == 1).all() and (running[[0, 2, 3]] == 0).all()  # 3 to 5 s
    assert running[5].tolist() == [1] * 3 + [0] * 7 and trials.behavior[4, -1, 0] == 0
    assert not np.isnan(running).any()


def test_a_series_of_steps_holds_its_values(tmp_path) -> None:
    def change(file: NWBFile) -> None:
        for name, data in (("contrast", [25.0, 100.0, 50.0]), ("light", [1.0, 1.0, 1.0])):
            times = [2.0, 3.45, 5.5]
            steps = TimeSeries(
                name=name, data=data, unit="percent", timestamps=times, continuity="step"
            )
            file.add_acquisition(steps)

    path = lab_nwb(tmp_path / "steps.nwb", change)
    held = read_nwb(path, ["contrast", "light"]).signals  # the latter is no event, though it is 1
    assert held["contrast"].holds and held["light"].kind == "continuous"
    found = cut(path, ["contrast"]).behavior[:, :, 0]
    assert np.isnan(found[0]).all()  # 1 to 2 s
    np.testing.assert_allclose(found[1], [25] * 4 + [62.5] + [100] * 5)
    np.testing.assert_allclose(found[2], [100] * 5 + [50] * 5)
    assert (found[3:] == 50).all()
    (row,) = inspect_file(path).signals.query("signal == 'contrast'").itertuples()
    assert (row.kind, row.gaps) == ("continuous, in steps", "-")


def test_a_compass_has_angles(lab) -> None:
    (channel,) = cut(lab, ["CompassDirection_heading"]).channels
    assert (channel.kind, channel.unit, channel.period) == ("circular", "degrees", 360.0)


def test_columns_of_the_trial_table_are_behavior_of_a_trial(lab) -> None:
    trials = cut(lab, ["speed", "choice", "reaction_time", "rewarded"])
    speed, choice, time, rewarded = trials.channels
    assert (speed.unit, speed.per_trial) == ("cm/s", False)
    assert (choice.kind, choice.categories, choice.per_trial) == (
        "discrete", ("left", "right"), True,
    )  # fmt: skip
    assert (time.kind, rewarded.kind) == ("continuous", "discrete")
    assert (trials.behavior[:, :, 1] == (np.arange(12) % 2)[:, None]).all()
    np.testing.assert_allclose(trials.behavior[:, 3, 2], 0.2 + 0.05 * np.arange(12), rtol=1e-6)


def test_tables_of_intervals_are_states_and_trials(lab) -> None:
    trials = cut(lab, ["sleep", "sleep.stage"], align=None, window_ms=None, every_s=1.0)
    asleep, stage = np.moveaxis(trials.behavior[:, 5], -1, 0)
    middles = trials.window_id + read_nwb(lab, ()).span[0] + 0.55
    within = ((middles > 2) & (middles < 9)) | ((middles > 12) & (middles < 20))
    np.testing.assert_array_equal(asleep, within)
    assert (np.isnan(stage) == ~within).all()
    assert trials.channels[1].categories == ("nrem", "rem")
    rows = cut(lab, ["speed", "stage"], intervals="sleep")
    assert rows.trial_id.tolist() == [0, 1, 2]
    assert rows.channels[1].per_trial and set(rows.channels[1].categories) == {"nrem", "rem"}
    refuses("no signal 'stage'", cut, lab, ["stage"])  # a column of another table than trials'
    assert cut(lab, ["speed"], align="sleep.stop_time").trial_id.tolist() == [0, 1, 2]
    refuses("no table 'slep': did you mean 'sleep'", cut, lab, intervals="slep")
    refuses("did you mean 'start_time'", cut, lab, align="sleep.start")


def test_a_lab_keeps_its_trials_elsewhere(tmp_path) -> None:
    def moved(file: NWBFile) -> None:
        table = TimeIntervals(name="trials", description="of a lab")
        table.add_column(name="stim", description="shown")
        for start in range(2, 14, 2):
            table.add_row(start_time=float(start), stop_time=start + 1.0, stim="ab"[start // 2 % 2])
        file.create_processing_module("lab", "of its own").add(table)

    path = lab_nwb(tmp_path / "moved.nwb", moved)
    with h5py.File(path, "r+") as file:
        del file["intervals/trials"]
    for where in ({}, {"intervals": "trials"}, {"align": "trials.start_time"}):
        trials = cut(path, ["stim"], **where)
        assert trials.n_trials == 6 and trials.channels[0].categories == ("a", "b")
    assert ("trials", "6") in inspect_file(path).trials


def test_trials_are_cut_around_events_too(lab) -> None:
    trials = cut(lab, ["speed"], align="rewards", window_ms=(-500, 500))
    assert (trials.event, trials.n_trials, trials.start_s) == ("rewards", 4, -0.5)


def test_units_are_chosen_by_their_columns(lab) -> None:
    trials = cut(lab, ["speed"], where="quality == 'good' and location == 'M1'")
    assert trials.unit_id.tolist() == [0, 2, 3]
    assert trials.notes[0].startswith("3 of 6 units, where quality")
    assert trials.region.tolist() == ["M1"] * 3  # through the electrodes
    message = r"--where .*: matches none of 6 units; quality: good \(4\), mua \(1\), noise \(1\)"
    refuses(message, cut, lab, ["speed"], where="quality == 'god'")
    refuses("no column 'qualty': did you mean 'quality'", cut, lab, where="qualty == 'good'")


def test_trials_are_chosen_by_their_columns(lab) -> None:
    trials = cut(lab, ["speed"], trials_where="rewarded and choice == 'left'")
    assert trials.trial_id.tolist() == [2, 4, 8, 10]
    refuses("matches none of 12 trials; choice: left", cut, lab, trials_where="choice == 'up'")


def test_a_trial_without_a_condition_is_of_none(lab) -> None:
    trials = cut(lab, ["speed"], condition=("stimulus",))
    assert sorted(set(trials.condition)) == ["0", "1"]
    assert 4 not in trials.trial_id and trials.n_trials == 11
    assert any("1 trials have no 'stimulus': left out" in note for note in trials.notes)


def changed(lab, tmp_path, edit):
    return edited(lab, tmp_path / "changed.nwb", edit)


def test_trials_keep_their_place_in_the_table(lab, tmp_path) -> None:
    def edit(file: h5py.File) -> None:
        cues = file["intervals/trials/go_cue"]
        for name in ("start_time", "stop_time", "go_cue"):
            column = file[f"intervals/trials/{name}"]
            column[[0, 1]] = column[[0, 1]][::-1]
        cues[3] = np.nan

    trials = cut(changed(lab, tmp_path, edit), ["speed", "choice"], align="go_cue")
    assert trials.trial_id[:4].tolist() == [1, 0, 2, 4]
    assert trials.behavior[:2, 0, 1].tolist() == [1, 0]  # columns go along
    assert any("1 of 12 trials have no 'go_cue': left out" in note for note in trials.notes)


def test_events_outside_of_their_trials_are_refused(lab, tmp_path) -> None:
    def one(file: h5py.File) -> None:
        file["intervals/trials/go_cue"][2] = 40.0

    def relative(file: h5py.File) -> None:
        file["intervals/trials/go_cue"][:] = 0.3

    path = changed(lab, tmp_path, one)
    message = "'go_cue' is outside of 1 of 12 trials: trial 2 has it at 40 s, and lasts from 5 to 6"
    refuses(message, cut, path, ["speed"], align="go_cue")
    assert cut(path, ["speed"], align="go_cue", trials_where="go_cue <= stop_time").n_trials == 11
    path = edited(lab, tmp_path / "relative.nwb", relative)
    refuses("counted from the start of each trial", cut, path, ["speed"], align="go_cue")


def test_invalid_times_drop_trials(lab, tmp_path) -> None:
    def change(file: NWBFile) -> None:
        file.add_invalid_time_interval(start_time=4.5, stop_time=7.5)

    trials = cut(lab_nwb(tmp_path / "invalid.nwb", change), ["speed"])
    assert trials.trial_id.tolist() == [0, 1, 4, 5, 6, 7, 8, 9, 10, 11]
    assert "invalid_times: 1 intervals, 3 s in all, count as unrecorded." in trials.notes


def spikes_times(factor: float, whole: bool = False):
    def edit(file: h5py.File) -> None:
        times = file["units/spike_times"]
        times[:] = np.round(times[:] * factor) if whole else times[:] * factor

    return edit


def restarted(file: h5py.File) -> None:
    times, ends = file["units/spike_times"][:], file["units/spike_times_index"][:]
    parts = np.split(times, ends[:-1])
    for part in parts:
        part[part > 13] -= 13
    file["units/spike_times"][:] = np.concatenate(parts)


def overflowed(file: h5py.File) -> None:
    ends = file["units/spike_times_index"][:]
    file["units/spike_times_index"][:] = ends % 256


def of_version_1(file: h5py.File) -> None:
    del file.attrs["nwb_version"]
    file["nwb_version"] = "NWB-1.0.6"


def two_clocks(file: h5py.File) -> None:
    times = file["processing/behavior/speed/starting_time"]
    times[()] = 1.6e9


def of_two_axes(file: h5py.File) -> None:
    group = file["acquisition/rewards"]
    old = group["timestamps"]
    attributes = dict(old.attrs)
    del group["timestamps"]
    group["timestamps"] = np.ones((4, 2))
    group["timestamps"].attrs.update(attributes)


def held_out_in_words(word: str):
    def change(file: NWBFile) -> None:
        words = ["True", "False", "False", "False", "False", word]
        file.add_unit_column(name="heldout", description="or not", data=words)

    return change


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (spikes_times(1000), "look like milliseconds"),
        (spikes_times(30000, True), "look like samples .*about 2.9e.04 a second"),
        (restarted, "spike times start again: those of unit 0 fall from .* of 6 of 6 units"),
        (overflowed, "spike_times_index falls from .* at unit 5, .* may have overflowed"),
        (of_version_1, "found NWB of version 1.0.6, wanted 2 or later"),
        (two_clocks, "samples of signal 'speed' from 1.6e.09 .* do not overlap .*since 1970"),
        (of_two_axes, r"root/acquisition/rewards: .*incorrect shape for timestamps"),
    ],
)
def test_files_that_contradict_themselves_are_refused(lab, tmp_path, edit, message) -> None:
    refuses(message, cut, changed(lab, tmp_path, edit), ["speed"])


@pytest.mark.parametrize(
    ("edit", "message"),
    [(spikes_times(1000), "look like milliseconds"), (restarted, "spike times start again")],
)
def test_inspect_says_what_will_be_refused(lab, tmp_path, edit, message) -> None:
    (note,) = inspect_file(changed(lab, tmp_path, edit)).notes
    assert message in note


def test_one_unit_that_is_not_in_order_is_sorted_and_named(lab, tmp_path) -> None:
    def edit(file: h5py.File) -> None:
        file["units/spike_times"][:300] = file["units/spike_times"][:300][::-1]

    trials = cut(changed(lab, tmp_path, edit), ["speed"])
    np.testing.assert_array_equal(trials.spikes, cut(lab, ["speed"]).spikes)
    assert "spike times of 1 units (0) were not ascending: sorted." in trials.notes


def test_held_out_units_in_words(tmp_path) -> None:
    trials = cut(lab_nwb(tmp_path / "words.nwb", held_out_in_words("true")), ["speed"])
    assert trials.held_out.tolist() == [True, False, False, False, False, True]
    path = lab_nwb(tmp_path / "odd.nwb", held_out_in_words("perhaps"))
    refuses("column 'heldout': found 'perhaps', wanted True or False", cut, path)


def test_a_split_of_the_users_own_is_no_split(tmp_path) -> None:
    def change(file: NWBFile) -> None:
        numbers = [float(i % 3) for i in range(12)]
        file.add_trial_column(name="split", description="mine", data=numbers)

    trials = cut(lab_nwb(tmp_path / "split.nwb", change), ["speed"])
    assert trials.split is None and trials.n_trials == 12
    assert any("column 'split' holds 0.0, 1.0, 2.0, and none of train" in n for n in trials.notes)


def test_units_of_which_nobody_says_when_they_were_observed(tmp_path) -> None:
    observed = [[[0.0, 20.0]]] * 3 + [np.empty((0, 2))] + [[[0.0, 20.0]]] * 2
    trials = cut(lab_nwb(tmp_path / "observed.nwb", observed=observed), ["speed"])
    assert trials.trial_id.tolist() == list(range(10))
    assert any("1 of 6 units have no obs_intervals (3)" in note for note in trials.notes)


def test_units_without_spikes_are_refused_or_empty(lab, tmp_path) -> None:
    def without_spikes(file: h5py.File) -> None:
        units = file["units"]
        for name in ("spike_times", "spike_times_index"):
            del units[name]
        names = [n for n in units.attrs["colnames"] if n != "spike_times"]
        units.attrs["colnames"] = names

    def without_index(file: h5py.File) -> None:
        del file["units/spike_times_index"]
        times = file["units/spike_times"][:6]
        attributes = dict(file["units/spike_times"].attrs)
        del file["units/spike_times"]
        file["units/spike_times"] = times
        file["units/spike_times"].attrs.update(attributes)

    path = changed(lab, tmp_path, without_spikes)
    refuses("units have no spike_times; they have quality", cut, path)
    with open_nwb(path) as file:
        units, times = read_units(file, path, needed=False)
    assert (len(units), times) == (0, [])
    path = edited(lab, tmp_path / "index.nwb", without_index)
    refuses("spike_times without spike_times_index", cut, path)


def test_windows_and_names_that_are_not_meant(lab) -> None:
    refuses(
        "0 to 3 ms holds no bin of 20 ms; is it in seconds", cut, lab, window_ms=(0, 3), bin_ms=20
    )
    refuses("or bins of 14 ms", cut, lab, window_ms=(-250, 450), bin_ms=15)
    refuses("--every cuts windows side by side", cut, lab, ["choice"], align=None, every_s=1.0)
    refuses("kinds: no behavior channel 'sped'", cut, lab, ["speed"], kinds={"sped": "circular"})
    refuses("cannot be taken as continuous", cut, lab, ["notes"], kinds={"notes": "continuous"})
    kinds = {"reaction_time": "discrete"}
    assert cut(lab, ["reaction_time"], kinds=kinds).channels[0].kind == "discrete"
