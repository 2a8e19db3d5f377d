import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from conftest import make_trials, refuses
from students import make_student

from neuroblend.data.recording import Recording
from neuroblend.data.spikes import ContinuousSpikes, as_spikes
from neuroblend.data.trials import Trials
from neuroblend.deploy.student import TrainedStudent
from neuroblend.deploy.windows import Margins, Windows, margins_of
from neuroblend.deploy.write import predict_to_file
from neuroblend.task.batch import Batch

BIN_S = 0.02


@pytest.fixture(scope="module")
def student() -> TrainedStudent:
    return make_student()


def counts_of(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).poisson(0.7, shape).astype(np.uint8)


def same(a, b) -> None:
    for name in ("rates", "behavior", "latents"):
        np.testing.assert_allclose(getattr(a, name), getattr(b, name), atol=1e-5)


def full_pass(student: TrainedStudent, counts: np.ndarray) -> np.ndarray:
    """What the network gives for one stretch of (T, N) counts of all its neurons, in one call."""
    seen = counts[:, ~student.neurons.held_out].astype(np.float32)[None]
    return student.signals(Batch(torch.from_numpy(seen)), ())


def recording_of(counts: np.ndarray, ids: np.ndarray, parts: list[tuple[int, int]]) -> Recording:
    """A recording with the (T, N) counts of its parts, a spike in the middle of its bin."""
    middle = (np.arange(len(counts)) + 0.5) * BIN_S
    times = [np.repeat(middle, n) for n in counts.T]
    return Recording.of(
        times,
        span=(0.0, len(counts) * BIN_S),
        units=pd.DataFrame({"id": ids}),
        observed=np.array(parts) * BIN_S,
    )


