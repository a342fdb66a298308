"""TRC: what is written is read back; OpenSim's rules for rows hold; broken files are refused."""

import re

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from calibration.errors import FileFormatError, InvalidValueError, MismatchError, SuiteWarning
from pose3d.datasets import poses3d
from pose3d.formats import read_trc, write_trc

MARKERS = st.lists(
    st.from_regex(r"[A-Za-zÄö._-][A-Za-z0-9._-]{0,8}", fullmatch=True), min_size=1, max_size=5, unique=True
)


def opensim_cells(line: str) -> list[str]:
    """A line as OpenSim's TRCFileAdapter splits it: at every tab; after the last one only if something is there."""
    *cells, rest = line.split("\t")
    return cells + ([rest] if rest else [])


@settings(max_examples=50)
@given(
    markers=MARKERS,
    frames=st.lists(st.integers(0, 60), min_size=1, max_size=12, unique=True).map(sorted),
    frame_rate=st.floats(1, 2000),
    up=st.sampled_from(["z", "y"]),
    seed=st.integers(0, 100),
)
def test_what_is_written_is_read_back(tmp_path_factory, make_solid, markers, frames, frame_rate, up, seed):
    solid = make_solid(len(frames), (*markers, "last"), ("anna",), frames, frame_rate, seed)
    path = tmp_path_factory.mktemp("trc") / "a.trc"
    assert write_trc(solid, path, up=up) == (path,)
    found = read_trc(path, individual="anna", up=up)
    assert list(found["frame"].values) == list(range(frames[0], frames[-1] + 1))
    assert found["position"].attrs["units"] == "mm"
    assert found.attrs["fps"] == pytest.approx(frame_rate, rel=1e-11)
    np.testing.assert_allclose(found["time"], found["frame"] / frame_rate, rtol=1e-9, atol=1e-9)
    known = found.isel(time=np.isin(found["frame"].values, frames))
    np.testing.assert_allclose(known["position"], solid["position"], rtol=1e-8)
    assert np.isnan(found["position"].isel(time=~np.isin(found["frame"].values, frames))).all()


def test_rows_are_as_long_as_opensim_wants_though_the_last_marker_is_missing(tmp_path, make_solid):
    solid = make_solid(individuals=("anna",))
    assert np.isnan(solid["position"].isel(keypoint=-1)).all()
    with pytest.warns(SuiteWarning):
        write_trc(solid, tmp_path / "a.trc")
    lines = (tmp_path / "a.trc").read_text(encoding="utf-8").split("\n")
    assert lines[0].split("\t") == ["PathFileType", "4", "(X/Y/Z)", "a.trc"]
    keys = "DataRate CameraRate NumFrames NumMarkers Units OrigDataRate OrigDataStartFrame OrigNumFrames"
    assert " ".join(lines[1].split("\t")) == keys
    # frames 3, 5, ... 15, and those between
    assert lines[2].split("\t") == ["30", "30", "13", "4", "mm", "30", "1", "13"]
    assert [cell for cell in opensim_cells(lines[3]) if cell] == [
        "Frame#", "Time", "nose", "tail,_tip", "banane_nan", "Öhr",
    ]  # fmt: skip
    assert [cell for cell in opensim_cells(lines[4]) if cell] == [f"{axis}{i}" for i in (1, 2, 3, 4) for axis in "XYZ"]
    assert lines[5] == ""
    assert lines[-1] == ""
    rows = [opensim_cells(line) for line in lines[6:-1]]
    assert {len(row) for row in rows} == {2 + 3 * 4}
    assert [int(row[0]) for row in rows] == list(range(4, 17))
    assert all(row[-3:] == ["", "", ""] for row in rows)
    assert rows[1][2:] == [""] * 12  # frame 4, which is not in the recording
    assert float(rows[0][1]) == pytest.approx(3 / 30)  # (number - OrigDataStartFrame) / DataRate


def test_pandas_puts_the_values_under_their_labels(tmp_path, make_solid):
    """As Pose2Sim reads the file."""
    solid = make_solid(keypoints=("a", "b"), individuals=("anna",), frames=np.arange(7))
    write_trc(solid, tmp_path / "a.trc")
    table = pd.read_csv(tmp_path / "a.trc", sep="\t", skiprows=4)
    table = table.loc[:, [not name.startswith("Unnamed") for name in table.columns]]
    assert list(table.columns) == ["X1", "Y1", "Z1", "X2", "Y2", "Z2"]
    np.testing.assert_allclose(
        table["Y1"], solid["position"].sel(keypoint="a", space="y", individual="anna"), rtol=1e-8
    )


