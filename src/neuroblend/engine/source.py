"""Which code runs: the version, and the commit where it is a checkout."""

import subprocess
from pathlib import Path
from typing import Any

from neuroblend._version import __version__


def source_state() -> dict[str, Any]:
    """Return version, git commit and whether files differ from it.

    Commit and difference are ``None`` where the package does not run from a checkout of its own.
    """
    package = Path(__file__).parents[1]
    top = _git("rev-parse", "--show-toplevel")
    if top is None or Path(top).resolve() != package.parents[1].resolve():
        return {"version": __version__, "git_commit": None, "git_changed": None}
    changed = _git("status", "--porcelain", "--untracked-files=no")
    return {
        "version": __version__,
        "git_commit": _git("rev-parse", "HEAD"),
        "git_changed": None if changed is None else bool(changed),
    }


def _git(*arguments: str) -> str | None:
    """Return what git answers about the folder of the package; ``None`` where it does not."""
    here = Path(__file__).parent
    try:
        return subprocess.check_output(
            ["git", *arguments], cwd=here, stderr=subprocess.DEVNULL, text=True, timeout=5
        ).strip()
    except (OSError, subprocess.SubprocessError):
        return None
