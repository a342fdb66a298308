"""`load_poses3d`: every format is found by its content and read as what it means; 2D poses are not taken for 3D."""

import json
import warnings
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from calibration.errors import FileFormatError, InvalidValueError, MismatchError, SuiteWarning
from calibration.schema import check
from pose3d.datasets import POSES3D
from pose3d.formats import (
    POSE3D_FORMATS,
    Pose3DFormat,
    detect_format3d,
    load_poses2d,
    load_poses3d,
    open_session,
    read_movement,
    save_session,
    write_anipose3d,
    write_c3d,
    write_deeplabcut3d,
    write_trc,
)
from pose3d.formats._registry import FORMATS

KEYPOINTS = ("nose", "tail_tip", "nan")
PLURAL = {"keypoint": "keypoints", "individual": "individuals"}


@pytest.fixture
def solid(make_solid) -> xr.Dataset:
    return make_solid(12, KEYPOINTS, ("anna",))


def as_movement(poses: xr.Dataset, *, plural: bool = True, scored: bool = True) -> xr.Dataset:
    """What movement keeps of poses."""
    kept = poses[["position", "confidence"]].copy(deep=True).drop_vars(["frame", "camera", "space_"], errors="ignore")
    kept["position"].attrs.clear()
    if not scored:
        kept["confidence"] = xr.full_like(kept["confidence"], np.nan, dtype=np.float32)
    kept.attrs = {"ds_type": "poses", "source_software": "DeepLabCut", "time_unit": "seconds", "fps": 30.0}
    return kept.rename(PLURAL) if plural else kept


def write_all(solid: xr.Dataset, folder: Path) -> dict[str, list[Path]]:
    """Files of every format, with the same poses."""
    save_session(folder / "session.nc", poses3d=solid)
    solid.to_netcdf(folder / "root.nc")
    as_movement(solid).to_netcdf(folder / "plural.nc")
    as_movement(solid, plural=False).to_netcdf(folder / "singular.nc")
    for name in ("dlc.csv", "dlc.h5"):
        write_deeplabcut3d(solid, folder / name)
    write_anipose3d(solid, folder / "anipose.csv")
    write_trc(solid, folder / "a.trc")
    write_c3d(solid, folder / "a.c3d")
    with h5py.File(folder / "points3d.h5", "w") as file:
        file["tracks"] = solid["position"].transpose("time", "individual", "keypoint", "space").values
    names = {
        "netcdf": ["session.nc", "root.nc"],
        "movement": ["plural.nc", "singular.nc"],
        "deeplabcut": ["dlc.csv", "dlc.h5"],
        "anipose": ["anipose.csv"],
        "trc": ["a.trc"],
        "c3d": ["a.c3d"],
        "sleap-anipose": ["points3d.h5"],
    }
    return {name: [folder / file for file in files] for name, files in names.items()}


@pytest.fixture
def files(solid, tmp_path) -> dict[str, list[Path]]:
    pytest.importorskip("tables")
    return write_all(solid, tmp_path)


@pytest.mark.filterwarnings("ignore:.*does not say its length unit")
def test_every_format_is_found_by_its_content_and_read(files, solid):
    assert set(files) == set(POSE3D_FORMATS)
    for name, paths in files.items():
        for path in paths:
            assert detect_format3d(path).name == name
            found = load_poses3d(path, frame_rate=30.0)
            assert check(found, POSES3D) is found
            assert found["position"].attrs["units"] == "mm"
            assert found.attrs["fps"] == 30.0
            assert found.attrs["source_file"]
            if name != "sleap-anipose":
                assert found["keypoint"].values.tolist() == list(KEYPOINTS)
            both = found
            if name in ("trc", "c3d"):  # which have a row for every frame
                both = found.isel(time=np.isin(found["frame"].values, solid["frame"].values))
            np.testing.assert_allclose(both["position"].values, solid["position"].values, rtol=1e-6)


def test_the_names_of_files_say_nothing(files, tmp_path):
    for number, (name, paths) in enumerate(files.items()):
        odd = tmp_path / f"odd_{number}.dat"
        odd.write_bytes(paths[0].read_bytes())
        assert detect_format3d(odd).name == name


