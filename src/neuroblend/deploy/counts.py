"""The counts that a stream is given.

Shape legend: ``N_in`` neurons that a student sees.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuroblend.errors import InputError

MOST = 65535  # counts of a neuron in a bin, as of stored spikes


def checked_counts(given: ArrayLike, n_in: int) -> NDArray[Any]:
    """Return (N_in,) counts of one bin, if they are.

    Raises:
        InputError: They are of another number of neurons, or no whole numbers from 0 to 65535.
    """
    counts = np.asarray(given)
    if counts.shape != (n_in,):
        raise InputError(
            f"stream: found counts of shape {counts.shape}, wanted ({n_in},), one bin of the "
            f"{n_in} neurons that the student sees"
        )
    if counts.dtype.kind not in "biuf":
        raise InputError(f"stream: found {counts.dtype} in the place of counts, wanted numbers")
    wrong = ~((counts >= 0) & (counts == np.floor(counts)) & (counts <= MOST))
    if wrong.any():
        at = int(np.flatnonzero(wrong)[0])
        raise InputError(
            f"stream: found {counts[at]} for neuron {at}, wanted counts/bin: whole numbers from 0 "
            f"to {MOST}"
        )
    return counts
