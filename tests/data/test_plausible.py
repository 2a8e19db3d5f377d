import numpy as np
import pytest
from conftest import refuses

from neuroblend.data.plausible import check_clock, check_seconds, in_order


def spikes(factor: float = 1.0, hz: float = 5.0, seconds: float = 60.0) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    n = int(hz * seconds)
    return [np.sort(rng.uniform(0, seconds, n)) * factor for _ in range(4)]


def test_a_clock_that_starts_again_is_refused() -> None:
    parts = [np.concatenate([times, times]) for times in spikes()]
    refuses(
        "those of unit b fall from .* once each, do those of 4 of 4", in_order, parts, list("bcde")
    )


def test_a_few_units_out_of_order_are_sorted_and_named() -> None:
    times = spikes()
    times[2] = np.concatenate([times[2], times[2]])  # two clusters that were joined
    ordered, notes = in_order(times, list("abcd"))
    assert all((np.diff(t) >= 0).all() for t in ordered)
    assert notes == ["spike times of 1 units (c) were not ascending: sorted."]
    assert in_order(spikes(), list("abcd"))[1] == []


@pytest.mark.parametrize(
    ("factor", "reason"),
    [
        (1e3, "milliseconds .divide by 1000"),
        (1e6, "microseconds .divide by 1e6"),
        (24414.0, r"samples .divide by the sampling rate, about 2.4e\+04 a second"),
    ],
)
def test_other_units_of_time_are_refused_with_the_factor(factor, reason) -> None:
    refuses(f"last trial at 59 s.*{reason}", check_seconds, spikes(factor), {"trial": 59.0})


def test_slow_neurons_and_long_recordings_are_no_mistake() -> None:
    check_seconds(spikes(hz=0.4, seconds=1000.0), {"trial": 990.0})
    check_seconds(spikes(hz=5.0, seconds=1000.0), {"trial": 20.0})  # and rest after it
    check_seconds(spikes(), {})
    check_seconds([np.array([1.0, 5.0, 9.0])], {})


def test_one_stray_spike_is_no_other_unit_of_time() -> None:
    times = spikes()
    times[0] = np.append(times[0], 1e5)
    check_seconds(times, {"trial": 59.0})


def test_a_signal_in_milliseconds_is_refused() -> None:
    clock = np.arange(0, 60000, 10.0)
    refuses("'hand': found a sample every 10 s.*divide by", check_clock, "hand", clock, 59.9)
    check_clock("hand", clock / 1000, 59.9)