class TestUnits:
    @pytest.mark.parametrize("name", ["movement", "deeplabcut", "anipose", "sleap-anipose"])
    def test_where_the_file_does_not_say_it(self, files, name):
        for path in files[name]:
            with pytest.warns(SuiteWarning, match=r"does not say its length unit; mm is assumed \(say it with unit="):
                load_poses3d(path)
            assert load_poses3d(path, unit="m")["position"].attrs["units"] == "m"
            with pytest.raises(InvalidValueError, match=r"unit: expected a length unit: um, .*got 'furlong'"):
                load_poses3d(path, unit="furlong")

    @pytest.mark.parametrize("name", ["netcdf", "trc", "c3d"])
    def test_what_the_file_says_is_not_overruled(self, files, name):
        for path in files[name]:
            assert load_poses3d(path, unit="mm")["position"].attrs["units"] == "mm"
            with pytest.raises(
                MismatchError, match="unit: expected 'm', the unit that was given, got 'mm' in the file"
            ):
                load_poses3d(path, unit="m")

    def test_movement_may_say_it_all_the_same(self, solid, tmp_path):
        dataset = as_movement(solid)
        dataset["position"].attrs["units"] = "m"
        dataset.to_netcdf(tmp_path / "a.nc")
        assert load_poses3d(tmp_path / "a.nc")["position"].attrs["units"] == "m"


class TestIndividuals:
    def test_the_only_one_gets_the_name_that_is_given_where_the_file_names_none(self, files):
        for name in ("anipose", "trc", "c3d", "sleap-anipose"):
            poses = load_poses3d(files[name][0], individual="otto", unit="mm")
            assert poses["individual"].values.tolist() == ["otto"]

    def test_one_of_several(self, make_solid, tmp_path):
        several = make_solid()
        save_session(tmp_path / "a.nc", poses3d=several)
        found = load_poses3d(tmp_path / "a.nc", individual="ben/2")
        np.testing.assert_array_equal(found["position"], several["position"].sel(individual=["ben/2"]))
        with pytest.raises(MismatchError, match="individual 'carl': expected one of anna, ben/2, got 'carl'"):
            load_poses3d(tmp_path / "a.nc", individual="carl")

    def test_the_only_one_that_has_another_name(self, files):
        with pytest.raises(MismatchError, match="expected one of anna, got 'otto'"):
            load_poses3d(files["netcdf"][0], individual="otto")


class TestResultFiles:
    def test_it_is_not_loaded(self, solid, tmp_path):
        save_session(tmp_path / "a.nc", poses3d=solid)
        found = load_poses3d(tmp_path / "a.nc", frame_rate=60.0)
        assert not found["position"].variable._in_memory
        np.testing.assert_allclose(found["time"], solid["frame"] / 60.0)
        assert (found.attrs["fps"], found.attrs["time_unit"]) == (60.0, "seconds")
        found.close()

    def test_it_keeps_all_variables(self, solid, tmp_path):
        save_session(tmp_path / "a.nc", poses3d=solid)
        assert set(load_poses3d(tmp_path / "a.nc").data_vars) == set(solid.data_vars)


