"""NLB scores against nlb_tools (an oracle, not a dependency) and against closed forms."""

import copy
import warnings
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from conftest import refuses, write_arrays
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV

from neuroblend.errors import InputError
from neuroblend.nlb.decoding import PENALTIES, velocity_r2
from neuroblend.nlb.files import check_predictions, check_submission, read_nlb_h5, write_nlb_h5
from neuroblend.nlb.scores import (
    DATASETS,
    bits_per_spike,
    evaluate_nlb,
    psth_r2,
    speed_tp_correlation,
)

GROUPS = [name + suffix for name in DATASETS for suffix in ("", "_20")]
SMALL = "mc_maze_small"
N_IN, N_OUT, N_TRAIN, N_EVAL, N_CONDITIONS = 9, 4, 40, 24, 5


@pytest.fixture(scope="module")
def oracle():
    return pytest.importorskip(
        "nlb_tools.evaluation", reason="nlb_tools is not installed: nothing to compare with"
    )


def shifted(values, bins):
    """Move (T, N) values later by whole bins."""
    return pd.DataFrame(values).shift(bins).to_numpy()


def make_group(name: str, seed: int = 0, n_factors: int | None = None, jitter: bool = True):
    """Random targets and predictions of a dataset, with what is peculiar to it."""
    rng = np.random.default_rng([seed, len(name)])
    n_bins, n_forward = (12, 4) if name.endswith("_20") else (30, 8)
    n = N_IN + N_OUT
    bias = rng.normal(-2, 0.8, n)

    def draw(n_trials, bins):
        factors = np.cumsum(rng.normal(size=(n_trials, bins, n_factors or n)), axis=1) / 3
        if n_factors:  # exactly low rank: rates are linear in factors
            return (1 + np.tanh(factors)) @ rng_map + 0.01
        return np.exp(np.clip(factors @ rng_map + bias, -6, 1))

    rng_map = (
        rng.uniform(0, 0.1, (n_factors, n)) if n_factors else rng.normal(size=(n, n)) / n**0.5 / 2
    )
    train, rates, forward = draw(N_TRAIN, n_bins), draw(N_EVAL, n_bins), draw(N_EVAL, n_forward)
    spikes = rng.poisson(rates).astype(float)
    spikes_forward = rng.poisson(forward).astype(float)
    spikes[:, :, -1] = 0  # a silent neuron
    rates[0, 0, -1] = rates[1, 3, N_IN] = forward[0, 0, 0] = 0
    readout = rng.normal(size=(n, 2)) * 300
    behavior = [x @ readout + rng.normal(0, 50, (*x.shape[:2], 2)) for x in (train, rates)]
    target = {
        "eval_spikes_heldout": spikes[:, :, N_IN:],
        "train_behavior": behavior[0],
        "eval_behavior": behavior[1],
        "eval_spikes_heldin_forward": spikes_forward[:, :, :N_IN],
        "eval_spikes_heldout_forward": spikes_forward[:, :, N_IN:],
    }
    if name.startswith("mc_rtt"):
        behavior[0][3, -4:] = behavior[0][7, :2] = behavior[1][0, -5:] = np.nan
    else:
        condition = rng.integers(N_CONDITIONS - 1, size=N_EVAL)  # the last has no trial
        psth = rng.gamma(2, 0.1, size=(N_CONDITIONS, n_bins, n))
        psth[:, :, 2] = 0.0
        trials = np.empty(N_CONDITIONS, dtype=object)
        for c in range(N_CONDITIONS):
            trials[c] = np.flatnonzero(condition == c)
        target |= {"psth": psth, "eval_cond_idx": trials}
    if name.startswith("area2"):
        for side, n_trials in (("train", N_TRAIN), ("eval", N_EVAL)):
            passive = rng.random(n_trials) < 0.4
            target[f"{side}_decode_mask"] = np.stack([~passive, passive], axis=1)
    if name.startswith("dmfc"):
        add_timing(target, rates, rng, jitter)
    predicted = {
        "eval_rates_heldin": rates[:, :, :N_IN],
        "eval_rates_heldout": rates[:, :, N_IN:],
        "train_rates_heldin": train[:, :, :N_IN],
        "train_rates_heldout": train[:, :, N_IN:],
        "eval_rates_heldin_forward": forward[:, :, :N_IN],
        "eval_rates_heldout_forward": forward[:, :, N_IN:],
    }
    return target, predicted


