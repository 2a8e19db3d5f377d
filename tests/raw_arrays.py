"""Raw arrays of a small recording."""

import numpy as np

CLOCK = np.arange(0, 20, 0.02)


def raw_arrays(**changes: object) -> dict[str, object]:
    """Spikes of three units, positions, licks and runs; ``None`` leaves a key out."""
    rng = np.random.default_rng(0)
    spikes = [np.sort(rng.uniform(0, 20, n)) for n in (80, 0, 120)]
    given = {
        "spike_times": np.concatenate(spikes),
        "spike_times_index": np.cumsum([len(s) for s in spikes]),
        "unit_id": ["a", "b", "c"],
        "region": ["CA1", "CA1", "CA3"],
        "position": np.stack([np.sin(CLOCK), np.cos(CLOCK)], axis=1),
        "position_times": CLOCK,
        "position_unit": "cm",
        "position_names": ["x", "y"],
        "lick_times": [3.0, 4.5, 9.25],
        "running_intervals": [[2.0, 4.0], [8.0, 9.0]],
        "about": "a rat",
    }
    return {k: v for k, v in (given | changes).items() if v is not None}