class TestMovement:
    def test_times_and_confidence(self, solid, tmp_path):
        as_movement(solid).to_netcdf(tmp_path / "a.nc")
        found = read_movement(tmp_path / "a.nc", unit="mm")
        np.testing.assert_array_equal(found["frame"], solid["frame"])
        np.testing.assert_allclose(found["time"], solid["time"])
        expected = solid["confidence"].where(solid["position"].notnull().all("space"), 0.0)
        np.testing.assert_allclose(found["confidence"], expected)

    def test_no_scores_are_certain(self, solid, tmp_path):
        as_movement(solid, scored=False).to_netcdf(tmp_path / "a.nc")
        found = read_movement(tmp_path / "a.nc", unit="mm")
        np.testing.assert_array_equal(found["confidence"], solid["position"].notnull().all("space"))

    def test_times_that_are_frames(self, solid, tmp_path):
        dataset = as_movement(solid).assign_coords(time=solid["frame"].values)
        dataset.attrs = {"time_unit": "frames"}
        dataset.to_netcdf(tmp_path / "a.nc")
        found = read_movement(tmp_path / "a.nc", unit="mm")
        np.testing.assert_array_equal(found["frame"], solid["frame"])
        assert "fps" not in found.attrs
        assert found["time"].attrs["units"] == "frames"
        assert read_movement(tmp_path / "a.nc", unit="mm", frame_rate=50.0)["time"][0] == solid["frame"][0] / 50.0

    def test_times_at_no_fixed_rate_are_kept(self, make_solid, tmp_path):
        solid = make_solid(4, KEYPOINTS, ("anna",), frames=np.arange(4))
        times = np.array([0.0, 0.031, 0.068, 0.1])
        as_movement(solid).assign_coords(time=times).to_netcdf(tmp_path / "a.nc")
        found = read_movement(tmp_path / "a.nc", unit="mm")
        np.testing.assert_array_equal(found["time"], times)
        np.testing.assert_array_equal(found["frame"], np.arange(4))

    def test_the_old_kind_of_netcdf(self, solid, tmp_path):
        as_movement(solid).to_netcdf(tmp_path / "a.nc", format="NETCDF3_64BIT", engine="netcdf4")
        assert detect_format3d(tmp_path / "a.nc").name == "movement"
        np.testing.assert_allclose(read_movement(tmp_path / "a.nc", unit="mm")["position"], solid["position"])

    @pytest.mark.filterwarnings("ignore")
    def test_what_the_package_itself_writes(self, solid, tmp_path):
        load = pytest.importorskip("movement.io.load_poses")
        values = solid["position"].values
        made = load.from_numpy(
            values, solid["confidence"].values.copy(), ["anna"], list(KEYPOINTS), fps=30, source_software="x"
        )
        made.to_netcdf(tmp_path / "a.nc")
        np.testing.assert_allclose(load_poses3d(tmp_path / "a.nc", unit="mm")["position"], values)


class TestDeepLabCut:
    @pytest.mark.parametrize("name", ["a.csv", "a.h5"])
    def test_several_animals(self, make_solid, tmp_path, name):
        pytest.importorskip("tables")
        several = make_solid(9, KEYPOINTS)
        write_deeplabcut3d(several, tmp_path / name)
        found = load_poses3d(tmp_path / name, unit="mm", frame_rate=30.0)
        xr.testing.assert_allclose(found["position"], several["position"], rtol=1e-8)
        np.testing.assert_array_equal(found["confidence"], several["position"].notnull().all("space"))

    def test_not_every_animal_has_every_keypoint(self, tmp_path):
        columns = [("a", "nose"), ("a", "tail"), ("single", "corner")]
        names = [("net", who, what, axis) for who, what in columns for axis in "xyz"]
        index = pd.MultiIndex.from_tuples(names, names=["scorer", "individuals", "bodyparts", "coords"])
        pd.DataFrame(np.arange(18.0).reshape(2, 9), columns=index).to_csv(tmp_path / "a.csv")
        found = load_poses3d(tmp_path / "a.csv", unit="mm")["position"]
        assert found.sel(individual="single", keypoint="corner").values.tolist() == [[6, 7, 8], [15, 16, 17]]
        assert found.sel(individual="a", keypoint="corner").isnull().all()

    def test_columns_twice_or_missing(self, tmp_path):
        index = pd.MultiIndex.from_product(
            [["net"], ["nose"], ["x", "y", "z"]], names=["scorer", "bodyparts", "coords"]
        )
        table = pd.DataFrame(np.ones((2, 3)), columns=index)
        pd.concat([table, table], axis=1).to_csv(tmp_path / "a.csv")
        with pytest.raises(FileFormatError, match=r"keypoint 'nose'.*one column 'x', got the same column twice"):
            load_poses3d(tmp_path / "a.csv", unit="mm")
        more = pd.DataFrame(
            np.ones((2, 1)), columns=pd.MultiIndex.from_tuples([("net", "tail", "x")], names=index.names)
        )
        pd.concat([table, more], axis=1).to_csv(tmp_path / "b.csv")
        with pytest.raises(FileFormatError, match=r"keypoint 'tail'.*the columns x, y and z, got no column y and z"):
            load_poses3d(tmp_path / "b.csv", unit="mm")


