"""C3D: what is written is read back, here and by ezc3d; files of all processors are read; broken files are refused."""

import struct
import warnings
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from calibration.errors import FileFormatError, InvalidValueError, MismatchError, SuiteWarning
from pose3d.datasets import poses3d
from pose3d.formats import load_poses3d, read_c3d, read_c3d_angles, read_c3d_events, write_c3d

LABELS = st.lists(
    st.from_regex(r"[A-Za-zÄö._-][A-Za-z0-9._ -]{0,8}[a-z]", fullmatch=True), min_size=1, max_size=5, unique=True
)


def events_at(times, labels=None, contexts=None) -> xr.Dataset:
    count = len(times)
    return xr.Dataset(
        {
            "event_time": ("event", np.array(times, dtype=float), {"units": "s"}),
            "event_label": ("event", labels or ["Foot Strike"] * count),
            "event_context": ("event", contexts or ["Left"] * count),
        }
    )


def walk(
    n_frames=20, keypoints=("heel", "toe"), frames=None, frame_rate=100.0, unit="mm", individual="anna"
) -> xr.Dataset:
    position = np.random.default_rng(1).normal(scale=300, size=(n_frames, 3, len(keypoints), 1))
    return poses3d(
        position, individuals=[individual], keypoints=keypoints, unit=unit, frames=frames, frame_rate=frame_rate
    )


class TestThereAndBack:
    @settings(max_examples=50)
    @given(
        labels=LABELS,
        frames=st.lists(st.integers(0, 90_000), min_size=1, max_size=4, unique=True)
        .map(lambda some: sorted(min(some) + one % 50 for one in some))
        .filter(lambda some: len(set(some)) == len(some)),
        frame_rate=st.floats(1, 2000, width=32),
        unit=st.sampled_from(["mm", "cm", "m"]),
        seed=st.integers(0, 100),
    )
    def test_points(self, tmp_path_factory, make_solid, labels, frames, frame_rate, unit, seed):
        solid = make_solid(len(frames), (*labels, "last"), ("anna",), frames, frame_rate, seed)
        solid["position"].attrs["units"] = unit
        path = tmp_path_factory.mktemp("c3d") / "a.c3d"
        assert write_c3d(solid, path) == (path,)
        found = read_c3d(path)
        assert found["keypoint"].values.tolist() == [*labels, "last"]
        assert found["individual"].values.tolist() == ["anna"]
        assert found["position"].attrs["units"] == unit
        assert found.attrs["fps"] == pytest.approx(frame_rate, rel=1e-6)
        assert found["frame"].values.tolist() == list(range(frames[0], frames[-1] + 1))
        known = found.isel(time=np.isin(found["frame"].values, frames))
        np.testing.assert_allclose(known["position"], solid["position"], rtol=1e-6)
        assert np.isnan(found["position"].isel(time=~np.isin(found["frame"].values, frames))).all()

    def test_the_same_input_gives_the_same_bytes(self, tmp_path, make_solid):
        solid = make_solid(individuals=("anna",))
        for name in ("a.c3d", "b.c3d"):
            write_c3d(solid, tmp_path / name, events=events_at([0.2]))
        assert (tmp_path / "a.c3d").read_bytes() == (tmp_path / "b.c3d").read_bytes()

    def test_one_file_for_each_individual(self, tmp_path, make_solid):
        solid = make_solid()
        files = write_c3d(solid, tmp_path / "walk.c3d")
        assert [file.name for file in files] == ["walk_anna.c3d", "walk_ben_2.c3d"]
        for name, file in zip(("anna", "ben/2"), files, strict=True):
            found = read_c3d(file)
            assert found["individual"].values.tolist() == [name]
            known = found.isel(time=np.isin(found["frame"].values, solid["frame"].values))
            np.testing.assert_allclose(known["position"], solid["position"].sel(individual=[name]), rtol=1e-6)
        assert write_c3d(solid, tmp_path / "b.c3d", individual="anna") == (tmp_path / "b.c3d",)
        with pytest.raises(MismatchError, match="individual 'carl': expected one of anna, ben/2"):
            write_c3d(solid, tmp_path / "b.c3d", individual="carl")

    def test_more_points_than_one_list_of_labels_holds(self, tmp_path):
        many = walk(3, [f"p{number}" for number in range(600)])
        write_c3d(many, tmp_path / "a.c3d")
        np.testing.assert_allclose(read_c3d(tmp_path / "a.c3d")["position"], many["position"], rtol=1e-6)

    def test_more_frames_than_the_header_counts(self, tmp_path):
        long = walk(70_001, ["p"], frames=65_000 + np.arange(70_001))
        write_c3d(long, tmp_path / "a.c3d")
        found = read_c3d(tmp_path / "a.c3d")
        np.testing.assert_array_equal(found["frame"], long["frame"])
        np.testing.assert_allclose(found["position"], long["position"], rtol=1e-6)

    def test_a_point_at_the_origin_is_not_missing(self, tmp_path):
        still = poses3d(np.zeros((3, 3, 1, 1)), individuals=["a"], keypoints=["hip"], unit="m", frame_rate=10.0)
        write_c3d(still, tmp_path / "a.c3d")
        np.testing.assert_allclose(read_c3d(tmp_path / "a.c3d")["position"], 0.0, atol=1e-20)

    def test_what_is_not_in_memory_is_read_in_pieces(self, tmp_path):
        dask = pytest.importorskip("dask")
        solid = walk(5000)
        write_c3d(solid, tmp_path / "a.c3d")
        with dask.config.set(scheduler="synchronous"):
            write_c3d(solid.chunk(time=500), tmp_path / "b.c3d")
        assert (tmp_path / "a.c3d").read_bytes() == (tmp_path / "b.c3d").read_bytes()


