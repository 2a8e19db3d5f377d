"""Simulated benchmark files: their schema, their truth, and the benchmark's own reader.

Shapes: ``B`` trials, ``T`` bins, ``N`` units, ``K`` latents.
"""

import importlib.util
import logging
import warnings
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
from conftest import refuses
from numpy.typing import NDArray
from pynwb import NWBHDF5IO
from pynwb.behavior import SpatialSeries

from neuroblend.errors import InputError
from neuroblend.nlb.simulate.files import simulate_nlb, true_rates, truth_path
from neuroblend.nlb.simulate.tables import DATASETS

NAMES = list(DATASETS)
MAZE = (
    "trial_type trial_version maze_id success target_on_time go_cue_time move_onset_time rt delay "
    "num_targets target_pos num_barriers barrier_pos active_target split"
)
COLUMNS = dict.fromkeys(NAMES, MAZE) | {  # of the published training files, beside start and stop
    "mc_rtt": "split",
    "area2_bump": "result ctr_hold ctr_hold_bump bump_dir target_on_time target_dir go_cue_time "
    "bump_time move_onset_time cond_dir split",
    "dmfc_rsg": "fix_on_time fix_time target_on_time ready_time set_time go_time target_acq_time "
    "reward_time bad_time is_short is_eye theta ts tp fix_time_dur target_time_dur iti reward_dur "
    "is_outlier split",
}
N_TRIALS, N_UNITS = 24, 20
MAZES = [name for name in NAMES if name.startswith("mc_maze")]
PEAKS = dict.fromkeys(MAZES, ("hand_vel", 700, 1600)) | {  # mm/s, but cm/s where a bump is felt
    "mc_rtt": ("finger_vel", 150, 500),
    "area2_bump": ("hand_vel", 25, 70),
}
FORWARD_MS = 200
DERIVATIVES = [
    ("hand_vel", "hand_pos"),
    ("finger_vel", "finger_pos"),
    ("joint_vel", "joint_ang"),
    ("muscle_vel", "muscle_len"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("nlb")


@pytest.fixture(scope="module", params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def path(folder: Path, name: str) -> Path:
    return simulate_nlb(name, folder / f"{name}.nwb", N_TRIALS, N_UNITS, seed=3)


@pytest.fixture(scope="module")
def hidden_path(folder: Path, name: str, path: Path) -> Path:
    return simulate_nlb(name, folder / f"{name}_test.nwb", 9, N_UNITS, seed=3, part="test")


class Contents:
    """What a file holds, as plain arrays; times in s."""

    def __init__(self, path: Path) -> None:
        with NWBHDF5IO(str(path), "r") as io:
            file = io.read()
            units = file.units
            self.unit_id: NDArray[np.int64] = units.id[:]
            self.held_out: NDArray[np.bool_] = units["heldout"][:]
            self.unit_columns = set(units.colnames)
            self.spikes = [units["spike_times"][i] for i in range(len(units))]
            self.observed = [units["obs_intervals"][i] for i in range(len(units))]
            self.trials: pd.DataFrame = file.trials.to_dataframe()
            self.modules = set(file.processing)
            self.signals: dict[str, dict[str, Any]] = {}
            for series in self.modules and file.processing["behavior"].data_interfaces.values():
                self.signals[series.name] = {
                    "data": series.data[:],
                    "times": None if series.timestamps is None else series.timestamps[:],
                    "rate": series.rate,
                    "comments": series.comments,
                    "spatial": isinstance(series, SpatialSeries),
                }

    def windows(self, name: str) -> NDArray[np.int64]:
        """Starts of the windows of trials that belong to a split, ms."""
        dataset = DATASETS[name]
        aligned = self.trials.loc[self.trials.split != "none", dataset.benchmark.align].to_numpy()
        assert np.isfinite(aligned).all()
        return np.rint(1000 * aligned).astype(np.int64) + dataset.benchmark.window_ms[0]

    def seen(self) -> NDArray[np.bool_]:
        """Whether each ms up to the last observed one was observed."""
        edges = np.rint(1000 * self.observed[0]).astype(np.int64)
        mask = np.zeros(edges[-1, 1], bool)
        for start, stop in edges:
            mask[start:stop] = True
        return mask

    def counts(self, start_ms: NDArray[np.int64], n_bins: int, bin_ms: int) -> NDArray[np.int64]:
        """Spikes in bins, (B, T, N), by their whole ms."""
        counts = np.zeros((len(start_ms), n_bins, len(self.spikes)), np.int64)
        for unit, times in enumerate(self.spikes):
            ms = np.round(times * 1000, 6).astype(np.int64)
            for trial, start in enumerate(start_ms):
                here = ms[(ms >= start) & (ms < start + n_bins * bin_ms)] - start
                counts[trial, :, unit] = np.bincount(here // bin_ms, minlength=n_bins)
        return counts


@pytest.fixture(scope="module")
def contents(path: Path) -> Contents:
    return Contents(path)


def test_units_are_as_published(name, contents) -> None:
    wanted = {"spike_times", "obs_intervals", "heldout"}
    assert contents.unit_columns - {"electrodes"} == wanted
    assert ("electrodes" in contents.unit_columns) == (name != "dmfc_rsg")
    assert len(contents.unit_id) == N_UNITS and (np.diff(contents.unit_id) > 0).all()
    assert contents.held_out.sum() == 5
    for observed, times in zip(contents.observed, contents.spikes, strict=True):
        np.testing.assert_array_equal(observed, contents.observed[0])
        assert (np.diff(times) >= 0).all()
        assert contents.seen()[np.floor(times * 1000 + 1e-6).astype(int)].all()


def test_trials_are_as_published(name, contents) -> None:
    dataset, trials = DATASETS[name], contents.trials
    assert set(trials.columns) == {"start_time", "stop_time", *COLUMNS[name].split()}
    assert (np.diff(trials.start_time) > 0).all() and (trials.stop_time > trials.start_time).all()
    count = trials.split.value_counts()
    assert count["train"] == 18 and count["val"] == 6
    assert count.get("none", 0) == np.ceil(N_TRIALS * dataset.none)
    for column in trials.columns[trials.columns.str.endswith("_time")]:
        ms = 1000 * trials[column].dropna()
        np.testing.assert_allclose(ms, np.rint(ms), atol=1e-6)


def test_what_is_evaluated_is_observed(name, contents) -> None:
    dataset, seen = DATASETS[name], contents.seen()
    low, high = dataset.benchmark.window_ms
    lag_ms = dataset.benchmark.lag_ms or 0
    begin = min(0, lag_ms)
    end = high - low + max(FORWARD_MS, lag_ms)
    for start in contents.windows(name):
        assert start + begin >= 0
        assert seen[start + begin : start + end].all() and start + end <= len(seen)
    assert not seen.all()


def test_signals_are_as_published(name, contents) -> None:
    dataset = DATASETS[name]
    assert contents.modules == ({"behavior"} if dataset.signals else set())
    assert set(contents.signals) == {signal.name for signal in dataset.signals}
    seen = contents.seen()
    for signal in dataset.signals:
        held = contents.signals[signal.name]
        assert held["comments"] == f"columns=[{','.join(signal.columns)}]"
        assert held["spatial"] == signal.spatial
        assert held["data"].dtype == np.float64
        assert held["data"].shape[1] == len(signal.columns)
        if dataset.sampled:
            assert held["times"] is None and held["rate"] == 1000
            np.testing.assert_array_equal(~np.isnan(held["data"]).any(axis=1), seen)
        else:
            kept = np.ones_like(seen) if signal.throughout else seen
            times = np.round(np.flatnonzero(kept) / 1000, 6)
            np.testing.assert_array_equal(held["times"], times)
            np.testing.assert_array_equal(~np.isnan(held["data"]).any(axis=1), seen[kept])


def test_velocity_is_the_derivative_of_position(name, contents) -> None:
    for rate, value in DERIVATIVES:
        if rate not in contents.signals:
            continue
        speed, position = contents.signals[rate]["data"], contents.signals[value]["data"]
        position = position[:, : speed.shape[1]]
        begin = 0
        for start, stop in np.rint(1000 * contents.observed[0]).astype(int):
            # Without a clock of their own, signals run on through what was not observed.
            begin = start if DATASETS[name].sampled else begin
            here = slice(begin, begin + stop - start)
            begin = here.stop
            wanted = np.gradient(position[here], 1e-3, axis=0)
            np.testing.assert_allclose(speed[here], wanted, atol=1e-6)


def test_movements_have_the_scales_of_the_recordings(name, contents) -> None:
    if name not in PEAKS:
        return
    rate, low, high = PEAKS[name]
    peak = np.nanmax(np.linalg.norm(contents.signals[rate]["data"], axis=1))
    assert low < peak < high


def test_times_of_a_maze_trial_follow_each_other(folder) -> None:
    trials = Contents(simulate_nlb("mc_maze_small", folder / "maze.nwb", 30, 8, seed=1)).trials
    after_go = trials.move_onset_time - trials.go_cue_time
    np.testing.assert_allclose(1000 * after_go, trials.rt, atol=1e-6)
    delay = 1000 * (trials.go_cue_time - trials.target_on_time)
    np.testing.assert_allclose(delay, trials.delay, atol=1e-6)
    np.testing.assert_allclose(trials.start_time * 10, np.rint(trials.start_time * 10))
    assert trials.success.all()
    for _, trial in trials.iterrows():
        assert np.shape(trial.target_pos) == (trial.num_targets, 2)
        assert len(trial.barrier_pos) == trial.num_barriers
        assert trial.num_targets == (3 if trial.trial_version == 2 else 1)
        assert (trial.num_barriers == 0) == (trial.trial_version == 0)
        assert 0 <= trial.active_target < trial.num_targets
    reached = [row.target_pos[row.active_target] for row in trials.itertuples()]
    by_maze = pd.DataFrame(np.stack(reached)).groupby(trials.maze_id.to_numpy())
    assert (by_maze.nunique() == 1).all(axis=None)


def test_segments_follow_each_other(folder) -> None:
    trials = Contents(simulate_nlb("mc_rtt", folder / "segments.nwb", 16, 8)).trials
    np.testing.assert_allclose(trials.stop_time - trials.start_time, 0.6, atol=1e-9)
    gaps = trials.start_time.to_numpy()[1:] - trials.stop_time.to_numpy()[:-1]
    np.testing.assert_allclose(gaps[[i for i in range(15) if i % 4 != 3]], 0, atol=1e-9)
    np.testing.assert_allclose(gaps[3::4], 0.3, atol=1e-9)


def test_bump_trials_miss_what_published_ones_miss(folder) -> None:
    trials = Contents(simulate_nlb("area2_bump", folder / "bumps.nwb", 40, 8)).trials
    used = trials[trials.split != "none"]
    assert (used.result == "R").all()
    np.testing.assert_array_equal(used.bump_time.isna(), ~used.ctr_hold_bump)
    np.testing.assert_array_equal(used.bump_dir.isna(), ~used.ctr_hold_bump)
    wanted = np.where(used.ctr_hold_bump, used.bump_dir, used.target_dir)
    np.testing.assert_array_equal(used.cond_dir, wanted)
    onset = np.where(used.ctr_hold_bump, used.bump_time, used.go_cue_time + 0.3)
    assert np.abs(used.move_onset_time - onset).max() < 0.2
    assert set(used.ctr_hold_bump) == {True, False}
    aborted = trials[trials.result == "A"]
    assert len(aborted) and aborted[["go_cue_time", "move_onset_time"]].isna().all(axis=None)


def test_intervals_are_reproduced(folder) -> None:
    trials = Contents(simulate_nlb("dmfc_rsg", folder / "intervals.nwb", 300, 8)).trials
    used = trials[trials.split != "none"]
    produced = 1000 * (used.go_time - used.set_time)
    assert np.abs(produced - used.tp).max() <= 0.5 + 1e-6
    np.testing.assert_allclose(1000 * (used.set_time - used.ready_time), used.ts, atol=1e-6)
    assert produced.min() > 399.9 and produced[~used.is_outlier].max() < 1500.1
    assert 0 < used.is_outlier.mean() < 0.1
    assert np.corrcoef(used.ts, used.tp)[0, 1] > 0.6
    assert set(used.theta) == {0.0, 180.0}
    assert set(used.ts[used.is_short]) <= {480, 560, 640, 720, 800}
    assert trials[trials.split == "none"].go_time.isna().all()


def test_spikes_follow_the_stated_rates(name, path, contents) -> None:
    starts = contents.windows(name)
    low, high = DATASETS[name].benchmark.window_ms
    expected = true_rates(path, starts, (high - low) // 50, 50).astype(np.float64)
    counts = contents.counts(starts, (high - low) // 50, 50)
    # Windows of mc_rtt do not overlap, others may; each ms counts once for each window alike.
    z = (counts.sum() - expected.sum()) / np.sqrt(expected.sum())
    assert abs(z) < 4.5
    by_unit = (counts.sum((0, 1)) - expected.sum((0, 1))) / np.sqrt(expected.sum((0, 1)))
    assert np.abs(by_unit).max() < 5
    # Rates vary from bin to bin; a Poisson count has the variance of its own rate.
    chi_square = ((counts - expected) ** 2 / expected).sum() / counts.size
    assert 0.8 < chi_square < 1.25
    # Against rates that are constant, the true ones explain the counts far better.
    constant = np.broadcast_to(counts.mean((0, 1)).clip(1e-9), counts.shape)
    gain = (counts * np.log(expected / constant) - expected + constant).sum()
    assert 0.05 < gain / np.log(2) / counts.sum() < 0.9


def test_all_spikes_follow_the_stated_rates(path, contents) -> None:
    with h5py.File(truth_path(path)) as file:
        log_rates = file["latents"][()].astype(np.float64) @ file["loading"][()] + file["log_rate"]
    expected = np.exp(log_rates)[: len(contents.seen())][contents.seen()].sum(axis=0)
    spikes = np.array([len(times) for times in contents.spikes])
    assert (np.abs(spikes - expected) < 5 * np.sqrt(expected) + 1).all()


def test_true_rates_are_those_of_the_truth(path) -> None:
    with h5py.File(truth_path(path)) as file:
        latents, loading, log_rate = (file[key][()] for key in ("latents", "loading", "log_rate"))
        assert file.attrs["seed"] == 3
    assert latents.dtype == loading.dtype == np.float32 and log_rate.dtype == np.float64
    starts = np.array([0, 1234, 700])
    rates = np.exp(log_rate + latents.astype(float) @ loading)
    wanted = np.stack([rates[s : s + 140].reshape(7, 20, N_UNITS).sum(axis=1) for s in starts])
    np.testing.assert_allclose(true_rates(path, starts, 7, 20), wanted, rtol=1e-5)


def test_the_truth_names_the_units_of_the_file(name, path, contents) -> None:
    with h5py.File(truth_path(path)) as file:
        np.testing.assert_array_equal(file["unit_id"][()], contents.unit_id)
        assert file.attrs["dataset"] == name
        assert len(file["latents"]) == len(contents.seen())
        assert 8 <= file["latents"].shape[1] <= 14


def test_a_test_file_shares_units_and_hides_the_rest(name, path, hidden_path, contents) -> None:
    dataset, hidden = DATASETS[name], Contents(hidden_path)
    np.testing.assert_array_equal(hidden.unit_id, contents.unit_id[~contents.held_out])
    assert not hidden.held_out.any() and not hidden.modules
    with h5py.File(truth_path(path)) as seen, h5py.File(truth_path(hidden_path)) as truth:
        np.testing.assert_array_equal(truth["loading"], seen["loading"][:, ~contents.held_out])
        np.testing.assert_array_equal(truth["log_rate"], seen["log_rate"][~contents.held_out])
        assert not np.array_equal(truth["latents"][:500], seen["latents"][:500])
    trials = hidden.trials
    assert set(trials.columns) == {"start_time", "stop_time", dataset.benchmark.align, "split"}
    assert (trials.split == "test").all() and len(trials) == 9
    low, high = dataset.benchmark.window_ms
    np.testing.assert_allclose(
        trials[dataset.benchmark.align] + low / 1000, trials.start_time, atol=1e-9
    )
    np.testing.assert_allclose(hidden.observed[0][:, 0], trials.start_time)
    np.testing.assert_allclose(hidden.observed[0][:, 1], trials.start_time + (high - low) / 1000)


@pytest.mark.parametrize("part", ["train", "test"])
def test_one_seed_one_file(tmp_path, part) -> None:
    first, again, other = (
        Contents(simulate_nlb("area2_bump", tmp_path / f"{i}.nwb", 10, 9, seed=seed, part=part))
        for i, seed in enumerate([7, 7, 8])
    )
    for a, b in zip(first.spikes, again.spikes, strict=True):
        np.testing.assert_array_equal(a, b)
    pd.testing.assert_frame_equal(first.trials, again.trials)
    for key, held in first.signals.items():
        np.testing.assert_array_equal(held["data"], again.signals[key]["data"])
    assert any(len(a) != len(b) for a, b in zip(first.spikes, other.spikes, strict=False))


def test_sizes_are_as_published() -> None:
    sizes = {name: (d.held_in, d.held_out, d.train, d.val) for name, d in DATASETS.items()}
    assert sizes == {
        "mc_maze": (137, 45, 1721, 574),
        "mc_maze_large": (122, 40, 375, 125),
        "mc_maze_medium": (114, 38, 188, 62),
        "mc_maze_small": (107, 35, 75, 25),
        "mc_rtt": (98, 32, 810, 270),
        "area2_bump": (49, 16, 272, 92),
        "dmfc_rsg": (40, 14, 748, 258),
    }


def test_a_whole_dataset_has_its_published_size(tmp_path) -> None:
    held = Contents(simulate_nlb("mc_maze_small", tmp_path / "small.nwb"))
    assert (~held.held_out).sum() == 107 and held.held_out.sum() == 35
    count = held.trials.split.value_counts()
    assert (count["train"], count["val"]) == (75, 25)
    assert 100 * 2.5 < held.observed[0][-1, 1] < 102 * 3.5


def test_rates_are_like_those_of_recordings(tmp_path) -> None:
    path = simulate_nlb("mc_maze_small", tmp_path / "small.nwb", 30, 150, seed=2)
    held = Contents(path)
    hz = np.array([len(times) for times in held.spikes]) / held.seen().sum() * 1000
    low, middle, high = np.percentile(hz, [25, 50, 75])
    assert 0.3 < low < middle < high < 10 and 1 < middle < 3 and hz.max() < 60


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dataset": "mc_maze_smal"}, "did you mean 'mc_maze_small'"),
        ({"part": "tets"}, "did you mean 'test'"),
        ({"n_trials": 7}, "n_trials must be at least 8, got 7"),
        ({"n_units": 7}, "n_units must be at least 8, got 7"),
        ({"n_units": 10**5}, "n_units must be at most"),
        ({"seed": -1}, "seed must not be negative"),
    ],
)
def test_bad_input(tmp_path, arguments, message) -> None:
    given = {"dataset": "mc_rtt", "n_trials": 8, "n_units": 8} | arguments
    refuses(message, simulate_nlb, path=tmp_path / "file.nwb", **given)
    assert not list(tmp_path.iterdir())


def test_rates_of_what_is_not_there(path, tmp_path) -> None:
    with pytest.raises(InputError, match="only simulated files have true rates"):
        true_rates(tmp_path / "other.nwb", np.array([0]), 1, 5)
    for start in (-1, 10**9):
        refuses("leave the session", true_rates, path, np.array([start]), 1, 5)


def test_an_unfinished_file_leaves_nothing(tmp_path, monkeypatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("neuroblend.nlb.simulate.nwb.NWBHDF5IO.write", fail)
    with pytest.raises(OSError, match="disk full"):
        simulate_nlb("mc_rtt", tmp_path / "file.nwb", 8, 8)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(
    importlib.util.find_spec("nlb_tools") is None or int(pd.__version__.split(".")[0]) > 2,
    reason="needs nlb_tools beside pandas 2",
)
def test_the_benchmark_reads_it(name, path, hidden_path, caplog) -> None:
    from nlb_tools.make_tensors import make_train_input_tensors
    from nlb_tools.nwb_interface import NWBDataset

    low, high = DATASETS[name].benchmark.window_ms
    with warnings.catch_warnings(), caplog.at_level(logging.WARNING):
        warnings.simplefilter("ignore")
        dataset = NWBDataset(str(path))
        dataset.resample(20)
        tensors = make_train_input_tensors(
            dataset, name, save_file=False, include_behavior=True, include_forward_pred=True
        )
        hidden = NWBDataset(str(hidden_path))
        hidden.resample(20)
    assert not [text for text in caplog.messages if "Dropping" in text or "outside" in text]
    n_bins = round((high - low) / 20)
    assert tensors["train_spikes_heldin"].shape == (18, n_bins, 15)
    assert tensors["train_spikes_heldout_forward"].shape == (18, 10, 5)
    assert np.isfinite(tensors["train_spikes_heldin"].astype(float)).all()
    if name != "dmfc_rsg":
        assert np.isfinite(tensors["train_behavior"]).all()
    assert len(hidden.trial_info) == 9 and hidden.data.spikes.shape[1] == 15