def test_y_up_turns_the_axes_and_keeps_them_right_handed(tmp_path):
    axes = poses3d(np.eye(3)[None, :, :, None], individuals=["a"], keypoints=["x", "y", "z"], unit="m", frame_rate=1.0)
    write_trc(axes, tmp_path / "y.trc", up="y")
    turned = read_trc(tmp_path / "y.trc")["position"].values[0, :, :, 0]
    assert turned[:, 2].tolist() == [0, 1, 0]  # our z is the file's second axis
    assert np.linalg.det(turned) == pytest.approx(1)
    write_trc(axes, tmp_path / "z.trc", up="z")
    assert read_trc(tmp_path / "z.trc")["position"].values[0, :, :, 0].tolist() == np.eye(3).tolist()
    for function in (lambda: write_trc(axes, tmp_path / "a.trc", up="x"), lambda: read_trc(tmp_path / "y.trc", up="x")):
        with pytest.raises(InvalidValueError, match="up: expected 'z' or 'y', got 'x'"):
            function()


def test_one_file_for_each_individual(tmp_path, make_solid):
    solid = make_solid(keypoints=("a", "b"), frames=np.arange(7))
    assert write_trc(solid, tmp_path / "walk.1.trc") == (
        tmp_path / "walk.1_anna.trc",
        tmp_path / "walk.1_ben_2.trc",
    )
    for name, file in (("anna", "walk.1_anna.trc"), ("ben/2", "walk.1_ben_2.trc")):
        found = read_trc(tmp_path / file, individual=name)
        np.testing.assert_allclose(found["position"], solid["position"].sel(individual=[name]), rtol=1e-8)
    assert write_trc(solid, tmp_path / "b.trc", individual="anna") == (tmp_path / "b.trc",)
    with pytest.raises(MismatchError, match="individual 'carl': expected one of anna, ben/2"):
        write_trc(solid, tmp_path / "b.trc", individual="carl")
    with pytest.raises(InvalidValueError, match="names differ in letters or digits"):
        write_trc(make_solid(individuals=("a b", "a/b"), keypoints=("a", "b")), tmp_path / "b.trc")


def test_a_frame_rate_is_needed_and_can_be_given(tmp_path, make_solid):
    solid = make_solid(keypoints=("a", "b"), individuals=("anna",), frame_rate=None)
    with pytest.raises(InvalidValueError, match=r"a\.trc: expected a frame rate.*got none") as error:
        write_trc(solid, tmp_path / "a.trc")
    assert "--frame-rate" in error.value.remedy
    with pytest.raises(InvalidValueError, match=r"got -1"):
        write_trc(solid, tmp_path / "a.trc", frame_rate=-1.0)
    write_trc(solid, tmp_path / "a.trc", frame_rate=50.0)
    found = read_trc(tmp_path / "a.trc")
    assert found.attrs["fps"] == 50.0
    np.testing.assert_allclose(found["time"], found["frame"] / 50.0)


def test_poses_that_trc_cannot_hold_are_refused(tmp_path, make_solid):
    with pytest.raises(InvalidValueError, match="at least one frame"):
        write_trc(make_solid().isel(time=slice(0, 0)), tmp_path / "a.trc")
    solid = make_solid()
    solid["position"].attrs["units"] = "inch"
    with pytest.raises(InvalidValueError, match="mm, cm or m, got 'inch'"):
        write_trc(solid, tmp_path / "a.trc")


TEXT = """\
PathFileType\t4\t(X/Y/Z)\twalk.trc
DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate\tOrigDataStartFrame\tOrigNumFrames
60.00\t60.00\t3\t2\tmm\t60.00\t1\t3
Frame#\tTime\tLHip\t\t\tRHip
\t\tX1\tY1\tZ1\tX2\tY2\tZ2

1\t0.5\t1\t2\t3\t4\t5\t6
2\t0.516667\t1\t2\t3\t\t\t
3\t0.533333\t\t2\t3\tNaN\tnan\t
"""