class TestNeurons:
    def test_order_does_not_matter_where_there_are_ids(self, student) -> None:
        spikes, ids = counts_of((5, 12, 10)), student.neurons.unit_id
        straight = student.predict(spikes, unit_id=ids)
        order = np.random.default_rng(1).permutation(10)
        same(straight, student.predict(spikes[:, :, order], unit_id=ids[order]))
        assert straight.matched == "by id"
        assert straight.unit_id.tolist() == ids.tolist()
        by_position = student.predict(spikes)
        same(straight, by_position)
        assert by_position.matched.startswith("by position, in the order of the 10")
        assert "cannot be checked" in by_position.notes[0]

    def test_a_held_out_neuron_need_not_be_there(self, student) -> None:
        spikes, known = counts_of((5, 12, 10)), student.neurons
        seen = ~known.held_out
        whole = student.predict(spikes, unit_id=known.unit_id)
        same(whole, student.predict(spikes[:, :, seen], unit_id=known.seen))

    def test_a_neuron_of_training_that_is_missing_is_refused_by_name(self, student) -> None:
        spikes, known = counts_of((5, 12, 10)), student.neurons
        gone = str(known.seen[2])
        kept = known.unit_id != gone
        refuses(
            rf"1 of the {known.n_seen} neurons .* missing \({gone}\).*--missing-units zeros",
            student.predict, spikes[:, :, kept], unit_id=known.unit_id[kept],
        )  # fmt: skip
        silent = spikes.copy()
        silent[:, :, ~kept] = 0
        zeros = student.predict(
            spikes[:, :, kept], unit_id=known.unit_id[kept], missing_units="zeros"
        )
        same(zeros, student.predict(silent, unit_id=known.unit_id))
        assert gone in zeros.notes[0]

    def test_a_neuron_replaced_by_another_is_refused(self, student) -> None:
        ids = student.neurons.unit_id.copy()
        ids[np.flatnonzero(~student.neurons.held_out)[0]] = "x9"
        refuses("missing", student.predict, counts_of((5, 12, 10)), unit_id=ids)
        forced = student.predict(counts_of((5, 12, 10)), unit_id=ids, match="position")
        assert forced.matched.startswith("by position")

    def test_neurons_that_nobody_knows_are_ignored_and_said(self, student) -> None:
        spikes, ids = counts_of((5, 12, 12)), [*student.neurons.unit_id, "x", "y"]
        with_more = student.predict(spikes, unit_id=ids)
        same(with_more, student.predict(spikes[:, :, :10], unit_id=ids[:10]))
        assert with_more.notes == ("2 neurons that the student does not know ignored: x, y.",)

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ({"unit_id": ["a"] * 10}, "unit_id: found a more than once"),
            ({"unit_id": np.arange(9)}, "wanted 10 whole numbers or names"),
            ({"unit_id": np.arange(100, 110)}, "none of the .* match by position"),
            ({"match": "name"}, "match: found 'name', wanted one of auto, id, position"),
            ({"match": "id"}, "no unit_id to match neurons by"),
            ({"missing_units": "zero"}, "missing units: found 'zero'"),
            ({"layers": ["mixx"]}, "no layer 'mixx': did you mean 'mix'"),
        ],
    )
    def test_what_does_not_fit_is_refused(self, student, given, message) -> None:
        refuses(message, student.predict, counts_of((5, 12, 10)), **given)

    def test_ids_of_files_and_recordings_are_used(self, student, tmp_path) -> None:
        spikes, ids = counts_of((5, 12, 10)), student.neurons.unit_id
        order = np.random.default_rng(1).permutation(10)
        expected = student.predict(spikes, unit_id=ids)
        shuffled = Trials.from_arrays(spikes[:, :, order], BIN_S, unit_id=ids[order])
        same(expected, student.predict(shuffled))
        shuffled.save(tmp_path / "a.h5")
        same(expected, student.predict(tmp_path / "a.h5"))
        np.savez(tmp_path / "a.npz", spikes=spikes[:, :, order], unit_id=ids[order], bin_s=BIN_S)
        same(expected, student.predict(tmp_path / "a.npz"))
        assert student.predict(str(tmp_path / "a.npz")).matched == "by id"

    def test_silent_and_undrawn_neurons_keep_ids_and_places(self) -> None:
        spikes = counts_of((40, 12, 12))
        spikes[:, :, [2, 7]] = 0
        behavior = make_trials().behavior
        trials = Trials.from_arrays(spikes, BIN_S, behavior, unit_id=np.arange(12) * 10)
        drawn = trials.draw_units(6, seed=0)
        assert (drawn.unit_id == drawn.unit_index * 10).all()
        student = make_student(trials=drawn)
        whole = student.predict(spikes)  # all 12 of the source, by position
        assert whole.matched.startswith("by position, in the order of the 12")
        same(whole, student.predict(trials))
        same(whole, student.predict(spikes[:, :, drawn.unit_index], unit_id=drawn.unit_id))

    def test_places_are_no_names(self, tmp_path) -> None:
        """Ids that nobody gave match nothing, whichever side lacks them."""
        spikes, order = counts_of((5, 12, 10)), np.random.default_rng(1).permutation(10)
        unnamed = make_student(trials=make_trials())
        expected = unnamed.predict(spikes)
        sorted_later = Trials.from_arrays(spikes[:, :, order], BIN_S, unit_id=np.arange(10))
        found = unnamed.predict(sorted_later)
        assert found.matched.startswith("by position")
        assert "without unit_id of the training data too" in found.notes[0]
        refuses("training data had no unit_id", unnamed.predict, sorted_later, match="id")
        named = make_student(trials=make_trials(unit_id=np.arange(10)))
        of_array = Trials.from_arrays(spikes[:, :, order], BIN_S)
        of_array.save(tmp_path / "a.h5")
        for source in (of_array, tmp_path / "a.h5"):
            assert named.predict(source).matched.startswith("by position")
        same(expected, unnamed.predict(Trials.from_arrays(spikes, BIN_S)))

    def test_names_are_given_once(self, student, tmp_path) -> None:
        spikes, ids = counts_of((5, 12, 10)), student.neurons.unit_id
        np.savez(tmp_path / "none.npz", spikes=spikes[:, :, ::-1])
        same(student.predict(spikes), student.predict(tmp_path / "none.npz", unit_id=ids[::-1]))
        trials = Trials.from_arrays(spikes, BIN_S, unit_id=ids)
        trials.save(tmp_path / "own.h5")
        refuses("unit_id: found beside Trials", student.predict, trials, unit_id=ids)
        refuses("lengths: found beside Trials", student.predict, trials, [10] * 5)
        refuses("unit_id: found beside a file", student.predict, tmp_path / "own.h5", unit_id=ids)

    def test_a_neuron_that_is_silent_today_is_not_missing(self, student, tmp_path) -> None:
        spikes, known = counts_of((5, 12, 10)), student.neurons
        gone = str(known.seen[3])
        spikes[:, :, known.unit_id == gone] = 0
        trials = Trials.from_arrays(spikes, BIN_S, unit_id=known.unit_id)
        trials.save(tmp_path / "a.h5")
        expected = student.predict(spikes, unit_id=known.unit_id)
        for source in (trials, tmp_path / "a.h5"):
            found = student.predict(source)
            same(expected, found)
            assert (
                found.notes[0].startswith("1 neuron that the student sees never fire")
                and gone in found.notes[0]
            )

    def test_frames_name_neurons_by_their_columns(self, student) -> None:
        counts, ids = counts_of((50, 10)), student.neurons.unit_id
        frame = pd.DataFrame(counts, columns=ids)
        same(student.predict(counts, unit_id=ids), student.predict(frame[ids[::-1]]))
        same(student.predict(counts), student.predict(torch.from_numpy(counts)))
        same(student.predict(counts), student.predict(counts.tolist()))


