"""What a recording holds, wherever it was read from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from neuroblend.data.recording import Recording
from neuroblend.inspect.contents import (
    Contents,
    intervals_of,
    missing,
    of_channel,
    of_spikes,
    other_columns,
    prepare_command,
    table_columns,
)

GAP = 1.5  # times the usual step between two samples
COLUMNS = ["signal", "kind", "unit", "values", "samples", "Hz", "gaps", "missing"]


def inspect_recording(
    recording: Recording, path: Path, following: Sequence[str] | None = None
) -> Contents:
    """Look at a recording.

    Args:
        recording: That was read.
        path: Its file.
        following: Commands that may come next; how to cut it into trials where ``None``.
    """
    units = [*of_spikes(recording.spike_times), *other_columns(recording.units, ("id",))]
    lines = [
        ("trials", str(len(recording.trials)) if len(recording.trials) else "none yet"),
        ("span (s)", f"{recording.span[0]:.3f} to {recording.span[1]:.3f}"),
    ]
    rows = []
    for signal in recording.signals.values():
        step = np.diff(signal.times)
        usual = float(np.median(step)) if step.size and signal.span else 0.0
        for channel, values in zip(signal.channels, signal.values.T, strict=True):
            row = {
                "signal": channel.name,
                "kind": channel.kind,
                "unit": channel.unit or "-",
                "values": of_channel(channel, values),
                "samples": str(values.size),
                "Hz": f"{1 / usual:.4g}" if usual > 0 else "-",
                "gaps": str(int((step > GAP * usual).sum())) if usual > 0 else "-",
                "missing": missing(int(np.isnan(values).sum()), values.size),
            }
            rows.append(row)
    tables = dict(recording.tables)
    steps = prepare_command(path, list(recording.signals), recording.trials, tables)
    return Contents(
        path.name, units, lines, table_columns(recording.trials),
        pd.DataFrame(rows, columns=COLUMNS), intervals_of(tables), recording.notes,
        steps if following is None else following,
    )  # fmt: skip
