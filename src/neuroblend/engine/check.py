"""A student's objective, tried on a little of a task before anything is trained or written."""

import copy

import torch

from neuroblend.distill.objective import Objective
from neuroblend.errors import InputError
from neuroblend.files import errors_of
from neuroblend.privilege.roles import Student
from neuroblend.task.batch import Batch


def check_objective(objective: Objective, model: Student, batch: Batch) -> None:
    """Make the objective's weights, and follow its loss back to the student's.

    Args:
        objective: Of an arm.
        model: Its student, untrained; it is left as it was.
        batch: Two training trials, masked.

    Raises:
        InputError: A layer is not there, or a term fails or gives no finite scalar.
    """
    tried = copy.deepcopy(model)
    with torch.random.fork_rng():
        with errors_of(f"strategy {'+'.join(objective.terms)}"):
            objective.prepare(tried, batch)
        tried.train()
        parts = objective(tried, batch)
        for name, value in parts.items():
            if name in objective.terms and not torch.isfinite(value):
                raise InputError(f"strategy {name}: gives {value.item()}, wanted a number")
        parts["loss"].backward()
