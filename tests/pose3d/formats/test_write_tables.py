"""Tables of a Dataset: what stands where, in which unit, and that csv and Parquet say the same."""

import sys

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from calibration.errors import InvalidValueError, OutputError
from pose3d.formats import write_tables


@pytest.fixture
def kinematics() -> xr.Dataset:
    """Of two individuals and three keypoints, with strides, and text in odd places."""
    rng = np.random.default_rng(0)
    dataset = xr.Dataset(
        {
            "velocity": (("time", "space", "keypoint", "individual"), rng.normal(size=(4, 3, 3, 2)), {"units": "mm/s"}),
            "speed": (("time", "keypoint", "individual"), rng.random((4, 3, 2)), {"units": "mm/s"}),
            "joint_angle": (
                ("time", "angle", "individual"),
                rng.normal(size=(4, 2, 2)),
                {"units": "rad", "long_name": "angle at the joint, 180 is straight"},
            ),
            "turning": (("individual", "time"), rng.normal(size=(2, 4)), {"units": "rad/s"}),
            "variance": (("time", "individual"), rng.random((4, 2)), {"units": "rad^2"}),
            "stride_time": (("stride",), np.array([0.5, np.nan, 0.7]), {"units": "s"}),
            "duty_factor": (("stride",), np.array([0.5, 0.6, 0.7]), {"units": "1"}),
            "gait": (("stride",), np.array([0, 1, 0]), {"flag_values": [0, 1], "flag_meanings": "walk trot"}),
            "height": ((), 3.5, {"units": "m"}),
        },
        coords={
            "time": ("time", np.arange(4) / 10, {"units": "s"}),
            "frame": ("time", 7 + np.arange(4)),
            "space": ["x", "y", "z"],
            "keypoint": ["nose", "tail, tip", "nan"],
            "individual": ["anna", 'ben "b"'],
            "angle": ["knee", "hip"],
            "leg": ("stride", ["left", "nanny", ""]),
        },
    )
    dataset["speed"][1, 0, 0] = np.nan
    return dataset


def read(folder, name):
    return pd.read_csv(folder / name, keep_default_na=False, na_values=[""])


def test_files_are_named_by_what_a_row_is(kinematics, tmp_path):
    files = write_tables(kinematics, tmp_path / "tables")
    assert [file.name for file in files] == [
        "by_frame_and_keypoint.csv", "by_frame_and_angle.csv", "by_frame.csv", "by_stride.csv", "summary.csv",
        "columns.csv",
    ]  # fmt: skip
    assert {file.parent for file in files} == {tmp_path / "tables"}


def test_individuals_are_named_where_two_tables_would_get_the_same_name(kinematics, tmp_path):
    kinematics["crowding"] = ("time", np.zeros(4))
    names = [file.name for file in write_tables(kinematics, tmp_path)]
    assert "by_frame_and_individual.csv" in names
    assert "by_frame.csv" in names
    alone = xr.Dataset({"weight": ("individual", [1.0, 2.0])})
    assert [file.name for file in write_tables(alone, tmp_path)] == ["by_individual.csv", "columns.csv"]
    assert read(tmp_path, "by_individual.csv")["individual"].tolist() == [0, 1]


def test_rows_and_columns(kinematics, tmp_path):
    write_tables(kinematics, tmp_path)
    table = read(tmp_path, "by_frame_and_keypoint.csv")
    assert list(table) == [
        "frame", "time_s", "keypoint", "individual", "velocity_x_mm/s", "velocity_y_mm/s", "velocity_z_mm/s",
        "speed_mm/s",
    ]  # fmt: skip
    assert len(table) == 4 * 3 * 2
    row = table[(table["frame"] == 8) & (table["keypoint"] == "tail, tip") & (table["individual"] == 'ben "b"')]
    one = kinematics.isel(time=1, keypoint=1, individual=1)
    assert row["time_s"].item() == 0.1
    assert row["velocity_y_mm/s"].item() == pytest.approx(one["velocity"].sel(space="y").item(), rel=1e-8)
    assert row["speed_mm/s"].item() == pytest.approx(one["speed"].item(), rel=1e-8)
    assert np.isnan(table.loc[(table["frame"] == 8) & (table["keypoint"] == "nose"), "speed_mm/s"].iloc[0])


def test_angles_are_in_degrees(kinematics, tmp_path):
    write_tables(kinematics, tmp_path)
    table = read(tmp_path, "by_frame_and_angle.csv")
    expected = np.rad2deg(kinematics["joint_angle"].transpose("time", "angle", "individual")).values.ravel()
    np.testing.assert_allclose(table["joint_angle_deg"], expected, rtol=1e-8)
    table = read(tmp_path, "by_frame.csv")
    assert list(table) == ["frame", "time_s", "individual", "turning_deg/s", "variance_deg^2"]
    np.testing.assert_allclose(table["turning_deg/s"], np.rad2deg(kinematics["turning"].values.T.ravel()), rtol=1e-8)
    expected = kinematics["variance"].values.ravel() * (180 / np.pi) ** 2
    np.testing.assert_allclose(table["variance_deg^2"], expected, rtol=1e-8)


