from datetime import UTC, datetime

import numpy as np
import pytest
from conftest import refuses
from pynwb import NWBHDF5IO, NWBFile, TimeSeries
from pynwb.behavior import BehavioralTimeSeries, Position, PupilTracking, SpatialSeries
from pynwb.file import Subject
from pynwb.ophys import DfOverF, Fluorescence, ImageSegmentation, OpticalChannel, RoiResponseSeries

from neuroblend.data.calcium.nwb import read_session_nwb
from neuroblend.data.calcium.read import read_sessions

N_FRAMES, N_CELLS = 40, 5
TYPES = ["Vip", "", "Sst", "nan", "Pvalb"]
CELLS = {"cell_type": TYPES, "unique_id": [11, 12, 13, 14, 15]}
FRAMES = 2 + 0.25 * np.arange(N_FRAMES)


class Writer:
    """An NWB file with planes of cells, to which a test adds what it reads again."""

    def __init__(self, subject="m1"):
        self.file = NWBFile(
            session_description="a test",
            identifier="it",
            session_start_time=datetime(2026, 1, 1, tzinfo=UTC),
        )
        if subject:
            self.file.subject = Subject(subject_id=subject, species="Mus musculus")
        device = self.file.create_device(name="microscope")
        channel = OpticalChannel(name="green", description="one", emission_lambda=520.0)
        self.plane = self.file.create_imaging_plane(
            name="plane",
            optical_channel=channel,
            description="one",
            device=device,
            excitation_lambda=920.0,
            indicator="GCaMP6s",
            location="V1",
        )
        self.ophys = self.file.create_processing_module(name="ophys", description="activity")
        self.segmentation = ImageSegmentation()
        self.ophys.add(self.segmentation)

    def cells(self, columns=None, name="cells"):
        """Add a table of cells, and return its rows but for the first, the last row first."""
        columns = CELLS if columns is None else columns
        table = self.segmentation.create_plane_segmentation(
            name=name, description="cells", imaging_plane=self.plane
        )
        for _ in range(N_CELLS):
            table.add_roi(pixel_mask=[(1, 1, 1.0)])
        for key, values in columns.items():
            table.add_column(name=key, description="of a cell", data=list(values))
        return table.create_roi_table_region(description="rows", region=[4, 3, 2, 1])

    def activity(self, rois, holder, name="responses", values=None, **clock):
        if values is None:
            values = np.random.default_rng(len(holder.name)).random((N_FRAMES, 4))
        clock = clock or {"rate": 4.0, "starting_time": 2.0}
        series = RoiResponseSeries(name=name, data=values, rois=rois, unit="n.a.", **clock)
        if holder.parent is None:
            self.ophys.add(holder)
        holder.add_roi_response_series(series)
        return values

    def behavior(self, *items):
        module = self.file.create_processing_module(name="behavior", description="of a mouse")
        for item in items:
            module.add(item)

    def write(self, path):
        with NWBHDF5IO(str(path), "w") as io:
            io.write(self.file)
        return path


def series(name, data, **clock):
    return TimeSeries(name=name, data=data, unit="a.u.", **clock)


def plain(columns=None, subject="m1", **given):
    writer = Writer(subject)
    writer.activity(writer.cells(columns), Fluorescence(name="Deconvolved"), **given)
    return writer


def test_a_session_holds_what_the_file_holds(tmp_path) -> None:
    values = np.random.default_rng(0).random((N_FRAMES, 4))
    (session,) = read_sessions(plain(values=values).write(tmp_path / "mine.nwb"))
    np.testing.assert_array_equal(session.activity, values.astype(np.float32))
    assert (session.name, session.animal, session.frame_s) == ("mine", "m1", 0.25)
    assert list(session.labels) == ["cell_type"]
    assert session.labels["cell_type"].tolist() == ["Pvalb", "", "Sst", ""]
    assert session.neuron_id.tolist() == ["m1/15", "m1/14", "m1/13", "m1/12"]
    assert (session.behavior, session.position, session.notes) == (None, None, ())


