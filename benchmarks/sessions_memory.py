"""What it takes to read two-photon sessions: seconds, and the most memory that a process had.

As many sessions as Bugeon et al. (2022) published, of the larger of their sizes, are simulated into
a temporary folder and read in a process of its own, then made ready for a network. The target for
17 sessions is 4 GB.

Run: python benchmarks/sessions_memory.py [--sessions 17] [--neurons 500] [--frames 5000]
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from support.child import answer, in_child, peak_mb

MICE = 4
TARGET_GB = 4.0


def child(job: dict[str, Any]) -> None:
    """Simulate, or read, and hand what was found to the parent."""
    if job["do"] == "simulate":
        from neuroblend.simulate.v1 import Size, simulate_v1

        # mice have as many sessions each; those beyond the number asked for are removed again
        n_each = -(-job["sessions"] // MICE)
        size = Size(MICE, n_each, job["neurons"], job["frames"])
        root = simulate_v1(job["source"], size=size)
        days = sorted(path for path in root.glob("*/*") if path.is_dir())
        for day in days[job["sessions"] :]:
            for file in sorted(day.rglob("*"), reverse=True):
                file.rmdir() if file.is_dir() else file.unlink()
            day.rmdir()
        answer({})
        return
    import neuroblend as nb
    from neuroblend.experiments.identity.task import CellTask

    found = {"imports": peak_mb()}
    began = time.perf_counter()
    sessions = nb.read_sessions(job["source"])
    found |= {"read_s": time.perf_counter() - began, "read": peak_mb(), "n": len(sessions)}
    began = time.perf_counter()
    CellTask.of(sessions, frozenset())
    answer(found | {"task_s": time.perf_counter() - began, "task": peak_mb()})


def main(given: argparse.Namespace) -> None:
    """Simulate and read, and print a table."""
    sizes = {name: getattr(given, name) for name in ("sessions", "neurons", "frames")}
    with tempfile.TemporaryDirectory() as folder:
        job = sizes | {"source": str(Path(folder) / "v1")}
        in_child(__file__, job | {"do": "simulate"})
        found = in_child(__file__, job | {"do": "read"})
    print(f"{found['n']} sessions of {given.neurons} neurons x {given.frames} frames")
    print(f"  imports             {found['imports']:6.0f} MB")
    print(f"  read                {found['read']:6.0f} MB at the peak, {found['read_s']:.1f} s")
    print(f"  ready for a network {found['task']:6.0f} MB at the peak, {found['task_s']:.1f} s")
    word = "met" if found["task"] < TARGET_GB * 1024 else "NOT met"
    print(f"  {found['task'] / 1024:.2f} GB, at most {TARGET_GB:g}: {word}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sessions", type=int, default=17)
    parser.add_argument("--neurons", type=int, default=500)
    parser.add_argument("--frames", type=int, default=5000)
    parser.add_argument("--child", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child is None:
        main(options)
    else:
        child(options.child)
