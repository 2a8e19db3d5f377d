"""What an arm of decoding is trained to do."""

from neuroblend.distill.behavior_loss import loss_of
from neuroblend.distill.objective import Objective
from neuroblend.distill.terms import build_terms
from neuroblend.engine.arm import MULTITASK, Arm
from neuroblend.experiments.decoding.networks import feature_layer, layer_in
from neuroblend.experiments.decoding.settings import DIRECT, ONE_NETWORK, RunConfig
from neuroblend.privilege.roles import Student, Teacher
from neuroblend.registry import find_model
from neuroblend.task.task import Task

ONE_NETWORK_WEIGHT = 0.1  # of two-heads and masked-modalities, where none is given


def objective_of(
    config: RunConfig, arm: Arm, model: Student | Teacher, task: Task, teacher: Teacher | None
) -> Objective:
    """Return the objective of an arm, with its teacher where it has one."""
    if arm.name == DIRECT:
        assert task.scale is not None
        return Objective(task_loss=loss_of(task.scale.groups))
    distill = config.distill
    layer = feature_layer(config.model, model.net)
    guide = None if teacher is None else layer_in(config.model, teacher)
    terms = build_terms("+".join(arm.terms), layer, distill.normalisation, guide=guide)
    no_teacher = (MULTITASK, *ONE_NETWORK)
    usual = dict.fromkeys(ONE_NETWORK, ONE_NETWORK_WEIGHT)
    usual[MULTITASK] = find_model(config.model.name).multitask_weight
    weights = {n: distill.multitask_weight or usual[n] for n in no_teacher if n in terms}
    counts = 1.0 if distill.normalisation == "released" else task.spec.mean_count
    is_balanced = distill.weighting == "balanced" and distill.normalisation == "element"
    return Objective(
        terms,
        teacher,
        distill.alpha,
        weights,
        counts,
        distill.cache_teacher,
        balance=layer if is_balanced else None,
    )