def test_a_file_that_tells_little_is_called_as_it_is(tmp_path) -> None:
    writer = plain({"class": TYPES}, subject=None)
    (session,) = read_session_nwb(writer.write(tmp_path / "mine.nwb"))
    assert session.animal == "mine"
    assert session.neuron_id.tolist() == [f"mine/{i} (no id)" for i in (4, 3, 2, 1)]


def test_deconvolved_activity_is_preferred_then_df_over_f(tmp_path) -> None:
    holders = [Fluorescence(name=name) for name in ("Fluorescence", "Neuropil")]
    holders.append(DfOverF(name="DfOverF"))
    writer = Writer()
    rois = writer.cells()
    values = [writer.activity(rois, holder) for holder in holders]
    (session,) = read_session_nwb(writer.write(tmp_path / "a.nwb"))
    np.testing.assert_array_equal(session.activity, values[2].astype(np.float32))
    (note,) = session.notes
    assert "Fluorescence/responses" in note and "Neuropil/responses" in note
    assert "DfOverF" not in note

    writer = Writer()
    rois = writer.cells()
    holders = [DfOverF(name="DfOverF"), Fluorescence(name="Fluorescence")]
    writer.activity(rois, holders[0])
    deconvolved = writer.activity(rois, holders[1], "deconvolved_responses")
    (session,) = read_session_nwb(writer.write(tmp_path / "b.nwb"))
    np.testing.assert_array_equal(session.activity, deconvolved.astype(np.float32))


def test_each_table_of_cells_is_a_session(tmp_path) -> None:
    writer = Writer()
    holder = Fluorescence(name="Deconvolved")
    for name in ("plane0", "plane1"):
        writer.activity(writer.cells({"label": TYPES}, name), holder, name)
    first, second = read_session_nwb(writer.write(tmp_path / "a.nwb"))
    assert (first.name, second.name) == ("a/plane0", "a/plane1")
    assert not set(first.neuron_id) & set(second.neuron_id)


def test_labels_of_several_kinds_ids_and_positions_are_columns(tmp_path) -> None:
    columns = {
        "ei": ["IN", "EC", "IN", "EC", "IN"],
        "subclass": TYPES,
        "type": [1, 2, 3, 4, 5],  # numbers are no labels
        "UniqueID": [1.0, np.nan, 3.0, 4.0, 5.0],
        "x": np.arange(5.0),
        "y": np.arange(5.0) * 10,
    }
    (session,) = read_session_nwb(plain(columns).write(tmp_path / "a.nwb"))
    assert set(session.labels) == {"ei", "subclass"}
    assert session.labels["ei"].tolist() == ["IN", "EC", "IN", "EC"]
    assert session.neuron_id.tolist() == ["m1/5", "m1/4", "m1/3", "a/1 (no id)"]
    np.testing.assert_array_equal(session.position, [[4, 40], [3, 30], [2, 20], [1, 10]])
    centroid = np.random.default_rng(0).random((5, 3))
    (session,) = read_session_nwb(plain(CELLS | {"centroid": centroid}).write(tmp_path / "b.nwb"))
    np.testing.assert_allclose(session.position, centroid[[4, 3, 2, 1]], rtol=1e-6)


