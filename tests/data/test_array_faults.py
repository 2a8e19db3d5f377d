"""Faults of arrays and array files: each is refused in one line, mended, or said."""

import h5py
import numpy as np
import pytest
from conftest import refuses

from neuroblend.data.arrays import read_arrays
from neuroblend.data.copies import copy_notes
from neuroblend.data.trials import Trials
from neuroblend.errors import InputError
from neuroblend.experiments.decoding.load import prepared
from neuroblend.experiments.decoding.settings import RunConfig

RNG = np.random.default_rng(0)
SPIKES = RNG.poisson(1.0, (8, 6, 4))
MOVING = RNG.normal(size=(8, 6, 2))
LENGTHS = [6, 4, 5, 6, 3, 6, 6, 2]
LATIN = np.array([b"\xe9t\xe9", b"hiver"] * 4)


def test_behavior_under_another_key_is_named(tmp_path) -> None:
    np.savez(tmp_path / "t.npz", spikes=SPIKES, bin_s=0.02, velocity=MOVING, animal="Cori")
    (note,) = read_arrays(tmp_path / "t.npz").notes
    assert "left alone: velocity, animal." in note and note.endswith("--behavior velocity.")
    refuses(
        r"t: no behavior, .*--behavior velocity", prepared, str(tmp_path / "t.npz"), RunConfig()
    )


def test_a_broken_link_is_not_an_absent_key(tmp_path) -> None:
    with h5py.File(tmp_path / "t.h5", "w") as file:
        file["spikes"], file["bin_s"] = SPIKES, 0.02
        file["condition"] = h5py.SoftLink("/nowhere")
    refuses("t.h5: 'condition' is a link to '/nowhere'", read_arrays, tmp_path / "t.h5")
    with h5py.File(tmp_path / "u.h5", "w") as file:
        file["spikes"], file["bin_s"] = SPIKES, 0.02
        file["behavior"] = h5py.ExternalLink("gone.h5", "/x")
    refuses("'behavior' is a link to 'gone.h5:/x'", read_arrays, tmp_path / "u.h5")
    with h5py.File(tmp_path / "v.h5", "w") as file:
        file["spikes"], file["bin_s"] = h5py.ExternalLink("here.h5", "/x"), 0.02
    with h5py.File(tmp_path / "here.h5", "w") as file:
        file["x"] = SPIKES
    assert read_arrays(tmp_path / "v.h5").n_trials == 8


def test_a_missing_filter_is_named(tmp_path) -> None:
    with h5py.File(tmp_path / "t.h5", "w") as file:
        plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plan.set_chunk((8, 6, 4))
        plan.set_filter(32015, h5py.h5z.FLAG_OPTIONAL, (3,))
        space = h5py.h5s.create_simple((8, 6, 4))
        dataset = h5py.h5d.create(file.id, b"spikes", h5py.h5t.NATIVE_INT64, space, plan)
        dataset.write_direct_chunk((0, 0, 0), SPIKES.astype(np.int64).tobytes())
        file["bin_s"] = 0.02
    if h5py.h5z.filter_avail(32015):
        pytest.skip("the filter is installed")
    refuses(
        r"t.h5: 'spikes' .* 32015 \(Zstandard\).*pip install hdf5plugin",
        read_arrays, tmp_path / "t.h5",
    )  # fmt: skip


@pytest.mark.parametrize("key", ["condition", "behavior_names", "season", "region", "unit_id"])
@pytest.mark.parametrize("suffix", ["npz", "h5"])
def test_bytes_that_are_not_utf8_are_refused_by_key(tmp_path, key, suffix) -> None:
    words = {"behavior_names": LATIN[:2], "region": LATIN[:4]}.get(key, LATIN)
    words = np.append(LATIN[:2], [b"a", b"b"]) if key == "unit_id" else words
    path = tmp_path / f"t.{suffix}"
    arrays = {"spikes": SPIKES, "bin_s": 0.02, "behavior": MOVING, key: words}
    if suffix == "npz":
        np.savez(path, **arrays)
    else:
        with h5py.File(path, "w") as file:
            for name, value in arrays.items():
                is_text = name == key
                kind = h5py.string_dtype() if is_text else None
                file.create_dataset(name, data=list(value) if is_text else value, dtype=kind)
    names = ["season"] if key == "season" else None
    refuses(rf"t.{suffix}: .*{key}.*bytes that are not UTF-8: b'\\xe9t", read_arrays, path, names)


def test_copies_of_neurons_are_counted_and_named() -> None:
    twice = np.repeat(SPIKES, 2, axis=2)
    trials = Trials.from_arrays(twice, 0.02, unit_id=[f"u{i}" for i in range(8)])
    (note,) = trials.notes
    assert note.startswith("4 of 8 neurons are copies of others") and "u1 of u0, u3 of u2" in note
    assert not Trials.from_arrays(SPIKES, 0.02).notes


def test_copies_of_trials_are_counted() -> None:
    (note,) = Trials.from_arrays(np.repeat(SPIKES[:1], 5, axis=0), 0.02).notes
    assert note.startswith("4 of 5 trials are copies of others")
    rare = np.zeros((30, 10, 3), dtype=np.uint8)  # few spikes agree by chance
    rare[np.arange(30), 0, np.arange(30) % 3] = 1
    assert copy_notes(rare, np.arange(3)) == ()
    shuffled = np.stack([SPIKES[0], SPIKES[0][::-1]])  # the same counts a trial, in other bins
    assert copy_notes(shuffled.astype(np.uint8), np.arange(4)) == ()


def cut(values: np.ndarray) -> list[np.ndarray]:
    return [row[:n] for row, n in zip(values, LENGTHS, strict=True)]