class TestAnipose:
    def test_qualities(self, files, solid):
        found = load_poses3d(files["anipose"][0], unit="mm", frame_rate=30.0)
        there = solid["position"].notnull().all("space")
        np.testing.assert_array_equal(found["frame"], solid["frame"])
        np.testing.assert_allclose(found["reprojection_error"], solid["reprojection_error"].where(there), rtol=1e-5)
        np.testing.assert_array_equal(found["n_cameras"], solid["n_cameras"].where(there, 0))
        np.testing.assert_allclose(found["confidence"], solid["confidence"].where(there, 0.0), rtol=1e-5)

    def test_what_was_filled_in_without_a_camera_has_no_confidence(self, tmp_path):
        header = "a_x,a_y,a_z,a_error,a_ncams,a_score,M_00,center_0,fnum\n"
        (tmp_path / "a.csv").write_text(header + "1,2,3,0.5,3.0,0.9,1.0,0.0,0\n1,2,4,,,,1.0,0.0,1\n")
        found = load_poses3d(tmp_path / "a.csv", unit="mm")
        assert found["confidence"].values.ravel().tolist() == [0.9, 0.0]
        assert found["n_cameras"].values.ravel().tolist() == [3, 0]
        assert found["keypoint"].values.tolist() == ["a"]

    def test_a_table_without_qualities(self, tmp_path):
        (tmp_path / "a.csv").write_text("a_x,a_y,a_z,fnum\n1,2,3,4\n")
        found = load_poses3d(tmp_path / "a.csv", unit="mm")
        assert set(found.data_vars) == {"position", "confidence"}
        assert found["confidence"].item() == 1.0
        assert found["frame"].values.tolist() == [4]

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("a_x,a_y,a_z,a_x,fnum\n1,2,3,4,5\n", "repeated: a_x"),
            ("a_x,a_y,a_z,fnum\n1,2,x,4\n", "numbers or nothing"),
            ("a_x,a_y,a_z,fnum\n1,2\n", "cut off"),
            ("a_x,a_y,a_z,fnum\n", "no rows"),
            ("a_x,a_y,a_z,fnum\n1,2,3,4\n1,2,3,4\n", "frame 4 twice"),
        ],
    )
    def test_broken_tables(self, tmp_path, text, message):
        (tmp_path / "a.csv").write_text(text)
        with pytest.raises(FileFormatError, match=message):
            load_poses3d(tmp_path / "a.csv", unit="mm")


class TestTwoAndThreeDimensions:
    def test_no_3d_file_is_taken_for_2d_poses(self, files):
        for path in (path for paths in files.values() for path in paths):
            assert [known.name for known in FORMATS.values() if known.sniff(path)] == []

    def test_no_2d_file_is_taken_for_3d_poses(self, make_flat, tmp_path):
        pytest.importorskip("tables")
        levels = ["scorer", "bodyparts", "coords"]
        index = pd.MultiIndex.from_product([["net"], ["nose", "tail"], ["x", "y", "likelihood"]], names=levels)
        table = pd.DataFrame(np.full((3, 6), 0.5), columns=index)
        table.to_csv(tmp_path / "dlc.csv")
        table.to_hdf(tmp_path / "dlc.h5", key="df_with_missing", format="table")
        candidates = [f"{name}{part}" for part in ("", "_2") for name in ("x", "y", "likelihood")]
        index = pd.MultiIndex.from_product([["net"], ["nose"], candidates], names=levels)
        pd.DataFrame(np.full((3, 6), 0.5), columns=index).to_hdf(tmp_path / "anipose.h5", key="df_with_missing")
        save_session(tmp_path / "session.nc", poses2d=make_flat())
        for name in ("dlc.csv", "dlc.h5", "anipose.h5", "session.nc"):
            with pytest.raises(FileFormatError, match=r"expected 3D poses.*got 2D poses \(.*pose3d triangulate"):
                load_poses3d(tmp_path / name)

    def test_movement_in_two_dimensions(self, solid, tmp_path):
        as_movement(solid).isel(space=slice(0, 2)).to_netcdf(tmp_path / "flat.nc")
        with pytest.raises(FileFormatError, match="has no 3D poses"):
            load_poses3d(tmp_path / "flat.nc")
        with pytest.raises(FileFormatError, match=r"position by time, space \(of 3\).*got .*space 2"):
            load_poses3d(tmp_path / "flat.nc", format="movement")

    def test_3d_poses_where_2d_are_wanted(self, files):
        with pytest.raises(FileFormatError, match="got a TRC file"):
            load_poses2d(files["trc"][0])
        with pytest.raises(FileFormatError, match="got a C3D file"):
            load_poses2d(files["c3d"][0])


