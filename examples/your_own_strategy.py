"""A strategy that this package does not know, as an arm of a run.

    python examples/your_own_strategy.py
    neuroblend run simulated --strategies your_own_strategy:Change+multitask   # from this folder

The class is all there is to it: a callable on a ``Pair`` that returns a scalar, 0 where student and
teacher agree. Joined with names of ours by ``+``, it is compared with the baseline, the multitask
control and ``hard+multitask`` on the same splits and initial weights.
"""

import sys
from pathlib import Path

from torch import Tensor

import neuroblend as nb
from neuroblend.distill.pair import Pair


class Change:
    """Follow how the teacher's log rates change from bin to bin, and not how high they are.

    The squared difference of changes, divided by their mean square in the teacher: 1 for a student
    whose rates stand still, whatever the bin width. For trials of one length.
    """

    layers = ()  # of student and teacher, whose outputs it would want
    wants_teacher = True

    def __call__(self, pair: Pair) -> Tensor:
        student, teacher = pair.student.log_rates.diff(dim=1), pair.guide.log_rates.diff(dim=1)
        return (student - teacher).square().mean() / teacher.square().mean().clamp_min(1e-8)


def main(epochs: int = 40, out: str = "runs/own-strategy") -> None:
    arms = ("hard+multitask", f"{Path(__file__).stem}:{Change.__name__}+multitask")
    settings = {"distill": {"strategies": arms}, "training": {"epochs": epochs}, "seeds": 2}
    run = nb.run("simulated", out, settings, jobs=None, quiet=False, say=print)
    results = run.results()
    print(f"\n{'arm':<40} {'behavior R²':>12} {'minus baseline':>15} {'95 % interval':>18}")
    for arm, scores in results["arms"].items():
        line = f"{arm:<40} {scores['behavior_r2']['mean']:>12.3f}"
        if (contrast := results["contrasts"].get(f"{arm} - baseline")) is not None:
            gain = contrast["behavior_r2"]
            line += f" {gain['mean']:>+15.3f}    [{gain['ci95'][0]:+.3f} {gain['ci95'][1]:+.3f}]"
        print(line)
    print(f"\n{nb.verdict(results).sentence}\npage: {nb.write_report(run)}")


if __name__ == "__main__":  # worker processes import this file
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 40, *sys.argv[2:3])
