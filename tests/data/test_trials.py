import errno

import h5py
import numpy as np
import pytest
from conftest import make_trials, refuses

from neuroblend.data.arrays import read_arrays
from neuroblend.data.trials import Trials

GOOD = np.ones((6, 5, 4), dtype=int) + np.arange(4) % 2
MOVING = np.random.default_rng(0).normal(size=(6, 5, 2))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"spikes": GOOD * np.nan}, "NaN"),
        ({"spikes": -GOOD}, "negative counts, down to -2"),
        ({"spikes": GOOD * 0.5}, "fractional counts such as 0.5"),
        ({"spikes": GOOD[0]}, r"shape \(5, 4\), wanted \(trial, bin, neuron\)"),
        ({"spikes": GOOD[:0]}, "none of them 0"),
        ({"spikes": GOOD.astype(str)}, "wanted whole counts"),
        ({"spikes": GOOD * 70_000}, "not counts per bin"),
        ({"spikes": GOOD * 0}, "0 of 4 neurons ever fire"),
        ({"bin_s": 20}, r"20 s.*milliseconds"),
        ({"bin_s": 0.0}, "found 0 s"),
        ({"bin_s": np.nan}, "found nan s"),
        ({"bin_s": None}, "wanted one number"),
        ({"bin_s": [0.1, 0.2]}, "wanted one number"),
        ({"behavior": MOVING[:4]}, r"beside behavior of shape \(4, 5, 2\), wanted"),
        ({"behavior": MOVING[:, :3]}, "found 6 trials x 3 bins"),
        ({"behavior": MOVING * [1, 0], "behavior_names": ["a", "b"]}, "'b' is 0 in every bin.*a$"),
        ({"behavior": MOVING * [1, np.nan]}, "'behavior_1' holds nothing but NaN"),
        ({"behavior": MOVING * np.inf}, "infinite"),
        ({"behavior": MOVING, "behavior_names": ["a"]}, "wanted 2 different names"),
        ({"behavior": MOVING, "behavior_names": ["a", "a"]}, "wanted 2 different names"),
        ({"condition": [0, 1]}, r"condition: found shape \(2,\), wanted \(6,\)"),
        ({"condition": [0, 1, 0, 1, 0, np.nan]}, "condition: found NaN"),
        ({"region": list("abc")}, "region"),
        ({"split": ["train"] * 5 + ["tset"]}, "did you mean 'test'"),
        ({"held_out": [0, 1, 2, 0]}, "held_out"),
        ({"rates": GOOD * 0.0}, "rates"),
        ({"behavior": MOVING, "behavior_units": ["cm"] * 3}, "behavior_units: .* wanted 2, one"),
        ({"start_s": "early"}, "start_s: found 'early', wanted one number"),
    ],
)
def test_bad_arrays_are_refused_in_one_line(fields: dict, message: str) -> None:
    refuses(message, Trials.from_arrays, **{"spikes": GOOD, "bin_s": 0.02} | fields)


@pytest.mark.parametrize(
    ("axes", "beside", "told"),
    [
        ((2, 0, 1), {"behavior": MOVING}, r"'?behavior'? of shape \(6, 5, 2\).*e\(1, 2, 0\)"),
        ((2, 0, 1), {"behavior": {"v": MOVING}}, r"'v' of .*if they are \(neuron, trial, bin\)"),
        ((2, 1, 0), {"behavior": MOVING}, r"give spikes.transpose\(2, 1, 0\)"),
        ((1, 0, 2), {"behavior": MOVING[:, :, 0]}, r"give spikes.transpose\(1, 0, 2\)"),
        ((0, 2, 1), {"behavior": {"choice": np.arange(6)}, "region": list("aabb")}, r"\(0, 2, 1\)"),
    ],
)
def test_spikes_in_another_order_of_axes_are_refused_with_the_transpose(axes, beside, told) -> None:
    """As of pynapple's ``build_tensor``, (neuron, trial, bin)."""
    turned = GOOD.transpose(axes)
    refuses(f"spikes: found shape .*{told}", Trials.from_arrays, turned, 0.02, **beside)


def test_a_tensor_of_pynapple_and_its_padding_are_taken_when_turned() -> None:
    lengths = [5, 3, 4, 5, 2, 5]
    tensor = GOOD.transpose(2, 0, 1).astype(float)
    for i, n in enumerate(lengths):
        tensor[:, i, n:] = np.nan
    padded = Trials.from_arrays(tensor.transpose(1, 2, 0), 0.02, MOVING)
    spikes = [GOOD[i, :n] for i, n in enumerate(lengths)]
    behavior = [MOVING[i, :n] for i, n in enumerate(lengths)]
    ragged = Trials.from_arrays(spikes, 0.02, behavior)
    for trials in (padded, ragged):
        assert trials.lengths.tolist() == lengths
        assert (trials.spikes == ragged.spikes).all()
        np.testing.assert_array_equal(trials.behavior, ragged.behavior)


