"""Folders of phy and Kilosort -> recordings.

==========================================  =======================================================
file                                        what is read of it
==========================================  =======================================================
``spike_times.npy``                         when spikes were, in samples
``spike_clusters.npy``, or without one      the unit of each
``spike_templates.npy``
``params.py``                               ``sample_rate``, read as text and never run
``cluster_info.tsv``, ``cluster_*.tsv``     columns of the unit table, by ``cluster_id``; ``group``,
                                            or ``KSLabel`` where nobody sorted by hand, is the
                                            ``quality``
==========================================  =======================================================
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neuroblend.data.recording import Recording
from neuroblend.data.units import unit_table
from neuroblend.errors import InputError, nearest, some
from neuroblend.files import errors_of

TIMES, PARAMS = "spike_times.npy", "params.py"
OWNERS = ("spike_clusters.npy", "spike_templates.npy")
ID, GROUP, LABEL, QUALITY = "cluster_id", "group", "KSLabel", "quality"
UNSORTED = "unsorted"
EVERY = "all"  # of qualities


def is_kilosort(path: str | Path) -> bool:
    """Whether a folder is one of phy or Kilosort."""
    return (Path(path) / TIMES).is_file()


def read_kilosort(
    folder: str | Path,
    groups: Sequence[str] | str | None = None,
    sample_rate: float | None = None,
    signals: dict[str, Any] | None = None,
    trials: Any = None,
) -> Recording:
    """Read a folder of phy or Kilosort.

    Args:
        folder: With the files above.
        groups: Which qualities of units to take, such as ``("good", "mua")``, or ``"all"``; where
            ``None``, those that are good if any is, else all but noise. A note says which.
        sample_rate: In samples/s, for a folder without ``params.py``.
        signals: Behavior, as :meth:`Recording.of` takes it.
        trials: A trial table, likewise.

    Raises:
        InputError: A file is missing or damaged, ``params.py`` is more than settings, or no unit
            is of these groups.
    """
    folder = Path(folder)
    times, owners = read_spikes(folder)
    rate = _sample_rate(folder) if sample_rate is None else _checked_rate(sample_rate)
    units = read_units(folder, owners)
    keep, note = _chosen(units[QUALITY], groups, folder)
    order = np.argsort(owners, kind="stable")
    ids, first = np.unique(owners[order], return_index=True)
    trains = dict(zip(ids.tolist(), np.split(times[order] / rate, first[1:]), strict=True))
    units = units[keep].reset_index(drop=True)
    empty = np.empty(0)
    return Recording.of(
        [trains.get(int(unit), empty) for unit in units["id"]],
        signals,
        None if signals else (0.0, float(times.max()) / rate),
        units,
        trials,
        folder.resolve().name,
        notes=[note],
    )


def read_spikes(folder: Path) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return when each spike was, in samples, and the unit of each.

    Raises:
        InputError: Files are missing, damaged, or do not fit together.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    owner = next((name for name in OWNERS if (folder / name).is_file()), None)
    if not is_kilosort(folder) or owner is None:
        there = sorted(path.name for path in folder.glob("*.npy"))
        wanted = TIMES if not is_kilosort(folder) else " or ".join(OWNERS)
        raise InputError(f"{folder}: no {wanted}; found {some(there) or 'no .npy file'}")
    times, owners = (_load(folder / name) for name in (TIMES, owner))
    if times.size != owners.size or not times.size:
        raise InputError(
            f"{folder}: {TIMES} has {times.size} spikes, {owner} {owners.size}; wanted the same "
            "number, of which there are some"
        )
    for name, values, hint in (
        (TIMES, times, "samples (these may be seconds already)"),
        (owner, owners, "numbers of units"),
    ):
        if values.dtype.kind == "f" and (parts := values % 1 != 0).any():
            raise InputError(f"{folder / name}: found {values[parts][0]:g}, wanted whole {hint}")
    if times.min() < 0:
        raise InputError(f"{folder / TIMES}: found sample {times.min()}, wanted 0 and later")
    return times.astype(np.float64), owners.astype(np.int64)


def read_units(folder: Path, owners: NDArray[np.int64]) -> pd.DataFrame:
    """Return one row a unit: ``id``, ``quality``, ``region`` if told, and phy's columns.

    Raises:
        InputError: A table cannot be read.
    """
    ids = np.unique(owners)
    columns: dict[str, Any] = {}
    tables = sorted(folder.glob("cluster_*.tsv")) + sorted(folder.glob("cluster_*.csv"))
    # what phy wrote last, of everything, comes last
    for path in sorted(tables, key=lambda table: table.stem == "cluster_info"):
        table = _table(path)
        for name in table.columns.drop(ID):
            told = table.set_index(ID)[name].reindex(ids)
            if (before := columns.get(str(name))) is not None:
                told = told.astype(object).where(told.notna(), before)
            columns[str(name)] = told.infer_objects().to_numpy()
    quality = columns.get(GROUP, columns.get(LABEL))
    if quality is not None and GROUP in columns and LABEL in columns:
        quality = np.where(pd.isna(quality), columns[LABEL], quality)
    named = pd.Series([UNSORTED] * len(ids) if quality is None else quality, dtype=object)
    columns[QUALITY] = named.fillna(UNSORTED).astype(str).to_numpy()
    return unit_table(ids, columns)


def read_params(path: Path) -> dict[str, Any]:
    """Return the settings of a ``params.py``, which is never run.

    Raises:
        InputError: There is none, or a line of it is other than ``name = value``.
    """
    try:
        text = path.read_text(encoding="utf-8")
        lines = ast.parse(text).body
    except OSError:
        raise InputError(f"{path}: no such file; give sample_rate=30000., in samples/s") from None
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise InputError(f"{path}: not Python ({error}), wanted lines such as x = 1") from None
    found: dict[str, Any] = {}
    for line in lines:
        if isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant):
            continue  # a docstring
        try:
            found |= _settings(line)
        except (TypeError, ValueError, SyntaxError, MemoryError, RecursionError):
            code = text.splitlines()[line.lineno - 1].strip()
            raise InputError(
                f"{path}: line {line.lineno} wants to run code ({code[:60]}), and nothing here is "
                "run; wanted lines such as sample_rate = 30000.0"
            ) from None
    return found


def _settings(line: ast.stmt) -> dict[str, Any]:
    """Return what one line ``name = value``, or ``name = name = value``, sets.

    Raises:
        ValueError: It is another, or its value is more than a literal.
    """
    targets = line.targets if isinstance(line, ast.Assign) else []
    names = [target.id for target in targets if isinstance(target, ast.Name)]
    if not isinstance(line, ast.Assign) or len(names) != len(targets):
        raise ValueError("no setting")
    return dict.fromkeys(names, ast.literal_eval(line.value))


def _sample_rate(folder: Path) -> float:
    params = read_params(folder / PARAMS)
    if "sample_rate" in params:
        with errors_of(folder / PARAMS):
            return _checked_rate(params["sample_rate"])
    raise InputError(
        f"{folder / PARAMS}: found {some(params) or 'nothing'}, wanted sample_rate in samples/s, "
        "such as 30000"
    )


def _checked_rate(rate: object) -> float:
    if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not 100 <= rate <= 1e6:
        raise InputError(
            f"found sample_rate = {rate!r}, wanted sample_rate in samples/s, such as 30000"
        )
    return float(rate)


def _chosen(
    quality: pd.Series[str], groups: Sequence[str] | str | None, folder: Path
) -> tuple[NDArray[np.bool_], str]:
    """Return which units are of the groups, and a note on it."""
    there = quality.value_counts()
    told = ", ".join(f"{n} {name}" for name, n in there.items())
    asked = groups is not None
    if groups is None:
        groups = ("good",) if "good" in there else [name for name in there.index if name != "noise"]
    if groups == EVERY:
        groups = list(there.index)
    groups = [groups] if isinstance(groups, str) else list(groups)
    for name in groups:
        if name not in there:
            raise InputError(
                f"{folder}: no unit is '{name}': {nearest(name, map(str, there.index))}"
            )
    keep = quality.isin(groups).to_numpy()
    if not keep.any():
        why = "no groups are asked for, of" if asked else "every unit is noise, of"
        raise InputError(f"{folder}: {why} {told}; wanted groups=({there.index[0]!r},) or such")
    return (
        keep,
        f"{int(keep.sum())} of {keep.size} units taken, {' and '.join(groups)} (of {told}).",
    )


def _load(path: Path) -> NDArray[Any]:
    try:
        values: NDArray[Any] = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path}: truncated or not an .npy file ({error})") from None
    if values.dtype.kind not in "uif" or values.size != max(values.shape, default=0):
        raise InputError(
            f"{path}: found {values.dtype} of shape {values.shape}, wanted one number a spike"
        )
    return values.ravel()


def _table(path: Path) -> pd.DataFrame:
    try:
        with path.open(encoding="utf-8") as lines:
            separator = "," if "," in lines.readline() else "\t"  # phy wrote tabs to .csv too
        table = pd.read_csv(path, sep=separator, engine="python")
    except (UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise InputError(f"{path}: cannot be read as a table ({error})") from None
    if ID not in table and "id" in table:
        table = table.rename(columns={"id": ID})
    if ID not in table or table[ID].duplicated().any() or table[ID].dtype.kind not in "iu":
        raise InputError(
            f"{path}: found columns {some(table.columns)}, wanted {ID}, a whole number, each once"
        )
    return table
