"""Where results come from: versions, data, machine, time."""

import os
import platform
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from neuroblend.engine.folder import RunFolder

AT_START = ("data_hash", "version", "git_commit", "git_changed")
PACKAGES = ("neuroblend", "torch", "lightning", "numpy", "scipy", "scikit-learn", "h5py", "pandas")


def provenance_of(
    folder: RunFolder, data: Any, wall_s: float, command: list[str], jobs: int
) -> dict[str, Any]:
    """Return what someone needs to judge or repeat a run.

    Args:
        folder: The run, its fits ended.
        data: What its experiment loaded.
        wall_s: Seconds from the start of the last call to its end.
        command: How it was called.
        jobs: Worker processes of that call.
    """
    costs = {fit.label: folder.scores(fit)["cost"] for fit in folder.fits()}
    config = folder.config()
    return {
        **{key: folder.provenance().get(key) for key in AT_START},
        "data": folder.experiment.data_facts(data),
        "seeds": config.all_seeds,
        "command": [Path(command[0]).name, *command[1:]] if command else [],
        "versions": _versions(),
        "machine": {
            "system": platform.system(),
            "architecture": platform.machine(),
            "cores": os.cpu_count(),
            "accelerator": config.training.accelerator,
        },
        "wall_s": round(wall_s, 1),
        "cpu_s": round(sum(cost["cpu_s"] for cost in costs.values()), 1),
        "jobs": jobs,
        "peak_memory_mb": _peak_memory_mb(jobs),
        "fits": costs,
    }


def _versions() -> dict[str, str | None]:
    """Return the versions of Python and of what scores depend on; ``None`` where not installed."""
    return {"python": platform.python_version()} | {p: _version(p) for p in PACKAGES}


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _peak_memory_mb(jobs: int) -> int | None:
    """Return the peak of this process plus ``jobs`` times that of its largest worker."""
    if sys.platform == "win32":
        return None
    import resource  # noqa: PLC0415  # there is none on Windows

    unit = 2**20 if sys.platform == "darwin" else 2**10
    here = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss if jobs > 1 else 0
    return int((here + jobs * largest) / unit)
