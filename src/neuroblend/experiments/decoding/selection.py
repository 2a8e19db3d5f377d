"""Which student is worth taking home."""

from collections.abc import Mapping
from math import inf

from neuroblend.engine.arm import BASELINE
from neuroblend.evaluation.behavior_sums import R2, SKILL
from neuroblend.experiments.decoding.settings import Goal

CO_BPS_TOLERANCE = 0.05  # fraction of the baseline's co-bps on validation trials to lose at most


def best_at(goal: Goal, valid: Mapping[str, Mapping[str, float]], candidates: list[str]) -> str:
    """Choose the candidate that is best at the goal, by the mean validation scores of all arms.

    With ``both``, the one that decodes behavior best of those that keep the baseline's co-bps
    to within ``CO_BPS_TOLERANCE`` of it, as the baseline itself does.
    """

    def co_bps(arm: str) -> float:
        return valid[arm].get("co_bps", 0.0)

    def decoding(arm: str) -> float:
        return valid[arm].get(R2, valid[arm].get(SKILL, -inf))

    if goal == "behavior":
        return max(candidates, key=decoding)
    if goal == "co-bps":
        return max(candidates, key=co_bps)
    least = co_bps(BASELINE) - CO_BPS_TOLERANCE * abs(co_bps(BASELINE))
    return max((arm for arm in candidates if co_bps(arm) >= least), key=decoding)
