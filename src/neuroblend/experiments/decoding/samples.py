"""The scores of one seed of an arm, with what trials and folds add to them."""

from collections.abc import Sequence

from neuroblend.data.channel import Channel
from neuroblend.engine.experiment import Folds, Sample
from neuroblend.evaluation.bootstrap import Draws
from neuroblend.evaluation.score import chance_of, drawn_scores, scores_by_fold, scores_on_test
from neuroblend.evaluation.scored import Scored

ORACLE = "oracle"  # of simulated recordings: the true rates, scored like a model's


def samples_of_seed(
    folds: list[Scored], channels: Sequence[Channel], draws: Draws, only_seed: bool
) -> dict[str, Sample]:
    """Return the scores of one seed of an arm, and how its folds differ if it is the only seed."""
    drawn = drawn_scores(folds, channels, draws)
    by_fold = {}
    if only_seed and len(folds) > 1:
        by_fold = scores_by_fold(folds, channels, draws)
    return {
        name: Sample(
            value,
            drawn[name],
            chance_of(folds, channels, name),
            Folds(*by_fold[name]) if name in by_fold else None,
        )
        for name, value in scores_on_test(folds, channels).items()
    }
