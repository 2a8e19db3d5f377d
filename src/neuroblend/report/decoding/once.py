"""Which categories are taken for which, and decoded against true values of trials.

Shape legend: ``B`` test trials, ``D`` behavior channels, ``K`` categories.
"""

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from neuroblend.data.channel import Channel
from neuroblend.report.decoding.shown import legend, roles, scored, shown_split
from neuroblend.report.style import COLORS, DRAW_ORDER, Picture, new_figure, shortened
from neuroblend.report.view import View

MOST_CHANNELS = 4
MOST_CATEGORIES = 12


def confusions(view: View) -> Picture | None:
    """Draw a table of true and decoded categories, a row a channel and a column an arm."""
    every = [c for c in view.data.channels if c.kind == "discrete"]
    discrete = [c for c in every if len(c.categories) <= MOST_CATEGORIES][:MOST_CHANNELS]
    if not discrete:
        return None
    arms = roles(view)
    heights = [0.75 + 0.3 * len(c.categories) for c in discrete]
    figure = new_figure(0.35 + sum(heights))
    axes = figure.subplots(
        len(discrete), len(arms), squeeze=False, gridspec_kw={"height_ratios": heights}
    )
    for row, channel in enumerate(discrete):
        for column, (role, arm) in enumerate(arms.items()):
            counts = _confusion(view, arm, every.index(channel), len(channel.categories))
            _table(axes[row, column], counts, channel, column == 0)
            title = f"{shortened(channel.name, 24)}: {view.compared[arm]}"
            axes[row, column].set_title(shortened(title, 44), color=COLORS[role])
    trials = "trials" if all(c.per_trial for c in discrete) else "samples"
    more = f" {len(every) - len(discrete)} further channels are not shown." * (
        len(every) > len(discrete)
    )
    return Picture(
        "Which category is taken for which",
        f"Test {trials} of all seeds and folds, those that several tested counted again. Rows: the "
        "true category, with its share of samples; columns: the one that was decoded. Numbers are "
        "percent of a row, so that guesses have equal rows; balanced accuracy is the mean of the "
        "diagonal. The category that is decoded is the one whose probability exceeds its share by "
        f"the largest factor, so that rare ones are not passed over.{more}",
        figure,
    )


def _confusion(view: View, arm: str, at: int, n_categories: int) -> NDArray[np.float64]:
    """Return (K, K) samples of all splits by true and decoded category."""
    total = np.zeros((n_categories, n_categories))
    for split in view.splits:
        sums = scored(view, arm, split).discrete
        assert sums is not None
        total += sums.confusion[:, at, :n_categories, :n_categories].sum(axis=0)
    return total


def _table(ax: Axes, counts: NDArray[np.float64], channel: Channel, is_first: bool) -> None:
    n = counts.sum(axis=1)
    share = counts / np.where(n > 0, n, np.nan)[:, None]
    names = [shortened(c, 12) for c in channel.categories]
    ax.imshow(np.nan_to_num(share), cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for i, j in np.ndindex(share.shape):
        if np.isfinite(share[i, j]):
            color = "white" if share[i, j] > 0.55 else "#1a1a1a"
            text = f"{100 * share[i, j]:.0f}"
            ax.text(j, i, text, ha="center", va="center", color=color, fontsize=8.5)
    rates = [f"{name} ({100 * of / n.sum():.0f} %)" for name, of in zip(names, n, strict=True)]
    ax.set_yticks(range(len(names)), rates)
    ax.set_xticks(range(len(names)), names)
    ax.set_xlabel("decoded")
    if is_first:
        ax.set_ylabel("true")
    ax.tick_params(length=0)
    for spine in ax.spines.values():
        spine.set_visible(False)


def once(view: View) -> Picture | None:
    """Plot decoded against true values of trials; ``None`` where no numbers are of trials."""
    channels = [
        (d, c) for d, c in enumerate(view.data.channels) if c.per_trial and c.kind != "discrete"
    ][:MOST_CHANNELS]
    if not channels:
        return None
    figure = new_figure(3.4)
    legend(figure, view, None)
    axes = figure.subplots(1, max(len(channels), 3), squeeze=False)[0]
    split, trials = shown_split(view), view.data
    for ax, (d, channel) in zip(axes, channels, strict=False):
        assert trials.behavior is not None
        true = trials.behavior[split.test, 0, d]
        for role, arm in roles(view).items():
            decoded = scored(view, arm, split).decoded[:, 0, d]
            ax.plot(
                true,
                decoded,
                "o",
                color=COLORS[role],
                markersize=4,
                alpha=0.6,
                markeredgewidth=0,
                zorder=DRAW_ORDER[role],
            )
        ax.axline(
            (float(np.nanmean(true)),) * 2,
            slope=1,
            color="#555555",
            linewidth=0.9,
            linestyle=(0, (4, 2)),
            zorder=0,
        )
        ax.set(xlabel=f"true {channel.label}", ylabel="decoded")
    for ax in axes[len(channels) :]:
        ax.set_visible(False)
    return Picture(
        "Decoded values of trials",
        f"A dot is a test trial of seed {split.seed}. On the dashed line: right. A cloud that is "
        "flat around the mean knows nothing.",
        figure,
    )
