"""The whole way of any experiment: data in, every arm trained and scored, a run folder out."""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from neuroblend.engine.executors.local import default_jobs, one_thread, run_fits
from neuroblend.engine.experiment import Experiment
from neuroblend.engine.folder import RunFolder
from neuroblend.engine.job import run_fit
from neuroblend.engine.progress import fits_progress
from neuroblend.engine.provenance import provenance_of
from neuroblend.engine.results import gather
from neuroblend.errors import InputError
from neuroblend.files import write_json
from neuroblend.training.devices import as_device, check_devices

Say = Callable[[str], None]


def run_experiment(
    experiment: Experiment, source: Any, out: str | Path, jobs: int | None, quiet: bool, say: Say
) -> RunFolder:
    """Train and score every arm of an experiment; see :func:`neuroblend.experiments.run.run`.

    Raises:
        InputError: The data or a setting cannot be used, or ``out`` holds another run.
    """
    began = time.time()
    if not isinstance(out, (str, Path)):
        raise InputError(f"out: found {out!r}, wanted the path of a folder")
    out = Path(out).resolve()
    training = experiment.config.training
    if jobs is not None and not (isinstance(jobs, int) and jobs >= 1):
        raise InputError(f"--jobs {jobs!r}: wanted 1 or more, as a whole number")
    device = as_device(training.accelerator)
    experiment.arms()  # names that are unknown, before anything is read
    data = experiment.load(source)
    experiment = experiment.of(data)
    arms = experiment.arms()
    for note in experiment.data_facts(data)["notes"]:
        say(f"note: {note}")
    splits = experiment.splits(data)
    for split in splits:
        task = experiment.task(data, split)
        check_devices(training, device, task.n_train)
        experiment.check(task)
    folder = _opened(out, experiment, data, splits)
    n_fits = len(arms) * len(splits)
    if training.n_devices > 1:
        say(f"{training.n_devices} devices train one model at a time; --jobs takes no part")
    jobs = 1 if training.n_devices > 1 else jobs or default_jobs(training.accelerator)
    say(f"{data!r}")
    say(f"{n_fits} fits ({len(arms)} arms x {len(splits)} splits), {min(jobs, n_fits)} at a time")
    fits = folder.fits()
    with fits_progress(fits, [fit for fit in fits if folder.is_done(fit)], quiet) as tell:
        run_fits(folder, jobs, tell, run_fit)
    if not (folder.path / "results.json").is_file():
        say("scoring: 1000 bootstrap replicates of every score")
        with one_thread():
            results = gather(folder)
        provenance = provenance_of(folder, data, time.time() - began, sys.argv, jobs)
        write_json(folder.path / "provenance.json", provenance)
        write_json(folder.path / "results.json", results)  # last: it marks a run that has ended
    return folder


def _opened(out: Path, experiment: Experiment, data: Any, splits: list[Any]) -> RunFolder:
    if out.exists() and not out.is_dir():
        raise InputError(f"{out}: is a file, wanted a folder for the run")
    if not out.is_dir() or not any(out.iterdir()):
        return RunFolder.create(out, experiment, data, splits)
    folder = RunFolder.open(out)
    folder.check_same(experiment, data)
    return folder