def test_ragged_lists_are_padded() -> None:
    state = RNG.random((8, 6)) > 0.5
    word = np.where(state, "run", "rest")
    behavior = {"hand": cut(MOVING), "state": cut(state), "word": cut(word), "side": [0, 1] * 4}
    trials = Trials.from_arrays(cut(SPIKES), 0.02, behavior)
    given = {"hand": MOVING, "state": state, "word": word, "side": [0, 1] * 4}
    expected = Trials.from_arrays(
        np.where(np.arange(6)[:, None] < np.array(LENGTHS)[:, None, None], SPIKES, 0), 0.02, given,
        lengths=LENGTHS,
    )  # fmt: skip
    assert trials.channels == expected.channels
    np.testing.assert_array_equal(trials.lengths, LENGTHS)
    np.testing.assert_array_equal(trials.spikes, expected.spikes)
    np.testing.assert_array_equal(trials.behavior, expected.behavior)
    one = Trials.from_arrays(cut(SPIKES), 0.02, cut(MOVING[:, :, 0]), rates=cut(SPIKES + 0.5))
    np.testing.assert_array_equal(one.lengths, LENGTHS)
    assert np.isnan(one.rates[1, 4:]).all()
    equal = Trials.from_arrays(list(SPIKES), 0.02, list(MOVING))
    assert equal.lengths is None


def test_trials_padded_with_nan_or_masked_end_there() -> None:
    late = np.arange(6) >= np.array(LENGTHS)[:, None]
    with_nan = np.where(late[:, :, None], np.nan, SPIKES)
    masked = np.ma.MaskedArray(SPIKES, np.repeat(late[:, :, None], 4, axis=2))
    for spikes in (with_nan, masked):
        trials = Trials.from_arrays(spikes, 0.02, MOVING)
        np.testing.assert_array_equal(trials.lengths, LENGTHS)
        assert np.isnan(trials.behavior[7, 2:]).all()
    with_nan[0, 2, 1] = np.nan  # amid a trial
    refuses("spikes: 1 values are NaN", Trials.from_arrays, with_nan, 0.02, MOVING)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"behavior": cut(MOVING)[::-1]}, "behavior: found trials of 2, 6, .* spikes are 6, 4"),
        ({"behavior": {"v": cut(MOVING)[::-1]}}, "behavior 'v': found trials of 2"),
        ({"spikes": [*cut(SPIKES)[:7], SPIKES[7, :, :3]]}, r"trial 7 has shape \(6, 3\), trial 0"),
        ({"spikes": SPIKES, "behavior": cut(MOVING)}, "those of spikes are equal"),
        ({"lengths": [6] * 8}, "lengths: found others than those of the list"),
        ({"condition": np.ma.MaskedArray(range(8), [True] + [False] * 7)}, "condition: 1 values"),
        ({"condition": np.array(["a", None] * 4, dtype=object)}, "condition: found None; give"),
        ({"held_out": np.ma.MaskedArray([0, 0, 1, 1], [1, 0, 0, 0])}, "held_out: 1 values lie"),
        ({"held_out": ["on", "off", "on", "on"]}, "held_out: found .*on.* wanted True or False"),
        ({"unit_id": np.ma.MaskedArray(range(4), [1, 0, 0, 0])}, "unit_id: 1 values lie under"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(given, message) -> None:
    refuses(message, Trials.from_arrays, **({"spikes": cut(SPIKES), "bin_s": 0.02} | given))


@pytest.mark.parametrize(
    "mask", [["False", "true", "FALSE", "True"], [b"0", b"1", b"0", b"1"], [0.0, 1, 0, 1]]
)
def test_truth_may_be_spelled(mask) -> None:
    trials = Trials.from_arrays(SPIKES, 0.02, held_out=mask)
    assert trials.held_out.tolist() == [False, True, False, True]


def test_masked_behavior_is_missing() -> None:
    values = np.ma.MaskedArray(MOVING, np.zeros(MOVING.shape, dtype=bool))
    values[2, 3, 1] = np.ma.masked
    trials = Trials.from_arrays(SPIKES, 0.02, values)
    assert np.argwhere(np.isnan(trials.behavior)).tolist() == [[2, 3, 1]]


def test_a_constant_channel_is_not_suggested_for_another(tmp_path) -> None:
    dull = np.concatenate([np.zeros((8, 6, 2)), MOVING[:, :, :1]], axis=2)
    refuses(r"leave it out with --behavior behavior_2$", Trials.from_arrays, SPIKES, 0.02, dull)
    refuses("no other channel is left$", Trials.from_arrays, SPIKES, 0.02, dull[:, :, :2])
    stored = {"a": dull[:, :, 0], "b": [1] * 8, "c": ["x", "y"] * 4, "d": ["x"] * 8}
    with pytest.raises(InputError, match=r"--behavior c$"):
        Trials.from_arrays(SPIKES, 0.02, stored)


def test_text_one_a_trial_under_the_key_behavior(tmp_path) -> None:
    side = np.array(["left", "right"] * 4)
    np.savez(tmp_path / "t.npz", spikes=SPIKES, bin_s=0.02, behavior=side)
    (channel,) = read_arrays(tmp_path / "t.npz").channels
    assert (channel.name, channel.categories, channel.per_trial) == (
        "behavior_0",
        ("left", "right"),
        True,
    )
    np.savez(tmp_path / "t.npz", spikes=SPIKES, bin_s=0.02, behavior=side, behavior_names=["side"])
    assert read_arrays(tmp_path / "t.npz", ["side"]).behavior_names == ("side",)
