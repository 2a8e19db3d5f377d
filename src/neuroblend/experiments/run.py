"""Run an experiment: the one call for every kind."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from neuroblend.config import ExperimentConfig
from neuroblend.engine.folder import RunFolder, bind, experiment_class
from neuroblend.engine.run import run_experiment
from neuroblend.errors import InputError
from neuroblend.experiments.decoding.sessions.settings import SessionsConfig
from neuroblend.experiments.decoding.settings import RunConfig
from neuroblend.experiments.given import settings_from


def run(
    source: Any,
    out: str | Path,
    config: ExperimentConfig | dict[str, Any] | None = None,
    jobs: int | None = 1,
    quiet: bool = True,
    say: Callable[[str], None] | None = None,
) -> RunFolder:
    """Train teacher, baseline, multitask control and students, and score them all.

    The same call goes on with a run that was interrupted, and does nothing to one that has ended.

    Args:
        source: For decoding a file, ``"simulated"``, or trials, or a list of them: sessions of one
            task, for one network; for identity a folder or file, as
            :func:`~neuroblend.data.calcium.read.read_sessions` takes it.
        out: Folder of the run. It appears only once the input was found good.
        config: Settings, whose class decides the experiment, or nested mappings, whose ``kind``
            does; decoding with its defaults where ``None``.
        jobs: Worker processes; ``None`` for one a core. With more than one, a script needs the
            usual ``if __name__ == "__main__":``.
        quiet: Whether to do without progress bars.
        say: Called with what a user should know, a line at a time.

    Returns:
        The run's folder; ``.results()`` is what it found.

    Raises:
        InputError: The data or a setting cannot be used, or ``out`` holds another run.
    """
    several = isinstance(source, (list, tuple)) and len(source) > 1
    if isinstance(source, (list, tuple)) and len(source) == 1:
        source = source[0]
    if config is None or isinstance(config, dict):
        config = config or {}
        usual = SessionsConfig.kind if several else RunConfig.kind
        if several and config.get("kind") == RunConfig.kind:
            config = {**config, "kind": usual}
        kind = experiment_class(str(config.get("kind", usual)))
        config = settings_from(kind.settings, config)
    if not isinstance(config, ExperimentConfig):
        raise InputError(
            f"config: found {type(config).__name__}, wanted settings such as RunConfig, or a dict"
        )
    if several and isinstance(config, RunConfig):
        config = SessionsConfig.of(config)
    experiment = bind(config.with_source(source))
    return run_experiment(experiment, source, out, jobs, quiet, say or (lambda line: None))