def test_a_silent_neuron_is_kept_out_and_said() -> None:
    spikes = GOOD.copy()
    spikes[:, :, 2] = 0
    trials = Trials.from_arrays(spikes, 0.02, region=list("abcd"), held_out=[0, 0, 1, 1])
    assert trials.unit_id.tolist() == [0, 1, 3]
    assert trials.region.tolist() == ["a", "b", "d"]
    assert trials.held_out.tolist() == [False, False, True]
    assert trials.n_source_neurons == 4
    assert "1 of 4 neurons never fire: kept out (2)" in trials.notes[0]


def test_missing_samples_are_counted_and_said() -> None:
    behavior = MOVING.copy()
    behavior[0, :3, 1] = np.nan
    trials = Trials.from_arrays(GOOD, 0.02, behavior, ["x", "y"])
    assert len(trials.notes) == 1
    assert "'y': 3 of 30 samples are missing" in trials.notes[0]


def test_counts_are_stored_without_change() -> None:
    spikes = GOOD.astype(float) * 300
    trials = Trials.from_arrays(spikes, 0.02)
    assert trials.spikes.dtype == np.uint16
    assert np.array_equal(trials.spikes, spikes)


def test_save_and_load_give_the_same_trials(tmp_path) -> None:
    behavior = np.random.default_rng(1).normal(size=(40, 12, 2)).astype(np.float32)
    behavior[3, 4, 1] = np.nan
    trials = make_trials(
        behavior=behavior,
        behavior_names=["höhe", "b"],
        condition=np.arange(40) % 3,
        region=[f"r{i}" for i in range(10)],
        split=["train"] * 20 + ["valid"] * 10 + ["test"] * 10,
        held_out=np.arange(10) < 2,
        window_id=np.arange(40) * 2,
    ).take_neurons(np.arange(8), "two left out")
    trials.save(tmp_path / "a.h5")
    again = Trials.load(tmp_path / "a.h5")
    assert list(tmp_path.iterdir()) == [tmp_path / "a.h5"]
    for name, value in vars(trials).items():
        if isinstance(value, np.ndarray):
            assert value.dtype.kind == getattr(again, name).dtype.kind
            np.testing.assert_array_equal(value, getattr(again, name))
        else:
            assert value == getattr(again, name), name


def test_load_refuses_other_files(tmp_path) -> None:
    file = tmp_path / "x.h5"
    file.write_bytes(b"nothing")
    refuses("cannot be read as HDF5", Trials.load, file)


def test_units_are_drawn_by_seed() -> None:
    trials = make_trials()
    drawn = trials.draw_units(4, seed=1)
    assert drawn.n_neurons == 4
    assert drawn.unit_id.tolist() == sorted(drawn.unit_id.tolist())
    np.testing.assert_array_equal(drawn.spikes, trials.spikes[:, :, drawn.unit_id])
    assert drawn.unit_id.tolist() == trials.draw_units(4, seed=1).unit_id.tolist()
    others = {tuple(trials.draw_units(4, seed=s).unit_id) for s in range(5)}
    assert len(others) > 1
    refuses("--units 11: wanted between 2 and the 10", trials.draw_units, 11, seed=0)


def test_slow_neurons_are_left_out_and_said() -> None:
    trials = make_trials()
    middle = float(np.median(trials.rate_hz))
    kept = trials.above_rate(middle)
    assert (kept.rate_hz >= middle).all()
    assert kept.n_neurons == 5
    assert "5 of 10 neurons under" in kept.notes[-1]
    refuses("--min-rate 1000: 0 of 10", trials.above_rate, 1000)


@pytest.mark.parametrize("wrong", [[0, 1], [0.0, 1.0, 2.0], [0, 2, 1], [0, 1, 1]])
def test_windows_are_numbered_in_order(wrong) -> None:
    refuses("window_id: found", Trials.from_arrays, GOOD[:3], 0.02, window_id=wrong)


def test_units_and_the_event_are_stored_and_older_files_have_none(tmp_path) -> None:
    given = {"behavior_names": ["x", "y"], "behavior_units": ["cm/s", "n/a"]}
    trials = Trials.from_arrays(
        GOOD, 0.02, MOVING, **given, event=np.str_("go_cue_time"), start_s=-0.5
    )
    trials.save(tmp_path / "new.h5")
    for again in (Trials.load(tmp_path / "new.h5"), read_arrays(tmp_path / "new.h5")):
        assert again.behavior_units == ("cm/s", "")
        assert again.behavior_labels == ("x (cm/s)", "y")
        assert (again.event, again.start_s) == ("go_cue_time", -0.5)
    assert again.take_channels(["y", "x"]).behavior_labels == ("y", "x (cm/s)")
    assert read_arrays(tmp_path / "new.h5", ["y"]).behavior_units == ("",)
    with h5py.File(tmp_path / "new.h5", "a") as file:
        for key in ("channels", "behavior_units", "event", "start_s"):
            del file[key]
    old = Trials.load(tmp_path / "new.h5")
    assert (old.behavior_labels, old.event, old.span_s) == (("x", "y"), None, (0.0, 0.1))