class TestEvents:
    def test_there_and_back_in_order(self, tmp_path):
        given = events_at([0.15, 0.02, 0.07], ["Foot Off", "Foot Strike", "toe"], ["Right", "Left", ""])
        write_c3d(walk(), tmp_path / "a.c3d", events=given)
        found = read_c3d_events(tmp_path / "a.c3d")
        assert found["event_time"].values.tolist() == [0.02, 0.07, 0.15]
        assert found["event_label"].values.tolist() == ["Foot Strike", "toe", "Foot Off"]
        assert found["event_context"].values.tolist() == ["Left", "General", "Right"]
        assert found["event_time"].attrs["units"] == "s"
        assert (found.attrs["start"], found.attrs["stop"]) == (0.0, pytest.approx(0.19))

    def test_times_are_those_of_the_recording_and_not_of_the_first_frame_in_the_file(self, tmp_path):
        later = walk(frames=1000 + np.arange(20))
        write_c3d(later, tmp_path / "a.c3d", events=events_at([10.1]))
        assert read_c3d_events(tmp_path / "a.c3d")["event_time"].values.tolist() == [10.1]
        assert read_c3d(tmp_path / "a.c3d")["time"].values[0] == 10.0

    def test_a_recording_with_a_clock_of_its_own(self, tmp_path):
        poses = walk().assign_coords(time=("time", 5.0 + np.arange(20) / 50, {"units": "s"}))
        write_c3d(poses, tmp_path / "a.c3d", events=events_at([5.0, 5.1, 5.38]))
        # frame 5 is at 5.1 s, and at 0.05 s of the file
        np.testing.assert_allclose(read_c3d_events(tmp_path / "a.c3d")["event_time"], [0.0, 0.05, 0.19], atol=1e-6)

    def test_hours_keep_their_microseconds(self, tmp_path):
        late = walk(frames=720_000 + np.arange(20))
        write_c3d(late, tmp_path / "a.c3d", events=events_at([7200.123457]))
        assert read_c3d_events(tmp_path / "a.c3d")["event_time"].item() == pytest.approx(7200.123457, abs=4e-6)

    def test_more_than_one_list_holds(self, tmp_path):
        times = np.arange(600) / 100
        with pytest.warns(SuiteWarning, match="600 events: those after the first 255"):
            write_c3d(walk(600), tmp_path / "a.c3d", events=events_at(times))
        np.testing.assert_allclose(read_c3d_events(tmp_path / "a.c3d")["event_time"], times, atol=1e-6)

    def test_a_file_without_events(self, tmp_path):
        write_c3d(walk(), tmp_path / "a.c3d")
        assert dict(read_c3d_events(tmp_path / "a.c3d").sizes) == {"event": 0}
        write_c3d(walk(), tmp_path / "b.c3d", events=events_at([]))
        assert dict(read_c3d_events(tmp_path / "b.c3d").sizes) == {"event": 0}

    def test_those_outside_the_frames_of_the_file_are_left_out(self, tmp_path):
        write_c3d(walk(), tmp_path / "a.c3d", events=events_at([0.1, 3.0]))
        with pytest.warns(SuiteWarning, match=r"1 events outside the frames of the file \(0 to 0\.19 s\)"):
            found = read_c3d_events(tmp_path / "a.c3d")
        assert found["event_time"].values.tolist() == [0.1]

    @pytest.mark.parametrize(
        ("events", "message"),
        [
            (xr.Dataset({"time": ("event", [1.0])}), "with event_time and event_label"),
            (events_at([np.nan]), "finite times"),
            (events_at([-1.0]), "finite times"),
        ],
    )
    def test_what_are_no_events(self, tmp_path, events, message):
        with pytest.raises(InvalidValueError, match=message):
            write_c3d(walk(), tmp_path / "a.c3d", events=events)
        assert not list(tmp_path.iterdir())


