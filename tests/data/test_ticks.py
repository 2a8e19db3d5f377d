from fractions import Fraction

import numpy as np

from neuroblend.data.recording import Recording
from neuroblend.data.ticks import counted, edges_of, to_ticks


def test_counts_are_those_of_exact_arithmetic() -> None:
    """Spikes of a 1 kHz clock, in bins of 1 ms whose edges no float holds."""
    rng = np.random.default_rng(0)
    spikes = [np.sort(rng.choice(20000, n, replace=False)) for n in (40, 9000)]  # in ms
    starts = np.sort(rng.choice(18000, 7, replace=False))
    recording = Recording.of([ms / 1000 for ms in spikes], span=(0.0, 20.0))
    trials = recording.align(starts / 1000 + 0.25, (-0.25, 0.75), 0.001)
    for i, ms in enumerate(spikes):
        for start, counts in zip(starts, trials.spikes[:, :, i], strict=True):
            exact = [int(m - start) for m in ms if start <= m < start + 1000]
            assert np.flatnonzero(counts).tolist() == exact


def test_windows_lose_no_spike_of_an_edge() -> None:
    spikes = np.arange(1, 3000) / 100
    recording = Recording.of([spikes, spikes], span=(0.0, 30.0))
    trials = recording.windows(3.0, 0.01)
    assert (trials.spikes.reshape(-1, 2)[1:] == 1).all()


def test_trials_that_overlap_and_busy_bins() -> None:
    rng = np.random.default_rng(1)
    times = [np.sort(rng.uniform(0, 10, n)) for n in (3, 50000, 0)]
    starts = np.array([4.0, 1.0, 1.5, 8.9])
    edges = edges_of(starts, 0.1, 10)
    found = counted(times, edges)
    assert found.dtype == np.uint16
    for i, of_one in enumerate(times):
        for b, start in enumerate(starts):
            at = (Fraction(round(start * 10)) + np.arange(11)) / 10
            expected = np.histogram(to_ticks(of_one), [int(a * 10**9) for a in at])[0]
            # the last edge of a histogram belongs to it, of a bin it does not
            np.testing.assert_array_equal(found[b, :, i], expected)
