"""Files of the Neural Latents Benchmark '21 -> trials that models are trained on.

Trials of the benchmark's training split train and validate (drawn by seed), those of its validation
split are the test: they are scored once. Each trial is followed by its forward period, whose bins
no model sees.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroblend.data.trials import Trials
from neuroblend.nlb.datasets import NLBDataset, find_dataset
from neuroblend.nlb.session import load_session
from neuroblend.nlb.tensors import TensorMaker

PARTS = {"train": "train", "val": "test"}

TrueRates = Callable[[NDArray[np.int64], int, int], NDArray[np.float32]]


def read_nlb(
    source: str | Path | Sequence[str | Path],
    dataset: NLBDataset | str,
    bin_ms: int,
    true_rates: TrueRates | None = None,
) -> Trials:
    """Read the trials of a dataset, forward periods included.

    Args:
        source: A file, a folder of files, or several files.
        dataset: Which dataset, or its name.
        bin_ms: 5 or 20.
        true_rates: Gives (B, T, N) expected counts/bin from the (B,) ms at which trials begin, the
            number of bins and their width in ms, where they are known.

    Returns:
        The trials; neurons in ascending order of their ids, ``held_out`` as the file has it,
        behavior read at the dataset's lag (by trial: the same in every bin), conditions as for its
        PSTHs.

    Raises:
        InputError: A file cannot be used.
    """
    dataset = find_dataset(dataset) if isinstance(dataset, str) else dataset
    maker = TensorMaker(load_session(source, dataset), dataset, bin_ms)
    parts = []
    for part, role in PARTS.items():
        counts, signals = maker.whole(part)
        seen = ~np.isnan(counts).any(axis=(1, 2))
        if not seen.all():
            maker.notes.append(
                f"{int((~seen).sum())} of {seen.size} {part} trials left out of the run: they, or "
                "their forward period, were not observed throughout."
            )
        columns: dict[str, NDArray[Any] | None] = {
            "spikes": counts,
            "behavior": signals,
            "condition": maker.condition(part),
            "split": np.full(seen.size, role),
            "start_ms": maker.start_ms(part),
        }
        parts.append({name: values[seen] for name, values in columns.items() if values is not None})
    joined: dict[str, Any] = {
        name: np.concatenate([part[name] for part in parts]) for name in parts[0]
    }
    start_ms, n_bins = joined.pop("start_ms"), joined["spikes"].shape[1]
    trials = Trials.from_arrays(
        **joined,
        bin_s=bin_ms / 1000,
        behavior_names=behavior_names(maker),
        held_out=maker.grid.held_out,
        rates=None if true_rates is None else true_rates(start_ms, n_bins, bin_ms),
        name=dataset.name,
        behavior_units=behavior_unit(maker),
        event=dataset.align if dataset.jitter is None else f"{dataset.align}, jittered",
        start_s=dataset.window_ms[0] / 1000,
        unit_id=maker.grid.unit_id,
    )
    return trials.with_note(*maker.notes)


def behavior_unit(maker: TensorMaker) -> str:
    """Return the unit of a dataset's behavior, ``""`` for columns of its trial table."""
    behavior = maker.dataset.behavior
    return maker.grid.signals[behavior][3] if isinstance(behavior, str) else ""


def behavior_names(maker: TensorMaker) -> list[str]:
    """Return the names of a dataset's behavior channels."""
    behavior = maker.dataset.behavior
    return list(maker.grid.channels(behavior) if isinstance(behavior, str) else behavior)
