"""A student to predict with, from a run's folder or from a file that was exported."""

from pathlib import Path

from neuroblend.deploy.student import TrainedStudent
from neuroblend.errors import InputError

SELECTED = "selected"


def student_from(
    source: str | Path,
    arm: str = SELECTED,
    seed: int | None = None,
    fold: int | None = None,
    session: str | None = None,
) -> TrainedStudent:
    """Return a trained student.

    Args:
        source: The folder of a run, or a file that ``neuroblend export`` wrote.
        arm: Of a run: which arm.
        seed: Of a run: which seed.
        fold: Of a run with folds: which fold.
        session: Of a run on several sessions: for whose neurons.

    Raises:
        InputError: There is none, or another arm, seed, fold or session is asked of a file, which
            holds one student.
    """
    if not Path(source).is_file():
        # only a run needs what trains models, which takes seconds to import
        from neuroblend.experiments.decoding.apply import trained_student  # noqa: PLC0415

        return trained_student(source, arm, seed, fold, session)
    from neuroblend.deploy.bundle import load_student  # noqa: PLC0415

    student = load_student(source)
    asked = {"arm": None if arm == SELECTED else arm, "seed": seed, "fold": fold}
    asked["session"] = session
    held = {"arm": student.arm, "seed": student.seed, "fold": student.fold}
    held["session"] = student.session
    wrong = [f"--{name} {of}" for name, of in asked.items() if of not in (None, held[name])]
    if wrong:
        raise InputError(f"{source}: holds {student.label} alone; found {' and '.join(wrong)}")
    return student
