"""Kinds of behavior: what is inferred, coded, kept in files, and refused."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import neuroblend as nb
from neuroblend.data.arrays import read_arrays
from neuroblend.data.channel import Channel, channel_of
from neuroblend.data.trials import Trials

N_TRIALS, N_BINS = 8, 5
SPIKES = np.ones((N_TRIALS, N_BINS, 3), dtype=np.uint8)
CHOICE = np.array(["left", "right", "", "left"] * 2)
CONTRAST = np.array([0, 0.25, 1, 0.25] * 2)
RNG = np.random.default_rng(0)
MIXED = {
    "hand": RNG.normal(size=(N_TRIALS, N_BINS, 2)),
    "running": RNG.random((N_TRIALS, N_BINS)) > 0.5,
    "choice": CHOICE,
    "contrast": CONTRAST,
    "reaction_time": RNG.normal(size=N_TRIALS),
    "licks": RNG.poisson(1, (N_TRIALS, N_BINS)),
}


def mixed() -> Trials:
    return Trials.from_arrays(SPIKES, 0.02, MIXED, kinds={"licks": "events"})


def test_kinds_come_from_the_values() -> None:
    trials = mixed()
    kinds = [(c.name, c.kind, c.categories, c.per_trial) for c in trials.channels]
    assert kinds == [
        ("hand_0", "continuous", (), False),
        ("hand_1", "continuous", (), False),
        ("running", "discrete", ("False", "True"), False),
        ("choice", "discrete", ("left", "right"), True),
        ("contrast", "discrete", ("0", "0.25", "1"), True),
        ("reaction_time", "continuous", (), True),
        ("licks", "events", (), False),
    ]
    assert trials.behavior is not None
    for bin_ in range(N_BINS):  # one value a trial is the same in all of its bins
        assert_array_equal(trials.behavior[:, bin_, 3], [0, 1, np.nan, 0] * 2)
        assert_array_equal(trials.behavior[:, bin_, 4], [0, 1, 2, 1] * 2)
    assert "behavior 'choice': 2 of 8 trials are missing (NaN)" in " ".join(trials.notes)


def test_they_are_kept_by_files_selections_and_slices(tmp_path) -> None:
    trials = mixed()
    trials.save(tmp_path / "t.h5")
    for read in (Trials.load(tmp_path / "t.h5"), read_arrays(tmp_path / "t.h5"), trials[:]):
        assert read.channels == trials.channels
        assert_array_equal(read.behavior, trials.behavior)
    two = read_arrays(tmp_path / "t.h5", ["choice", "hand_1"])
    assert two.channels == trials.take_channels(["choice", "hand_1"]).channels
    as_numbers = read_arrays(tmp_path / "t.h5", ["hand_0", "choice"], kinds={"hand_0": "circular"})
    assert [c.kind for c in as_numbers.channels] == ["circular", "discrete"]
    assert as_numbers.channels[1] == trials.channels[3]


def test_behavior_under_its_own_key_is_taken_by_name(tmp_path) -> None:
    np.savez(tmp_path / "t.npz", spikes=SPIKES, bin_s=0.02, **MIXED, animal="Cori")
    trials = read_arrays(tmp_path / "t.npz", ["choice", "hand"], kinds={"choice": "discrete"})
    assert trials.behavior_names == ("choice", "hand_0", "hand_1")
    assert "animal" in trials.notes[-1] and "contrast" in trials.notes[-1]  # left alone, and said
    with pytest.raises(nb.InputError, match="no behavior channel 'choise': did you mean 'choice'"):
        read_arrays(tmp_path / "t.npz", ["choise", "hand"])
    with pytest.raises(nb.InputError, match=r"no key 'behavior'.*bin: hand, running, choice"):
        read_arrays(tmp_path / "t.npz", ["velocity"])


def test_a_masked_value_is_missing() -> None:
    values = np.ma.MaskedArray([1.0, 2.0, 3.0, 4.0], [False, True, False, False])
    _, numbers = channel_of("x", values, per_trial=True)
    assert_array_equal(numbers, [1, np.nan, 3, 4])


@pytest.mark.parametrize(
    ("behavior", "kinds", "message"),
    [
        ({"choice": CHOICE}, {"choice": "continuous"}, "found text such as 'left'"),
        ({"licks": CONTRAST}, {"licks": "events"}, "found 0.25, wanted how many events"),
        ({"x": CONTRAST}, {"x": "angular"}, "no kind 'angular'"),
        ({"x": CONTRAST}, {"y": "discrete"}, "kinds: no behavior channel 'y'"),
        ({"x": CONTRAST[:3]}, None, r"found shape \(3,\)"),
        ({"x": np.full(N_TRIALS, "a")}, None, "'x' is a everywhere"),
        (CONTRAST, None, "one value a trial, wanted"),
        (1.6e9 + np.arange(40.0).reshape(8, 5) / 100, None, "too close together.*since 1970"),
        ({"x": np.array([b"\xe9t\xe9"] * 8, dtype=object)}, None, "not UTF-8"),
    ],
)
def test_what_is_not_of_its_kind_is_refused(behavior, kinds, message) -> None:
    with pytest.raises(nb.InputError, match=message):
        Trials.from_arrays(SPIKES, 0.02, behavior, kinds=kinds)


def test_degrees_without_a_unit_are_not_taken_as_radians() -> None:
    """Their sines would be noise, in silence."""
    angles = np.linspace(0, 359, 40)
    with pytest.raises(nb.InputError, match="'a': found angles from 0 to 359 without a unit"):
        channel_of("a", angles, "circular")
    assert channel_of("a", angles, "circular", "deg")[0].period == 360
    assert channel_of("a", angles, "circular", "rad")[0].period == pytest.approx(2 * np.pi)
    assert channel_of("a", angles % (2 * np.pi), "circular")[0].period == pytest.approx(2 * np.pi)


def test_a_label_outside_the_declared_categories_is_refused() -> None:
    with pytest.raises(nb.InputError, match="found nogo, wanted one of left, right"):
        channel_of("choice", ["left", "nogo"], categories=["left", "right"])
    with pytest.raises(nb.InputError, match="found 2, wanted 0 to 1, for left, right"):
        Trials.from_arrays(
            SPIKES,
            0.02,
            np.tile([0.0, 1, 2, 0], 2)[:, None].repeat(N_BINS, 1),
            channels=[Channel("choice", "discrete", categories=("left", "right"))],
        )
