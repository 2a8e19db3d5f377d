import numpy as np
import pytest
from conftest import refuses

from neuroblend.data.clocks import LONGEST_GAP_S, at_frames


def by_hand(values, times, frames):
    """Frame by frame: the samples on both sides, the line between them, or nothing."""
    samples = [(t, v) for t, v in zip(times, values, strict=True) if np.isfinite(v)]
    found = []
    for frame in frames:
        before = [s for s in samples if s[0] <= frame]
        after = [s for s in samples if s[0] >= frame]
        if not before or not after or after[0][0] - before[-1][0] > LONGEST_GAP_S + 1e-6:
            found.append(np.nan)
            continue
        (t0, v0), (t1, v1) = before[-1], after[0]
        found.append(v0 if t0 == t1 else v0 + (v1 - v0) * (frame - t0) / (t1 - t0))
    return np.array(found)


@pytest.mark.parametrize("seed", range(5))
def test_values_are_those_of_a_loop(seed) -> None:
    rng = np.random.default_rng(seed)
    times = np.cumsum(rng.exponential(0.3, size=60)) + 3
    values = rng.normal(size=60)
    values[rng.random(60) < 0.3] = np.nan
    frames = np.sort(np.r_[np.arange(1, times[-1] + 2, 0.23), rng.choice(times, 20)])
    expected = by_hand(values, times, frames)
    assert 0.1 < np.isnan(expected).mean() < 0.9
    np.testing.assert_allclose(at_frames("s", values, times, frames), expected, rtol=1e-5)


def test_frames_outside_the_samples_are_missing_and_those_at_the_ends_are_not() -> None:
    frames = np.array([-0.1, 0.0, 0.25, 1.0, 1.1])
    found = at_frames("s", np.array([2.0, 4.0, 6.0]), np.array([0.0, 0.5, 1.0]), frames)
    np.testing.assert_array_equal(found, [np.nan, 2, 3, 6, np.nan])


@pytest.mark.parametrize("how", ["missing samples", "a clock that stops"])
def test_long_gaps_are_missing_but_for_samples_at_their_ends(how) -> None:
    times = np.arange(0, 5, 0.25)
    values = times * 2
    gap = (times > 1) & (times < 3)
    if how == "missing samples":
        values = np.where(gap, np.nan, values)
    else:
        times, values = times[~gap], values[~gap]
    found = at_frames("s", values, times, np.array([0.9, 1.0, 1.1, 2.0, 2.9, 3.0, 3.1]))
    np.testing.assert_allclose(found, [1.8, 2, np.nan, np.nan, np.nan, 6, 6.2], rtol=1e-6)


def test_a_gap_of_a_second_is_bridged_whatever_its_sum_is() -> None:
    times = np.array([0.1 + 0.2, 1.3, 2.3000000000000003])  # 1.0000000000000002 s at the end
    assert np.diff(times)[1] > 1
    found = at_frames("s", np.array([0.0, 1.0, 3.0]), times, np.array([0.8, 1.8]))
    np.testing.assert_allclose(found, [0.5, 2.0], rtol=1e-6)


def test_one_sample_stands_for_its_own_frame() -> None:
    found = at_frames("s", np.array([np.nan, 7.0]), np.array([0.0, 1.0]), np.array([0.0, 1.0, 2.0]))
    np.testing.assert_array_equal(found, [np.nan, 7, np.nan])


def test_times_that_repeat_are_kept() -> None:
    found = at_frames(
        "s", np.array([0.0, 1.0, 1.0, 2.0]), np.array([0.0, 0.5, 0.5, 1.0]), np.array([0.25, 0.5])
    )
    np.testing.assert_allclose(found, [0.5, 1.0])


@pytest.mark.parametrize(
    ("values", "times", "message"),
    [
        ([1.0, 2.0], [0.0, 1.0, 2.0], "eye: found 2 samples at 3 times"),
        ([np.nan, np.nan], [0.0, 1.0], "eye: no sample that is a number"),
        ([1.0, 2.0], [1.0, 0.0], "eye: times are not ascending"),
        ([1.0, 2.0], [8.0, 9.0], "samples from 8.0 to 9.0 s and frames from 0.0 to 4.0 s do not"),
        ([1.0, 2.0], [-9.0, -8.0], "do not overlap"),
        ([np.nan, 2.0], [3.0, 8.0], "samples from 8.0 to 8.0 s"),
    ],
)
def test_clocks_that_cannot_be_used_are_refused(values, times, message) -> None:
    refuses(message, at_frames, "eye", np.array(values), np.array(times), np.arange(5.0))
