"""What a training step of NeuPRINT costs, beside the form that its public code has.

The public form puts activity, embedding and statistics side by side for each neuron and frame and
lets ``nn.TransformerEncoder`` attend under a mask of all pairs of frames; here it is written out
with stock modules, or, with ``--reference``, imported from a checkout, in place. Ours multiplies
each part by its own weights first and attends to two frames alone. Both see the same windows. All
take the loss of hidden entries back to network and embeddings; optimisers are left out. Sides take
turns in one process with one thread; the least of the rounds counts.

Run: python benchmarks/neuprint_step.py [--reference NEUPRINT] [--rounds 3]
"""

import argparse
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import torch
from torch import Tensor, nn

from neuroblend.models.neuprint import CellSpec, NeuPRINT

WINDOWS, FRAMES, NEURONS = 2, 200, 512  # of a batch of the public code
BEHAVIOR, EMBEDDING, OWN = 3, 64, 5  # its running, pupil and state; its features of activity
WIDTH = OWN + EMBEDDING + BEHAVIOR + 2 + 2  # statistics of population and neighbours
FEEDFORWARD = 2048  # PyTorch's default, which it leaves
SESSION = 500 * 5000  # cells x frames of a session

Step = Callable[[], None]


class PublicForm(nn.Module):
    """The public code's transformer, of stock modules."""

    def __init__(self, width: int, feedforward: int, own: int) -> None:
        super().__init__()
        self.embed = nn.Linear(1, own)
        layer = nn.TransformerEncoderLayer(width, 2, feedforward, batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.readout = nn.Linear(width, 1)
        back = torch.arange(FRAMES)[:, None] - torch.arange(FRAMES)[None, :]
        self.register_buffer("mask", (back < 0) | (back > 1))

    def forward(
        self, activity: Tensor, embedding: Tensor, population: Tensor, near: Tensor
    ) -> Tensor:
        """Return (B, T, N); population is (B, T, D) and near (B, T, N, 2)."""
        n_windows, n_frames, n_neurons = activity.shape
        shape = (n_windows, n_frames, n_neurons, -1)
        parts = [
            self.embed(activity[..., None]),
            embedding[None, None].expand(*shape),
            population[:, :, None].expand(*shape),
            near,
        ]
        tokens = torch.cat(parts, dim=3).transpose(1, 2).flatten(0, 1)
        out = self.readout(self.layers(tokens, mask=self.mask))
        return out.view(n_windows, n_neurons, n_frames).transpose(1, 2)


def public_step(activity: Tensor, behavior: Tensor) -> Step:
    """Return a step of the public form."""
    net = PublicForm(WIDTH, FEEDFORWARD, OWN)
    embedding = nn.Parameter(torch.randn(NEURONS, EMBEDDING))
    statistics = torch.stack([activity.mean(dim=2), activity.std(dim=2)], dim=2)
    population = torch.cat([behavior, statistics], dim=2)
    near = torch.randn(WINDOWS, FRAMES, NEURONS, 2)
    hidden = torch.rand(activity.shape) < 0.25

    def step() -> None:
        seen = activity.masked_fill(hidden, 0.0)
        predicted = net(seen, embedding, population, near)
        (predicted - activity).square()[hidden].mean().backward()

    return step


def reference_step(path: Path, activity: Tensor, behavior: Tensor) -> Step:
    """Return a step of the public code itself."""
    sys.path.insert(0, str(path))
    with redirect_stdout(StringIO()):
        from dynamical_models import (
            time_invariant_permutation_invariant_transformer_recon as Published,  # noqa: N812
        )

        net = Published(
            FRAMES, input_dim=OWN + BEHAVIOR + 4, hidden_dim=OWN, embedding_dim=EMBEDDING,
            layer_dim=1, full_context=False, context_backward=1, context_forward=0,
            use_neighbor=True,
        )  # fmt: skip
    embedding = nn.Parameter(torch.randn(NEURONS, EMBEDDING))
    statistics = torch.stack([activity.mean(dim=2), activity.std(dim=2)], dim=2)
    population = torch.cat([behavior, statistics], dim=2).transpose(1, 2)
    near = torch.randn(WINDOWS, NEURONS, 2, FRAMES)
    target, neurons = activity.transpose(1, 2).contiguous(), torch.arange(NEURONS)

    def step() -> None:
        predicted, _, hidden = net(embedding, target, population, near, neurons)
        ((predicted - target).square() * hidden).mean().backward()

    return step


def our_step(activity: Tensor, behavior: Tensor, dynamics: str, **settings: int) -> Step:
    """Return a step of ours; its statistics of neighbours are part of it."""
    position = torch.rand(NEURONS, 3) * 800
    spec = CellSpec(NEURONS, BEHAVIOR, torch.ones(NEURONS, dtype=torch.bool), position)
    net = NeuPRINT(spec, dynamics, n_embedding=EMBEDDING, **settings)
    neurons = torch.arange(NEURONS)
    hidden = torch.rand(activity.shape) < 0.25

    def step() -> None:
        predicted = net(activity.masked_fill(hidden, 0.0), neurons, behavior)
        (predicted - activity).square()[hidden].mean().backward()

    return step


def main() -> None:
    """Time all sides in turns and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--reference", type=Path, metavar="PATH", help="a checkout of NeuPRINT")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    if given.reference and not (given.reference / "dynamical_models.py").is_file():
        parser.error(f"--reference {given.reference}: no dynamical_models.py there")
    torch.set_num_threads(1)
    torch.manual_seed(0)
    activity = torch.randn(WINDOWS, FRAMES, NEURONS)
    behavior = torch.randn(WINDOWS, FRAMES, BEHAVIOR)
    equal = {"width": WIDTH, "feedforward": FEEDFORWARD}
    sides = {"public form, stock modules": public_step(activity, behavior)}
    if given.reference:
        sides["public code"] = reference_step(given.reference, activity, behavior)
    sides["ours, attention, of its sizes"] = our_step(activity, behavior, "attention", **equal)
    for dynamics in ("attention", "recurrent", "linear"):
        sides[f"ours, {dynamics}, as by default"] = our_step(activity, behavior, dynamics)
    best = dict.fromkeys(sides, float("inf"))
    for turn in range(given.rounds + 1):
        for name, step in sides.items():
            began = time.process_time()
            step()
            if turn:  # the first warms up
                best[name] = min(best[name], time.process_time() - began)
    first = next(iter(best.values()))
    tokens = WINDOWS * FRAMES * NEURONS
    print(f"a step on {WINDOWS} windows x {FRAMES} frames x {NEURONS} neurons, one thread")
    print(f"{'':34}{'ms':>8}{'share':>8}   an epoch of a session (500 x 5,000), s")
    for name, seconds in best.items():
        epoch = seconds * SESSION / tokens
        print(f"{name:34}{seconds * 1e3:8.0f}{seconds / first:8.3f}{epoch:10.1f}")


if __name__ == "__main__":
    main()