def add_timing(target, rates, rng, jitter: bool) -> None:
    """Front padding, jitter and behavior as in dmfc_rsg; two trials are outliers."""
    n_bins = rates.shape[1]
    bins = rng.integers(-2, 3, N_EVAL) * jitter
    padding = np.arange(n_bins) < rng.integers(0, n_bins // 3, N_EVAL)[:, None]
    target["eval_spikes_heldout"][padding] = rates[padding] = np.nan
    for c, trials in enumerate(target["eval_cond_idx"]):
        for trial in trials:
            unknown = np.isnan(shifted(rates[trial], bins[trial])).any(axis=1)
            target["psth"][c, unknown] = np.nan
    columns = [rng.integers(2, size=N_EVAL) for _ in range(3)]
    columns[2] = columns[0]
    behavior = np.stack([*columns, rng.uniform(0.5, 1, N_EVAL), rng.uniform(0.5, 1, N_EVAL)], 1)
    behavior[[4, 11]] = np.nan
    target |= {
        "eval_jitter": bins,
        "eval_behavior": behavior,
        "train_behavior": rng.random((N_TRAIN, 5)),
    }


def compared(oracle, targets, predictions) -> list:
    """Return our scores, which must be those of the benchmark."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if isinstance(targets, Path):
            theirs = oracle.evaluate(str(targets), str(predictions))
            targets, predictions = read_nlb_h5(targets), read_nlb_h5(predictions)
        else:
            theirs = oracle.evaluate(copy.deepcopy(targets), predictions)
    ours = evaluate_nlb(targets, predictions)
    assert [list(entry) for entry in ours] == [list(entry) for entry in theirs]
    for mine, other in zip(ours, theirs, strict=True):
        for split, scores in other.items():
            assert list(mine[split]) == list(scores)
            for key, value in scores.items():
                assert mine[split][key] == pytest.approx(value, rel=1e-9, abs=1e-9), (split, key)
                assert type(mine[split][key]) is float
    return ours


@pytest.mark.parametrize("name", GROUPS)
@pytest.mark.parametrize("n_factors", [None, 3])
def test_scores_are_those_of_the_benchmark(oracle, name, n_factors) -> None:
    target, predicted = make_group(name, n_factors=n_factors)
    assert compared(oracle, {name: target}, {name: predicted})


def test_all_groups_in_the_order_and_structure_of_the_benchmark(oracle) -> None:
    pairs = {name: make_group(name, seed=1) for name in reversed(GROUPS)}
    ours = compared(oracle, *({name: pair[i] for name, pair in pairs.items()} for i in (0, 1)))
    last = [next(iter(entry)) for entry in ours[-2:]]
    assert last == ["mc_maze_scaling_split", "mc_maze_scaling_20_split"]
    names = [f"[{n}] co-bps" for n in (500, 250, 100)]
    assert list(ours[-2]["mc_maze_scaling_split"])[::4] == names


@pytest.mark.parametrize("seed", range(4))
def test_dmfc_with_and_without_jitter(oracle, seed) -> None:
    target, predicted = make_group("dmfc_rsg", seed, jitter=bool(seed % 2))
    assert bool(target["eval_jitter"].any()) == bool(seed % 2)
    (ours,) = compared(oracle, {"dmfc_rsg": target}, {"dmfc_rsg": predicted})
    assert set(ours["dmfc_rsg_split"]) == {"co-bps", "tp corr", "psth R2", "fp-bps"}


def test_float32_tiny_rates_few_samples_and_large_scales(oracle) -> None:
    target, predicted = make_group("mc_maze")
    cases = {
        "float32": {k: v.astype(np.float32) for k, v in predicted.items()},
        "large": {k: v * 50 for k, v in predicted.items()},
        "small": {k: v * 1e-3 for k, v in predicted.items()},
        "tiny": predicted | {"eval_rates_heldout": predicted["eval_rates_heldout"] * 1e-12},
    }
    for case in cases.values():
        compared(oracle, {"mc_maze": target}, {"mc_maze": case})
    few, rates = (
        {k: v[:1, :11] if k.startswith("train") else v for k, v in arrays.items()}
        for arrays in (target, predicted)
    )
    compared(oracle, {"mc_maze": few}, {"mc_maze": rates})


def test_what_is_absent_is_passed_over(oracle) -> None:
    target, predicted = make_group("mc_maze")
    lean = {k: v for k, v in target.items() if "forward" not in k and k != "psth"}
    for targets, predictions in [
        ({}, {"mc_maze": predicted}),
        ({"mc_maze": target}, {}),
        ({"mc_maze": lean}, {"mc_maze": predicted, "other": {}}),
        ({"mc_maze": target}, {"mc_maze": {}}),
    ]:
        compared(oracle, targets, predictions)


def test_arguments_are_left_as_they_were() -> None:
    for name in ("dmfc_rsg", "area2_bump", "mc_rtt_20"):
        target, predicted = make_group(name)
        before = copy.deepcopy((target, predicted))
        evaluate_nlb({name: target}, {name: predicted})
        check_predictions(target, predicted, name)
        for old, new in zip(before, (target, predicted), strict=True):
            for key, value in old.items():
                for a, b in zip(value, new[key], strict=True):
                    np.testing.assert_array_equal(a, b)


# closed forms: no oracle needed


def test_bits_per_spike_of_two_rates() -> None:
    spikes = np.array([1.0, 0, 0, 1, 0, 0, 0, 0])[:, None, None] * np.ones((1, 1, 1))
    rates = np.where(spikes > 0, 0.5, 0.125)
    gain = 2 * np.log(0.5 / 0.25) - (2 * 0.5 + 6 * 0.125) + 8 * 0.25
    assert bits_per_spike(rates, spikes) == pytest.approx(gain / 2 / np.log(2), rel=1e-14)
    never = np.concatenate([spikes, np.full_like(spikes, np.nan)], axis=2)
    unknown = np.concatenate([rates, np.full_like(rates, np.nan)], axis=2)
    assert bits_per_spike(unknown, never) == pytest.approx(gain / 2 / np.log(2), rel=1e-14)
    assert np.isnan(bits_per_spike(rates, 0 * spikes))


def test_velocity_of_a_linear_readout_is_decoded() -> None:
    rng = np.random.default_rng(0)
    train, held = rng.gamma(2, 50, (20, 30, 5)), rng.gamma(2, 50, (8, 30, 5))
    readout = rng.normal(size=(5, 2))
    r2 = velocity_r2(train, train @ readout + 7, held, held @ readout + 7)
    assert r2 == pytest.approx(1, abs=1e-9)
    wrong = held @ readout[:, ::-1] + 7
    assert velocity_r2(train, train @ readout + 7, held, wrong) < 0.9
    mask = np.arange(20)[:, None] % 2 == [0, 1], np.arange(8)[:, None] % 2 == [0, 1]
    signed = [np.where(m[:, :1], 1, -1)[..., None] for m in mask]
    args = train, signed[0] * (train @ readout), held, signed[1] * (held @ readout)
    assert velocity_r2(*args, *(m.astype(int) for m in mask)) == pytest.approx(1, abs=1e-9)
    assert velocity_r2(*args) < 0.5


@pytest.mark.parametrize("noise", [0.01, 3.0, 300.0])
@pytest.mark.parametrize("n_trials", [3, 41])
def test_velocity_is_that_of_a_grid_search(noise, n_trials) -> None:
    rng = np.random.default_rng(n_trials)
    x = rng.gamma(2, 0.02, (n_trials + 9, 13, 20)) + np.linspace(0, 1, n_trials + 9)[:, None, None]
    y = x @ rng.normal(size=(20, 2)) + noise * rng.normal(size=(n_trials + 9, 13, 2)) + 1000
    flat = [a.reshape(-1, a.shape[2]) for a in (x[:-9], y[:-9], x[-9:], y[-9:])]
    search = GridSearchCV(Ridge(), {"alpha": PENALTIES}).fit(*flat[:2])
    expected = search.score(*flat[2:])
    assert velocity_r2(x[:-9], y[:-9], x[-9:], y[-9:]) == pytest.approx(expected, abs=1e-9)


def test_psth_of_the_condition_means_scores_one() -> None:
    rng = np.random.default_rng(0)
    rates = rng.gamma(2, 0.1, (6, 10, 3))
    trials = [[0, 2], [1, 3, 4], [], [5]]
    psth = np.stack([rates[t].mean(0) if t else np.ones((10, 3)) for t in trials])
    assert psth_r2(psth, rates, trials) == pytest.approx(1, abs=1e-12)
    psth[:, :, 1] = 0  # a constant counts 0
    assert psth_r2(psth, rates, trials) == pytest.approx(2 / 3, abs=1e-12)
    rates[:, :, 1] = 0  # or 1 where it is met
    assert psth_r2(psth, rates, trials) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("bins", [-3, 0, 2])
def test_jitter_moves_rates_later(bins) -> None:
    rng = np.random.default_rng(0)
    truth = rng.gamma(2, 0.1, (1, 10, 3))
    rates = shifted(truth[0], -bins)[None]
    truth[0, np.isnan(shifted(rates[0], bins)).any(1)] = np.nan
    jitter = np.array([bins])
    assert psth_r2(truth, rates, [[0]], jitter) == pytest.approx(1, abs=1e-12)
    if bins:
        refuses("NaN where a PSTH is known", psth_r2, truth, rates, [[0]], -jitter)


def test_speed_that_is_one_over_the_interval() -> None:
    produced = np.array([0.5, 0.6, 0.8, 1.0, 0.7, 0.9])
    direction = np.random.default_rng(0).normal(size=4)
    time = np.arange(12)[:, None]
    rates = np.stack([5 + time / tp * direction for tp in produced])
    spikes = np.zeros((6, 12, 2))
    spikes[:, :3] = np.nan
    rates[:, :3] = 1e3
    condition = np.array([[0, 0, 0]] * 3 + [[1, 0, 0]] * 3)
    behavior = np.column_stack([condition, produced, produced]).astype(float)
    halves = [np.corrcoef(1 / produced[h], produced[h])[0, 1] for h in (slice(3), slice(3, 6))]
    args = spikes, rates, behavior
    assert speed_tp_correlation(*args) == pytest.approx(np.mean(halves), rel=1e-12)
    behavior[3:, :3] = np.nan
    assert speed_tp_correlation(*args) == pytest.approx(halves[0], rel=1e-12)
    behavior[3] = [1, 1, 1, 0.7, 0.7]  # one trial has no correlation
    assert speed_tp_correlation(*args) == pytest.approx(halves[0], rel=1e-12)
    behavior[:] = np.nan
    assert np.isnan(speed_tp_correlation(*args))


def test_constant_speed_has_no_correlation() -> None:
    behavior = np.column_stack([np.zeros((4, 3)), np.arange(4), np.arange(4)])
    rates = np.tile(np.arange(5.0)[:, None] * 0.1, (4, 1, 2))
    assert np.isnan(speed_tp_correlation(np.zeros((4, 5, 1)), rates, behavior))


# files


@pytest.mark.parametrize("name", GROUPS)
def test_files_come_back_as_they_were_written(tmp_path, name) -> None:
    target, predicted = make_group(name)
    path = tmp_path / "new" / "targets.h5"
    write_nlb_h5(path, {name: target, f"{name}x": predicted})
    back = read_nlb_h5(path)
    assert list(back) == [name, f"{name}x"]
    assert set(back[name]) == set(target)
    for key, value in target.items():
        kinds = {"f": np.float32, "i": np.int32, "b": np.bool_, "O": object}
        assert back[name][key].dtype == kinds[value.dtype.kind]
        for a, b in zip(back[name][key], value, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-6)
    write_nlb_h5(tmp_path / "again.h5", back)
    again = read_nlb_h5(tmp_path / "again.h5")
    for key, value in back[name].items():
        for a, b in zip(again[name][key], value, strict=True):
            np.testing.assert_array_equal(a, b, strict=True)
    assert [p.name for p in path.parent.iterdir()] == ["targets.h5"]


def test_the_benchmark_reads_our_files_and_we_read_its(oracle, tmp_path) -> None:
    names = ["mc_maze_20", "mc_rtt", "area2_bump_20", "dmfc_rsg", "mc_maze_small"]
    pairs = {name: make_group(name) for name in names}
    files = [tmp_path / "targets.h5", tmp_path / "rates.h5"]
    for i, path in enumerate(files):
        write_nlb_h5(path, {name: pair[i] for name, pair in pairs.items()})
    compared(oracle, *files)


def save_as_nlb_tools(path, groups) -> None:
    """Write what `nlb_tools.make_tensors.save_to_h5` would (it needs a pandas that we lack)."""
    with h5py.File(path, "a") as file:
        for name, group in groups.items():
            for key, value in group.items():
                kind = {"f": "float32", "i": "int32", "b": value.dtype}.get(value.dtype.kind)
                dtype = kind or h5py.vlen_dtype("int32")
                file.require_group(name).create_dataset(
                    key, data=value, dtype=dtype, compression="gzip"
                )


def test_files_of_the_benchmark_are_read(tmp_path) -> None:
    target, predicted = make_group("mc_maze_20")
    save_as_nlb_tools(tmp_path / "a.h5", {"mc_maze_20": target})
    write_nlb_h5(tmp_path / "b.h5", {"mc_maze_20": target})
    a, b = (
        evaluate_nlb(read_nlb_h5(tmp_path / f), {"mc_maze_20": predicted}) for f in ("a.h5", "b.h5")
    )
    assert a == b


def test_ragged_lists_of_equal_length_and_none(tmp_path) -> None:
    square = np.array([np.arange(3), np.arange(3, 6)], dtype=object)
    lists = {"square": square, "list": [[1], [], [2, 3]], "none": [], "one": np.array(2)}
    write_nlb_h5(tmp_path / "a.h5", {"mc_maze": lists | {"empty": np.zeros((0, 3))}})
    back = read_nlb_h5(tmp_path / "a.h5")["mc_maze"]
    assert [row.tolist() for row in back["square"]] == [[0, 1, 2], [3, 4, 5]]
    assert [row.tolist() for row in back["list"]] == [[1], [], [2, 3]]
    assert len(back["none"]) == 0 and back["one"] == 2 and back["empty"].shape == (0, 3)


def test_files_that_cannot_be_read_or_written(tmp_path) -> None:
    path = tmp_path / "a.h5"
    refuses("no such file", read_nlb_h5, path)
    write_nlb_h5(path, {"mc_maze": make_group("mc_maze")[0]})
    for content in (path.read_bytes()[:-2000], b"spikes"):
        path.write_bytes(content)
        refuses("truncated or not an HDF5 file", read_nlb_h5, path)
    for arrays, message in (
        ({"rates": [1]}, "found arrays rates at the top"),
        ({"mc_maze/inner/rates": [1]}, "found groups inner in '/mc_maze'"),
        ({}, "found nothing at the top"),
    ):
        refuses(message, read_nlb_h5, write_arrays(path, arrays))
    before = path.read_bytes()
    with pytest.raises(InputError, match="mc_maze/rates: found <U1 values"):
        write_nlb_h5(path, {"mc_maze": {"rates": np.array(["a"])}})
    with pytest.raises(InputError, match="mc_maze/trials: found lists of other things"):
        write_nlb_h5(path, {"mc_maze": {"trials": [["a"], [1]]}})
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


# checks


def with_one(number):
    """Let one value of many be a number."""

    def change(values):
        values[2, 1, 3] = number

    return change


nan, infinite, negative = map(with_one, (np.nan, np.inf, -0.5))

BAD = [  # key; change, in place or to what replaces the array, or None to misspell its key; message
    ("eval_rates_heldin", None, "no 'eval_rates_heldin'.*did you mean 'eval_rates_held_in'"),
    ("train_rates_heldout", None, "no 'train_rates_heldout' among the rates; did you mean"),
    ("eval_rates_heldin_forward", None, "no 'eval_rates_heldin_forward'"),
    ("eval_rates_heldin", lambda v: v[0], r"found shape \(30, 9\), wanted \(trial, bin, neuron\)"),
    ("train_rates_heldin", lambda v: v[:0], "none of them 0"),
    ("eval_rates_heldout_forward", lambda v: v[1:], "found 23 trials instead of 24"),
    ("eval_rates_heldout", nan, "1 NaN or infinite rates of 2880, .*trial 2, bin 1, neuron 3"),
    ("train_rates_heldin", infinite, "1 NaN or infinite"),
    ("eval_rates_heldin", negative, "1 negative rates of 6480, down to -0.5"),
    ("train_rates_heldin", lambda v: np.log(v / 100), "are they logarithms of rates"),
    ("eval_rates_heldout", lambda v: 0 * v, "every rate is 0"),
    ("eval_rates_heldin", lambda v: v * 200, "Hz; wanted counts per bin: if these are in Hz"),
    ("eval_rates_heldin", lambda v: v.astype(str), "found <U32 values, wanted numbers"),
    ("eval_rates_heldin", lambda v: v.astype(object), "found object values, wanted numbers"),
    ("eval_rates_heldin", lambda v: v.astype(complex), "found complex128 values, wanted numbers"),
]
BAD_BESIDE_TARGETS = [
    ("eval_rates_heldin", lambda v: v[:, :, 1:], "found 8 neurons instead of 9"),
    ("eval_rates_heldin", lambda v: v.swapaxes(1, 2), "the axes are exchanged, transpose them"),
    ("eval_rates_heldout", lambda v: v[1:], "found 23 trials instead of 24; wanted 24 x 30 x 4"),
    ("eval_rates_heldout", lambda v: v[:, 1:], "found 29 bins instead of 30"),
    ("eval_rates_heldout", lambda v: v[:, :, 1:], "found 3 neurons instead of 4"),
    ("eval_rates_heldout_forward", lambda v: v[:, :3], "found 3 bins instead of 8"),
    ("train_rates_heldin", lambda v: v[:24], "this is the shape of 'eval_rates_heldin'"),
    ("eval_rates_heldout", lambda v: v * 24, "times what was recorded; .*multiply them by 0.005"),
]


def spoil(arrays, key, change) -> None:
    if change is None:
        arrays[key.replace("held", "held_")] = arrays.pop(key)
    elif (changed := change(arrays[key])) is not None:
        arrays[key] = changed


def spoilt(key, change):
    target, predicted = make_group(SMALL)
    spoil(predicted, key, change)
    return target, predicted


@pytest.mark.parametrize(("key", "change", "message"), BAD + BAD_BESIDE_TARGETS)
def test_bad_predictions_are_refused_in_one_line(key, change, message) -> None:
    refuses(f"^{SMALL}: .*{message}", check_predictions, *spoilt(key, change), SMALL)


@pytest.mark.parametrize(("key", "change", "message"), BAD)
def test_bad_submissions_are_refused_in_one_line(key, change, message) -> None:
    refuses(f"^{SMALL}: .*{message}", check_submission, {SMALL: spoilt(key, change)[1]})


@pytest.mark.parametrize("lean", [False, True])
def test_exchanged_held_in_and_held_out(lean) -> None:
    target, predicted = make_group("mc_rtt")
    if lean:  # then nothing but the predictions tells how many are held in
        target = {k: v for k, v in target.items() if "forward" not in k}
    a, b = "eval_rates_heldin", "eval_rates_heldout"
    predicted[a], predicted[b] = predicted[b], predicted[a]
    with pytest.raises(InputError, match=r"has 4 neurons and .* 9, wanted 9 and 4: held-in and"):
        check_predictions(target, predicted, "mc_rtt")
    refuses("exchanged", check_submission, {"mc_rtt": predicted})
    swapped = {k: v for k, v in predicted.items() if "forward" not in k}
    a, b = "train_rates_heldin", "train_rates_heldout"
    swapped[a], swapped[b] = swapped[b], swapped[a]
    notes = check_submission({"mc_rtt": swapped})
    assert notes == ["mc_rtt: Fewer held-in neurons (4) than held-out (9): are they exchanged?"]


def test_what_is_usual_is_accepted_and_noted() -> None:
    for name in GROUPS:
        target, predicted = make_group(name)
        notes = check_predictions(target, predicted, name)
        if not name.startswith("dmfc"):
            assert any("eval_rates_heldout: 2 rates of 0 were scored" in note for note in notes)
        assert any("eval_rates_heldin_forward: 1 rates of 0" in note for note in notes)
        assert not check_submission({name: predicted})
    forwardless = {k: v for k, v in predicted.items() if "forward" not in k} | {"model": 1}
    notes = check_predictions(target, forwardless, name)
    assert "Keys that mean nothing here were left alone: model." in notes
    assert "No rates of the forward period: fp-bps was not scored." in notes


def test_nan_is_allowed_in_padding_alone() -> None:
    target, predicted = make_group("dmfc_rsg")
    padded = np.isnan(target["eval_spikes_heldout"][:, :, 0])
    assert np.isnan(predicted["eval_rates_heldin"][padded]).all()
    check_predictions(target, predicted, "dmfc_rsg")
    predicted["eval_rates_heldin"][~padded] = np.nan
    refuses("NaN or infinite", check_predictions, target, predicted, "dmfc_rsg")
    refuses("NaN or infinite", check_submission, {"dmfc_rsg": predicted})
    target, predicted = make_group("mc_rtt")
    unknown = np.isnan(target["train_behavior"]).any(axis=2)
    predicted["train_rates_heldin"][unknown] = np.nan
    check_predictions(target, predicted, "mc_rtt")
    assert evaluate_nlb({"mc_rtt": target}, {"mc_rtt": predicted})


def test_neurons_in_another_order_are_noticed() -> None:
    rng = np.random.default_rng(0)
    mean = np.geomspace(0.01, 1, 20)
    target, predicted = make_group("mc_rtt")
    target["eval_spikes_heldout"] = rng.poisson(mean, (N_EVAL, 30, 20)).astype(float)
    target.pop("eval_spikes_heldin_forward")
    target.pop("eval_spikes_heldout_forward")
    predicted["eval_rates_heldout"] = np.broadcast_to(mean, (N_EVAL, 30, 20))
    predicted["train_rates_heldout"] = np.ones((N_TRAIN, 30, 20))
    assert not check_predictions(target, predicted, "mc_rtt")
    predicted["eval_rates_heldout"] = np.broadcast_to(mean[::-1], (N_EVAL, 30, 20))
    assert "targets' order?" in check_predictions(target, predicted, "mc_rtt")[0]


def test_names_and_targets_that_are_not_the_benchmarks() -> None:
    target, predicted = make_group("mc_maze")
    with pytest.raises(InputError, match=r"found a group 'mc_mase', .*did you mean 'mc_maze'"):
        check_predictions(target, predicted, "mc_mase")
    refuses("found a group 'mc_mase'", check_submission, {"mc_mase": predicted})
    refuses("without groups", check_submission, {})
    short = {k: v for k, v in target.items() if k != "train_behavior"}
    refuses("no 'train_behavior' among the targets", check_predictions, short, predicted, "mc_maze")
    flat = target | {"eval_behavior": target["eval_behavior"][0]}
    message = r"float64 targets of shape .* wanted numbers with 3 axes"
    refuses(message, check_predictions, flat, predicted, "mc_maze")


@pytest.mark.parametrize(
    ("side", "key", "change", "message"),
    [
        ("rates", "eval_rates_heldout", nan, "1 are negative, NaN or infinite"),
        ("rates", "eval_rates_heldout", negative, "1 are negative, NaN or infinite"),
        ("rates", "eval_rates_heldout", lambda v: v[1:], "wanted the same trials and bins"),
        ("rates", "train_rates_heldin", nan, "1 are NaN or infinite where behavior is"),
        ("rates", "train_rates_heldin", None, "no 'train_rates_heldin'"),
        ("rates", "eval_rates_heldin", lambda v: v[:, :, 1:], "13 neurons in training and 12"),
        ("targets", "psth", lambda v: v[:, 1:], "wanted the .* of psth"),
        ("targets", "train_behavior", lambda v: v[:, 1:], "wanted the trials and bins of behavior"),
        ("targets", "train_behavior", lambda v: v * np.nan, "known in 0 bins"),
        ("targets", "eval_spikes_heldout", lambda v: v[1:], "wanted the .* of the spikes"),
        ("targets", "train_decode_mask", lambda v: v[1:], "a row for each of the 40 trials"),
        ("targets", "train_decode_mask", lambda v: v[:, 1:], "found 1 for training and 2"),
        ("targets", "eval_cond_idx", lambda v: v + 99, "has trial .*, rates have 24"),
        ("targets", "eval_cond_idx", lambda v: [*v, [1]], "6 conditions"),
        ("targets", "eval_cond_idx", lambda v: [[]] * 5, "nothing to score"),
    ],
)
def test_what_cannot_be_scored_is_refused(side, key, change, message) -> None:
    arrays = dict(zip(("targets", "rates"), make_group("area2_bump"), strict=True))
    spoil(arrays[side], key, change)
    sides = ({"area2_bump": arrays[side]} for side in ("targets", "rates"))
    refuses(f"^area2_bump: .*{message}", evaluate_nlb, *sides)


def test_intervals_of_other_trials_are_refused() -> None:
    target, predicted = make_group("dmfc_rsg")
    target["eval_behavior"] = target["eval_behavior"][1:]
    refuses("trials x bins, wanted", evaluate_nlb, {"dmfc_rsg": target}, {"dmfc_rsg": predicted})
