"""Changes to sessions in the layout of Bugeon et al. (2022)."""

from collections.abc import Callable
from pathlib import Path

import numpy as np


def edit(path: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    np.save(path, change(np.load(path)))


def with_types(root: Path, change: Callable[[list[str]], list[str]]) -> None:
    """Change what cells are called, file by file."""
    for file in sorted(root.rglob("neuron.ttype.txt")):
        file.write_text("".join(f"{name}\n" for name in change(file.read_text().split())))


def with_few(root: Path, subclass: str, n: int) -> None:
    """Leave the first ``n`` cells of a subclass, the others excitatory."""
    left = n

    def change(types: list[str]) -> list[str]:
        nonlocal left
        for i, name in enumerate(types):
            if name.startswith(subclass):
                types[i] = name if left else "EC"
                left = max(left - 1, 0)
        return types

    with_types(root, change)
    assert left == 0
