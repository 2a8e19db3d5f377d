"""Read-outs of one channel from features, by kind, the penalty chosen on validation samples.

Shape legend: ``n`` samples, ``F`` features, ``P`` outputs (one; cosine and sine; a logit for each
of K categories).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroblend.data.channel import FULL_TURN, Channel
from neuroblend.evaluation.kind_sums import CircularSums, EventSums
from neuroblend.evaluation.link import Link
from neuroblend.evaluation.metrics import ErrorSums

Floats = NDArray[np.float64]

PENALTIES = np.logspace(5, -1, 7)  # on squared weights, beside a sum over samples; strongest first
RIDGE_PENALTIES = np.logspace(6, 0, 13)
MOST_SAMPLES = 8000  # about, that a fit with a gradient looks at, drawn ones of more
MOST_STEPS = 200
TOLERANCE = 1e-4  # of the mean gradient


@dataclass(frozen=True, eq=False)
class Fitted:
    """A read-out of one channel.

    Attributes:
        weights: (F, P) on features.
        offset: (P,).
        link: From its outputs, numbered from 0, to values.
        skill: On validation samples, 0 at chance and 1 where nothing is left to know; NaN without.
        step: Which penalty of the path it has, the strongest first.
    """

    weights: Floats
    offset: Floats
    link: Link
    skill: float
    step: int


@dataclass(frozen=True, eq=False)
class _Path:
    """Read-outs at one penalty after the other.

    Attributes:
        link: From their outputs to values.
        n_steps: How many penalties there are, the strongest first.
        at: (F, P) weights and (P,) offset at one of them; quicker after the one before.
    """

    link: Link
    n_steps: int
    at: Callable[[int], tuple[Floats, Floats]]


def fit_channel(channel: Channel, x: Floats, y: Floats, x_valid: Floats, y_valid: Floats) -> Fitted:
    """Fit a channel's values (n,), NaN where missing, to features (n, F), by its kind.

    Squared error with an L2 penalty for continuous values and for cosine and sine, logistic
    regression for categories, and Poisson regression, with a logarithm as its link, for events.
    Penalties are tried from the strongest on until validation samples get clearly no better.
    """
    known, known_valid = ~np.isnan(y), ~np.isnan(y_valid)
    x, y, x_valid, y_valid = x[known], y[known], x_valid[known_valid], y_valid[known_valid]
    centre = x.mean(axis=0)
    x, x_valid = x - centre, x_valid - centre
    path = _path(channel, x, y)
    best: Fitted | None = None
    n_worse = 0
    for step in range(path.n_steps):
        weights, offset = path.at(step)
        skill = skill_of(path.link, x_valid @ weights + offset, y_valid)
        if best is None or skill > best.skill:
            best = Fitted(weights, offset - centre @ weights, path.link, skill, step)
            n_worse = 0
        else:
            n_worse += 1
        if n_worse == 2:
            break
    assert best is not None
    return best


def refit_channel(channel: Channel, x: Floats, y: Floats, step: int) -> Fitted:
    """Fit a channel's values (n,) to features (n, F) at the penalty that :func:`fit_channel` chose.

    Args:
        channel: What the values are.
        x: Features of training and validation samples.
        y: Their values, NaN where missing.
        step: Of what :func:`fit_channel` returned.
    """
    known = ~np.isnan(y)
    x, y = x[known], y[known]
    centre = x.mean(axis=0)
    path = _path(channel, x - centre, y)
    weights, offset = path.at(step)
    return Fitted(weights, offset - centre @ weights, path.link, np.nan, step)


def _path(channel: Channel, x: Floats, y: Floats) -> _Path:
    """Return read-outs of values (n,) from centred features (n, F)."""
    of = {"discrete": _logistic, "events": _poisson}.get(channel.kind, _ridge)
    return of(channel, x, y)


def skill_of(link: Link, outputs: Floats, true: Floats) -> float:
    """Return how well (n, P) outputs tell (n,) values: 0 at chance, 1 where all is known.

    Categories are judged by their log-loss, which tells apart what are equally many right answers
    and so is less noisy than these, of as few trials as validate.
    """
    if true.size == 0:
        return 0.0
    values, truth = link.values(outputs)[None, :, None], true[None, :, None]
    match link.channel.kind:
        case "circular":
            turn = FULL_TURN / link.channel.period
            found = CircularSums.of(values * turn, truth * turn).skill()
        case "discrete":
            log = link.log_probabilities(outputs)[np.arange(len(true)), true.astype(int)]
            share = np.bincount(true.astype(int)) / len(true)
            entropy = -float(np.log(share[true.astype(int)]).mean())
            found = np.array([[1 + log.mean() / entropy if entropy > 0 else np.nan]])
        case "events":
            found = EventSums.of(values, truth).deviance_explained()
        case _:
            found = ErrorSums.of(values, truth).r2()
    return float(np.nan_to_num(found[0, 0]))


def _ridge(channel: Channel, x: Floats, y: Floats) -> _Path:
    link = Link(channel, 0, 1)
    target = y[:, None]
    if channel.kind == "circular":
        angle = y * FULL_TURN / channel.period
        target = np.stack([np.cos(angle), np.sin(angle)], axis=1)
        link = Link(channel, 0, 2, low=-channel.period / 2 if y.min() < 0 else 0.0)
    mean, spread = target.mean(axis=0), target.std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    values, vectors = np.linalg.eigh(x.T @ x)
    values = np.maximum(values, 0.0)
    rotated = vectors.T @ (x.T @ ((target - mean) / spread))

    def at(step: int) -> tuple[Floats, Floats]:
        shrunk = rotated / (values + RIDGE_PENALTIES[step])[:, None]
        return vectors @ shrunk * spread, mean

    return _Path(link, len(RIDGE_PENALTIES), at)


def _logistic(channel: Channel, x: Floats, y: Floats) -> _Path:
    """Return multinomial logistic regressions; a category without samples is as half a one."""
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415  # heavy

    n_categories = len(channel.categories)
    counts = np.maximum(np.bincount(y.astype(int), minlength=n_categories), 0.5)
    log_share = np.log(counts / counts.sum())
    link = Link(channel, 0, n_categories, tuple(log_share.tolist()))
    seen, few = np.unique(y.astype(int)), _some_of_each(y)

    model = LogisticRegression(tol=TOLERANCE, max_iter=MOST_STEPS, warm_start=True)

    def at(step: int) -> tuple[Floats, Floats]:
        weights, offset = np.zeros((x.shape[1], n_categories)), log_share.copy()
        if step == 0 or len(seen) < 2:
            return weights, offset
        model.set_params(C=len(y) / len(few) / PENALTIES[step - 1])
        _fit(model, x[few], y[few].astype(int))
        if len(seen) == 2:
            weights[:, seen[1]] = model.coef_[0]
            own = np.array([0.0, model.intercept_[0]])
        else:
            weights[:, seen] = model.coef_.T
            own = model.intercept_
        # logits of all categories on one scale, whatever the solver's constant
        offset[seen] = own - np.logaddexp.reduce(own) + np.log1p(-_unseen(counts))
        return weights, offset

    return _Path(link, 1 + len(PENALTIES) if len(seen) > 1 else 1, at)


def _unseen(counts: Floats) -> float:
    """Return the share of categories without a sample, of which each counts as half a one."""
    return float(counts[counts < 1].sum() / counts.sum())


def _poisson(channel: Channel, x: Floats, y: Floats) -> _Path:
    from sklearn.linear_model import PoissonRegressor  # noqa: PLC0415  # heavy

    few = _some_of_each(y)

    model = PoissonRegressor(
        tol=TOLERANCE, max_iter=MOST_STEPS, warm_start=True, solver="newton-cholesky"
    )

    def at(step: int) -> tuple[Floats, Floats]:
        if step == 0 or y.max() == 0:
            return np.zeros((x.shape[1], 1)), np.log(np.array([max(y.mean(), 1e-9)]))
        model.set_params(alpha=PENALTIES[step - 1] / len(y))
        _fit(model, x[few], y[few])
        return model.coef_[:, None].copy(), np.array([model.intercept_])

    return _Path(Link(channel, 0, 1), 1 + len(PENALTIES) if y.max() > 0 else 1, at)


def _fit(model: Any, x: Floats, y: Floats | NDArray[np.int64]) -> None:
    """Fit; a step that stops early, or a flat direction, is judged by validation samples."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(x, y)


def _some_of_each(y: Floats) -> NDArray[np.int64]:
    """Return at most about ``MOST_SAMPLES`` places in ``y``, of each value in proportion.

    One of each at least. They are drawn, since evenly spaced ones may be the same bins of each
    trial.
    """
    step = -(-len(y) // MOST_SAMPLES)
    if step <= 1:
        return np.arange(len(y))
    drawn = np.random.default_rng(MOST_SAMPLES).permutation(len(y))
    order = drawn[np.argsort(y[drawn], kind="stable")]
    first = np.unique(y[order], return_index=True)[1]
    return np.sort(order[np.union1d(np.arange(0, len(y), step), first)])
