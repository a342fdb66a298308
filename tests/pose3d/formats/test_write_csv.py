"""The tidy table: one row per frame, individual and keypoint; pandas reads back what was written."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibration.errors import InvalidValueError, OutputError
from calibration.triangulation import Status
from pose3d.formats import open_session, save_session, write_csv

NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).filter(str.strip)
NINE_DIGITS, SIX_DIGITS = 1e-8, 1e-5


def read(path) -> pd.DataFrame:
    """The table with names as text, also those that look like numbers or like missing values."""
    names = {"individual": str, "keypoint": str}
    return pd.read_csv(path, dtype=names, keep_default_na=False, na_values={axis: [""] for axis in "xyz"})


@settings(max_examples=30)
@given(
    n_frames=st.integers(1, 5),
    keypoints=st.lists(NAMES, min_size=1, max_size=4, unique=True),
    individuals=st.lists(NAMES, min_size=1, max_size=3, unique=True),
)
def test_pandas_reads_back_every_row(tmp_path_factory, make_solid, n_frames, keypoints, individuals):
    solid = make_solid(n_frames, keypoints, individuals)
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    assert write_csv(solid, path) == (path,)
    table = read(path)
    assert len(table) == n_frames * len(keypoints) * len(individuals)
    order = ("time", "individual", "keypoint")
    expected = solid[["position", "frame"]].transpose(*order, "space").stack(row=order)
    assert list(zip(table["individual"], table["keypoint"], strict=True)) == [key[1:] for key in expected["row"].values]
    np.testing.assert_array_equal(table["frame"], np.repeat(solid["frame"].values, len(keypoints) * len(individuals)))
    np.testing.assert_allclose(table["time"], [key[0] for key in expected["row"].values], rtol=1e-11)
    np.testing.assert_allclose(table[["x", "y", "z"]], expected["position"].transpose("row", "space"), rtol=NINE_DIGITS)


def test_all_columns_say_what_the_dataset_says(tmp_path, make_solid):
    solid = make_solid()
    write_csv(solid, tmp_path / "a.csv")
    table = pd.read_csv(tmp_path / "a.csv")
    assert " ".join(table) == (
        "frame time individual keypoint x y z confidence reprojection_error n_cameras status std_x std_y std_z"
    )
    order = ("time", "individual", "keypoint")
    for name in ("confidence", "reprojection_error", "n_cameras"):
        expected = solid[name].transpose(*order).values.ravel()
        np.testing.assert_allclose(table[name].values, expected, rtol=SIX_DIGITS, err_msg=name)
    for axis, place in (("x", 0), ("y", 1), ("z", 2)):
        variance = solid["covariance"].isel(space=place, space_=place).transpose(*order).values.ravel()
        np.testing.assert_allclose(table[f"std_{axis}"].values, np.sqrt(variance), rtol=SIX_DIGITS)
    status = solid["status"].transpose(*order).values.ravel()
    assert list(table["status"]) == [Status(code).name.lower() for code in status]
    assert set(table["status"]) == {"ok", "no_consensus"}


@pytest.mark.parametrize(("described", "expected"), [(True, "too_uncertain"), (False, "5")])
def test_a_status_of_a_trajectory_has_the_word_of_its_attribute(tmp_path, make_solid, described, expected):
    solid = make_solid()
    solid["status"].values[solid["status"].values > 0] = 5
    if described:
        words = " ".join(status.name for status in Status)
        solid["status"].attrs = {"flag_values": np.arange(6, dtype=np.int8), "flag_meanings": f"{words} too_uncertain"}
    write_csv(solid, tmp_path / "a.csv")
    assert set(pd.read_csv(tmp_path / "a.csv", dtype=str)["status"]) == {"ok", expected}
    save_session(tmp_path / "a.nc", poses3d=solid)
    with open_session(tmp_path / "a.nc") as session:
        write_csv(session.require("poses3d"), tmp_path / "b.csv")
    assert set(pd.read_csv(tmp_path / "b.csv", dtype=str)["status"]) == {"ok", expected}


def test_missing_is_an_empty_cell_also_beside_names_like_nan(tmp_path, make_solid):
    solid = make_solid(1, ("nan", "nano,nan"), ("nan",), frames=[4])
    solid["position"][:] = np.nan
    solid["confidence"][:] = 0.25
    write_csv(solid[["position", "confidence"]], tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_text() == (
        "frame,time,individual,keypoint,x,y,z,confidence\n"
        "4,0.133333333333,nan,nan,,,,0.25\n"
        '4,0.133333333333,nan,"nano,nan",,,,0.25\n'
    )


def test_only_columns_that_there_are_values_for(tmp_path, make_solid):
    write_csv(make_solid()[["position", "confidence"]], tmp_path / "a.csv")
    assert " ".join(pd.read_csv(tmp_path / "a.csv")) == "frame time individual keypoint x y z confidence"
    write_csv(make_solid().isel(time=slice(0, 0)), tmp_path / "none.csv")
    assert (tmp_path / "none.csv").read_text().count("\n") == 1


def test_a_lazily_opened_file_gives_the_same_table(tmp_path, make_solid):
    solid = make_solid(5000, frames=np.arange(5000))
    save_session(tmp_path / "a.nc", poses3d=solid)
    write_csv(solid, tmp_path / "memory.csv")
    with open_session(tmp_path / "a.nc") as session:
        write_csv(session.require("poses3d"), tmp_path / "file.csv")
    memory, file = pd.read_csv(tmp_path / "memory.csv"), pd.read_csv(tmp_path / "file.csv")
    pd.testing.assert_frame_equal(memory, file, rtol=SIX_DIGITS)
    np.testing.assert_array_equal(memory["x"], file["x"])


def test_the_same_poses_give_the_same_bytes(tmp_path, make_solid):
    for name in ("a.csv", "b.csv"):
        write_csv(make_solid(), tmp_path / name)
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    assert b"\r" not in (tmp_path / "a.csv").read_bytes()


def test_what_is_not_3d_poses_is_refused(tmp_path, make_flat, make_solid):
    with pytest.raises(InvalidValueError, match="Poses3D"):
        write_csv(make_flat(), tmp_path / "a.csv")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_an_interrupt_or_a_full_disk_leaves_the_older_table(tmp_path, make_solid, monkeypatch, error):
    (tmp_path / "a.csv").write_text("older")

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("pose3d.formats.csv_table.format_rows", fail)
    with pytest.raises(OutputError if isinstance(error, OSError) else KeyboardInterrupt):
        write_csv(make_solid(), tmp_path / "a.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]
    assert (tmp_path / "a.csv").read_text() == "older"
