"""Imports point one way through the house."""

import ast
from pathlib import Path

import pytest

import neuroblend

ROOT = Path(neuroblend.__file__).parent
ORDER = [
    {"errors", "_version", "files", "seeds", "distributed", "registry", "config"},
    {"data"},
    {"readers"},
    {"inspect"},
    {"behavior"},
    {"task"},
    {"simulate"},
    {"models", "privilege"},
    {"distill"},
    {"training"},
    {"evaluation"},
    {"nlb", "deploy"},
    {"engine"},
    {"experiments"},
    {"estimator"},
    {"report"},
    {"cli"},
    {"__main__"},
]
LEVEL = {room: level for level, rooms in enumerate(ORDER) for room in rooms}
# imports nothing of the house but errors, so that it can be read and trusted alone
ALONE = {"evaluation/metrics.py", "config.py", "registry.py", "files.py", "seeds.py"}
FILES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py"))


def imported(file: str) -> set[str]:
    """Modules of the house that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse((ROOT / file).read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: a relative import hides where it points"
            found.add(node.module or "")
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {name.removeprefix("neuroblend.") for name in found if name.startswith("neuroblend.")}


def test_every_room_has_its_place() -> None:
    rooms = {Path(file).parts[0].removesuffix(".py") for file in FILES}
    assert rooms - {"__init__"} == set(LEVEL)


@pytest.mark.parametrize("file", [file for file in FILES if file != "__init__.py"])
def test_imports_point_one_way(file) -> None:
    rooms = {module.partition(".")[0] for module in imported(file)}
    if file in ALONE:
        assert rooms <= {"errors"}
        return
    here = LEVEL[Path(file).parts[0].removesuffix(".py")]
    assert not {room for room in rooms if LEVEL[room] > here}


def test_no_two_files_import_each_other() -> None:
    ways = {
        file.removesuffix(".py").removesuffix("/__init__").replace("/", "."): imported(file)
        for file in FILES
    }
    ended: set[str] = set()
    while ready := {
        m for m, needs in ways.items() if m not in ended and not needs & ways.keys() - ended
    }:
        ended |= ready
    assert not ways.keys() - ended, "a circle of imports"


def test_experiments_know_nothing_of_each_other() -> None:
    for file in FILES:
        parts = Path(file).parts
        if parts[0] in ("experiments", "report") and len(parts) > 2:
            others = {"decoding", "identity"} - {parts[1]}
            assert not {m for m in imported(file) if others & set(m.split(".")[1:2])}, file


def test_no_folder_holds_a_fifth_of_the_house() -> None:
    lines = {file: len((ROOT / file).read_text().splitlines()) for file in FILES}
    for folder in {Path(file).parts[0] for file in FILES}:
        held = sum(n for file, n in lines.items() if Path(file).parts[0] == folder)
        assert held < 0.2 * sum(lines.values()), folder


def test_the_public_names_are_there() -> None:
    assert 15 < len(neuroblend.__all__) < 30
    for name in neuroblend.__all__:
        assert getattr(neuroblend, name) is not None
    with pytest.raises(AttributeError, match="No neuroblend attribute nothing"):
        _ = neuroblend.nothing


def test_nothing_is_unpickled() -> None:
    for file in FILES:
        source = (ROOT / file).read_text()
        for forbidden in ("import pickle", "torch.load(", "allow_pickle=True", "joblib"):
            assert forbidden not in source, file