class TestAngles:
    @pytest.mark.parametrize("units", ["rad", "deg", None])
    def test_there_and_back(self, tmp_path, units):
        values = np.random.default_rng(0).uniform(-3, 3, (20, 2, 3))
        values[4, 1] = np.nan
        degrees = np.rad2deg(values)
        angles = xr.DataArray(
            degrees if units == "deg" else values,
            dims=("time", "angle", "rotation"),
            coords={"angle": ["LKneeAngles", "RKneeAngles"]},
            attrs={} if units is None else {"units": units},
        )
        write_c3d(walk(), tmp_path / "a.c3d", angles=angles)
        found = read_c3d_angles(tmp_path / "a.c3d")
        assert found.dims == ("time", "angle", "component")
        assert found.attrs["units"] == "rad"
        assert found["angle"].values.tolist() == ["LKneeAngles", "RKneeAngles"]
        np.testing.assert_allclose(found, values, atol=1e-6)
        assert read_c3d(tmp_path / "a.c3d")["keypoint"].values.tolist() == ["heel", "toe"]

    def test_one_number_per_angle_and_individual(self, tmp_path, make_solid):
        solid = make_solid()
        values = np.random.default_rng(0).uniform(-3, 3, (7, 2, 1))
        angles = xr.DataArray(
            values, dims=("time", "individual", "angle"), coords={"individual": ["anna", "ben/2"], "angle": ["knee"]}
        )
        _, ben = write_c3d(solid, tmp_path / "a.c3d", angles=angles)
        found = read_c3d_angles(ben)
        known = found.isel(time=np.isin(found["frame"].values, solid["frame"].values))
        np.testing.assert_allclose(known[:, 0, 0], values[:, 1, 0], atol=1e-6)
        assert (known[:, 0, 1:] == 0).all()

    def test_what_does_not_fit(self, tmp_path):
        good = xr.DataArray(np.zeros((20, 1)), dims=("time", "angle"), coords={"angle": ["knee"]})
        wrong = {
            "dimensions time and angle": good.expand_dims(leg=2),
            "expected the 20 frames of the poses, got 19": good[1:],
            "got other frames": good.assign_coords(frame=("time", 1 + np.arange(20))),
            "in rad or deg, got units 'mm'": good.assign_attrs(units="mm"),
            "heel in both": good.assign_coords(angle=["heel"]),
        }
        for message, angles in wrong.items():
            with pytest.raises((InvalidValueError, MismatchError), match=message):
                write_c3d(walk(), tmp_path / "a.c3d", angles=angles)

    def test_a_file_without_angles(self, tmp_path):
        write_c3d(walk(), tmp_path / "a.c3d")
        with pytest.raises(FileFormatError, match=r"points that are angles \(POINT:ANGLES\).*got none"):
            read_c3d_angles(tmp_path / "a.c3d")