def read_text(folder, text: str) -> xr.Dataset:
    (folder / "walk.trc").write_bytes(text.encode() if isinstance(text, str) else text)
    return read_trc(folder / "walk.trc")


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda text: text, id="as it is"),
        pytest.param(lambda text: text.replace("\n", "\r\n"), id="ends of lines of Windows"),
        pytest.param(lambda text: "\ufeff" + text, id="byte order mark"),
        pytest.param(lambda text: text.replace("\n\n", "\n"), id="no blank line"),
        pytest.param(lambda text: text.replace("Z2\n", "Z2\t\n").replace("5\t6\n", "5\t6\t\t\n"), id="trailing tabs"),
        pytest.param(
            lambda text: text.replace("\t3\t\t\t\n", "\t3\n").replace("\tNaN\tnan\t\n", "\n"), id="short rows"
        ),
        pytest.param(lambda text: text.replace("mm", "Millimeters"), id="unit in words"),
        pytest.param(
            lambda text: text.replace("\n1\t", "\n0\t").replace("\n2\t", "\n1\t").replace("\n3\t", "\n2\t"), id="from 0"
        ),
        pytest.param(lambda text: text.rstrip("\n"), id="no end of the last line"),
        pytest.param(lambda text: text + "\n\n", id="blank lines at the end"),
    ],
)
def test_the_dialects_of_other_programs_are_read(tmp_path, change):
    found = read_text(tmp_path, change(TEXT))
    assert list(found["keypoint"].values) == ["LHip", "RHip"]
    assert list(found["frame"].values) == [0, 1, 2]
    assert list(found["time"].values) == [0.5, 0.516667, 0.533333]
    assert found.attrs["fps"] == 60.0
    assert found["position"].attrs["units"] == "mm"
    nan = np.nan
    expected = [[[1, 2, 3], [4, 5, 6]], [[1, 2, 3], [nan] * 3], [[nan] * 3, [nan] * 3]]
    np.testing.assert_array_equal(found["position"].isel(individual=0).transpose("time", "keypoint", "space"), expected)
    np.testing.assert_array_equal(found["confidence"].isel(individual=0), [[1, 1], [1, 0], [0, 0]])


def test_old_files_that_are_not_utf8_are_read(tmp_path):
    found = read_text(tmp_path, TEXT.replace("LHip", "Hüfte").encode("latin-1").decode("latin-1"))
    assert found["keypoint"].values[0] == "Hüfte"
    (tmp_path / "old.trc").write_bytes(TEXT.replace("LHip", "Hüfte").encode("latin-1"))
    assert read_trc(tmp_path / "old.trc")["keypoint"].values[0] == "Hüfte"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text[:0], "begins with 'PathFileType', got an empty file"),
        (lambda text: "frame,x\n" + text, "begins with 'PathFileType', got 'frame,x"),
        (lambda text: text[:60], "a header of 5 lines, got 2 lines"),
        (lambda text: text[: text.index("Frame#")], "a line of marker names"),
        (lambda text: text[: text.index("\n1\t")], "3 frames, as line 3 says, got 0 rows"),
        (lambda text: text[: text.index("\n3\t")], "3 frames, as line 3 says, got 2 rows"),
        (lambda text: text.replace("RHip", ""), "2 markers, as line 3 says, got 1 names"),
        (lambda text: text.replace("0.516667", "0,516667"), r"numbers between tabs, got .*0,516667.* in line 8"),
        (lambda text: text.replace("5\t6\n", "5\t6\t7\n"), "at most 8 cells in a row, got 9 in line 7"),
        (lambda text: text.replace("\n2\t", "\n3\t"), "increasing frame numbers"),
        (lambda text: text.replace("\n2\t", "\n1.5\t"), "increasing frame numbers"),
        (lambda text: text.replace("\n2\t", "\n\t"), "increasing frame numbers"),
        (lambda text: text.replace("\tmm\t", "\tfeet\t"), "Units that are mm, cm or m.* got no 'feet'"),
        (lambda text: text.replace("60.00\t60.00\t3", "fast\t60.00\t3"), "DataRate.*'fast'"),
        (lambda text: text.replace("60.00\t60.00\t3", "0\t60.00\t3"), "a positive DataRate"),
        (lambda text: text.replace("NumFrames", "Frames", 1), "no 'NumFrames'"),
    ],
)
def test_broken_files_are_refused_with_the_place(tmp_path, change, message):
    with pytest.raises(FileFormatError, match=r"walk\.trc: expected .*" + message) as error:
        read_text(tmp_path, change(TEXT))
    assert "cut off" in error.value.remedy


def test_a_missing_file_repeated_markers_and_infinity_are_refused(tmp_path):
    with pytest.raises(FileFormatError, match=r"none\.trc: expected a TRC file, got No such file"):
        read_trc(tmp_path / "none.trc")
    with pytest.raises(InvalidValueError, match=re.escape("LHip")):
        read_text(tmp_path, TEXT.replace("RHip", "LHip"))
    with pytest.raises(InvalidValueError, match="finite"):
        read_text(tmp_path, TEXT.replace("1\t2\t3\t4", "1\tinf\t3\t4"))
