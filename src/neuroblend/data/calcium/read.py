"""Where sessions of labelled cells are read from."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from neuroblend.data.arrays import SUFFIXES
from neuroblend.data.calcium.arrays import read_session_arrays
from neuroblend.data.calcium.bugeon import is_bugeon, read_bugeon
from neuroblend.data.calcium.nwb import read_session_nwb
from neuroblend.data.calcium.session import CalciumSession, labelled
from neuroblend.errors import InputError, some

READERS = dict.fromkeys(SUFFIXES, read_session_arrays) | {".nwb": read_session_nwb}


def read_sessions(source: str | Path, stimuli: Iterable[str] | None = None) -> list[CalciumSession]:
    """Read every session of a source.

    Args:
        source: A folder in the layout of Bugeon et al. (2022); an ``.npz`` or HDF5 file of arrays;
            an NWB file; or a folder of such files.
        stimuli: Of the layout's runs, those to read (``"Blank"``, ...); all where ``None``.

    Raises:
        InputError: Nothing can be read there, or what there is cannot be used.
    """
    source = Path(source)
    if not source.exists():
        raise InputError(f"{source}: not there; wanted a folder or a file of labelled activity")
    if source.is_dir() and is_bugeon(source):
        sessions = read_bugeon(source, stimuli)
    elif stimuli is not None:
        raise InputError(
            f"{source}: --stimuli chooses runs of the layout of Bugeon et al. (2022); this has none"
        )
    else:
        sessions = [
            session for file in _files(source) for session in READERS[file.suffix.lower()](file)
        ]
    for name, count in Counter(session.name for session in sessions).items():
        if count > 1:
            raise InputError(f"{source}: {count} sessions are called '{name}'; name them apart")
    return one_cell_an_id(sessions)


def _files(source: Path) -> list[Path]:
    every = sorted(source.rglob("*")) if source.is_dir() else [source]
    files = [path for path in every if path.suffix.lower() in READERS]
    if not files and source.is_dir():
        raise InputError(
            f"{source}: holds neither sessions in the layout of Bugeon et al. (2022) "
            f"(<mouse>/<date>/neuron.ttype.txt) nor files of type {some(sorted(READERS))}"
        )
    if not files:
        raise InputError(
            f"{source}: unknown file type '{source.suffix}', wanted {some(sorted(READERS))} or a "
            "folder"
        )
    return files


def one_cell_an_id(sessions: list[CalciumSession]) -> list[CalciumSession]:
    """Return the sessions, refused where an id is of two animals or has two labels of a kind.

    Raises:
        InputError: It is, or has.
    """
    owner: dict[str, tuple[str, str]] = {}
    for session in sessions:
        for neuron in session.neuron_id.tolist():
            animal, where = owner.setdefault(neuron, (session.animal, session.name))
            if animal != session.animal:
                raise InputError(
                    f"{session.name}: neuron '{neuron}' is of {session.animal} here and of "
                    f"{animal} in {where}; wanted ids that belong to one animal each"
                )
    seen: dict[tuple[str, str], tuple[str, str]] = {}
    for session in sessions:
        for kind in session.labels:
            for neuron, label in labelled(session, kind):
                known, where = seen.setdefault((kind, neuron), (label, session.name))
                if known != label:
                    raise InputError(
                        f"{session.name}: neuron '{neuron}' is {label} here and {known} in {where}"
                    )
    return sessions
