"""Seeds made of several numbers."""

from typing import Any

import numpy as np


def mixed_seed(*parts: Any) -> int:
    """Return one seed of several numbers, so that neighbours in any of them are unrelated."""
    sequence = np.random.SeedSequence([int(part) for part in parts])
    return int(sequence.generate_state(1, np.uint64)[0])