class TestAnotherReader:
    """ezc3d, which shares no code with this package."""

    def test_nothing_is_lost(self, tmp_path):
        ezc3d = pytest.importorskip("ezc3d")
        poses = walk(frames=7 + np.arange(20), keypoints=[f"p{number}" for number in range(300)])
        poses["position"][3, :, 0] = np.nan
        angles = xr.DataArray(np.ones((20, 1)), dims=("time", "angle"), coords={"angle": ["knee"]})
        write_c3d(poses, tmp_path / "a.c3d", events=events_at([0.1, 0.12], contexts=["Left", "Right"]), angles=angles)
        other = ezc3d.c3d(str(tmp_path / "a.c3d"))
        points, parameters = other["data"]["points"], other["parameters"]
        np.testing.assert_allclose(points[:3, :300].transpose(2, 0, 1), poses["position"].values[..., 0], rtol=1e-6)
        np.testing.assert_allclose(points[:3, 300].T, np.rad2deg([[1.0, 0.0, 0.0]] * 20), rtol=1e-6)
        assert other["data"]["meta_points"]["residuals"][0, 0, 3] == -1
        assert (other["header"]["points"]["first_frame"], other["header"]["points"]["last_frame"]) == (7, 26)
        assert other["header"]["points"]["frame_rate"] == 100.0
        labels = parameters["POINT"]["LABELS"]["value"] + parameters["POINT"]["LABELS2"]["value"]
        assert labels == [*poses["keypoint"].values, "knee"]
        assert parameters["POINT"]["UNITS"]["value"] == ["mm"]
        assert parameters["POINT"]["ANGLES"]["value"] == ["knee"]
        assert parameters["SUBJECTS"]["NAMES"]["value"] == ["anna"]
        event = parameters["EVENT"]
        assert event["CONTEXTS"]["value"] == ["Left", "Right"]
        np.testing.assert_allclose(event["TIMES"]["value"], [[0, 0], [0.1, 0.12]], rtol=1e-6)
        assert event["ICON_IDS"]["value"].tolist() == [1, 1]

    def test_every_frame_of_a_long_recording(self, tmp_path):
        ezc3d = pytest.importorskip("ezc3d")
        long = walk(70_000, ["p"])
        write_c3d(long, tmp_path / "a.c3d")
        points = ezc3d.c3d(str(tmp_path / "a.c3d"))["data"]["points"]
        np.testing.assert_allclose(points[:3, 0].T, long["position"].values[..., 0, 0], rtol=1e-6)

    def test_what_it_writes_is_read(self, tmp_path):
        ezc3d = pytest.importorskip("ezc3d")
        points = np.random.default_rng(0).normal(size=(4, 3, 10))
        points[:3, 1, 4] = np.nan
        made = ezc3d.c3d()
        made["parameters"]["POINT"]["RATE"]["value"] = [50.0]
        made["parameters"]["POINT"]["UNITS"]["value"] = ["m"]
        made["parameters"]["POINT"]["LABELS"]["value"] = ["anna:heel", "anna:toe", "*12"]
        made["data"]["points"] = points
        made["data"]["meta_points"]["residuals"] = np.where(np.isnan(points[:1]), -1.0, 0.0)
        made.add_event([0, 0.1], context="Right", label="Foot Off")
        made.write(str(tmp_path / "a.c3d"))
        with pytest.warns(SuiteWarning, match="1 points without a label are left out"):
            found = read_c3d(tmp_path / "a.c3d")
        assert found["individual"].values.tolist() == ["anna"]
        assert found["keypoint"].values.tolist() == ["heel", "toe"]
        np.testing.assert_allclose(found["position"].values[..., 0], points[:3, :2].transpose(2, 0, 1), rtol=1e-6)
        assert read_c3d_events(tmp_path / "a.c3d")["event_context"].values.tolist() == ["Right"]