def test_further_coordinates_text_and_codes(kinematics, tmp_path):
    write_tables(kinematics, tmp_path)
    text = (tmp_path / "by_stride.csv").read_text()
    assert (
        text == "stride,leg,stride_time_s,duty_factor,gait\n0,left,0.5,0.5,walk\n1,nanny,,0.6,trot\n2,,0.7,0.7,walk\n"
    )
    assert (tmp_path / "summary.csv").read_text() == "height_m\n3.5\n"


def test_what_columns_mean(kinematics, tmp_path):
    write_tables(kinematics, tmp_path)
    meaning = read(tmp_path, "columns.csv").set_index(["table", "column"])
    assert (
        meaning.loc[("by_frame_and_angle.csv", "joint_angle_deg"), "meaning"] == "angle at the joint, 180 is straight"
    )
    assert meaning.loc[("by_frame_and_angle.csv", "joint_angle_deg"), "unit"] == "deg"
    assert meaning.loc[("by_frame_and_keypoint.csv", "velocity_z_mm/s"), "meaning"] == "velocity, z"
    for file in tmp_path.glob("*.csv"):
        if file.name != "columns.csv":
            assert list(read(tmp_path, file.name)) == meaning.loc[file.name].index.tolist()


def test_times_that_are_frames_are_one_column(kinematics, tmp_path):
    kinematics = kinematics.assign_coords(time=("time", np.arange(7.0, 11.0), {"units": "frames"}))
    write_tables(kinematics[["speed"]], tmp_path)
    assert list(read(tmp_path, "by_frame_and_keypoint.csv"))[:2] == ["frame", "keypoint"]


def test_parquet_says_the_same(kinematics, tmp_path):
    pytest.importorskip("pyarrow")
    write_tables(kinematics, tmp_path / "csv")
    files = write_tables(kinematics, tmp_path / "parquet", format="parquet")
    for file in files[:-1]:
        table, text = pd.read_parquet(file), read(tmp_path / "csv", f"{file.stem}.csv")
        assert list(table) == list(text)
        for column in table:
            if table[column].dtype.kind in "fi":
                np.testing.assert_allclose(table[column], text[column], rtol=1e-8)
            else:
                assert table[column].tolist() == text[column].fillna("").tolist()


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_large_ones_are_written_in_pieces(tmp_path, kind):
    pytest.importorskip("pyarrow")
    pytest.importorskip("dask")
    rng = np.random.default_rng(0)
    values = rng.random((20_000, 4))
    dataset = xr.Dataset({"speed": (("time", "keypoint"), values, {"units": "m/s"})}).chunk(time=1000)
    first, _ = write_tables(dataset, tmp_path, format=kind)
    table = pd.read_csv(first) if kind == "csv" else pd.read_parquet(first)
    np.testing.assert_allclose(table["speed_m/s"], values.ravel(), rtol=1e-8)
    assert table["time"].tolist() == np.repeat(np.arange(20_000), 4).tolist()


def test_the_same_input_gives_the_same_bytes(kinematics, tmp_path):
    pytest.importorskip("pyarrow")
    for kind in ("csv", "parquet"):
        pairs = zip(*(write_tables(kinematics, tmp_path / name, format=kind) for name in "ab"), strict=True)
        for one, other in pairs:
            assert one.read_bytes() == other.read_bytes()


def test_no_frames(kinematics, tmp_path):
    write_tables(kinematics.isel(time=slice(0, 0), stride=slice(0, 0)), tmp_path)
    assert (tmp_path / "by_stride.csv").read_text() == "stride,leg,stride_time_s,duty_factor,gait\n"
    assert len(read(tmp_path, "by_frame_and_keypoint.csv")) == 0


def test_poses_are_a_dataset_too(make_solid, tmp_path):
    write_tables(make_solid(), tmp_path)
    columns = list(read(tmp_path, "by_frame_and_keypoint.csv"))
    assert {"position_x_mm", "covariance_xy_mm^2", "reprojection_error_px", "status"} <= set(columns)


class TestBadInput:
    def test_nothing(self, tmp_path):
        with pytest.raises(InvalidValueError, match="a Dataset with variables, got none"):
            write_tables(xr.Dataset(coords={"time": [1.0]}), tmp_path)

    def test_another_format(self, kinematics, tmp_path):
        with pytest.raises(InvalidValueError, match="format: expected csv or parquet, got 'xlsx'"):
            write_tables(kinematics, tmp_path, format="xlsx")

    def test_two_columns_of_one_name(self, tmp_path):
        clash = xr.Dataset(
            {"frame": ("time", [1.0]), "speed": ("time", [1.0], {"units": "s"}), "speed_s": ("time", [1.0])}
        )
        with pytest.raises(InvalidValueError, match=r"table by_frame: .*two columns 'speed_s'"):
            write_tables(clash, tmp_path)

    def test_without_pyarrow(self, kinematics, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "pyarrow", None)
        with pytest.raises(OutputError, match=r"the package pyarrow.*pip install 'pose3d-suite\[formats\]'"):
            write_tables(kinematics, tmp_path, format="parquet")
        assert not list(tmp_path.iterdir())

    def test_a_file_where_the_folder_should_be(self, kinematics, tmp_path):
        (tmp_path / "a").touch()
        with pytest.raises(OutputError, match="a folder that can be written"):
            write_tables(kinematics, tmp_path / "a")
