"""Ids that recur over animals: when they are one cell, and what follows from that."""

from __future__ import annotations

from pathlib import Path

import conftest
import numpy as np
import pytest
from conftest import merged, refuses, write_arrays

from neuroblend.config import parse_settings
from neuroblend.data.calcium.session import CalciumSession
from neuroblend.experiments.identity.cells import SEVERAL, cells_of, chosen_sessions
from neuroblend.experiments.identity.experiment import Identity
from neuroblend.experiments.identity.ids import as_one_cell, shared_names
from neuroblend.experiments.identity.settings import IdentityConfig
from neuroblend.experiments.identity.task import CellTask

NAMES = [f"AV{i}" for i in range(12)]
LABELS = ["motor", "inter"] * 6


def session(animal: str, names=NAMES, labels=LABELS, **fields) -> CalciumSession:
    ids = tuple(f"{animal}/{name}" for name in names)
    given = {"animal": animal, "labels": {"label": np.array(labels)}}
    return conftest.make_session(animal, ids=ids, **(given | fields))


def test_names_that_recur_with_their_label_are_shared() -> None:
    sessions = [session("a"), session("b", NAMES[2:], LABELS[2:])]
    assert shared_names(sessions) == shared_names(sessions, "shared") == set(NAMES[2:])
    assert shared_names(sessions, "animal") == set()
    assert shared_names(sessions[:1]) == set()


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (session("a"), session("b", labels=LABELS[1:] + LABELS[:1])),
        (session("a", labels=["motor"] + 11 * [""]), session("b")),
        (session("a", NAMES[:8], LABELS[:8]), session("b")),
        *[[session(animal, [str(i) for i in range(12)]) for animal in "ab"]],
        (session("a"), session("b", [f"x{i}" for i in range(12)])),
    ],
    ids=["torn", "unlabelled", "few", "numbers", "others"],
)
def test_other_names_are_not(first, second) -> None:
    assert shared_names([first, second]) == set()


def test_what_cannot_be_shared_is_refused() -> None:
    refuses("no id recurs over animals", shared_names, [session("a")], "shared")
    torn = [session("a"), session("b", labels=LABELS[1:] + LABELS[:1])]
    refuses("'AV0' is inter and motor by label in different", shared_names, torn, "shared")


def test_one_cell_has_its_name_for_an_id_and_no_position() -> None:
    plain = session("a", position=np.zeros((12, 2), np.float32))
    one = as_one_cell(plain, {"AV1"})
    assert one.neuron_id.tolist()[:3] == ["a/AV0", "AV1", "a/AV2"]
    assert one.position is None
    assert "positions are not used" in one.notes[0]


@pytest.fixture
def source(tmp_path) -> Path:
    """Three animals, ten of whose twelve cells are the same."""
    rng = np.random.default_rng(0)
    for animal in ("a", "b", "c"):
        own = [*NAMES[:10], f"{animal}-10", f"{animal}-11"]
        given = {
            "activity": rng.random((100, 12), dtype=np.float32),
            "behavior": rng.random((100, 1), dtype=np.float32),
            "frame_s": 0.5,
            "neuron_id": np.array(own),
            "label": np.array(LABELS),
            "animal": animal,
        }
        write_arrays(tmp_path / f"{animal}.npz", given)
    return tmp_path


def config_of(source: Path, **data: object) -> IdentityConfig:
    return parse_settings(IdentityConfig, merged({"data": {"source": str(source)}}, {"data": data}))


def test_recordings_of_one_cell_are_one_cell_on_one_side_of_a_split(source) -> None:
    config = config_of(source)
    sessions = chosen_sessions(config, again=True)
    assert all(a is b for a, b in zip(sessions, chosen_sessions(config), strict=True))
    cells = cells_of(sessions, config)
    assert len(cells.names) == 16
    assert cells.animals.count(SEVERAL) == 10
    assert "10 ids recur over animals" in cells.notes[-1]
    assert repr(cells) == "3 sessions, 16 cells of 3 animals, labelled: 16 by label"
    (split, *_) = Identity(config).splits(cells)
    task = CellTask.of(sessions, split.tested)
    recordings = [
        {task.cells[i] for i in frames.neurons[task.spec.reference[frames.neurons]].tolist()}
        for frames in task.sessions
    ]
    assert not split.tested & set().union(*recordings)
    config = config_of(source, ids="animal")
    apart = cells_of(chosen_sessions(config), config)
    assert len(apart.names) == 36 and apart.units == ()


def test_with_an_animal_left_out_a_cell_is_of_its_animal_and_drawn_with_its_name(source) -> None:
    config = config_of(source, animals=True)
    cells = cells_of(chosen_sessions(config, again=True), config)
    assert len(cells.names) == 36 and SEVERAL not in cells.animals
    assert Identity(config).n_resampled(cells) == 16
    unit = dict(zip(cells.names, cells.drawn.tolist(), strict=True))
    assert unit["a/AV3"] == unit["b/AV3"] == unit["c/AV3"] != unit["a/AV4"]
    assert len({unit[f"{animal}/{animal}-10"] for animal in "abc"}) == 3
    for split in Identity(config).splits(cells):
        assert split.tested == {name for name in cells.names if name[0] == split.animal}