def vax(value: float) -> bytes:
    """A real number as DEC's VAX has it: four times as large, and its two words exchanged."""
    raw = struct.pack("<f", value * 4)
    return raw[2:] + raw[:2]


def by_hand(
    *, processor=84, integers=False, labels=("a", "b"), more=(), frames=3, units="mm", analog=0, zeros=0, value=None
) -> bytes:
    """A file put together from the description of the format: `frames` of points at (1, 2, 3) and (4, 5, 6)."""
    order = ">" if processor == 86 else "<"

    def words(*numbers: int) -> bytes:
        return struct.pack(f"{order}{len(numbers)}h", *numbers)

    def real(number: float) -> bytes:
        return vax(number) if processor == 85 else struct.pack(f"{order}f", number)

    def entry(name: str, number: int, content: bytes) -> bytes:
        return struct.pack("bb", len(name), number) + name.encode() + words(len(content) + 3) + content + b"\0"

    def text(name: str, number: int, values) -> bytes:
        width = max(map(len, values))
        joined = "".join(value.ljust(width) for value in values).encode("latin-1")
        return entry(name, number, struct.pack("bBBB", -1, 2, width, len(values)) + joined)

    scale = 0.5 if integers else -0.5
    entries = b"".join(
        [
            entry("POINT", -1, b""),
            entry("RATE", 1, struct.pack("bB", 4, 0) + real(50.0)),
            entry("SCALE", 1, struct.pack("bB", 4, 0) + real(scale)),
            entry("DATA_START", 1, struct.pack("bB", 2, 0) + words(4)),
            text("LABELS", 1, labels),
            text("UNITS", 1, [units]),
            *(text(name, 1, values) for name, values in more),
        ]
    )
    section = bytes([1, 0x50, 2, processor]) + entries + b"\0\0"
    head = bytes([2, 0x50]) + words(len(labels), analog, 1, frames, 0) + real(scale) + words(4, 1) + real(50.0)
    if integers:
        row = words(2, 4, 6, 0, 8, 10, 12, 0) + words(0) * analog
    else:
        points = ((1, 2, 3, 0), (4, 5, 6, 0)) if value is None else value
        row = b"".join(real(float(number)) for point in points for number in point) + real(0.0) * analog
    return bytes(zeros) + head.ljust(512, b"\0") + section.ljust(1024, b"\0") + row * frames


