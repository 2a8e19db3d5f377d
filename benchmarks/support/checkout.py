"""Checkouts of other people's code that benchmarks compare with. Imports nothing large."""

import sys
from pathlib import Path
from typing import NoReturn

PUBLISHED = "src/runner_LUPI.py"  # of BLEND (Guo et al., ICLR 2025)
LFADS_TORCH = "lfads_torch/model.py"


def checkout(path: str | None, option: str, marker: str) -> str | None:
    """Return the absolute path of a checkout that holds ``marker``; leave with one line if not."""
    if path is None:
        return None
    if not (Path(path) / marker).is_file():
        refuse(f"{option} {path}: found no {marker} there, wanted a checkout of that code")
    return str(Path(path).resolve())


def refuse(why: str) -> NoReturn:
    """Leave with one line and status 2."""
    print(why, file=sys.stderr)
    sys.exit(2)
