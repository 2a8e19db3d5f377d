"""Commands as a user gives them."""

import io
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from neuroblend.cli.main import main


def neuroblend(*args: object, cwd: Path) -> CompletedProcess[str]:
    """Run the command line in this process, which saves an import of torch a call."""
    out, err = io.StringIO(), io.StringIO()
    command = ["neuroblend", *map(str, args)]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(cwd)
        patch.setattr(sys, "argv", command)
        patch.setattr(sys, "path", [*sys.path])
        patch.setenv("COLUMNS", "160")
        with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as end:
            main()
    return CompletedProcess(command, end.value.code or 0, out.getvalue(), err.getvalue())


def succeeds(*args: object, cwd: Path) -> CompletedProcess[str]:
    """Run a command that must not fail."""
    done = neuroblend(*args, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done


def refused(*args: object, cwd: Path) -> str:
    """Run a command that must fail, and return its one line."""
    done = neuroblend(*args, cwd=cwd)
    assert done.returncode == 2, done.stderr
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ")
    return lines[0]
