"""What to keep in mind of the identity of cells, beside what holds of every run."""

from typing import Any

from neuroblend.errors import some
from neuroblend.experiments.identity.references import NO_NETWORK
from neuroblend.report.caveat import Caveat

FEW_CELLS = 20


def caveats(results: dict[str, Any]) -> list[Caveat]:
    """Return caveats on arms without behavior, on the largest and small classes, on animals."""
    found = (
        _of_behavior(results),
        _of_majority(results),
        _of_classes(results),
        _of_animals(results),
    )
    return [caveat for caveat in found if caveat]


def _of_behavior(results: dict[str, Any]) -> Caveat | None:
    arm = results["selected"]
    if arm not in results["references"]:
        return None
    without = "no network and no behavior" if arm in NO_NETWORK else "no behavior"
    text = (
        f"What was selected, {arm}, needs {without}: nothing that needs more validates better by "
        "more than the standard error of a validation score."
    )
    return Caveat("no behavior needed", text, {"selected": arm})


def _of_majority(results: dict[str, Any]) -> Caveat | None:
    found = next(iter(results["labels"].values()))
    top1, rate = results["arms"][results["selected"]]["top1"]["mean"], found["majority_rate"]
    if top1 > rate:
        return None
    largest = max(found["classes"], key=found["classes"].__getitem__)
    text = (
        f"To call every cell {largest}, the largest class, would be right for {100 * rate:.1f} % "
        f"of cells, and the student is for {100 * top1:.1f} %."
    )
    return Caveat("majority rate", text, {"largest": largest, "rate": rate, "top1": top1})


def _of_classes(results: dict[str, Any]) -> Caveat | None:
    few = {
        f"{name} ({kind})": n
        for kind, found in results["labels"].items()
        for name, n in found["classes"].items()
        if n < FEW_CELLS
    }
    if not few:
        return None
    text = (
        f"Classes of fewer than {FEW_CELLS} cells: "
        f"{', '.join(f'{name} {n}' for name, n in few.items())}. Their recall hangs on a handful "
        "of cells, and macro-F1 and balanced accuracy count them as much as the others."
    )
    return Caveat("small classes", text, few)


def _of_animals(results: dict[str, Any]) -> Caveat | None:
    animals = results["animals"]
    if not animals:
        return None
    text = (
        f"{len(animals)} animals ({some(animals)}) were tested one after the other. The interval "
        "draws tested cells and seeds and no animals, so it says nothing of how much another "
        "animal would differ."
    )
    return Caveat("animals", text, {"n_animals": len(animals)})