class TestLengths:
    def test_a_stretch_is_what_one_pass_over_it_gives(self, student) -> None:
        counts = counts_of((1000, 10))
        whole = student.predict(counts)
        expected = full_pass(student, counts)
        np.testing.assert_allclose(whole.rates, expected["rates"], atol=1e-5)
        np.testing.assert_allclose(whole.latents, expected["features"], atol=1e-5)
        decoded = student.decoder(expected["features"])
        np.testing.assert_allclose(whole.behavior, decoded, atol=1e-5)
        assert student.reach == Margins(2, 1)
        # 2 bins back and 1 ahead of the network, 3 and 2 of the read-out
        assert np.flatnonzero(whole.edge[0]).tolist() == [0, 1, 2, 3, 4, 997, 998, 999]

    def test_trials_of_any_length_are_what_one_pass_gives(self, student) -> None:
        lengths = np.array([40, 12, 3, 25, 13, 1])
        counts = counts_of((6, 40, 10))
        counts[np.arange(40) >= lengths[:, None]] = 0
        whole = student.predict(counts, lengths)
        for trial, n in enumerate(lengths):
            expected = full_pass(student, counts[trial, :n])
            np.testing.assert_allclose(whole.rates[trial, :n], expected["rates"][0], atol=1e-5)
            decoded = student.decoder(expected["features"])[0]
            np.testing.assert_allclose(whole.behavior[trial, :n], decoded, atol=1e-5)
            assert np.isnan(whole.rates[trial, n:]).all()
            assert np.isnan(whole.behavior[trial, n:]).all()
            assert whole.edge[trial, n:].all()

    def test_blocks_of_a_recording_join_without_a_seam(self, student, monkeypatch) -> None:
        counts = counts_of((300, 10))
        whole = student.predict(counts)
        monkeypatch.setattr("neuroblend.deploy.asked.BLOCK", 37)
        same(whole, student.predict(counts))

    def test_spikes_before_a_break_know_nothing_of_those_after(self, student) -> None:
        rng = np.random.default_rng(0)
        times = [np.sort(rng.uniform(0, 20, 300)) for _ in range(10)]
        observed = np.array([[0.0, 5.0], [8.0, 8.1], [9.0, 20.0]])
        units = pd.DataFrame({"id": student.neurons.unit_id})
        recording = Recording.of(times, span=(0.0, 20.0), units=units, observed=observed)
        whole = student.predict(recording)
        assert whole.matched == "by id"
        assert whole.behavior.shape == (1, 1000, 2)
        counts = as_spikes(recording, BIN_S).read(0, 1000)
        for first, last in ((0, 250), (400, 405), (450, 1000)):
            alone = student.predict(counts[first:last])
            np.testing.assert_allclose(whole.rates[:, first:last], alone.rates, atol=1e-5)
            np.testing.assert_array_equal(whole.edge[:, first:last], alone.edge)
        for gap in (slice(250, 400), slice(405, 450)):
            assert np.isnan(whole.behavior[:, gap]).all()
            assert whole.edge[:, gap].all()

    @pytest.mark.parametrize("ids", [np.arange(10) * 7, [f"n{i}" for i in range(10)]])
    def test_orders_breaks_and_lengths(self, ids) -> None:
        """A thousand, in all: what one pass gives for each part, or refused by name."""
        student = make_student(trials=make_trials(unit_id=ids))
        rng, known, n_refused = np.random.default_rng(0), student.neurons, 0
        for _ in range(500):
            order, n_bins = rng.permutation(10), int(rng.integers(1, 60))
            counts = rng.poisson(0.7, (n_bins, 10)).astype(np.uint8)
            kept = order[rng.random(10) < 0.9] if rng.random() < 0.3 else order
            parts = [(0, n_bins)]
            if n_bins > 3 and rng.random() < 0.5:
                first, last = np.sort(rng.choice(np.arange(1, n_bins), 2, replace=False))
                parts = [(0, int(first)), (int(last), n_bins)]
            given, named = counts[:, kept], {"unit_id": known.unit_id[kept]}
            if len(parts) > 1:
                given, named = recording_of(given, known.unit_id[kept], parts), {}
            elif rng.random() < 0.5:
                given = given[None]
            if not set(known.seen) <= set(known.unit_id[kept]):
                refuses("missing|none of|with none of them 0", student.predict, given, **named)
                n_refused += 1
                continue
            found = student.predict(given, **named)
            for first, last in parts:
                expected = full_pass(student, counts[first:last])
                np.testing.assert_allclose(found.rates[:, first:last], expected["rates"], atol=1e-5)
                decoded = student.decoder(expected["features"])
                np.testing.assert_allclose(found.behavior[:, first:last], decoded, atol=1e-5)
            gone = np.ones(n_bins, dtype=bool)
            for first, last in parts:
                gone[first:last] = False
            assert np.isnan(found.rates[0, gone]).all()
        assert 20 < n_refused < 200

    def test_a_network_that_looks_at_all_bins_says_so(self) -> None:
        student = make_student("gru", {"width": 4, "dropout": 0.0}, "norm")
        assert not student.reach.is_bounded
        whole = student.predict(counts_of((100, 10)))
        assert "looks at all of the 12 bins" in whole.notes[-1]
        assert "windows of 12 bins that it is given, which overlap by 6" in whole.notes[-1]
        assert whole.rates.shape == (1, 100, 10)
        assert student.predict(counts_of((4, 12, 10))).notes[-1].startswith("Neurons were matched")

    def test_forward_bins_follow_trials_of_one_length(self) -> None:
        student = make_student("gru", {"width": 4}, "norm", forward_bins=2)
        assert student.predict(counts_of((4, 10, 10))).rates.shape == (4, 12, 10)
        for shape in ((4, 11, 10), (40, 10)):
            refuses("the run has forward bins", student.predict, counts_of(shape))

    @pytest.mark.parametrize(
        ("n_bins", "width", "reach"),
        [(12, 12, (3, 3)), (13, 12, (2, 0)), (100, 12, (5, 6)), (10**6, 50, (12, 12))],
    )
    def test_each_bin_is_taken_from_where_its_reach_is_inside(self, n_bins, width, reach) -> None:
        windows = Windows(n_bins, width, Margins(*reach))
        bins = np.arange(n_bins)
        window = windows.window_of(bins)
        start = windows.start_of(window)
        at = bins - start
        assert start[0] == 0 and start[-1] + width == n_bins
        assert (at >= 0).all() and (at < width).all()
        assert (at[start > 0] >= reach[0]).all()
        assert (at[start + width < n_bins] < width - reach[1]).all()

    @pytest.mark.parametrize(
        ("model", "settings", "expected"),
        [
            ("students:Convolution", {}, Margins(2, 1)),
            ("ndt", {"n_layers": 1, "context_forward_s": 0.02, "context_backward_s": 0.06},
             Margins(3, 1, knows_place=True)),
            ("ndt", {"n_layers": 1, "context_forward_s": 0.16}, Margins(3, 3, is_bounded=False)),
            ("ndt", {"n_layers": 1, "context_forward_s": 0.0, "context_backward_s": None},
             Margins(3, 0, is_bounded=False)),
        ],
    )  # fmt: skip
    def test_reach_is_found(self, model, settings, expected) -> None:
        layer = "readout:in"
        student = make_student(model, settings, layer)
        assert margins_of(lambda b: student.signals(b, ()), 12, student.spec.n_in) == expected

    def test_what_depends_on_windows_is_said_whatever_the_first_piece(self) -> None:
        student = make_student("gru", {"width": 4, "dropout": 0.0}, "norm")
        times = [np.arange(i + 1, 2000) * 0.02 for i in range(10)]
        for observed in ([[1.0, 40.0]], [[0.0, 0.1], [2.0, 40.0]], [[2, 40], [0, 0.1]]):
            recording = Recording.of(times, span=(0.0, 40.0), observed=observed)
            assert "looks at all of the 12 bins" in student.predict(recording).notes[-1]

    def test_a_network_that_knows_no_padding_takes_shorter_trials(self) -> None:
        student = make_student("students:Plain")
        lengths = np.array([12, 3, 7, 3])
        counts = counts_of((4, 12, 10))
        counts[np.arange(12) >= lengths[:, None]] = 0
        whole = student.predict(counts, lengths)
        for trial, n in enumerate(lengths):
            expected = full_pass(student, counts[trial, :n])
            np.testing.assert_allclose(whole.rates[trial, :n], expected["rates"][0], atol=1e-5)
            assert np.isnan(whole.rates[trial, n:]).all()


