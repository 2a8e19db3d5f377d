"""Which trials an index means."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuroblend.errors import InputError, some


def trials_at(index: int | slice | ArrayLike, n: int) -> NDArray[np.int64]:
    """Return the numbers of the trials that an index means, of ``n`` trials.

    Args:
        index: A number, a slice, indices or an (n,) bool mask.
        n: How many trials there are.

    Raises:
        IndexError: There is no such trial, or a mask is of another length.
        TypeError: ``index`` is none of these.
        InputError: No trial is left.
    """
    which = np.arange(n)[index] if isinstance(index, slice) else np.asarray(index)
    if which.ndim > 1 or (which.size and which.dtype.kind not in "bui"):
        found = f"{which.dtype} of shape {which.shape}" if which.ndim else repr(index)
        raise TypeError(
            f"trials[...]: found {found}, wanted a number, a slice, indices or a mask of {n}"
        )
    if which.dtype.kind == "b":
        if which.shape != (n,):
            raise IndexError(f"trials[...]: found a mask of {which.size}, wanted one of {n}")
        which = np.flatnonzero(which)
    which = which.reshape(-1).astype(np.int64)
    if (absent := which[(which < -n) | (which >= n)]).size:
        raise IndexError(f"trials[...]: no trial {some(absent)}; there are {n}")
    if not which.size:
        raise InputError(f"trials[...]: leaves none of {n} trials, wanted one or more")
    return which
