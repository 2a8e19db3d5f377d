"""Several recordings of one task, made alike: the same channels, categories and bins of a trial.

Shape legend: ``S`` sessions, ``B`` trials, ``T`` bins, ``N`` neurons, ``D`` behavior channels.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neuroblend.data.channel import Channel
from neuroblend.data.trials import Trials
from neuroblend.errors import InputError, nearest, some
from neuroblend.files import read_json, write_json

FEWEST = 2  # sessions
NAMES_FILE = "sessions.json"


@dataclass(frozen=True, eq=False)
class Sessions:
    """Recordings of one task, each with neurons of its own.

    Make one with :meth:`of`, which checks and makes them alike.

    Attributes:
        trials: S recordings: the same bin width, ``T`` and channels of behavior.
        names: S names, each once, of letters, digits and ``._-``.
        notes: What was left out or is unusual, in sentences that begin with the session.
    """

    trials: tuple[Trials, ...]
    names: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, recordings: Sequence[Trials], names: Sequence[str] | None = None) -> Sessions:
        """Make recordings alike.

        Channels are put into the order of the first session's. Categories of a discrete channel are
        those of all sessions together. Trials of shorter sessions are padded to the longest.

        Args:
            recordings: Two or more.
            names: What to call them; the names of the recordings where ``None``.

        Raises:
            InputError: There are fewer than two, two are the same recording, or bin widths or
                behaviors differ.
        """
        called = _names([r.name for r in recordings] if names is None else names)
        if len(recordings) < FEWEST:
            raise InputError(f"sessions: found {some(called)}, wanted two or more")
        _check_twice(recordings, called)
        first = recordings[0]
        for trials, name in zip(recordings[1:], called[1:], strict=True):
            if not np.isclose(trials.bin_s, first.bin_s, rtol=1e-6):
                raise InputError(
                    f"{name}: bins of {trials.bin_s * 1000:g} ms, and {first.bin_s * 1000:g} ms in "
                    f"{called[0]}; wanted the same in all sessions"
                )
            _check_channels(trials, name, first, called[0])
        alike = [r.take_channels(first.behavior_names) for r in recordings]
        channels = _united([r.channels for r in alike])
        n_bins = max(r.n_bins for r in recordings)
        made = [
            replace(padded(_recoded(r, channels), n_bins), bin_s=first.bin_s, name=name)
            for r, name in zip(alike, called, strict=True)
        ]
        notes = [
            f"{name}: {note}" for r, name in zip(made, called, strict=True) for note in r.notes
        ]
        events = {r.event or "nothing": name for r, name in zip(recordings, called, strict=True)}
        if len(events) > 1:
            found = ", ".join(f"{event} ({name})" for event, name in events.items())
            notes.append(f"Trials of sessions are aligned to different events: {found}.")
        return cls(tuple(made), called, tuple(notes))

    def __repr__(self) -> str:
        sizes = ", ".join(
            f"{name} {t.n_trials} trials x {t.n_neurons} neurons"
            for name, t in zip(self.names, self.trials, strict=True)
        )
        channels = ", ".join(self.trials[0].behavior_labels) or "none"
        return (
            f"Sessions({sizes}; {self.trials[0].n_bins} bins of {self.bin_s * 1000:g} ms, "
            f"behavior: {channels})"
        )

    def __len__(self) -> int:
        return len(self.trials)

    def __iter__(self) -> Iterator[Trials]:
        return iter(self.trials)

    @property
    def name(self) -> str:
        """What they are called together."""
        return " + ".join(self.names)

    @property
    def bin_s(self) -> float:
        """Width of a bin in seconds."""
        return self.trials[0].bin_s

    @property
    def channels(self) -> tuple[Channel, ...]:
        """D channels of behavior, the same in each session."""
        return self.trials[0].channels

    @property
    def behavior_names(self) -> tuple[str, ...]:
        """D names."""
        return self.trials[0].behavior_names

    @property
    def n_trials(self) -> int:
        """Trials of all sessions."""
        return sum(t.n_trials for t in self.trials)

    @property
    def rates(self) -> tuple[NDArray[np.float32], ...] | None:
        """True rates of each session, (B, T, N) counts/bin; ``None`` unless all are simulated."""
        found = tuple(t.rates for t in self.trials if t.rates is not None)
        return found if len(found) == len(self) else None

    def index(self, name: str) -> int:
        """Return the place of a session.

        Raises:
            InputError: There is none of that name.
        """
        return index_of(name, self.names)

    def save(self, folder: Path) -> None:
        """Write a file of trials for each session, and their names."""
        for name, trials in zip(self.names, self.trials, strict=True):
            trials.save(folder / f"{name}.h5")
        write_json(folder / NAMES_FILE, {"sessions": list(self.names), "notes": list(self.notes)})

    @classmethod
    def load(cls, folder: Path) -> Sessions:
        """Read what :meth:`save` wrote."""
        stored = read_json(folder / NAMES_FILE)
        names = tuple(stored["sessions"])
        trials = tuple(Trials.load(folder / f"{name}.h5") for name in names)
        return cls(trials, names, tuple(stored["notes"]))


def index_of(name: str, names: Sequence[str]) -> int:
    """Return the place of a session among ``names``.

    Raises:
        InputError: There is none of that name.
    """
    if name not in names:
        raise InputError(f"no session '{name}': {nearest(name, names)}")
    return list(names).index(name)


def padded(trials: Trials, n_bins: int) -> Trials:
    """Return the trials with bins of padding after each, so that there are ``n_bins``."""
    missing = n_bins - trials.n_bins
    if not missing:
        return trials

    def pad(values: NDArray[np.float32] | None) -> NDArray[np.float32] | None:
        if values is None:
            return None
        return np.pad(values, ((0, 0), (0, missing), (0, 0)), constant_values=np.nan)

    return replace(
        trials,
        spikes=np.pad(trials.spikes, ((0, 0), (0, missing), (0, 0))),
        behavior=pad(trials.behavior),
        rates=pad(trials.rates),
        lengths=trials.bins_of(),
    )


def _names(given: Sequence[str]) -> tuple[str, ...]:
    """Return names that a file may have, each once."""
    found: list[str] = []
    for name in given:
        plain = re.sub(r"[^\w.-]+", "_", name).strip("._") or "session"
        n = 2
        called = plain
        while called in found:
            called, n = f"{plain}-{n}", n + 1
        found.append(called)
    return tuple(found)


def _check_twice(recordings: Sequence[Trials], names: Sequence[str]) -> None:
    for i, trials in enumerate(recordings):
        for j in range(i):
            if np.array_equal(trials.spikes, recordings[j].spikes):
                raise InputError(
                    f"{names[i]}: the same spikes as {names[j]}; wanted each session once"
                )


def _check_channels(trials: Trials, name: str, first: Trials, first_name: str) -> None:
    own, wanted = set(trials.behavior_names), set(first.behavior_names)
    if own != wanted:
        raise InputError(
            f"{name}: behavior {', '.join(trials.behavior_names) or 'none'}, and "
            f"{', '.join(first.behavior_names) or 'none'} in {first_name}; wanted the same in all "
            f"sessions; choose with --behavior among {some(sorted(own & wanted)) or '(none)'}"
        )
    there = {channel.name: channel for channel in first.channels}
    for channel in trials.channels:
        other = there[channel.name]
        for what in ("kind", "unit", "per_trial", "period"):
            if getattr(channel, what) != getattr(other, what):
                raise InputError(
                    f"{name}: behavior channel '{channel.name}' has {what.replace('_', ' ')} "
                    f"{getattr(channel, what) or 'none'}, and {getattr(other, what) or 'none'} in "
                    f"{first_name}; wanted the same in all sessions"
                )


def _united(given: Sequence[tuple[Channel, ...]]) -> tuple[Channel, ...]:
    """Return channels with the categories of all sessions."""
    return tuple(
        replace(of_each[0], categories=_all_categories([c.categories for c in of_each]))
        for of_each in zip(*given, strict=True)
    )


def _all_categories(given: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """Return the union: in the order of a session that has all of them, else sorted if numbers."""
    union = tuple(dict.fromkeys(word for words in given for word in words))
    for words in given:
        if set(words) == set(union):
            return words
    try:
        return tuple(sorted(union, key=float))
    except ValueError:
        return union


def _recoded(trials: Trials, channels: tuple[Channel, ...]) -> Trials:
    """Return trials whose numbers of categories are those of ``channels``."""
    assert trials.behavior is not None
    behavior = trials.behavior.copy()
    for i, (own, wanted) in enumerate(zip(trials.channels, channels, strict=True)):
        if own.categories == wanted.categories:
            continue
        place = np.array([wanted.categories.index(word) for word in own.categories], np.float32)
        known = ~np.isnan(behavior[:, :, i])
        behavior[:, :, i][known] = place[behavior[:, :, i][known].astype(int)]
    return replace(trials, behavior=behavior, channels=channels)
