"""How training went: losses by epoch."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from neuroblend.engine.arm import BASELINE
from neuroblend.experiments.decoding.settings import DIRECT
from neuroblend.report.style import COLORS, Picture, legend_above, new_figure
from neuroblend.report.view import View

COLUMNS = 4
DARK = "#333333"  # in the legend, for the colour of each panel's arm
TITLE = "Training"
STROKES: dict[str, dict[str, Any]] = {
    "validation": {"color": DARK, "linewidth": 1.7},
    "training": {"color": DARK, "linewidth": 1, "linestyle": (0, (2, 1.2))},
    "validation of the baseline": {"color": "#999999", "linewidth": 1},
    "best epoch": {"color": DARK, "linestyle": "none", "marker": "o"},
}


def curves(view: View) -> Picture:
    """Plot training and validation loss of each arm of the first seed, a panel an arm."""
    split = view.splits[0]
    histories = {arm: view.history(arm, split) for arm in view.arms}
    of_behavior = f" {DIRECT}, which is trained on behavior, has another loss and no panel."
    left_out = of_behavior if histories.pop(DIRECT, None) is not None else ""
    histories = {arm: history for arm, history in histories.items() if len(history)}
    n_rows = -(-len(histories) // COLUMNS)
    figure = new_figure(0.6 + 1.9 * n_rows)
    legend_above(figure, [Line2D([], [], label=n, **stroke) for n, stroke in STROKES.items()])
    axes = figure.subplots(n_rows, COLUMNS, sharex=True, sharey=True, squeeze=False)
    baseline = _validated(histories[BASELINE])
    for ax, (arm, history) in zip(axes.flat, histories.items(), strict=False):
        _panel(ax, history, COLORS[view.role(arm)])
        if arm != BASELINE:
            stroke = STROKES["validation of the baseline"]
            ax.plot(baseline["epoch"], baseline["valid"], **stroke, zorder=1.5)
        ax.set_title(f"{arm} (selected)" if arm == view.selected else arm)
    for i, ax in enumerate(axes.flat):
        if i >= len(histories):
            ax.set_axis_off()
            continue
        ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        ax.tick_params(labelbottom=True)
        if i + COLUMNS >= len(histories):
            ax.set_xlabel("epoch")
    for row in axes:
        row[0].set_ylabel("loss (nats/bin)")
    axes[0, 0].set_ylim(_limits(list(histories.values())))
    fold = "" if split.fold is None else f", fold {split.fold}"
    return Picture(
        TITLE,
        f"Poisson loss of spikes by epoch in seed {split.seed}{fold}; the term that depends on the "
        "counts alone is left out, so it may be negative. The training loss is of masked bins with "
        "dropout on, so it need not lie below the validation loss. The dot is the epoch whose "
        "weights were kept. Look for validation losses that have levelled off; where the dot is at "
        "the last epoch, more epochs might help, and where validation rises early, the model "
        f"overfits.{left_out}",
        figure,
    )


def _validated(history: pd.DataFrame) -> pd.DataFrame:
    """Return the epochs with a validation score; the others hold NaN."""
    return history[history["valid"].notna()]


def _trained(history: pd.DataFrame) -> pd.Series:
    """Return the training loss, without what distillation adds to it."""
    return history["task" if "task" in history else "loss"]


def _panel(ax: Axes, history: pd.DataFrame, color: str) -> None:
    valid = _validated(history)
    ax.plot(history["epoch"], _trained(history), **STROKES["training"] | {"color": color})
    ax.plot(valid["epoch"], valid["valid"], **STROKES["validation"] | {"color": color})
    if len(valid):
        best = valid.iloc[int(valid["valid"].argmin())]
        ax.plot(best["epoch"], best["valid"], "o", color=color, markersize=6, zorder=3)


def _limits(histories: list[pd.DataFrame]) -> tuple[float, float]:
    """Return a range that the first epochs, whose loss can be large, do not decide."""
    every = pd.concat([_validated(h)["valid"] for h in histories] + [*map(_trained, histories)])
    low, high = float(every.min()), float(np.quantile(every, 0.97))
    pad = 0.06 * max(high - low, 1e-6)
    return low - pad, high + pad
