"""A student to predict with, from a run's folder or from a file that was exported."""

from pathlib import Path

from neuroblend.deploy.student import TrainedStudent
from neuroblend.errors import InputError

SELECTED = "selected"


def student_from(
    source: str | Path, arm: str = SELECTED, seed: int | None = None
) -> TrainedStudent:
    """Return a trained student.

    Args:
        source: The folder of a run, or a file that ``neuroblend export`` wrote.
        arm: Of a run: which arm.
        seed: Of a run: which seed.

    Raises:
        InputError: There is none, or an arm or seed is asked of a file, which holds one student.
    """
    if not Path(source).is_file():
        # only a run needs what trains models, which takes seconds to import
        from neuroblend.experiments.decoding.apply import trained_student  # noqa: PLC0415

        return trained_student(source, arm, seed)
    from neuroblend.deploy.bundle import load_student  # noqa: PLC0415

    student = load_student(source)
    if arm not in (SELECTED, student.arm) or seed not in (None, student.seed):
        raise InputError(
            f"{source}: holds {student.arm} of seed {student.seed} alone; found --arm {arm} and "
            f"--seed {seed}"
        )
    return student
