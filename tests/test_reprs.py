"""What is printed of a value fits in a line, and holds no arrays."""

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import make_task

import neuroblend as nb
from neuroblend.evaluation.decoder import Decoder
from neuroblend.models.gru import GRU
from neuroblend.privilege.concat import Concat

TASK = make_task(forward_bins=2)
TRIALS = (
    "Trials('tiny': 40 trials x 12 bins of 20 ms x 10 neurons, behavior: behavior_0, behavior_1)"
)
SPLIT = "Split(seed 0: 24 train, 8 valid, 8 test; 2 of 10 neurons held out, 2 forward bins)"
FUSION = Concat(TASK.spec)


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (TASK.split, SPLIT),
        (TASK, f"Task({TRIALS}, {SPLIT})"),
        (
            TASK.spec,
            "TaskSpec(n_in=8, n_out=10, t_in=10, t_out=12, behavior=('behavior_0', 'behavior_1'), "
            "bin_s=0.02, behavior_gaps=False, n_encoded=2)",
        ),
        (
            TASK.batch("valid")._replace(present=None),
            "Batch(spikes (8, 10, 8), behavior (8, 12, 2), target (8, 12, 10), "
            "scored (8, 12, 10), trial (8,))",
        ),
        (
            Decoder(np.zeros((5, 6, 2)), np.zeros(2), np.arange(-2, 3)),
            "Decoder(2 channels of behavior from a signal of 6, bins -2 to 2)",
        ),
        (
            Decoder(np.zeros((1, 6, 2)), np.zeros(2), np.zeros(1, dtype=int)),
            "Decoder(2 channels of behavior from a signal of 6, the same bin)",
        ),
        (nb.Student(torch.nn.Linear(3, 2)), "Student(Linear, 8 weights)"),
        (nb.Teacher(torch.nn.Linear(3, 2), FUSION), "Teacher(Linear, 8 weights)"),
        (nb.Teacher(torch.nn.Linear(3, 2), FUSION).freeze(), "Teacher(Linear, 8 weights, frozen)"),
        (nb.RunFolder(Path("runs") / "a"), "RunFolder('runs/a', not ended)"),
    ],
)
def test_reprs(value, wanted) -> None:
    assert repr(value) == wanted
    assert repr(nb.Student(GRU(TASK.spec, width=4))).startswith("Student(GRU, ")