def test_behavior_is_brought_to_the_times_of_frames(tmp_path) -> None:
    fast = np.arange(0, 20, 0.03)
    late = np.arange(6, 20, 0.03)
    writer = plain()
    writer.behavior(
        BehavioralTimeSeries(time_series=series("speed", 2 * fast, timestamps=fast)),
        PupilTracking(time_series=series("area", late**2, timestamps=late)),
        Position(
            spatial_series=SpatialSeries(
                name="paw",
                data=np.stack([fast, -fast], axis=1),
                comments="columns=[x,y]",
                timestamps=fast,
                reference_frame="the table",
            )
        ),
        series("whisk", 3 * np.arange(2000.0), rate=100.0),
        series("before", np.arange(10.0), rate=100.0),
        series("face", np.ones((500, 50)), rate=100.0),
    )
    writer.file.add_acquisition(series("lick", fast > 7, timestamps=fast))
    writer.file.add_stimulus(series("contrast", fast, timestamps=fast))
    (session,) = read_session_nwb(writer.write(tmp_path / "a.nwb"))
    found = dict(zip(session.behavior_names, session.behavior.T, strict=True))
    paw = {"Position_paw_x", "Position_paw_y"}
    assert set(found) == paw | {"BehavioralTimeSeries_speed", "PupilTracking_area", "whisk", "lick"}
    np.testing.assert_allclose(found["BehavioralTimeSeries_speed"], 2 * FRAMES, rtol=1e-5)
    np.testing.assert_allclose(found["Position_paw_x"], FRAMES, rtol=1e-5)
    np.testing.assert_allclose(found["Position_paw_y"], -FRAMES, rtol=1e-5)
    np.testing.assert_allclose(found["whisk"], 300 * FRAMES, rtol=1e-5)
    expected = np.where(FRAMES < 6, np.nan, FRAMES**2)
    np.testing.assert_allclose(found["PupilTracking_area"], expected, rtol=1e-4)
    assert set(found["lick"][[0, -1]]) == {0, 1}
    notes = sorted(session.notes)
    assert notes[0].startswith("before: samples from 0.0 to 0.1 s and frames from 2.0 to 11.8 s")
    assert notes[0].endswith("do not overlap; left out")
    assert notes[1:] == ["face: 50 columns, more than 16; left out"]


def test_frames_may_have_timestamps(tmp_path) -> None:
    times = FRAMES.copy()
    times[20:] += 7  # the median is not the mean
    writer = plain(timestamps=times)
    writer.behavior(series("speed", np.arange(200.0), rate=10.0))
    (session,) = read_session_nwb(writer.write(tmp_path / "a.nwb"))
    assert session.frame_s == pytest.approx(0.25)
    expected = np.where(times > 19.9, np.nan, times * 10)
    np.testing.assert_allclose(session.behavior[:, 0], expected, rtol=1e-5)


def no_activity():
    writer = Writer()
    writer.cells()
    return writer


def not_finite():
    values = np.ones((N_FRAMES, 4))
    values[6, 2] = np.nan
    return plain(values=values)


def behavior_backwards():
    writer = plain()
    times = np.array([3.0, 2.0, 1.0])
    writer.behavior(series("speed", times, timestamps=times))
    return writer


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (no_activity, "no RoiResponseSeries, so no activity of cells"),
        (
            lambda: plain({"celltype": TYPES, "type": [1, 2, 3, 4, 5]}),
            "table 'cells' has no column of labels, .* columns: celltype, type",
        ),
        (lambda: plain({"label": ["", "nan", "", "NaN", ""]}), "no neuron has a label: .* label"),
        (lambda: plain(CELLS | {"unique_id": [1, 2, 3, 3, 4]}), "neuron_id 'm1/3' appears 2 times"),
        (lambda: plain(CELLS | {"unique_id": np.ones(5) / 2}), "neuron_id: found 0.5, wanted"),
        (lambda: plain(CELLS | {"centroid": np.ones((5, 4))}), r"positions of cells have shape"),
        (
            lambda: plain(timestamps=FRAMES[::-1].copy()),
            "responses has 40 frames and 40 timestamps, .* ascending",
        ),
        (not_finite, "activity is not finite in 1 of 40 frames, frame 6 first"),
        (behavior_backwards, "timestamps of speed go backwards"),
    ],
)
def test_files_that_do_not_fit_are_refused(tmp_path, make, message) -> None:
    path = make().write(tmp_path / "a.nwb")
    refuses(f"^{path}: .*{message}", read_session_nwb, path)


@pytest.mark.filterwarnings("ignore:.*second dimension of data does not match")
def test_activity_of_other_cells_is_refused(tmp_path) -> None:
    path = plain(values=np.ones((N_FRAMES, 6))).write(tmp_path / "a.nwb")
    message = rf"^{path}: responses has shape \(40, 6\), wanted \(frame, 4 ro"
    refuses(message, read_session_nwb, path)


def test_files_that_are_not_nwb_are_refused(tmp_path) -> None:
    (tmp_path / "a.nwb").write_text("hello")
    refuses("truncated, or not an NWB file", read_session_nwb, tmp_path / "a.nwb")
    refuses("no such file", read_session_nwb, tmp_path / "none.nwb")