class TestBadInput:
    def test_nothing_or_a_folder(self, tmp_path):
        with pytest.raises(FileFormatError, match=r"none\.nc: expected a file of 3D poses, got no such file"):
            load_poses3d(tmp_path / "none.nc")
        with pytest.raises(FileFormatError, match=r"got a folder\. Name the file in it"):
            load_poses3d(tmp_path)

    @pytest.mark.parametrize(
        ("content", "looks"),
        [
            (b"", "an empty file"),
            (b"%PDF-1.7", "a PDF"),
            (b"a,b\n1,2\n", "a file that begins with b'a,b"),
            (b"PK\x03\x04", "a ZIP"),
        ],
    )
    def test_a_file_in_no_format(self, tmp_path, content, looks):
        (tmp_path / "a.dat").write_bytes(content)
        expected = f"expected 3D poses in one of the formats netcdf, movement, deeplabcut.*got {looks}"
        with pytest.raises(FileFormatError, match=expected):
            load_poses3d(tmp_path / "a.dat")

    def test_another_format_than_the_named_one(self, files):
        for name in POSE3D_FORMATS:
            other = files["trc" if name != "trc" else "c3d"][0]
            with pytest.raises(FileFormatError, match=other.name):
                load_poses3d(other, format=name)
        with pytest.raises(InvalidValueError, match=r"format: expected one of netcdf, .*got 'xyz'"):
            load_poses3d(files["trc"][0], format="xyz")

    @pytest.mark.filterwarnings("ignore:.*does not say its length unit")
    @pytest.mark.filterwarnings("ignore:.*the last line has no line end")
    @pytest.mark.parametrize("part", [0.02, 0.3, 0.6, 0.85])
    def test_files_that_are_cut_off(self, files, part):
        for path in (path for paths in files.values() for path in paths):
            content = path.read_bytes()
            path.write_bytes(content[: int(len(content) * part)])
            if path.suffix == ".csv" and part > 0.1:
                continue  # a table is whole wherever a line ends
            if path.suffix == ".c3d" and part > 0.8:
                continue  # what fills the last block is no loss; test_c3d.py has the rest
            with pytest.raises((FileFormatError, InvalidValueError), match=path.name):
                load_poses3d(path)["position"].load()

    def test_no_frames(self, solid, tmp_path):
        save_session(tmp_path / "a.nc", poses3d=solid.isel(time=slice(0, 0)))
        with pytest.raises(InvalidValueError, match="at least one frame, keypoint and individual, got no frame"):
            load_poses3d(tmp_path / "a.nc")

    def test_a_frame_rate_that_is_none(self, files):
        for paths in files.values():
            with pytest.raises(InvalidValueError, match="a positive number of frames per second"):
                load_poses3d(paths[0], frame_rate=-1.0, unit="mm")


def test_a_format_of_another_package(solid, tmp_path):
    mine = Pose3DFormat("mine", "text", (".txt",), lambda path: path.suffix == ".txt", lambda *_, **__: solid)
    assert isinstance(mine, POSE3D_FORMATS.kind)
    assert POSE3D_FORMATS.group == "pose3d.pose3d_formats"


def test_what_is_loaded_can_be_saved(files, tmp_path):
    with warnings.catch_warnings(action="ignore", category=SuiteWarning):
        for name, paths in files.items():
            with load_poses3d(paths[0]) as poses:
                save_session(tmp_path / "again.nc", poses3d=poses.load(), provenance={"from": name})
            with open_session(tmp_path / "again.nc") as session:
                assert json.dumps(session.provenance) == json.dumps({"from": name})
