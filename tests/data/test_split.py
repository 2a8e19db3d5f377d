import numpy as np
import pytest
from conftest import make_trials, refuses

from neuroblend.data.split import Split, split_trials
from neuroblend.errors import InputError


def parts(split: Split) -> list[np.ndarray]:
    return [split.train, split.valid, split.test]


def test_every_trial_falls_to_one_part_in_proportion() -> None:
    split = split_trials(make_trials(n_trials=100), seed=3)
    assert [part.size for part in parts(split)] == [60, 20, 20]
    assert sorted(np.concatenate(parts(split))) == list(range(100))


def test_seeds_redraw_and_repeat() -> None:
    trials = make_trials(n_trials=60, n_neurons=24)
    a, b, again = split_trials(trials, 0), split_trials(trials, 1), split_trials(trials, 0)
    assert not np.array_equal(a.test, b.test)
    assert not np.array_equal(a.held_out, b.held_out)
    for one, other in zip(parts(a), parts(again), strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(a.held_out, again.held_out)


@pytest.mark.parametrize("seed", range(5))
def test_conditions_are_stratified(seed) -> None:
    condition = np.repeat([0, 1, 2, 3], [40, 30, 20, 10])
    split = split_trials(make_trials(n_trials=100, condition=condition), seed)
    for part, share in zip(parts(split), (0.6, 0.2, 0.2), strict=True):
        counts = np.bincount(condition[part], minlength=4)
        assert np.abs(counts - share * np.array([40, 30, 20, 10])).max() <= 1.5


def test_folds_test_every_trial_once_with_the_same_held_out_neurons() -> None:
    trials = make_trials(n_trials=50, condition=np.arange(50) % 3)
    folds = [split_trials(trials, 0, fold=fold, n_folds=3) for fold in range(3)]
    assert sorted(np.concatenate([fold.test for fold in folds])) == list(range(50))
    for fold in folds:
        assert sorted(np.concatenate(parts(fold))) == list(range(50))
        assert abs(fold.train.size - 3 * fold.valid.size) <= 4
        np.testing.assert_array_equal(fold.held_out, folds[0].held_out)


@pytest.mark.parametrize("seed", range(4))
def test_held_out_neurons_cover_the_range_of_rates(seed) -> None:
    trials = make_trials(n_neurons=40, seed=5)
    held_out = split_trials(trials, seed).held_out
    assert held_out.sum() == 10
    ranks = np.argsort(np.argsort(trials.rate_hz, kind="stable"))[held_out]
    assert sorted(ranks // 4) == list(range(10))


def test_a_split_in_the_file_is_kept() -> None:
    labels = np.array(["train"] * 20 + ["test"] * 12 + ["valid"] * 8)
    split = split_trials(make_trials(split=labels, held_out=np.arange(10) == 3), seed=9)
    assert split.test.tolist() == list(range(20, 32))
    assert np.flatnonzero(split.held_out).tolist() == [3]


def test_order_puts_held_in_neurons_first() -> None:
    split = split_trials(make_trials(held_out=np.arange(10) % 3 == 0), seed=0)
    assert split.order.tolist() == [1, 2, 4, 5, 7, 8, 0, 3, 6, 9]


def test_json_round_trip() -> None:
    split = split_trials(make_trials(), 2, forward_bins=3, fold=1, n_folds=2)
    again = Split.from_json(split.to_json())
    assert again.to_json() == split.to_json()
    np.testing.assert_array_equal(again.held_out, split.held_out)


@pytest.mark.parametrize(
    ("n_trials", "given", "message"),
    [
        (6, {}, "too few trials: 6 leave"),
        (40, {"n_folds": 41, "fold": 0}, "--folds 41: wanted 2 to the 40"),
        (40, {"forward_bins": 12}, "wanted 0 to 11"),
        (40, {"held_out_fraction": 0.01}, "is 0: wanted at least one neuron"),
        (40, {"held_out_fraction": 2.0}, "wanted 0 to 0.9"),
    ],
)
def test_impossible_splits_are_refused(n_trials, given, message) -> None:
    refuses(message, split_trials, make_trials(n_trials=n_trials), 0, **given)


def test_a_split_without_spikes_to_score_is_refused() -> None:
    trials = make_trials(held_out=np.arange(10) == 3)
    spikes = trials.spikes.copy()
    spikes[split_trials(trials, 0).test, :, 3] = 0
    quiet = make_trials(spikes=spikes, held_out=np.arange(10) == 3)
    refuses("held-out neurons have no spike in the test trials", split_trials, quiet, 0)
    spikes = trials.spikes.copy()
    spikes[:, -2:] = 0
    with pytest.raises(InputError, match="forward bins have no spike in the valid trials"):
        split_trials(make_trials(spikes=spikes), 0, forward_bins=2)


def test_no_neuron_need_be_held_out() -> None:
    assert not split_trials(make_trials(), 0, held_out_fraction=0).held_out.any()


def test_a_file_that_names_no_validation_trials_has_a_quarter_of_training_drawn() -> None:
    labels = np.array(["train"] * 40 + ["test"] * 10)
    trials = make_trials(n_trials=50, split=labels)
    a, b = split_trials(trials, 0), split_trials(trials, 1)
    for split in (a, b):
        assert split.test.tolist() == list(range(40, 50))
        assert split.valid.size == 10
        assert sorted([*split.train, *split.valid]) == list(range(40))
    assert not np.array_equal(a.valid, b.valid)


def test_too_few_trials_of_a_split_that_the_file_gives_are_not_called_a_random_one() -> None:
    labels = np.array(["train"] * 48 + ["valid"] + ["test"])
    with pytest.raises(InputError, match="leave 1 to valid in the split that the file gives"):
        split_trials(make_trials(n_trials=50, split=labels), 0)


def windows(n_trials: int = 100, **fields):
    return make_trials(n_trials=n_trials, window_id=np.arange(n_trials), **fields)


def closest(a: np.ndarray, b: np.ndarray, place: np.ndarray | None = None) -> int:
    """How far the nearest trial of one part is from one of the other."""
    place = np.arange(1000) if place is None else place
    return int(np.abs(place[a][:, None] - place[b]).min())


@pytest.mark.parametrize("seed", range(5))
def test_windows_of_a_recording_are_split_in_blocks_that_do_not_touch(seed) -> None:
    split = split_trials(windows(), seed)
    assert [len(split.test), len(split.valid)] == pytest.approx([20, 20], abs=5)
    assert len(split.train) >= 40
    assert closest(split.train, split.test) == 2
    assert closest(split.train, split.valid) >= 2
    assert closest(split.valid, split.test) >= 2
    assert len(np.unique(split.test // 5)) == 4  # half the root of 100 trials a block


def test_windows_are_tested_once_in_folds_and_never_next_to_one_that_trains() -> None:
    trials = windows(condition=np.arange(100) % 3)
    folds = [split_trials(trials, 1, fold=fold, n_folds=4) for fold in range(4)]
    assert sorted(np.concatenate([fold.test for fold in folds])) == list(range(100))
    for fold in folds:
        assert closest(np.concatenate([fold.train, fold.valid]), fold.test) >= 2
        assert closest(fold.train, fold.valid) >= 2
        assert len(fold.train) >= 35


def test_windows_that_were_left_out_leave_a_gap_of_their_own() -> None:
    place = np.flatnonzero(np.arange(200) % 40 < 24)
    split = split_trials(make_trials(n_trials=len(place), window_id=place), 0)
    assert closest(split.train, split.test, place) >= 2
    found = np.concatenate(parts(split))
    left_out = np.setdiff1d(np.arange(len(place)), found)
    assert len(left_out)
    taken = place[np.concatenate([split.valid, split.test])]
    assert all(np.abs(taken - place[i]).min() == 1 for i in left_out)  # and for no other reason


def test_the_length_of_blocks_can_be_told_and_blocks_be_declined() -> None:
    plain, known = make_trials(n_trials=100), windows()
    told = split_trials(plain, 0, blocks=10)
    assert len(np.unique(told.test // 10)) == len(told.test) / 10 == 2
    for split in (split_trials(known, 0, blocks=0), split_trials(plain, 0)):
        for part, wanted in zip(parts(split), parts(split_trials(plain, 0)), strict=True):
            np.testing.assert_array_equal(part, wanted)
    refuses("wanted 2 to the 5 blocks of 20", split_trials, plain, 0, fold=0, n_folds=6, blocks=20)
    refuses(r"\(in blocks\)", split_trials, make_trials(n_trials=8), 0, blocks=2)


def test_trials_that_stand_apart_are_split_as_ever() -> None:
    """Drawn by the version before there were blocks."""
    split = split_trials(make_trials(), seed=3)
    assert split.test.tolist() == [2, 4, 11, 20, 23, 26, 30, 36]
    fold = split_trials(make_trials(condition=np.arange(40) % 3), 3, fold=1, n_folds=4)
    assert fold.valid.tolist() == [0, 2, 5, 6, 10, 11, 18]


def test_a_split_of_windows_that_the_file_fixes_is_kept() -> None:
    labels = np.array(["train", "valid", "test", "train"] * 10)
    split = split_trials(windows(40, split=labels), seed=0)
    assert split.test.tolist() == list(range(2, 40, 4))
