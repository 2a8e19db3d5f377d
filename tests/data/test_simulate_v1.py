"""Simulated two-photon sessions: what is read is what was drawn, and presets are what they say.

Shape legend: ``T`` frames, ``N`` neurons.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from conftest import refuses

from neuroblend.data.calcium.bugeon import BEHAVIOR, is_bugeon, read_bugeon
from neuroblend.data.calcium.bugeon import SUBCLASSES as NAMES
from neuroblend.data.calcium.read import read_sessions
from neuroblend.data.calcium.session import SIMULATED
from neuroblend.simulate import v1, v1_activity
from neuroblend.simulate.v1 import PRESETS, Size, simulate_v1
from neuroblend.simulate.v1_activity import (
    EXCITATORY,
    FRAME_S,
    RUNNING,
    SUBCLASSES,
    SYNCHRONISED,
    CellClass,
    CellTraits,
    by_state_alone,
    simulate_activity,
    simulate_behavior,
    wandering,
)

TINY = Size(n_mice=1, n_sessions=1, n_neurons=20, n_frames=100)
SMALL = Size(n_mice=2, n_sessions=2, n_neurons=30, n_frames=120, stimuli=("Blank", "Gratings"))
CELL_FILES = ("UniqueID", "gene_count", "prob_ttypes", "stackPosCorrected", "depth", "plane")
RUN_FILES = (
    *("frame.neuralActivity", "frame.times", "frame.states", "running.speed", "running.times"),
    *("eye.size", "eye.times", "eye.xPos", "eye.yPos"),
)
KINDS = {"EC": EXCITATORY, **SUBCLASSES}


@pytest.fixture
def drawn(monkeypatch) -> SimpleNamespace:
    """What a simulation drew before it wrote anything."""
    seen = SimpleNamespace(behavior=[], activity=[], kinds=[])

    def keep(owner: object, name: str, kept: Callable[..., None]) -> None:
        draw = getattr(owner, name)

        def kept_too(*given: Any) -> object:
            result = draw(*given)
            kept(result, *given)
            return result

        monkeypatch.setattr(owner, name, kept_too)

    keep(v1, "simulate_behavior", lambda result, *_: seen.behavior.append(result))
    keep(v1, "simulate_activity", lambda result, *_: seen.activity.append(result))
    keep(v1.CellTraits, "draw", lambda _, kinds, rng: seen.kinds.append(kinds))
    return seen


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return simulate_v1(tmp_path_factory.mktemp("small") / "v1", size=SMALL)


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


def cells(day: Path, name: str) -> np.ndarray:
    """A table of the cells of a day, without the axis of its one column."""
    return np.load(day / f"neuron.{name}.npy").squeeze()


def contents(root: Path) -> dict[str, bytes]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}


# the layout


def test_the_layout_is_complete(root) -> None:
    assert is_bugeon(root)
    assert len(lines(root / "genes.names.txt")) == 72
    known = lines(root / "ttypes.names.txt")
    assert {name.split("-")[0] for name in known} == set(NAMES)
    assert len(lines(root / "states.names.txt")) == 3
    days = sorted(root.glob("*/*/"))
    assert [(day.parent.name, day.name) for day in days] == [
        *[("SB025", "2019-10-07"), ("SB025", "2019-10-09")],
        *[("SB026", "2019-10-07"), ("SB026", "2019-10-09")],
    ]
    for day in days:
        files = {path.name for path in day.iterdir() if path.is_file()}
        assert files == {"neuron.ttype.txt", *(f"neuron.{name}.npy" for name in CELL_FILES)}
        shapes = {name: np.load(day / f"neuron.{name}.npy").shape for name in CELL_FILES}
        wide = {
            "gene_count": (30, 72),
            "prob_ttypes": (30, len(known)),
            "stackPosCorrected": (30, 3),
        }
        assert shapes == wide | dict.fromkeys(("UniqueID", "depth", "plane"), (30, 1))
        assert len(lines(day / "neuron.ttype.txt")) == 30
        assert {path.name for path in day.iterdir() if path.is_dir()} == {"Blank", "Gratings"}
        for run in day.glob("*/*"):
            assert run.name == "01"
            assert {path.name for path in run.iterdir()} == {f"{name}.npy" for name in RUN_FILES}
            sizes = {name: np.load(run / f"{name}.npy").shape for name in RUN_FILES}
            assert sizes.pop("frame.neuralActivity") == (120, 30)
            assert sizes["frame.times"] == sizes["frame.states"] == (120, 1)
            assert sizes["running.speed"] == sizes["running.times"]
            assert len({sizes[f"eye.{name}"] for name in ("times", "size", "xPos", "yPos")}) == 1
            assert all(shape[1:] == (1,) for shape in sizes.values())


def test_tables_of_cells_agree_with_themselves(root) -> None:
    known = lines(root / "ttypes.names.txt")
    for day in root.glob("*/*/"):
        types = lines(day / "neuron.ttype.txt")
        probability = cells(day, "prob_ttypes")
        unique = cells(day, "UniqueID")
        for i, name in enumerate(types):
            if name in ("EC", "IN"):
                assert not probability[i].any()
            else:
                assert probability[i].tolist() == [float(name == other) for other in known]
            assert np.isnan(unique[i]) == (name == "IN")
        position = cells(day, "stackPosCorrected")
        assert (position >= 0).all() and (position[:, :2] <= 800).all()
        np.testing.assert_array_equal(cells(day, "depth"), position[:, 2])
        np.testing.assert_array_equal(cells(day, "plane"), position[:, 2] // 50)


def test_what_is_read_is_what_was_drawn(tmp_path, drawn) -> None:
    root = simulate_v1(tmp_path / "v1", size=SMALL)
    sessions = read_sessions(root)
    assert [session.name for session in sessions] == [
        f"{mouse}/2019-10-{day}/{stimulus}/01"
        for mouse in ("SB025", "SB026")
        for day in ("07", "09")
        for stimulus in ("Blank", "Gratings")
    ]
    said = (f"{SIMULATED} (neuroblend simulate v1, realistic, seed 0).",)
    for session, activity, behavior in zip(sessions, drawn.activity, drawn.behavior, strict=True):
        assert session.notes == (said if session is sessions[0] else ())
        assert session.animal == session.name[:5]
        assert session.frame_s == pytest.approx(FRAME_S, rel=1e-9)
        np.testing.assert_array_equal(session.activity, activity.astype(np.float32))
        assert session.behavior_names == BEHAVIOR
        speed, pupil, *states = session.behavior.T
        for i, state in enumerate(states):
            np.testing.assert_array_equal(state, behavior.state == i)
        # behavior has clocks of its own, so that corners are cut by less than a sample
        steps = np.abs(np.diff(behavior.speed, prepend=0, append=0))
        step = steps[1:] + steps[:-1]
        assert (np.abs(speed - behavior.speed) <= 1 / 40 / FRAME_S * step + 1e-3).all()
        known = ~np.isnan(pupil)
        assert 0.5 < known.mean() <= 1
        expected = 1000 + 300 * behavior.pupil[known]
        assert np.abs(pupil[known] - expected).max() < 0.5 * np.abs(np.diff(expected)).max()
        day = root / session.name[:16]
        types = lines(day / "neuron.ttype.txt")
        assert session.labels["type"].tolist() == types
        unique = cells(day, "UniqueID")
        for i, name in enumerate(types):
            first = name.split("-")[0]
            assert session.labels["subclass"][i] == (first if first in NAMES else "")
            assert session.labels["ei"][i] == ("EC" if name == "EC" else "IN")
            if name == "IN":
                assert session.neuron_id[i] == f"{session.name[:16]}/{i} (no id)"
            else:
                assert session.neuron_id[i] == f"{session.animal}/{int(unique[i])}"
        position = cells(day, "stackPosCorrected")
        np.testing.assert_array_equal(session.position, position.astype(np.float32))


def test_clocks_of_behavior_are_faster_than_frames_and_span_them(root) -> None:
    for run in root.glob("*/*/*/01"):
        frames = np.load(run / "frame.times.npy")[:, 0]
        np.testing.assert_allclose(np.diff(frames), FRAME_S)
        for name, rate_hz in (("running", 40), ("eye", 30)):
            times = np.load(run / f"{name}.times.npy")[:, 0]
            np.testing.assert_allclose(np.diff(times), 1 / rate_hz)
            assert times[0] < frames[0] - 1 and times[-1] > frames[-1] + 1
        assert np.isfinite(np.load(run / "running.speed.npy")).all()


def test_a_pupil_is_lost_in_blinks_and_now_and_then_for_seconds() -> None:
    size, rate_hz = np.arange(300_000.0), 30
    seen = v1._with_blinks(size, rate_hz, np.random.default_rng(0))
    missing = np.isnan(seen)
    assert np.isfinite(size).all()
    np.testing.assert_array_equal(seen[~missing], size[~missing])
    assert missing.mean() == pytest.approx(0.2 / 20 + 4 / 200, rel=0.2)
    edges = np.flatnonzero(np.diff(np.r_[0, missing.astype(int), 0]))
    seconds = (edges[1::2] - edges[::2]) / rate_hz
    assert (seconds == 0.2).sum() == pytest.approx(500, rel=0.15)
    assert ((seconds >= 2) & (seconds <= 6.3)).sum() == pytest.approx(50, rel=0.3)


def test_stimuli_can_be_chosen_when_they_are_read(root) -> None:
    assert {s.name.split("/")[2] for s in read_bugeon(root, ["Gratings"])} == {"Gratings"}


def test_every_session_is_on_a_day_and_is_read(tmp_path) -> None:
    size = Size(n_mice=1, n_sessions=50, n_neurons=20, n_frames=100)
    sessions = read_bugeon(simulate_v1(tmp_path / "v1", size=size))
    days = [date.fromisoformat(session.name.split("/")[1]) for session in sessions]
    assert len(set(days)) == 50
    assert min(days) == date(2019, 10, 7)


# seeds


@pytest.mark.parametrize("preset", PRESETS)
def test_the_same_seed_writes_the_same_bytes(preset, tmp_path) -> None:
    size = Size(n_mice=2, n_sessions=1, n_neurons=20, n_frames=100)
    first, again, other = (
        contents(simulate_v1(tmp_path / f"v1_{i}", preset, seed, size))
        for i, seed in enumerate((3, 3, 4))
    )
    assert first == again
    assert set(first) == set(other)
    same = {name for name in first if first[name] == other[name]}
    assert all(name.endswith(("names.txt", "frame.times.npy")) for name in same)


def test_presets_write_different_sessions_and_mice_are_different(tmp_path) -> None:
    size = Size(n_mice=2, n_sessions=1, n_neurons=20, n_frames=100)
    written = {name: contents(simulate_v1(tmp_path / name, name, 0, size)) for name in PRESETS}
    activity = "2019-10-07/Blank/01/frame.neuralActivity.npy"
    mice = ("SB025", "SB026")
    assert len({written[name][f"{mouse}/{activity}"] for name in PRESETS for mouse in mice}) == 6


def test_the_folder_hangs_on_nothing_that_was_drawn_before(tmp_path) -> None:
    """A further mouse leaves the others as they were."""
    one = contents(simulate_v1(tmp_path / "one", size=TINY))
    three = contents(simulate_v1(tmp_path / "three", size=replace(TINY, n_mice=3)))
    assert all(three[name] == content for name, content in one.items())


# cells


def test_cells_that_recur_are_the_same_cells(tmp_path) -> None:
    size = Size(n_mice=2, n_sessions=3, n_neurons=100, n_frames=100)
    root = simulate_v1(tmp_path / "v1", size=size)
    for mouse in root.glob("SB*"):
        seen: dict[int, list[tuple]] = {}
        for day in mouse.iterdir():
            unique_id, types = cells(day, "UniqueID"), lines(day / "neuron.ttype.txt")
            place, genes = (cells(day, key).tolist() for key in ("stackPosCorrected", "gene_count"))
            for unique, *rest in zip(unique_id, types, place, genes, strict=True):
                if np.isfinite(unique):
                    seen.setdefault(int(unique), []).append(rest)
        assert all(described == cell[0] for cell in seen.values() for described in cell)
        times = Counter(len(cell) for cell in seen.values())
        assert set(times) == {1, 3}
        assert times[3] == pytest.approx(50, abs=6)  # half, but for those without an identity
        assert times[1] == pytest.approx(150, abs=15)


def test_cells_that_recur_behave_alike(tmp_path, monkeypatch) -> None:
    taken, take = [], CellTraits.take
    monkeypatch.setattr(CellTraits, "take", lambda *given: taken.append(given[1]) or take(*given))
    root = simulate_v1(tmp_path / "v1", size=Size(1, 2, 40, 100))
    for day, index in zip(sorted(root.glob("SB025/*")), taken, strict=True):
        unique = cells(day, "UniqueID")
        known = np.isfinite(unique)
        np.testing.assert_array_equal(unique[known], index[known] + 1)


@pytest.mark.parametrize("n", [20, 57, 240, 1000])
def test_classes_have_their_shares(n) -> None:
    for seed in range(5):
        types = v1._draw_types(n, np.random.default_rng(seed))
        assert len(types) == n
        counts = Counter(name.split("-")[0] for name in types)
        assert counts["IN"] == round(0.05 * n)
        total = sum(v1.SHARES.values())
        for name, share in v1.SHARES.items():
            assert abs(counts[name] - 0.4 * n * share / total) < 1.5
        assert counts["EC"] == pytest.approx(0.55 * n, abs=4)
        assert set(types) <= {"EC", "IN", *(t for name in NAMES for t in v1.TYPES[name])}
    assert len(set(types[:20])) > 3  # in no order


# presets


def kinds_and_labels(root: Path, drawn: SimpleNamespace) -> tuple[list[CellClass], list[str]]:
    """Return what each labelled cell of the first session of a mouse is, and what it is called."""
    (kinds,) = drawn.kinds
    day = root / "SB025" / "2019-10-07"
    unique = cells(day, "UniqueID")
    types = np.array(lines(day / "neuron.ttype.txt"))[np.isfinite(unique)]
    numbers = unique[np.isfinite(unique)].astype(int)
    return [kinds[number - 1] for number in numbers], [name.split("-")[0] for name in types]


@pytest.mark.parametrize("preset", ["realistic", "state-only"])
def test_a_cell_is_of_the_class_it_is_called(preset, tmp_path, drawn) -> None:
    root = simulate_v1(tmp_path / "v1", preset, size=Size(1, 1, 200, 100))
    classes = KINDS
    if preset == "state-only":
        classes = {name: by_state_alone(kind) for name, kind in KINDS.items()}
    kinds, labels = kinds_and_labels(root, drawn)
    assert set(labels) == set(classes)
    assert kinds == [classes[name] for name in labels]


def test_null_labels_are_those_of_others(tmp_path, drawn) -> None:
    root = simulate_v1(tmp_path / "v1", "null", size=Size(1, 1, 400, 100))
    kinds, labels = kinds_and_labels(root, drawn)
    classes = list(KINDS.values())
    called = [classes.index(KINDS[name]) for name in labels]
    are = [classes.index(kind) for kind in kinds]
    # as many of each, but for the few that are called interneurons without a type
    assert all(abs(Counter(called)[i] - Counter(are)[i]) <= 0.05 * 400 for i in range(6))
    agree = np.equal(called, are).mean()
    by_chance = sum((np.equal(called, i).mean() * np.equal(are, i).mean()) for i in range(6))
    assert agree == pytest.approx(by_chance, abs=0.08)
    assert by_chance < 0.5


def shares_explained(root: Path) -> tuple[float, float]:
    """Return how much of the variance over cells their subclass explains.

    Of the change of the log rate with the state of cortex, and of how much a frame is like the one
    before.
    """
    labels, gain, likeness = [], [], []
    for session in read_bugeon(root):
        states = [session.behavior[:, BEHAVIOR.index(f"{s}synchronized")] > 0 for s in ("", "de")]
        rates = [session.activity[state].mean(axis=0) + 0.02 for state in states]
        labels.append(session.labels["subclass"])
        gain.append(np.log(rates[0] / rates[1]))
        likeness.append([np.corrcoef(x[1:], x[:-1])[0, 1] for x in session.activity.T])
    names = np.concatenate(labels)
    shares = []
    for values in (np.concatenate(gain), np.concatenate(likeness)):
        groups = [values[names == name] for name in NAMES]
        together = np.concatenate(groups)
        between = sum(len(g) * (g.mean() - together.mean()) ** 2 for g in groups) / len(together)
        shares.append(float(between / together.var()))
    return shares[0], shares[1]


def test_activity_tells_what_the_preset_says(tmp_path) -> None:
    size = Size(n_mice=2, n_sessions=1, n_neurons=300, n_frames=800)
    gain, likeness = {}, {}
    for preset in PRESETS:
        root = simulate_v1(tmp_path / preset, preset, 1, size)
        gain[preset], likeness[preset] = shares_explained(root)
    assert min(gain["realistic"], gain["state-only"]) > 0.25
    assert likeness["realistic"] > 0.25
    assert likeness["state-only"] < 0.4 * likeness["realistic"]  # behavior itself is slow
    assert max(gain["null"], likeness["null"]) < 0.08  # of five classes and 240 cells, about 0.02


def test_state_alone_leaves_modulation_and_takes_all_else() -> None:
    plain = {(k.log_rate, k.smear_s, k.coupling) for k in map(by_state_alone, KINDS.values())}
    assert len(plain) == 1
    assert len({(k.log_rate, k.smear_s, k.coupling) for k in KINDS.values()}) == 6
    for kind in KINDS.values():
        for part in ("state", "pupil", "synchronised"):
            assert getattr(by_state_alone(kind), part) == getattr(kind, part)


def test_state_alone_draws_the_same_cells_but_for_their_modulation() -> None:
    kinds = [by_state_alone(kind) for kind in KINDS.values() for _ in range(50)]
    orders = kinds, kinds[::-1]
    first, second = (CellTraits.draw(order, np.random.default_rng(0)) for order in orders)
    for part in ("offset", "loading", "smear_s"):
        np.testing.assert_array_equal(getattr(first, part), getattr(second, part))
    assert not np.allclose(first.modulation, second.modulation)


# what activity is made of


def test_traits_have_the_means_and_spreads_of_their_class() -> None:
    n = 4000
    for kind in KINDS.values():
        traits = CellTraits.draw([kind] * n, np.random.default_rng(1))
        changes = traits.modulation @ np.array(v1_activity.RUNNING_LESS_SYNCHRONISED)
        index = np.tanh(changes / 2)  # (R - S) / (R + S)
        others = traits.modulation[:, 1:] / v1_activity.GAIN
        means = kind.state, kind.pupil, kind.synchronised
        for found, mean in zip((index, *others.T), means, strict=True):
            assert found.mean() == pytest.approx(mean, abs=0.015)
            assert found.std() == pytest.approx(v1_activity.WITHIN_CLASS, abs=0.01)
        assert traits.offset.mean() == pytest.approx(kind.log_rate, abs=0.03)
        assert np.median(traits.smear_s) == pytest.approx(kind.smear_s, rel=0.02)
        size = v1_activity.FLUCTUATION_SIZE * kind.coupling
        assert traits.loading.mean() == pytest.approx(size * v1_activity.LOADING_MEAN, abs=0.03)
        assert traits.loading.std() == pytest.approx(size, rel=0.05)


@pytest.mark.parametrize("alone", [False, True])
def test_activity_is_modulated_by_state_as_published(alone) -> None:
    """(R - S) / (R + S) of what is simulated has the published means, and a spread of about 0.2.

    R is while running, S while stationary and synchronised.
    """
    for name, kind in KINDS.items():
        found = []
        for seed in range(20):
            rng = np.random.default_rng(seed)
            kinds = [by_state_alone(kind) if alone else kind] * 40
            behavior = simulate_behavior(2000, rng)
            activity = simulate_activity(CellTraits.draw(kinds, rng), behavior, rng)
            states = (v1_activity.RUNNING, v1_activity.SYNCHRONISED)
            fast, still = (activity[behavior.state == state].mean(axis=0) for state in states)
            found.append((fast - still) / (fast + still))
        assert np.mean(found) == pytest.approx(kind.state, abs=0.05), name
        assert 0.17 < np.std(found, axis=1).mean() < 0.27, name


def make_traits(n: int, log_rate=-1.0, running=0.0, smear_s=0.3) -> CellTraits:
    modulation = np.zeros((n, 3))
    modulation[:, 0] = running
    loading = np.zeros((n, len(v1_activity.FLUCTUATION_S)))
    return CellTraits(np.full(n, log_rate), modulation, loading, np.full(n, smear_s))


def test_activity_has_the_rate_and_the_time_course_of_its_cells() -> None:
    rng = np.random.default_rng(0)
    behavior = simulate_behavior(3000, rng)
    activity = simulate_activity(make_traits(100), behavior, rng)
    assert (activity >= 0).all()
    assert 0.1 < (activity == 0).mean() < 0.9
    assert activity.mean() == pytest.approx(np.exp(-1), rel=0.02)
    centred = activity - activity.mean()
    lag = (centred[1:] * centred[:-1]).mean() / centred.var()
    assert lag == pytest.approx(np.exp(-FRAME_S / 0.3), abs=0.02)
    # without smearing, a Poisson count of events of mean and standard deviation 1
    sharp = simulate_activity(make_traits(100, smear_s=0.01), behavior, rng)
    assert sharp.var() / sharp.mean() == pytest.approx(2, rel=0.03)


def test_activity_follows_behavior_by_its_modulation() -> None:
    rng = np.random.default_rng(0)
    behavior = simulate_behavior(4000, rng)
    drive = behavior.drives()[:, 0]
    activity = simulate_activity(make_traits(200, running=1.0, smear_s=0.01), behavior, rng)
    for moving in (drive > 0.9, drive < 0.1):
        expected = np.exp(-1 + drive[moving]).mean()
        assert activity[moving].mean() == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize(("which", "seconds"), [(0, 1.0), (3, 60.0)])
def test_cells_share_fluctuations_as_they_are_loaded(which, seconds) -> None:
    assert v1_activity.FLUCTUATION_S[which] == seconds
    rng = np.random.default_rng(0)
    behavior = simulate_behavior(3000, rng)
    traits = make_traits(300, smear_s=0.01)
    traits.loading[:, which] = np.repeat([1.0, -1.0, 0.0], 100)
    activity = simulate_activity(traits, behavior, rng).reshape(3000, 3, 100).mean(axis=2)
    with_it, against_it, apart = np.log(activity + 0.05).T
    assert np.corrcoef(with_it, against_it)[0, 1] < -0.8
    assert abs(np.corrcoef(with_it, apart)[0, 1]) < 0.1
    later = np.corrcoef(with_it[20:], with_it[:-20])[0, 1]
    assert later == pytest.approx(np.exp(-20 * FRAME_S / seconds), abs=0.15)


def test_behavior_is_in_one_state_at_a_time() -> None:
    shares, pupils = np.zeros(3), np.zeros(3)
    for seed in range(20):
        behavior = simulate_behavior(2000, np.random.default_rng(seed))
        assert ((behavior.speed > 0) == (behavior.state == RUNNING)).all()
        assert behavior.pupil.mean() == pytest.approx(0, abs=1e-9)
        assert behavior.pupil.std() == pytest.approx(1)
        shares += np.bincount(behavior.state, minlength=3) / 2000 / 20
        pupils += np.bincount(behavior.state, behavior.pupil, minlength=3) / 2000 / 20
        drives = behavior.drives()
        assert drives.shape == (2000, 3)
        assert (drives[:, 0] >= 0).all() and (drives[:, 0] <= 1).all()
        np.testing.assert_array_equal(drives[:, 1], behavior.pupil)
        np.testing.assert_array_equal(drives[:, 2], behavior.state == SYNCHRONISED)
    assert (shares > 0.1).all()
    assert shares.sum() == pytest.approx(1)
    means = pupils / shares  # wide when a mouse runs, and narrow in the synchronised state
    assert means[RUNNING] > 0.3
    assert means[SYNCHRONISED] < -0.3


def test_wandering_is_stationary_from_the_first_frame() -> None:
    signals = wandering(40, 8.0, 20000, np.random.default_rng(0))
    assert signals.shape == (40, 20000)
    np.testing.assert_allclose(signals.var(axis=1), 1, atol=0.05)
    for lag in (1, 8):
        found = (signals[lag:] * signals[:-lag]).mean()
        assert found == pytest.approx(np.exp(-lag / 8), abs=0.02)


# what is refused


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"preset": "state_only"}, "unknown preset 'state_only': did you mean 'state-only'"),
        (
            {"preset": "realistc"},
            "did you mean 'realistic'. There are: realistic, state-only, null",
        ),
        ({"size": Size(n_mice=0)}, "found 0 mice and 2 sessions, wanted 1 to 4 and 1 or more"),
        ({"size": Size(n_mice=5)}, "found 5 mice"),
        ({"size": Size(n_sessions=0)}, "and 0 sessions"),
        ({"size": Size(n_neurons=19)}, "found 19 neurons and 2000 frames, wanted 20 and 100"),
        ({"size": Size(n_frames=99)}, "240 neurons and 99 frames"),
    ],
)
def test_what_cannot_be_simulated_is_said_and_nothing_is_left(given, message, tmp_path) -> None:
    refuses(message, simulate_v1, tmp_path / "v1", **given)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_use_is_left_alone(tmp_path) -> None:
    full, file, empty = (tmp_path / name for name in ("full", "file", "empty"))
    full.mkdir()
    (full / "mine").write_text("x")
    file.write_text("x")
    empty.mkdir()
    for path in (full, file):
        message = f"{path.name}: is there already; choose another --out"
        refuses(message, simulate_v1, path, size=TINY)
    assert [path.name for path in full.iterdir()] == ["mine"]
    assert file.read_text() == "x"
    assert simulate_v1(empty, size=TINY) == empty
    assert is_bugeon(empty)
    assert simulate_v1(tmp_path / "new" / "below", size=TINY).is_dir()


def test_an_interrupted_simulation_leaves_nothing(tmp_path, monkeypatch) -> None:
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(v1, "simulate_activity", interrupt)
    with pytest.raises(KeyboardInterrupt):
        simulate_v1(tmp_path / "v1", size=TINY)
    assert list(tmp_path.iterdir()) == []
