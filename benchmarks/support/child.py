"""Measurements in processes of their own, so that each has its own peak memory.

The parent must stay small: on Linux a child's ``ru_maxrss`` starts at what its parent had when it
was started. Benchmarks that measure memory therefore import torch in children alone.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
from typing import Any

ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
ANSWER = "answer: "


class FailedError(Exception):
    """A child ended without an answer; the message is the end of what it wrote."""


def in_child(script: str, job: dict[str, Any]) -> dict[str, Any]:
    """Run ``script --child JOB`` with one thread and return what it gave to :func:`answer`.

    Other lines that it prints are passed on as they come.

    Raises:
        FailedError: It ended without one.
    """
    command = [sys.executable, script, "--child", json.dumps(job)]
    found: dict[str, Any] | None = None
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, text=True, env=os.environ | ONE_THREAD
        ) as process,
    ):
        assert process.stdout is not None
        try:
            for line in process.stdout:
                if line.startswith(ANSWER):
                    found = json.loads(line.removeprefix(ANSWER))
                else:
                    print(line, end="", flush=True)
            process.wait()
        except BaseException:
            process.kill()  # it would go on alone
            raise
        if process.returncode or found is None:
            errors.seek(0)
            raise FailedError(f"{job} failed:\n" + "".join(errors.readlines()[-15:]))
    return found


def answer(found: dict[str, Any]) -> None:
    """Hand ``found`` to the parent."""
    print(ANSWER + json.dumps(found), flush=True)


def peak_mb(whose: int = resource.RUSAGE_SELF) -> float:
    """Most memory that this process, or the largest of its own children, has had, in MB."""
    scale = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(whose).ru_maxrss / scale
