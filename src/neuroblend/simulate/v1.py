"""Simulated two-photon sessions of visual cortex, in the layout of Bugeon et al. (2022).

Cells recur between the sessions of a mouse; behavior has clocks of its own, faster than the frames,
with blinks; classes of cells differ as the preset says:

=============  ===================================================================================
``realistic``   in what behavior does to them, in rate, in time course, and in what they share
``state-only``  in what behavior does to them and in nothing else: a model that has no idea of
                behavior adds little to classify them by
``null``        in all of it as for ``realistic``, but types are shuffled among cells: nothing may
                beat chance
=============  ===================================================================================

:mod:`neuroblend.simulate.v1_activity` has the numbers and where they come from.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np

from neuroblend.data.calcium.bugeon import MARK
from neuroblend.data.calcium.bugeon import SUBCLASSES as NAMES
from neuroblend.errors import InputError, nearest
from neuroblend.files import whole_folder
from neuroblend.simulate.v1_activity import (
    EXCITATORY,
    FRAME_S,
    SUBCLASSES,
    CellTraits,
    Floats,
    Ints,
    MouseBehavior,
    Rng,
    by_state_alone,
    simulate_activity,
    simulate_behavior,
)

PRESETS = ("realistic", "state-only", "null")
MICE = ("SB025", "SB026", "SB028", "SB030")
SHARE_EXCITATORY, SHARE_INHIBITORY = 0.55, 0.05  # of cells; the rest has a subclass
SHARES = {"Lamp5": 0.39, "Vip": 0.30, "Pvalb": 0.22, "Sst": 0.07, "Sncg": 0.03}  # two real sessions
TYPES = {
    "Lamp5": ("Lamp5-Plch2-Dock5", "Lamp5-Lsp1"),
    "Vip": ("Vip-Lmo1-Myl1", "Vip-Arhgap36-Hmcn1"),
    "Pvalb": ("Pvalb-Reln-Itm2a", "Pvalb-Gpr149-Islr"),
    "Sst": ("Sst-Tac1-Htr1d", "Sst-Calb2-Pdlim5"),
    "Sncg": ("Sncg-Vip-Itih5",),
}
ALL_TYPES = [name for kind in NAMES for name in TYPES[kind]]
RECURRING = 0.5  # of a session's cells are those of the mouse's other sessions
FIRST_DAY = date(2019, 10, 7)  # of each mouse's sessions, which are two days apart
N_GENES = 72
N_PLANES = 6


@dataclass(frozen=True)
class Size:
    """How much is simulated.

    Attributes:
        n_mice: Mice, up to four.
        n_sessions: Sessions of each mouse.
        n_neurons: Cells in a session.
        n_frames: Frames of each run.
        stimuli: Runs of each session, one of each.
    """

    n_mice: int = 3
    n_sessions: int = 2
    n_neurons: int = 240
    n_frames: int = 2000
    stimuli: tuple[str, ...] = ("Blank",)


def simulate_v1(
    out: str | Path, preset: str = "realistic", seed: int = 0, size: Size | None = None
) -> Path:
    """Write sessions to a new folder.

    Args:
        out: The folder; it appears whole or not at all.
        preset: ``"realistic"``, ``"state-only"`` or ``"null"``.
        seed: Decides everything that is drawn.
        size: How much.

    Returns:
        The folder.

    Raises:
        InputError: There is no such preset, a number is out of range, or the folder is in use.
    """
    out, size = Path(out), size or Size()
    if preset not in PRESETS:
        raise InputError(f"unknown preset '{preset}': {nearest(preset, PRESETS)}")
    if not 1 <= size.n_mice <= len(MICE) or size.n_sessions < 1:
        raise InputError(
            f"found {size.n_mice} mice and {size.n_sessions} sessions, wanted 1 to {len(MICE)} and "
            "1 or more"
        )
    if size.n_neurons < 20 or size.n_frames < 100:
        raise InputError(
            f"found {size.n_neurons} neurons and {size.n_frames} frames, wanted 20 and 100 or more"
        )
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out}: is there already; choose another --out")
    with whole_folder(out) as partial:
        for mouse in range(size.n_mice):
            _write_mouse(partial / MICE[mouse], preset, size, np.random.default_rng([seed, mouse]))
        (partial / MARK).write_text(f"neuroblend simulate v1, {preset}, seed {seed}\n")
        (partial / "genes.names.txt").write_text("".join(f"Gene{i + 1}\n" for i in range(N_GENES)))
        (partial / "ttypes.names.txt").write_text("".join(f"{name}\n" for name in ALL_TYPES))
        (partial / "states.names.txt").write_text(
            "Running\nStationary Desynchronized\nStationary Synchronized\n"
        )
    return out


def _write_mouse(folder: Path, preset: str, size: Size, rng: Rng) -> None:
    """Draw the cells of a mouse, and write its sessions."""
    n_again = round(RECURRING * size.n_neurons)
    n_new = size.n_neurons - n_again
    n_cells = n_again + n_new * size.n_sessions
    types = _draw_types(n_cells, rng)
    classes = {"EC": EXCITATORY, **SUBCLASSES}
    if preset == "state-only":
        classes = {name: by_state_alone(kind) for name, kind in classes.items()}
    kinds = [classes.get(name.split("-")[0], classes["Lamp5"]) for name in types]
    traits = CellTraits.draw(kinds, rng)
    if preset == "null":
        types = [types[i] for i in rng.permutation(n_cells)]
    position = rng.uniform((0, 0, 0), (800, 800, 300), size=(n_cells, 3))
    genes = rng.poisson(rng.gamma(0.5, 2.0, size=(n_cells, N_GENES)))
    # a cell without a UniqueID could not be known again
    again = np.flatnonzero([name != "IN" for name in types])[:n_again]
    order = np.concatenate([again, np.setdiff1d(np.arange(n_cells), again)])
    for session in range(size.n_sessions):
        new = len(again) + n_new * session
        cells = rng.permutation(np.r_[order[: len(again)], order[new : new + n_new]])
        day = folder / (FIRST_DAY + timedelta(days=2 * session)).isoformat()
        _write_cells(day, [types[i] for i in cells], cells, position[cells], genes[cells])
        for stimulus in size.stimuli:
            behavior = simulate_behavior(size.n_frames, rng)
            activity = simulate_activity(traits.take(cells), behavior, rng)
            _write_run(day / stimulus / "01", activity, behavior, rng)


def _draw_types(n: int, rng: Rng) -> list[str]:
    """Draw types, of each subclass as many as its fraction, within one."""
    n_subclass = round(n * (1 - SHARE_EXCITATORY - SHARE_INHIBITORY))
    share = np.array(list(SHARES.values())) / sum(SHARES.values())
    counts = np.floor(n_subclass * share + rng.random()).astype(int)
    types = [
        TYPES[name][rng.integers(len(TYPES[name]))]
        for name, count in zip(SHARES, counts, strict=True)
        for _ in range(count)
    ]
    types += ["IN"] * round(n * SHARE_INHIBITORY)
    types = types[:n] + ["EC"] * max(0, n - len(types))
    return [types[i] for i in rng.permutation(n)]


def _write_cells(
    folder: Path, types: list[str], cells: Ints, position: Floats, genes: Ints
) -> None:
    folder.mkdir(parents=True)
    # interneurons without a type were not found again in the slices, and have no identity
    matched = np.array([name != "IN" for name in types])
    (folder / "neuron.ttype.txt").write_text("".join(f"{name}\n" for name in types))
    arrays = {
        "UniqueID": np.where(matched, cells + 1.0, np.nan)[:, None],
        "gene_count": genes,
        "prob_ttypes": 1.0 * (np.array(types)[:, None] == ALL_TYPES),
        "stackPosCorrected": position,
        "depth": position[:, 2:],
        "plane": (position[:, 2:] * N_PLANES / 300).astype(int),
    }
    for name, array in arrays.items():
        np.save(folder / f"neuron.{name}.npy", array)


def _write_run(folder: Path, activity: Floats, behavior: MouseBehavior, rng: Rng) -> None:
    folder.mkdir(parents=True)
    n_frames = len(activity)
    frames = 5.0 + FRAME_S * np.arange(n_frames)
    arrays = {
        "frame.neuralActivity": activity,
        "frame.times": frames[:, None],
        "frame.states": behavior.state[:, None].astype(float),
    }
    for name, signal, rate_hz in (("running", behavior.speed, 40.0), ("eye", behavior.pupil, 30.0)):
        times = np.arange(frames[0] - 2, frames[-1] + 2, 1 / rate_hz)
        times += rng.uniform(-0.1, 0.1) / rate_hz
        values = np.interp(times, frames, signal)
        if name == "eye":
            arrays["eye.size"] = _with_blinks(1000 + 300 * values, rate_hz, rng)[:, None]
            for axis in ("xPos", "yPos"):
                arrays[f"eye.{axis}"] = rng.normal(size=(len(times), 1))
        else:
            arrays["running.speed"] = values[:, None]
        arrays[f"{name}.times"] = times[:, None]
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)


def _with_blinks(size: Floats, rate_hz: float, rng: Rng) -> Floats:
    """Return the pupil's size with blinks of 0.2 s and a few losses of 2 to 6 s as NaN."""
    size = size.copy()
    seconds = len(size) / rate_hz
    for n, low, high in ((seconds / 20, 0.2, 0.2), (seconds / 200, 2.0, 6.0)):
        for first in rng.integers(0, len(size), size=rng.poisson(n)):
            size[first : first + round(rng.uniform(low, high) * rate_hz)] = np.nan
    return size