class TestFiles:
    def test_a_file_written_in_pieces_holds_the_same(self, student, tmp_path, monkeypatch) -> None:
        counts, ids = counts_of((500, 10)), student.neurons.unit_id
        np.savez(tmp_path / "s.npz", spikes=counts, unit_id=ids, bin_s=BIN_S)
        monkeypatch.setattr("neuroblend.deploy.asked.BLOCK", 100)
        told = predict_to_file(student, tmp_path / "s.npz", tmp_path / "out.h5", layers=["mix"])
        assert told.summary.startswith("500 bins (10 s) of rates of 10 neurons and decoded")
        expected = student.predict(counts, unit_id=ids)
        with h5py.File(tmp_path / "out.h5") as file:
            for name in ("rates", "behavior", "latents", "edge"):
                np.testing.assert_array_equal(file[name][()], getattr(expected, name))
            assert file["unit_id"].asstr()[()].tolist() == ids.tolist()
            assert file["behavior_units"].asstr()[()].tolist() == ["cm/s", "cm/s"]
            assert file.attrs["matched"] == "by id"

    def test_what_is_read_is_not_written_over(self, student, tmp_path) -> None:
        path = tmp_path / "s.npz"
        np.savez(path, spikes=counts_of((50, 10)), bin_s=BIN_S)
        before = path.read_bytes()
        refuses("holds the spikes to predict from", predict_to_file, student, path, path)
        refuses("a folder, wanted", predict_to_file, student, path, tmp_path)
        assert path.read_bytes() == before

    def test_a_layer_may_have_any_name(self) -> None:
        student = make_student("students:Rates")
        whole = student.predict(counts_of((5, 12, 10)), layers=["rates", "features"])
        assert whole.rates.shape == (5, 12, 10)
        assert whole.layers["rates"].shape == whole.layers["features"].shape == (5, 12, 6)
        same(whole, student.predict(counts_of((5, 12, 10))))

    def test_bins_of_another_width_are_refused(self, student, tmp_path) -> None:
        np.savez(tmp_path / "s.npz", spikes=counts_of((50, 10)), bin_s=0.01)
        refuses("bins of 0.01 s, wanted 0.02 s", student.predict, tmp_path / "s.npz")
        refuses("bins of 0.01 s", student.predict, Trials.from_arrays(counts_of((5, 12, 10)), 0.01))
        assert [path.name for path in tmp_path.iterdir()] == ["s.npz"]

    @pytest.mark.parametrize(
        ("spikes", "message"),
        [
            (np.full((50, 10), 0.5), "fractional"),
            (np.full((50, 10), -1), "negative"),
            (np.full((50, 10), np.nan), "NaN"),
            ([[1, 2]], "found 2 neurons, wanted the 10"),
            ([["a"]], "found list, wanted a file, counts"),
            (object(), "found object, wanted a file, counts"),
            (np.zeros(5), "found shape"),
            (np.zeros((0, 10)), "with none of them 0"),
            (np.float64(3), "found shape"),
        ],
    )
    def test_what_are_no_counts_is_refused(self, student, spikes, message) -> None:
        refuses(message, student.predict, spikes)

    def test_frames_and_slices(self, student) -> None:
        whole = student.predict(counts_of((5, 12, 10)))
        frame = whole.to_dataframe()
        assert list(frame.columns) == ["behavior_0", "behavior_1", "edge"]
        assert frame.index.names == ["trial", "time"]
        assert frame.loc[2, "behavior_0"].iloc[0] == whole.behavior[2, 0, 0]
        np.testing.assert_array_equal(whole[1:3].rates, whole.rates[1:3])
        assert (len(whole), len(whole[4]), len(whole[[0, 2]])) == (5, 1, 2)
        assert len(repr(whole)) < 200


