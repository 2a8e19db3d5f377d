"""Training steps at the shape of MC_Maze, ours and others', each ready to be timed.

Every function imports and makes data, and returns a function that builds the model and returns the
step, so that memory can be read in between. A step takes its number and starts from data that lie
in memory.
"""

import tempfile
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

import neuroblend as nb
from neuroblend.distill.hard import Hard
from neuroblend.models.ndt import NDT
from neuroblend.privilege.concat import Concat
from neuroblend.task.batch import Batches
from neuroblend.task.spec import TaskSpec
from neuroblend.training.masking import EntryMask, TimeMask

Step = Callable[[int], None]

BIN_S = 0.005
LAYERS, HEADS, FEEDFORWARD = 4, 2, 128


@dataclass(frozen=True)
class Shape:
    """Sizes of a batch: ``n_trials`` x ``t_out`` bins, of which ``t_in`` seen, x neurons."""

    n_trials: int = 64
    t_in: int = 140
    t_out: int = 180
    n_in: int = 137
    n_out: int = 182

    @property
    def width(self) -> int:
        """Neurons, padded to a multiple of eight."""
        return -(-self.n_out // 8) * 8

    def spikes(self) -> torch.Tensor:
        """Return (B, T, N) random counts/bin, about as many as in MC_Maze at 5 ms."""
        rates = torch.full((self.n_trials, self.t_out, self.n_out), 0.05)
        return torch.poisson(rates, generator=torch.Generator().manual_seed(0))

    def task(self) -> nb.Task:
        """Return a task whose training trials are one batch; two velocities are its behavior."""
        rng = np.random.default_rng(0)
        n = self.n_trials + 4
        parts = np.array(["train"] * self.n_trials + ["valid"] * 2 + ["test"] * 2)
        trials = nb.Trials.from_arrays(
            rng.poisson(0.05, (n, self.t_out, self.n_out)),
            BIN_S,
            rng.normal(size=(n, self.t_out, 2)),
            split=parts,
            held_out=np.arange(self.n_out) >= self.n_in,
        )
        return nb.Task.of(trials, nb.split_trials(trials, 0, forward_bins=self.t_out - self.t_in))


def same_ndt(spec: TaskSpec, width: int) -> NDT:
    """Return our NDT with the published sizes, dropout, and bins that a bin may attend to."""
    return NDT(
        spec,
        LAYERS,
        width,
        HEADS,
        FEEDFORWARD,
        dropout=0.1,
        dropout_embedding=0.2,
        dropout_rates=0.2,
        context_forward_s=4 * BIN_S,
        context_backward_s=8 * BIN_S,
    )


def ours(shape: Shape, teacher: str = "none", bf16: bool = False) -> Callable[[], Step]:
    """Return the builder of our step.

    Args:
        shape: Sizes.
        teacher: ``none``, ``each step``, or ``cached`` for one whose outputs are kept by trial.
        bf16: Whether the forward pass runs under bfloat16 autocast.
    """
    task = shape.task()

    def build() -> Step:
        student = nb.Student(same_ndt(task.spec, shape.width))
        objective = objective_of(task, teacher, shape.width)
        objective.prepare(student, task.batch("train"))
        autocast = torch.autocast("cpu", torch.bfloat16) if bf16 else None
        return step_of(student, objective, task, autocast)

    return build


def objective_of(task: nb.Task, teacher: str, width: int) -> nb.Objective:
    """Return the task alone, or hard distillation from a teacher of the same architecture."""
    if teacher == "none":
        return nb.Objective()
    fusion = Concat(task.spec)
    guide = nb.Teacher(same_ndt(fusion.spec, width), fusion)
    return nb.Objective({"hard": Hard()}, guide, cache=teacher == "cached")


def step_of(
    student: nb.Student,
    objective: nb.Objective,
    task: nb.Task,
    autocast: torch.autocast | None = None,
    mask: TimeMask | EntryMask | None = None,
) -> Step:
    """Return our step over the training trials of ``task``, all in one batch."""
    (batch,) = Batches(task.batch("train"), len(task.split.train))
    mask, optimiser = mask or TimeMask(), torch.optim.AdamW(student.parameters(), fused=True)
    student.train()

    def step(i: int) -> None:
        with autocast or nullcontext():
            loss = objective(student, mask(batch, i))["loss"]
        loss.backward()
        nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()

    return step


def published(reference: str, shape: Shape, teacher: str) -> Callable[[], Step]:
    """Return the builder of the published step: their training loop over an epoch of one batch."""
    from support import published as code

    code.use(reference)
    from src.mask import Masker
    from src.runner_LUPI import Runner

    folder = tempfile.TemporaryDirectory()  # it goes when the step does
    config = code.settings_of(reference, "mc_maze_LUPI.yaml", folder.name)
    config.TRAIN.DO_VAL = False
    runner = Runner(config)
    runner.folder = folder
    runner.logger.mute()
    runner.device = torch.device("cpu")
    spikes = shape.spikes().long()
    seen, forward = spikes[:, : shape.t_in], spikes[:, shape.t_in :]
    behavior = torch.randn(shape.n_trials, shape.t_out, 2).long()
    runner.training_generator = code.OneBatch(
        (
            seen[:, :, : shape.n_in].contiguous(),
            torch.zeros_like(seen),
            behavior[:, : shape.t_in],
            seen[:, :, shape.n_in :].contiguous(),
            forward.contiguous(),
            behavior[:, shape.t_in :],
        )
    )
    runner.max_spikes = int(spikes.max()) + 3
    runner.num_neurons, runner.trial_length, runner.behavior_dim = shape.n_out, shape.t_out, 2

    def build() -> Step:
        runner.masker = Masker(config.TRAIN, runner.device)
        runner.setup_model(runner.device)
        runner.load_optimizer(runner.model.get_factor_size())
        if teacher != "none":
            runner.setup_teacher_student()
            runner.teacher_model.eval()  # as it is left by the validation that ends its training
            runner.is_distillation = True
        return lambda i: runner.train_epoch()

    return build


def lfads_torch(checkout: str, shape: Shape) -> Callable[[], Step]:
    """Return the builder of lfads-torch's step: its ``training_step`` and optimiser."""
    from support import lfads_torch as code

    code.use(checkout)
    from lfads_torch.tuples import SessionBatch

    spikes = shape.spikes()
    batch = SessionBatch(
        encod_data=spikes[:, : shape.t_in, : shape.n_in].contiguous(),
        recon_data=spikes,
        ext_input=torch.zeros(shape.n_trials, shape.t_out, 0),
        truth=torch.zeros(shape.n_trials, 0, 0),
        sv_mask=torch.ones(shape.n_trials, 0, 0),
    )

    def build() -> Step:
        model = code.build(checkout, encod_seq_len=shape.t_in, recon_seq_len=shape.t_out)
        model.log = model.log_dict = lambda *args, **kwargs: None  # no trainer to log to
        optimiser = model.configure_optimizers()

        def step(i: int) -> None:
            loss = model.training_step({0: (batch, ())}, i)
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 200.0)
            optimiser.step()

        return step

    return build


def our_lfads(shape: Shape) -> Callable[[], Step]:
    """Return the builder of our LFADS's step, at the sizes of ``nlb_mc_maze.yaml``."""
    from neuroblend.models.lfads import LFADS

    task = shape.task()

    def build() -> Step:
        net = LFADS(task.spec, 200, 100, 64, controller=64, inputs=4, initial=64, dropout=0.3)
        return step_of(nb.Student(net), nb.Objective(), task, mask=EntryMask(0.3))

    return build
