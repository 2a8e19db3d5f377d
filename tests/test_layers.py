"""Imports point one way through the house."""

import ast
from pathlib import Path

import pytest

import neuroblend

ROOT = Path(neuroblend.__file__).parent
ORDER = [
    {"data", "models"},
    {"privilege"},
    {"distill"},
    {"training"},
    {"evaluation"},
    {"identity"},
    {"study"},
    {"report"},
    {"cli"},
    {"__main__"},
]
LEVEL = {room: level for level, rooms in enumerate(ORDER) for room in rooms}
LEAVES = {"errors", "_version"}  # what anything may import
ALONE = {"evaluation/metrics.py", "config.py", "registry.py", "errors.py", "_version.py"}
FILES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py"))


def imported_rooms(file: str) -> set[str]:
    rooms = set()
    for node in ast.walk(ast.parse((ROOT / file).read_text())):
        names = []
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: a relative import hides where it points"
            names = [node.module or ""]
            if node.module == "neuroblend":
                names = [f"neuroblend.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        rooms |= {name.split(".")[1] for name in names if name.startswith("neuroblend.")}
    return rooms


def test_every_room_has_its_place() -> None:
    rooms = {Path(file).parts[0].removesuffix(".py") for file in FILES}
    assert rooms - {"__init__", "config", "registry", *LEAVES} == set(LEVEL)


@pytest.mark.parametrize("file", [file for file in FILES if file != "__init__.py"])
def test_imports_point_one_way(file) -> None:
    rooms = imported_rooms(file) - LEAVES
    if file in ALONE:
        assert not rooms
        return
    here = LEVEL[Path(file).parts[0].removesuffix(".py")]
    above = {room for room in rooms - {"config", "registry"} if LEVEL[room] > here}
    assert not above
    if here < LEVEL["training"]:
        assert not rooms & {"config", "registry"}


def test_the_public_names_are_there() -> None:
    for name in neuroblend.__all__:
        assert getattr(neuroblend, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = neuroblend.nothing


def test_type_checkers_see_the_same_names() -> None:
    tree = ast.parse((ROOT / "__init__.py").read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    names = {alias.name for node in block.body for alias in node.names}
    assert names == set(neuroblend.__all__) - {"InputError", "__version__"}


def test_nothing_is_unpickled() -> None:
    for file in FILES:
        source = (ROOT / file).read_text()
        for forbidden in ("import pickle", "torch.load(", "allow_pickle=True", "joblib"):
            assert forbidden not in source, file