def test_counts_of_spike_times_are_exact_at_edges() -> None:
    """Times on a clock of 1 kHz fall into the bin that begins with them, whatever rounding does."""
    ticks = np.arange(1, 5000, 7)
    recording = Recording.of([ticks * 0.001, ticks / 1000.0], span=(0.0, 5.0))
    spikes = as_spikes(recording, 0.001)
    assert isinstance(spikes, ContinuousSpikes)
    counts = spikes.read(0, spikes.n_bins)
    expected = np.zeros(5000)
    expected[ticks] = 1
    np.testing.assert_array_equal(counts, np.stack([expected, expected], axis=1))


def test_pynapple_objects_carry_their_ids(student) -> None:
    nap = pytest.importorskip("pynapple", reason="pynapple is not installed")
    rng = np.random.default_rng(0)
    times = [np.sort(rng.uniform(0, 20, 200)) for _ in range(10)]
    trains = {i: nap.Ts(t) for i, t in enumerate(times)}
    group = nap.TsGroup(trains, time_support=nap.IntervalSet([0.0, 8.0], [5.0, 20.0]))
    refuses("none of the .* match by position", student.predict, group)
    whole = student.predict(group, match="position")
    gap = np.isnan(whole.behavior[0]).any(axis=1)
    assert np.flatnonzero(gap).tolist() == list(range(250, 400))
    given = as_spikes(group, BIN_S)
    assert given.unit_id.tolist() == list(range(10))
    counts = as_spikes(Recording.of(times, span=(0.0, 20.0)), BIN_S).read(0, 250)
    np.testing.assert_array_equal(given.read(0, 250), counts)
    refuses("found a pynapple Ts, wanted a TsGroup", student.predict, trains[0])


def test_predictions_become_xarray(student) -> None:
    pytest.importorskip("xarray", reason="xarray is not installed")
    whole = student.predict(counts_of((5, 12, 10)))
    data = whole.to_xarray()
    np.testing.assert_array_equal(data["rates"].sel(neuron="n7"), whole.rates[:, :, 1])
    assert data.sizes == {"trial": 5, "time": 12, "neuron": 10, "channel": 2, "feature": 6}
    assert data["behavior"].sel(channel="behavior_1").dims == ("trial", "time")
