"""Which trials train, validate and test, and which neurons and bins no student sees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from neuroblend.data.trials import SPLIT_NAMES, Trials
from neuroblend.errors import InputError

Part = Literal["train", "valid", "test"]

TRAIN_VALID_TEST = (0.6, 0.2, 0.2)
TRAIN_VALID = (0.75, 0.25)  # of trials that are not tested
FEWEST = {"train": 4, "valid": 2, "test": 2}
GAP = 1  # windows left out between a part and the next
SHORTEST_BLOCK = 4  # windows; of shorter ones, gaps would leave little

FEWEST_ALIKE = 5  # trials of each combination of categories, for splits in proportion to these


@dataclass(frozen=True, eq=False)
class Split:
    """One draw of training, validation and test trials, held-out neurons and forward bins.

    Attributes:
        train: Indices of training trials, ascending; ``valid`` and ``test`` likewise.
        held_out: (N,) bool, True for a neuron that no student sees.
        forward_bins: Bins at the end of a trial that no model sees.
        seed: What the draw was made with.
        fold: Which fold is tested, where every trial is tested once; else ``None``.
    """

    train: NDArray[np.int64]
    valid: NDArray[np.int64]
    test: NDArray[np.int64]
    held_out: NDArray[np.bool_]
    forward_bins: int
    seed: int
    fold: int | None = None

    def trials(self, part: Part) -> NDArray[np.int64]:
        """Return the indices of the trials of ``part``."""
        return {"train": self.train, "valid": self.valid, "test": self.test}[part]

    @property
    def order(self) -> NDArray[np.int64]:
        """(N,) neuron indices as models see them: held-in first, then held-out."""
        return np.argsort(self.held_out, kind="stable")

    @property
    def n_tested(self) -> int:
        """Number of test trials."""
        return int(self.test.size)

    def __repr__(self) -> str:
        sizes = ", ".join(f"{getattr(self, part).size} {part}" for part in SPLIT_NAMES)
        fold = "" if self.fold is None else f", fold {self.fold}"
        forward = f", {self.forward_bins} forward bins" if self.forward_bins else ""
        return (
            f"Split(seed {self.seed}{fold}: {sizes}; {int(self.held_out.sum())} of "
            f"{self.held_out.size} neurons held out{forward})"
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain lists and numbers, for a file."""
        return {
            "seed": self.seed,
            "fold": self.fold,
            "forward_bins": self.forward_bins,
            "held_out": np.flatnonzero(self.held_out).tolist(),
            "n_neurons": int(self.held_out.size),
            **{part: getattr(self, part).tolist() for part in SPLIT_NAMES},
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Split:
        """Return the split that :meth:`to_json` gave."""
        held_out = np.zeros(stored["n_neurons"], dtype=bool)
        held_out[stored["held_out"]] = True
        kept: dict[str, Any] = {key: stored[key] for key in ("forward_bins", "seed", "fold")}
        parts = {part: np.asarray(stored[part], dtype=np.int64) for part in SPLIT_NAMES}
        return cls(**kept | parts, held_out=held_out)


def split_trials(
    trials: Trials,
    seed: int,
    held_out_fraction: float = 0.25,
    forward_bins: int = 0,
    fold: int | None = None,
    n_folds: int | None = None,
    blocks: int | None = None,
    shares: tuple[float, float, float] = TRAIN_VALID_TEST,
) -> Split:
    """Draw a split of ``trials``; the same seed gives the same split.

    Trials are divided 60/20/20, or into ``n_folds`` test folds of which ``fold`` is tested and the
    rest trains and validates 3 to 1; in proportion within each condition where conditions are
    known, and of trials with and without behavior. Held-out neurons are drawn one from each of as
    many groups of neurons of neighbouring rate. Where the file fixes a split (and no folds are
    asked for) or its held-out neurons, those are kept; a file that names training and test trials
    alone has a quarter of the former, drawn by seed, validate.

    Windows side by side are alike, so that one that tests would be known from those around it that
    train. They are therefore dealt in blocks, conditions or not, and a window of training next to
    one that validates or tests is left out, as is one of validation next to one that tests.

    Args:
        trials: What to split.
        seed: Any non-negative integer.
        held_out_fraction: Fraction of neurons that no student sees, 0 up to 0.9.
        forward_bins: Bins at the end of each trial that no model sees.
        fold: Which of ``n_folds`` is tested.
        n_folds: How many folds; ``None`` for a single split.
        blocks: How many trials side by side are dealt together, 0 for none. Where ``None``, none
            but for windows of a continuous recording (``window_id``), of which half the root of
            their number are: long beside what is left out, and yet many.
        shares: Of a single split, what trains, validates and tests; the last may be 0, for a model
            that is tested elsewhere.

    Raises:
        InputError: There are too few trials, neurons or bins for the split.
    """
    if forward_bins and trials.lengths is not None:
        raise InputError(
            f"forward bins: found {forward_bins} and trials of {trials.lengths.min()} to "
            f"{trials.lengths.max()} bins; forward bins need trials of one length"
        )
    if not 0 <= forward_bins < trials.n_bins:
        raise InputError(
            f"forward bins: found {forward_bins}, wanted 0 to {trials.n_bins - 1}, since a trial "
            f"has {trials.n_bins} bins"
        )
    length = _block_length(trials, n_folds, blocks)
    if length:
        parts = _draw_blocks(trials, seed, int(fold or 0), n_folds, length, shares)
    else:
        parts = _draw_parts(trials, seed, int(fold or 0), n_folds, shares)
    _check_parts(parts, trials, n_folds, length > 0, shares)
    held_out = trials.held_out
    if held_out is None:
        held_out = _draw_held_out(trials, held_out_fraction, seed)
    if held_out.all():
        raise InputError("held_out: every neuron is held out, so a student would see none")
    split = Split(**parts, held_out=held_out, forward_bins=forward_bins, seed=seed, fold=fold)
    _check_spikes(trials, split)
    return split


def _draw_parts(
    trials: Trials, seed: int, fold: int, n_folds: int | None, shares: tuple[float, ...]
) -> dict[str, NDArray[np.int64]]:
    """Return the ascending indices of the trials of each part."""
    shuffled = np.random.default_rng([seed, 2]).permutation(trials.n_trials)
    shuffled = shuffled[np.argsort(~trials.paired[shuffled], kind="stable")]
    labels = strata(trials)
    if labels is not None:  # one condition after the other, shuffled within each
        shuffled = shuffled[np.argsort(labels[shuffled], kind="stable")]
    if n_folds is not None:
        if not 2 <= n_folds <= trials.n_trials:
            raise InputError(
                f"--folds {n_folds}: wanted 2 to the {trials.n_trials} trials there are"
            )
        in_fold = np.arange(shuffled.size) % n_folds == fold
        rest = _dealt(shuffled[~in_fold], TRAIN_VALID, [seed, 3, fold])
        return rest | {"test": np.sort(shuffled[in_fold])}
    if trials.split is None:
        return _dealt(shuffled, shares, [seed, 3])
    parts = {part: np.flatnonzero(trials.split == part) for part in SPLIT_NAMES}
    if not parts["valid"].size:
        parts |= _dealt(shuffled[trials.split[shuffled] == "train"], TRAIN_VALID, [seed, 3])
    return parts


def _block_length(trials: Trials, n_folds: int | None, blocks: int | None) -> int:
    """Return how many trials side by side are dealt together, 0 for none."""
    if trials.split is not None and n_folds is None:  # which is kept
        return 0
    if blocks is not None or trials.window_id is None:
        return blocks or 0
    usual = max(SHORTEST_BLOCK, round(np.sqrt(trials.n_trials) / 2))
    return min(usual, max(trials.n_trials // (n_folds or 1), 1))


def _draw_blocks(
    trials: Trials,
    seed: int,
    fold: int,
    n_folds: int | None,
    length: int,
    shares: tuple[float, ...],
) -> dict[str, NDArray[np.int64]]:
    """Return the ascending indices of the trials of each part, in blocks with gaps between."""
    place = np.arange(trials.n_trials) if trials.window_id is None else trials.window_id
    block = np.unique(place // length, return_inverse=True)[1]
    shuffled = np.random.default_rng([seed, 2]).permutation(block.max() + 1)
    if n_folds is None:
        of_part = _dealt(shuffled, shares, [seed, 3])
    else:
        if not 2 <= n_folds <= shuffled.size:
            raise InputError(
                f"--folds {n_folds}: wanted 2 to the {shuffled.size} blocks of {length} trials "
                "that there are"
            )
        in_fold = np.arange(shuffled.size) % n_folds == fold
        of_part = _dealt(shuffled[~in_fold], TRAIN_VALID, [seed, 3, fold])
        of_part["test"] = shuffled[in_fold]
    parts = {part: np.flatnonzero(np.isin(block, found)) for part, found in of_part.items()}
    valid = apart(parts["valid"], parts["test"], place)
    train = apart(parts["train"], np.concatenate([parts["valid"], parts["test"]]), place)
    return {"train": train, "valid": valid, "test": parts["test"]}


def apart(
    trials: NDArray[np.int64], others: NDArray[np.int64], place: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the ``trials`` that are more than the gap away from all ``others``."""
    near = place[others][:, None] + np.arange(-GAP, GAP + 1)
    return trials[~np.isin(place[trials], near)]


def _dealt(
    order: NDArray[np.int64], shares: tuple[float, ...], seeds: list[int]
) -> dict[str, NDArray[np.int64]]:
    """Return the ascending indices of each part, spread evenly along ``order``.

    Dealing along trials that are sorted by condition stratifies them, rare conditions included.
    """
    edges = np.cumsum(shares) / np.sum(shares)
    share = np.searchsorted(edges, (dealt(order.size, seeds) + 0.5) / order.size)
    return {SPLIT_NAMES[i]: np.sort(order[share == i]) for i in range(len(shares))}


def dealt(n: int, seeds: list[int]) -> NDArray[np.int64]:
    """Return the (n,) ranks of things in a row, such that those below any rank lie evenly in it."""
    golden = (np.sqrt(5) - 1) / 2  # multiples of it, modulo 1, fill [0, 1) evenly at every length
    offset = np.random.default_rng(seeds).random()
    return np.argsort(np.argsort((np.arange(n) * golden + offset) % 1.0))


def _check_parts(
    parts: Mapping[str, NDArray[np.int64]],
    trials: Trials,
    n_folds: int | None,
    in_blocks: bool,
    shares: tuple[float, ...],
) -> None:
    for (part, fewest), share in zip(FEWEST.items(), shares, strict=True):
        if share and parts[part].size < fewest:
            kind = "/".join(f"{100 * each:g}" for each in shares if each) + " split"
            kind = kind if trials.split is None else "split that the file gives"
            kind = kind if n_folds is None else f"split into {n_folds} folds"
            kind += " (in blocks)" if in_blocks else ""
            raise InputError(
                f"too few trials: {trials.n_trials} leave {parts[part].size} to {part} in the "
                f"{kind}, wanted {fewest} or more"
            )


def _check_spikes(trials: Trials, split: Split) -> None:
    """Refuse a split in which there are no spikes to score."""
    t_in = trials.n_bins - split.forward_bins
    for part in ("valid", "test"):
        spikes = trials.spikes[split.trials(part)]
        for what, entries in (
            ("held-out neurons", spikes[:, :t_in, split.held_out]),
            ("forward bins", spikes[:, t_in:]),
        ):
            if entries.size and not entries.any():
                raise InputError(
                    f"{what} have no spike in the {part} trials of seed {split.seed}, so they "
                    "cannot be scored; leave out neurons that hardly fire with --min-rate"
                )


def _draw_held_out(trials: Trials, fraction: float, seed: int) -> NDArray[np.bool_]:
    if not 0 <= fraction <= 0.9:
        raise InputError(f"held-out fraction: found {fraction:g}, wanted 0 to 0.9")
    n_held_out = round(fraction * trials.n_neurons)
    if fraction > 0 and not 1 <= n_held_out < trials.n_neurons:
        raise InputError(
            f"held-out fraction {fraction:g} of {trials.n_neurons} neurons is {n_held_out}: wanted "
            "at least one neuron held out and one seen; 0 holds none out"
        )
    held_out = np.zeros(trials.n_neurons, dtype=bool)
    if n_held_out:
        rng = np.random.default_rng([seed, 4])
        by_rate = np.argsort(trials.rate_hz, kind="stable")
        for group in np.array_split(by_rate, n_held_out):
            held_out[rng.choice(group)] = True
    return held_out


def strata(trials: Trials) -> NDArray[np.generic] | None:
    """Return what each trial is split in proportion to, ``None`` for nothing.

    That is its condition or, without one, what the categories of its behavior are together, where
    each combination has ``FEWEST_ALIKE`` trials.
    """
    if trials.condition is not None or trials.behavior is None:
        return trials.condition
    own = [i for i, c in enumerate(trials.channels) if c.kind == "discrete" and c.per_trial]
    if not own:
        return None
    codes = np.nan_to_num(trials.behavior[:, 0, own], nan=-1.0)
    _, label, n = np.unique(codes, axis=0, return_inverse=True, return_counts=True)
    return label.reshape(-1) if n.min() >= FEWEST_ALIKE else None