def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch) -> None:
    def full(path, content) -> None:
        path.touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(type(tmp_path), "write_bytes", full)
    refuses(
        "a.h5: cannot be written, no space left on device", make_trials().save, tmp_path / "a.h5"
    )
    assert not list(tmp_path.iterdir())


def test_one_unit_may_be_given_for_all() -> None:
    assert Trials.from_arrays(GOOD, 0.02, MOVING, behavior_units="mm").behavior_units == ("mm",) * 2
    assert Trials.from_arrays(GOOD, 0.02, behavior_units="mm").behavior_units == ()


def whole() -> Trials:
    """Trials with all that can belong to a trial."""
    behavior = np.random.default_rng(1).normal(size=(40, 12, 2))
    behavior[3, 4, 1] = np.nan
    return make_trials(
        behavior=behavior,
        condition=np.arange(40) % 3,
        region=[f"r{i}" for i in range(10)],
        split=["train"] * 20 + ["valid"] * 10 + ["test"] * 10,
        window_id=np.arange(40) * 2,
        rates=np.full((40, 12, 10), 0.5),
    )


MASK = np.isin(np.arange(40), [3, 7, 11])


@pytest.mark.parametrize(
    ("index", "wanted"),
    [
        (slice(10), range(10)),
        (slice(-3, None), range(37, 40)),
        (slice(1, 9, 3), [1, 4, 7]),
        ([3, 7, 11], [3, 7, 11]),
        (MASK, [3, 7, 11]),
        (MASK.tolist(), [3, 7, 11]),
        (3, [3]),
        (-1, [39]),
        (np.int32(5), [5]),
        (np.array([-40, -1]), [0, 39]),
    ],
)
def test_some_trials_are_trials_with_all_that_belongs_to_them(index, wanted) -> None:
    trials, wanted = whole(), list(wanted)
    chosen = trials[index]
    assert len(chosen) == chosen.n_trials == len(wanted)
    of_trials = ("spikes", "behavior", "condition", "split", "rates", "trial_id", "window_id")
    for name, value in vars(trials).items():
        kept = value[wanted] if name in of_trials else value
        if name != "notes":
            np.testing.assert_array_equal(getattr(chosen, name), kept, name)
    missing = [note for note in chosen.notes if "missing" in note]
    assert [f": 1 of {12 * len(wanted)} samples" in note for note in missing] == [True] * (
        3 in wanted
    )


def test_trials_are_a_sequence() -> None:
    trials = whole()
    assert len(trials) == 40
    assert [len(trial) for trial in trials] == [1] * 40
    assert [int(trial.trial_id[0]) for trial in trials[:3]] == [0, 1, 2]
    assert trials[2:9][3].trial_id.tolist() == [5]
    assert make_trials()[[8, 2]].trial_id.tolist() == [8, 2]


def test_lengths_and_gaps_between_windows_stay() -> None:
    lengths = np.array([5, 3, 5, 4, 5, 5])
    spikes = np.where(np.arange(5)[None, :, None] < lengths[:, None, None], GOOD, 0)
    trials = Trials.from_arrays(spikes, 0.02, MOVING, lengths=lengths, window_id=[0, 1, 2, 7, 8, 9])
    assert trials[1:4].lengths.tolist() == [3, 5, 4]
    assert trials[[0, 2, 3]].window_id.tolist() == [0, 2, 7]
    assert trials[[0, 2, 4]].lengths is None
    refuses("stay in order, each once", lambda: trials[::-1])
    refuses("stay in order, each once", lambda: trials[[0, 0]])


@pytest.mark.parametrize(
    ("index", "error", "message"),
    [
        (40, IndexError, "no trial 40; there are 40"),
        (-41, IndexError, "no trial -41"),
        ([0, 50], IndexError, "no trial 50;"),
        (MASK[:9], IndexError, "a mask of 9, wanted one of 40"),
        (True, IndexError, "mask of 1"),
        ("left", TypeError, "found 'left', wanted a number, a slice"),
        (1.0, TypeError, "found 1.0"),
        (None, TypeError, "found None"),
        (np.eye(2, dtype=int), TypeError, "wanted a number"),
        ((slice(None), 3), TypeError, "wanted a number"),
        (MASK & False, ValueError, "leaves none of 40 trials"),
        (slice(0), ValueError, "leaves none"),
        ([], ValueError, "leaves none"),
    ],
)
def test_trials_that_are_not_there(index, error, message) -> None:
    with pytest.raises(error, match=message) as raised:
        whole()[index]
    assert "\n" not in str(raised.value)


def test_trials_are_no_array() -> None:
    refuses("found Trials.*, wanted an array, such as its .spikes", np.asarray, make_trials())
