"""What a channel of behavior is: its kind, what its values stand for, and where they come from.

Shape legend: ``B`` trials, ``T`` bins, ``K`` categories.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuroblend.errors import InputError, nearest, some

Kind = Literal["continuous", "circular", "discrete", "events"]
KINDS: tuple[Kind, ...] = get_args(Kind)
MOST_CATEGORIES = 8  # distinct numbers, one a trial, up to which they are taken as categories
FULL_TURN = 2 * math.pi


@dataclass(frozen=True)
class Channel:
    """One channel of behavior.

    Attributes:
        name: As axes, files and commands call it.
        kind: ``"continuous"`` for numbers, ``"circular"`` for angles, ``"discrete"`` for
            categories, ``"events"`` for how often something happened in a bin.
        unit: Of measure, ``""`` where unknown.
        categories: K names of a discrete channel, of which values are the numbers 0 to K - 1.
        per_trial: Whether there is one value a trial, the same in each of its bins.
        period: A full turn of a circular channel, in its own unit.
    """

    name: str
    kind: Kind = "continuous"
    unit: str = ""
    categories: tuple[str, ...] = ()
    per_trial: bool = False
    period: float = FULL_TURN

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InputError(
                f"behavior channel '{self.name}': no kind '{self.kind}'; "
                f"{nearest(str(self.kind), KINDS)}"
            )
        if self.kind == "discrete" and len(set(self.categories)) < 2:
            raise InputError(
                f"behavior channel '{self.name}': found the categories "
                f"{some(self.categories) or 'none'}, wanted two or more different ones"
            )
        if self.kind == "circular" and not (math.isfinite(self.period) and self.period > 0):
            raise InputError(
                f"behavior channel '{self.name}': found a period of {self.period:g}, wanted one "
                "full turn in the channel's unit, such as 360"
            )

    @property
    def label(self) -> str:
        """Name and unit, such as ``"hand_vel_x (cm/s)"``."""
        return f"{self.name} ({self.unit})" if self.unit else self.name

    def to_json(self) -> str:
        """Return what :meth:`from_json` reads."""
        return json.dumps(
            {
                "name": self.name,
                "kind": self.kind,
                "unit": self.unit,
                "categories": self.categories,
                "per_trial": self.per_trial,
                "period": self.period,
            },
            ensure_ascii=False,
        )

    @classmethod
    def from_json(cls, text: str) -> Channel:
        """Read what :meth:`to_json` wrote."""
        fields = json.loads(text)
        return cls(**fields | {"categories": tuple(fields["categories"])})

    def check(self, values: NDArray[np.floating]) -> None:
        """Refuse values, NaN where missing, that are none of the channel's kind.

        Raises:
            InputError: Numbers that stand for no category, counts that are none, or angles that
                look like degrees where a turn is 2 pi because no unit was given.
        """
        known = values[~np.isnan(values)]
        if self.kind == "discrete":
            codes = range(len(self.categories))
            bad = np.setdiff1d(known, codes)
            if bad.size:
                raise InputError(
                    f"behavior channel '{self.name}': found {some([f'{b:g}' for b in bad])}, "
                    f"wanted 0 to {len(codes) - 1}, for {some(self.categories)}"
                )
        if self.kind == "events" and ((known < 0) | (known % 1 != 0)).any():
            bad = known[(known < 0) | (known % 1 != 0)]
            raise InputError(
                f"behavior channel '{self.name}': found {bad[0]:g}, wanted how many events there "
                "are in each bin"
            )
        is_guess = self.kind == "circular" and not self.unit and self.period == FULL_TURN
        if is_guess and known.size and np.ptp(known) > 2 * FULL_TURN:
            raise InputError(
                f"behavior channel '{self.name}': found angles from {known.min():g} to "
                f"{known.max():g} without a unit, wanted 'deg' as their unit (behavior_units in a "
                "file), or 'rad' if they do wind more than twice"
            )


def channel_of(
    name: str,
    values: ArrayLike,
    kind: Kind | None = None,
    unit: str = "",
    categories: Sequence[Any] | None = None,
    per_trial: bool = False,
    period: float | None = None,
) -> tuple[Channel, NDArray[np.float32]]:
    """Return a channel and its values as numbers, NaN where missing.

    Without ``kind``, strings and truth values are discrete, and so are numbers with one value a
    trial that take at most eight values, each twice or more on average; all others are continuous.

    Args:
        name: Of the channel.
        values: Numbers, truth values or strings; NaN, None and ``""`` are missing.
        kind: One of ``KINDS``.
        unit: Of measure.
        categories: Of a discrete channel, in order, as values have them; those that are found,
            sorted, where ``None``.
        per_trial: Whether there is one value a trial.
        period: A full turn of a circular channel; 360 where the unit is degrees, else 2 pi.

    Raises:
        InputError: Values are not of the kind, or one is not among the categories.
    """
    given = np.asarray(values)
    if isinstance(values, np.ma.MaskedArray):  # what lies under a mask is missing
        given = np.array(values.data, dtype=object)
        given[np.ma.getmaskarray(values)] = None
    if given.dtype.kind == "S":
        given = given.astype(object)
    if given.dtype.kind not in "buifOU":
        raise InputError(
            f"behavior channel '{name}': found {given.dtype} values, wanted numbers, truth values "
            "or names of categories"
        )
    words, missing = _words(given, name)
    is_text = words is not None
    if kind is None:
        kind = "discrete" if is_text or given.dtype.kind == "b" else "continuous"
        if kind == "continuous" and per_trial:
            known = given[~missing].astype(np.float64)
            n_values = len(np.unique(known))
            recurs = 2 <= n_values <= min(MOST_CATEGORIES, known.size // 2)
            kind = "discrete" if recurs else "continuous"
        if categories is not None:
            kind = "discrete"
    if kind == "discrete":
        if words is None:
            words = _as_words(given, missing)
        found = _sorted(set(words[~missing]))
        wanted = found if categories is None else [_word(c) for c in categories]
        if unknown := [word for word in found if word not in wanted]:
            raise InputError(
                f"behavior channel '{name}': found {some(unknown)}, wanted one of {some(wanted)}"
            )
        if len(wanted) < 2:
            raise InputError(
                f"behavior channel '{name}' is {wanted[0] if wanted else 'missing'} everywhere: "
                "there is nothing to learn; leave it out with --behavior"
            )
        code = {word: i for i, word in enumerate(wanted)}
        numbers = np.array([code.get(word, np.nan) for word in words.ravel()], dtype=np.float32)
        channel = Channel(name, "discrete", unit, tuple(wanted), per_trial)
        return channel, numbers.reshape(given.shape)
    if is_text:
        raise InputError(
            f"behavior channel '{name}': found text such as '{_word(given[~missing][0])}', wanted "
            f"numbers for a {kind} channel; text is discrete"
        )
    numbers = np.where(missing, np.nan, given.astype(np.float64)).astype(np.float32)
    turn = turn_of(unit) if period is None else period
    channel = Channel(name, kind, unit, (), per_trial, turn)
    channel.check(numbers)
    return channel, numbers


def turn_of(unit: str) -> float:
    """Return a full turn in ``unit``: 360 for degrees, else 2 pi."""
    return 360.0 if unit.lower() in ("deg", "degree", "degrees", "°") else FULL_TURN


def _words(given: NDArray[Any], name: str) -> tuple[NDArray[Any] | None, NDArray[np.bool_]]:
    """Return values as text, ``None`` where they are numbers, and which of them are missing."""
    if given.dtype.kind == "f":
        return None, np.isnan(given)
    if given.dtype.kind in "bui":
        return None, np.zeros(given.shape, dtype=bool)
    flat = given.ravel()
    missing = np.array([_is_missing(value) for value in flat], dtype=bool)
    present = [value for value, gone in zip(flat, missing, strict=True) if not gone]
    if all(isinstance(v, (int, float, np.number, np.bool_)) for v in present):
        return None, missing.reshape(given.shape)
    words = np.empty(flat.shape, dtype=object)
    for i, value in enumerate(flat):
        try:
            words[i] = "" if missing[i] else _word(value)
        except UnicodeDecodeError:
            raise InputError(
                f"behavior channel '{name}': found bytes that are not UTF-8: {value!r}"
            ) from None
    return words.reshape(given.shape), missing.reshape(given.shape)


def _is_missing(value: Any) -> bool:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return True
    return isinstance(value, (str, bytes)) and value.strip() in ("", b"")


def _word(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, (bool, np.bool_, str)):
        return str(value)
    return f"{float(value):g}" if isinstance(value, (int, float, np.number)) else str(value)


def _as_words(given: NDArray[Any], missing: NDArray[np.bool_]) -> NDArray[Any]:
    words = np.empty(given.shape, dtype=object)
    for at in np.ndindex(given.shape):
        words[at] = "" if missing[at] else _word(given[at])
    return words


def _sorted(words: set[str]) -> list[str]:
    """Return words in order: as numbers where all of them are, else as text."""
    try:
        return sorted(words, key=float)
    except ValueError:
        return sorted(words)
