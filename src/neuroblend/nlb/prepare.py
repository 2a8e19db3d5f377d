"""NWB files -> a file of trials: by a window of the user's own, or as the benchmark cuts them."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from neuroblend.data.tensor_files import save_tensors
from neuroblend.errors import InputError, nearest
from neuroblend.nlb.datasets import BIN_WIDTHS_MS, check_bin_ms, find_dataset
from neuroblend.nlb.files import write_nlb_h5
from neuroblend.nlb.session import load_session
from neuroblend.nlb.simulate.files import true_rates, truth_path
from neuroblend.nlb.tensors import TensorMaker
from neuroblend.nlb.trials import read_nlb

LAYOUTS = ("trials", "nlb", "targets")


def prepare_dataset(
    files: Sequence[Path], name: str, bin_ms: float | None, layout: str, out: Path
) -> list[str]:
    """Cut the files of a benchmark dataset and write trials, tensors or targets.

    Returns:
        What a user should know, a line each.

    Raises:
        InputError: The files cannot be used; nothing is written then.
    """
    if layout not in LAYOUTS:
        raise InputError(f"--layout {layout}: {nearest(layout, LAYOUTS)}")
    dataset = find_dataset(name)
    width = check_bin_ms(bin_ms or BIN_WIDTHS_MS[0])
    source = list(files) if len(files) > 1 else files[0]
    if layout == "trials":
        truth = None
        if isinstance(source, Path) and source.is_file() and truth_path(source).is_file():
            truth = partial(true_rates, source)
        trials = read_nlb(source, dataset, width, truth)
        trials.save(out)
        n_forward = dataset.forward_ms // width
        return [
            *(f"note: {note}" for note in trials.notes),
            f"{out}: {trials!r}; the last {n_forward} bins are the forward period "
            f"(--forward-bins {n_forward})",
        ]
    maker = TensorMaker(load_session(source, dataset), dataset, width)
    if layout == "targets":
        targets = maker.targets()
        write_nlb_h5(out, {maker.group: targets})
        shown = targets
    else:
        targets = maker.targets(psth=False)
        kept = [key for key in targets if key.endswith("_forward") or key == "eval_behavior"]
        shown = maker.train() | maker.eval() | {key: targets[key] for key in kept}
        shown["bin_s"] = np.array(width / 1000)
        save_tensors(shown, out)
    shapes = ", ".join(f"{key} {np.shape(value)}" for key, value in shown.items())
    return [*(f"note: {note}" for note in maker.notes), f"{out}: {shapes}"]