class TestFilesByHand:
    @pytest.mark.parametrize("processor", [84, 85, 86], ids=["intel", "dec", "mips"])
    @pytest.mark.parametrize("integers", [False, True], ids=["real", "integer"])
    @pytest.mark.parametrize("analog", [0, 3])
    def test_processors_and_kinds_of_numbers(self, tmp_path, processor, integers, analog):
        (tmp_path / "a.c3d").write_bytes(by_hand(processor=processor, integers=integers, analog=analog))
        found = read_c3d(tmp_path / "a.c3d")
        assert found.attrs["fps"] == 50.0
        np.testing.assert_array_equal(found["position"].values[..., 0], [[[1, 4], [2, 5], [3, 6]]] * 3)

    def test_zeros_before_the_header(self, tmp_path):
        (tmp_path / "a.c3d").write_bytes(by_hand(zeros=512))
        assert read_c3d(tmp_path / "a.c3d").sizes["time"] == 3

    def test_what_is_missing(self, tmp_path):
        for value in (((1, 2, 3, -1), (4, 5, 6, 0)), ((0, 0, 0, 0), (4, 5, 6, 0)), ((np.nan, 2, 3, 0), (4, 5, 6, 0))):
            (tmp_path / "a.c3d").write_bytes(by_hand(value=value))
            found = read_c3d(tmp_path / "a.c3d")["position"].values[0, :, :, 0]
            assert np.isnan(found[:, 0]).all()
            assert found[:, 1].tolist() == [4, 5, 6]

    def test_individuals_by_the_prefix_of_labels(self, tmp_path):
        (tmp_path / "a.c3d").write_bytes(by_hand(labels=("anna:heel", "ben:heel")))
        found = read_c3d(tmp_path / "a.c3d")
        assert found["individual"].values.tolist() == ["anna", "ben"]
        assert found["position"].sel(individual="ben", keypoint="heel")[0].values.tolist() == [4, 5, 6]
        one = load_poses3d(tmp_path / "a.c3d", individual="ben")
        assert one["individual"].values.tolist() == ["ben"]
        (tmp_path / "b.c3d").write_bytes(by_hand(labels=("anna:heel", "toe")))
        assert read_c3d(tmp_path / "b.c3d")["individual"].values.tolist() == ["anna"]

    @pytest.mark.parametrize("group", ["ANGLES", "FORCES", "MOMENTS", "POWERS", "SCALARS"])
    def test_points_that_are_no_places_are_left_out(self, tmp_path, group):
        (tmp_path / "a.c3d").write_bytes(by_hand(more=[(group, ["b"])]))
        assert read_c3d(tmp_path / "a.c3d")["keypoint"].values.tolist() == ["a"]
        (tmp_path / "b.c3d").write_bytes(by_hand(more=[("OWN", ["b"]), ("TYPE_GROUPS", ["OWN", "MINE"])]))
        assert read_c3d(tmp_path / "b.c3d")["keypoint"].values.tolist() == ["a"]
        modeled = [("MODELED_MARKERS", ["b"]), ("TYPE_GROUPS", ["MODELED_MARKERS", "MODELED_MARKER"])]
        (tmp_path / "c.c3d").write_bytes(by_hand(more=modeled))
        assert read_c3d(tmp_path / "c.c3d")["keypoint"].values.tolist() == ["a", "b"]

    @pytest.mark.parametrize(("stated", "unit"), [("mm", "mm"), ("M", "m"), ("centimeters", "cm")])
    def test_units(self, tmp_path, stated, unit):
        (tmp_path / "a.c3d").write_bytes(by_hand(units=stated))
        assert read_c3d(tmp_path / "a.c3d")["position"].attrs["units"] == unit
        with pytest.raises(MismatchError, match=f"expected 'ft', the unit that was given, got '{unit}' in the file"):
            read_c3d(tmp_path / "a.c3d", unit="ft")

    def test_no_unit(self, tmp_path):
        (tmp_path / "a.c3d").write_bytes(by_hand(units=" "))
        with pytest.warns(SuiteWarning, match="does not say its length unit; mm is assumed"):
            read_c3d(tmp_path / "a.c3d")
        assert read_c3d(tmp_path / "a.c3d", unit="m")["position"].attrs["units"] == "m"


