"""`prepare` on folders of phy or Kilosort, with behavior from a file, and on .mat files."""

import numpy as np
import pytest
from commands import neuroblend
from conftest import refuses
from scipy.io import savemat

from neuroblend.data.cut import Cut
from neuroblend.data.trials import Trials
from neuroblend.readers.prepare import cut_trials, prepare_recording

RATE, N_UNITS, LAST_S = 30000.0, 4, 20.0
CUT = Cut(None, None, 20.0, behavior=("hand", "licks"), every_s=1.0)


@pytest.fixture
def sources(tmp_path):
    """A folder of sorted spikes, a file of behavior, and the spikes of each unit in seconds."""
    rng = np.random.default_rng(0)
    owners = rng.integers(0, N_UNITS, 800)
    samples = np.sort(rng.integers(0, int(LAST_S * RATE), 800))
    folder = tmp_path / "phy"
    folder.mkdir()
    np.save(folder / "spike_times.npy", samples)
    np.save(folder / "spike_clusters.npy", owners)
    (folder / "params.py").write_text(f"sample_rate = {RATE}\n")
    (folder / "cluster_group.tsv").write_text(
        "cluster_id\tgroup\n0\tgood\n1\tmua\n2\tgood\n3\tgood\n"
    )
    times = np.arange(0, LAST_S, 0.01)
    hand = np.stack([np.sin(times), np.cos(times)], axis=1)
    behavior = {"hand": hand, "hand_times": times, "licks_times": np.sort(rng.uniform(0, 20, 90))}
    np.savez(tmp_path / "behavior.npz", **behavior, animal="a")
    return folder, tmp_path / "behavior.npz", [samples[owners == u] / RATE for u in range(N_UNITS)]


def test_spikes_of_a_folder_with_behavior_of_a_file(sources, tmp_path) -> None:
    folder, behavior, trains = sources
    for files in ([folder, behavior], [behavior, folder]):
        said = prepare_recording(files, CUT, tmp_path / "t.h5")
        trials = Trials.load(tmp_path / "t.h5")
        assert trials.unit_id.tolist() == [0, 2, 3] and trials.n_bins == 50
        assert trials.behavior_names == ("hand_0", "hand_1", "licks")
        assert trials.channels[2].kind == "events" and "animal" in " ".join(said)
    first = [np.histogram(trains[u], np.arange(51) * 0.02)[0] for u in (0, 2, 3)]
    np.testing.assert_array_equal(trials.spikes[0], np.stack(first, axis=1))
    every = cut_trials(
        folder, Cut(None, None, 20.0, every_s=1.0, where="quality == 'mua' or id == 3")
    )
    assert every.unit_id.tolist() == [1, 3]


def test_a_mat_file_with_its_mapping(sources, tmp_path) -> None:
    _, _, trains = sources
    cells = np.empty(N_UNITS, dtype=object)
    cells[:] = trains
    times = np.arange(0, LAST_S, 0.01)
    savemat(tmp_path / "m.mat", {"st": cells, "t": times, "v": np.sin(times)})
    (tmp_path / "m.yaml").write_text(
        "spike_times: st\nsignals:\n  hand:\n    values: v\n    times: t\n"
    )
    trials = cut_trials(tmp_path / "m.mat", Cut(None, None, 20.0, behavior=("hand",), every_s=1.0))
    assert (trials.n_neurons, trials.behavior_names) == (N_UNITS, ("hand",))


def test_what_cannot_be_is_refused(sources, tmp_path) -> None:
    folder, behavior, _ = sources
    np.savez(tmp_path / "none.npz", animal="a")
    out = tmp_path / "t.h5"
    wanted = "none.npz: found animal, wanted signals"
    refuses(wanted, prepare_recording, [folder, tmp_path / "none.npz"], CUT, out)
    other = Cut(None, None, 20.0, behavior=("hnad",), every_s=1.0)
    refuses("did you mean 'hand'", prepare_recording, [folder, behavior], other, out)
    assert not out.exists()


def test_on_the_command_line(sources, tmp_path) -> None:
    folder, behavior, _ = sources
    done = neuroblend(
        "prepare", folder, behavior, "--every", "1", "--bin-ms", "20", "--behavior", "hand",
        "--out", tmp_path / "t.h5", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0 and "3 neurons" in done.stdout
