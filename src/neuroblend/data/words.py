"""Text from whatever a file or a list has it as: bytes, objects, numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuroblend.errors import InputError

TRUE_WORDS, FALSE_WORDS = ("true", "1", "yes"), ("false", "0", "no")
NO_VALUE = ("", "nan", "n/a")  # text in a table that stands for a missing value


def text_of(value: Any, key: str = "text") -> str:
    """Return one string from bytes, an array of one, or a number.

    Args:
        value: What there is.
        key: What it is the value of, for errors.

    Raises:
        InputError: It is bytes that are not UTF-8.
    """
    word = np.asarray(value).reshape(-1)[0] if np.size(value) == 1 else value
    if not isinstance(word, bytes):
        return str(word)
    try:
        return word.decode()
    except UnicodeDecodeError:
        raise InputError(
            f"{key}: found bytes that are not UTF-8: {bytes(word)!r} (in Latin-1 "
            f"{word.decode('latin-1')}); save text as UTF-8"
        ) from None


def words_of(values: ArrayLike, key: str) -> NDArray[np.str_]:
    """Return values as an array of strings of the same shape.

    Raises:
        InputError: One is bytes that are not UTF-8.
    """
    given = np.asarray(values)
    if given.dtype.kind not in "SO":
        return given.astype(str)
    return np.array([text_of(v, key) for v in given.ravel()], dtype=str).reshape(given.shape)


def truths_of(values: ArrayLike, key: str) -> NDArray[np.bool_]:
    """Return truth values, which may be spelled: True and False, 1 and 0, ``"True"``, ``"0"``.

    Raises:
        InputError: One is something else, or lies under a mask.

    >>> truths_of(["False", "true", "0"], "held_out").tolist()
    [False, True, False]
    """
    check_unmasked(values, key)
    given = np.asarray(values)
    if given.dtype.kind in "SOU":
        words = np.char.lower(np.char.strip(words_of(given, key)))
        is_true, is_false = np.isin(words, TRUE_WORDS), np.isin(words, FALSE_WORDS)
    else:
        is_true, is_false = given == 1, given == 0
    if not (is_true | is_false).all():
        found = given[~(is_true | is_false)].ravel()[0]
        raise InputError(f"{key}: found {found!r}, wanted True or False")
    return np.asarray(is_true, dtype=bool)


def check_unmasked(values: object, key: str) -> None:
    """Refuse an array that has values under a numpy mask, where none may be missing.

    Raises:
        InputError: It has.
    """
    if isinstance(values, np.ma.MaskedArray) and (n := int(np.ma.getmaskarray(values).sum())):
        raise InputError(f"{key}: {n} values lie under a numpy mask; wanted every one of them")