class TestBadFiles:
    def test_duplicate_labels(self, tmp_path):
        (tmp_path / "a.c3d").write_bytes(by_hand(labels=("heel", "heel")))
        with pytest.raises(FileFormatError, match=r"POINT:LABELS: expected each label once, got repeated: heel"):
            read_c3d(tmp_path / "a.c3d")

    def test_no_points(self, tmp_path):
        content = bytearray(by_hand(analog=3))
        content[2:4] = b"\0\0"
        (tmp_path / "a.c3d").write_bytes(content)
        with pytest.raises(FileFormatError, match="with points, got 3 frames of 0 points and 3 analog numbers"):
            read_c3d(tmp_path / "a.c3d")
        (tmp_path / "b.c3d").write_bytes(by_hand(labels=("*1", "*2")))
        with pytest.raises(FileFormatError, match="got 2 points without a label"):
            read_c3d(tmp_path / "b.c3d")

    @pytest.mark.parametrize("length", [0, 1, 2, 100, 511, 512, 515, 600, 700, 1500, 1536, 1600])
    def test_cut_off(self, tmp_path, length):
        content = by_hand()
        assert length < len(content)
        (tmp_path / "a.c3d").write_bytes(content[:length])
        for read in (read_c3d, read_c3d_events, read_c3d_angles, load_poses3d):
            with pytest.raises(FileFormatError, match=r"a\.c3d"):
                read(tmp_path / "a.c3d")

    @pytest.mark.parametrize(
        ("content", "looks"),
        [
            (b"PathFileType\t4\t(X/Y/Z)\ta.trc\n", "a TRC file"),
            (b"", "an empty file"),
            (bytes(2000), "a file that begins with zeros"),
            (b"PK\x03\x04....", "a ZIP archive"),
            (b"xP text that is none", "begins with b'xP text"),
        ],
    )
    def test_of_another_kind(self, tmp_path, content, looks):
        (tmp_path / "a.c3d").write_bytes(content)
        with pytest.raises(FileFormatError, match=f"expected a C3D file, got .*{looks}"):
            read_c3d(tmp_path / "a.c3d")

    def test_a_folder_or_nothing(self, tmp_path):
        with pytest.raises(FileFormatError, match="got a folder"):
            read_c3d(tmp_path)
        with pytest.raises(FileFormatError, match="No such file"):
            read_c3d(tmp_path / "none.c3d")

    def test_bytes_changed_at_random(self, tmp_path):
        """An error of this package or a result, and never another error."""
        write_c3d(walk(), tmp_path / "good.c3d", events=events_at([0.1]))
        good = (tmp_path / "good.c3d").read_bytes()
        rng = np.random.default_rng(0)
        refused = 0
        for _ in range(200):
            content = bytearray(good)
            for place in rng.integers(0, 2500, size=3):
                content[place] = rng.integers(0, 256)
            refused += self.is_refused(tmp_path, bytes(content))
        assert refused > 20

    @staticmethod
    def is_refused(folder: Path, content: bytes) -> bool:
        (folder / "a.c3d").write_bytes(content)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SuiteWarning)
            try:
                read_c3d(folder / "a.c3d")
                read_c3d_events(folder / "a.c3d")
            except (FileFormatError, InvalidValueError):
                return True
        return False


class TestWritingRefuses:
    def test_poses_without_frame_rate(self, tmp_path):
        poses = walk(frame_rate=None)
        with pytest.raises(InvalidValueError, match="a frame rate, which C3D files need"):
            write_c3d(poses, tmp_path / "a.c3d")
        write_c3d(poses, tmp_path / "a.c3d", frame_rate=25.0)
        assert read_c3d(tmp_path / "a.c3d").attrs["fps"] == 25.0

    def test_names_that_are_too_long_or_too_many(self, tmp_path):
        with pytest.raises(InvalidValueError, match="at most 255 bytes"):
            write_c3d(walk(keypoints=["x" * 256]), tmp_path / "a.c3d")
        with pytest.raises(InvalidValueError, match="Write fewer events or keypoints"):
            write_c3d(walk(2, [f"{number:0200}" for number in range(700)]), tmp_path / "a.c3d")
        assert not list(tmp_path.iterdir())
