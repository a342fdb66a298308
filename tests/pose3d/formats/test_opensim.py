"""OpenSim: marker sets by the layout of OpenSim 4, and angles that are read back from storage files."""

import xml.etree.ElementTree as ET

import numpy as np
import pytest
import xarray as xr

from calibration.errors import FileFormatError, InvalidValueError, MismatchError, SuiteWarning
from pose3d.formats import read_mot, write_marker_set, write_mot
from pose3d.skeleton import PRESETS


def angles(n_frames=5, names=("knee_angle_r", "hip_flexion_r"), units="rad", seed=0) -> xr.DataArray:
    values = np.random.default_rng(seed).uniform(-3, 3, (n_frames, len(names)))
    return xr.DataArray(
        values,
        dims=("time", "angle"),
        coords={"time": ("time", 1.0 + np.arange(n_frames) / 30, {"units": "s"}), "angle": list(names)},
        attrs={"units": units},
    )


class TestMarkerSets:
    def test_layout(self, tmp_path, make_solid):
        solid = make_solid(keypoints=("a&b", "toe"))
        assert write_marker_set(solid, tmp_path / "a.xml", bodies={"toe": "toes_r"}) == (tmp_path / "a.xml",)
        root = ET.parse(tmp_path / "a.xml").getroot()
        assert (root.tag, root.attrib) == ("OpenSimDocument", {"Version": "40000"})
        markers = root.findall("MarkerSet/objects/Marker")
        assert [marker.get("name") for marker in markers] == ["a&b", "toe"]
        frames = [marker.findtext("socket_parent_frame") for marker in markers]
        assert frames == ["/ground", "/bodyset/toes_r"]
        for marker in markers:
            assert marker.findtext("location") == "0 0 0"
            assert marker.findtext("fixed") == "false"

    def test_of_a_skeleton_or_names(self, tmp_path):
        write_marker_set(PRESETS["coco_17"], tmp_path / "a.xml")
        names = [marker.get("name") for marker in ET.parse(tmp_path / "a.xml").iter("Marker")]
        assert names == list(PRESETS["coco_17"].keypoints)
        with pytest.warns(SuiteWarning, match="blanks in keypoint names are written as '_' for OpenSim: left toe"):
            write_marker_set(["left toe"], tmp_path / "b.xml")
        assert 'name="left_toe"' in (tmp_path / "b.xml").read_text()

    @pytest.mark.parametrize("names", [[], ["a b", "a_b"], [" "]])
    def test_names_that_cannot_be(self, tmp_path, names):
        with pytest.raises(InvalidValueError, match="at least one, each once, none blank"):
            write_marker_set(names, tmp_path / "a.xml")

    def test_a_body_for_no_marker(self, tmp_path):
        with pytest.raises(InvalidValueError, match="bodies: expected some of a, got 'b'"):
            write_marker_set(["a"], tmp_path / "a.xml", bodies={"b": "tibia_r"})


class TestAngles:
    @pytest.mark.parametrize("name", ["a.mot", "a.sto"])
    def test_there_and_back(self, tmp_path, name):
        given = angles(5000)
        given[3, 1] = np.nan
        assert write_mot(given, tmp_path / name) == (tmp_path / name,)
        found = read_mot(tmp_path / name)
        assert found.dims == ("time", "angle")
        assert found.attrs["units"] == "rad"
        assert found["angle"].values.tolist() == given["angle"].values.tolist()
        np.testing.assert_allclose(found, given, rtol=1e-8)
        np.testing.assert_allclose(found["time"], given["time"], rtol=1e-11)

    def test_lines(self, tmp_path):
        values = xr.DataArray([[np.pi, np.nan]], dims=("time", "angle"), coords={"time": [0.5], "angle": ["a", "b"]})
        write_mot(values, tmp_path / "walk.mot")
        header = ["walk", "version=1", "nRows=1", "nColumns=3", "inDegrees=yes", "", "endheader"]
        assert (tmp_path / "walk.mot").read_text().split("\n") == [*header, "time\ta\tb", "0.5\t180\tnan", ""]

    def test_degrees_are_written_as_they_are(self, tmp_path):
        given = angles(units="deg")
        write_mot(given, tmp_path / "a.mot")
        np.testing.assert_allclose(np.rad2deg(read_mot(tmp_path / "a.mot")), given, rtol=1e-8)

    def test_one_file_for_each_individual(self, tmp_path):
        both = xr.concat([angles(seed=0), angles(seed=1)], dim="individual").assign_coords(individual=["anna", "ben"])
        files = write_mot(both, tmp_path / "a.mot")
        assert [file.name for file in files] == ["a_anna.mot", "a_ben.mot"]
        np.testing.assert_allclose(read_mot(files[1]), angles(seed=1), rtol=1e-8)
        with pytest.raises(MismatchError, match="expected one of anna, ben"):
            write_mot(both, tmp_path / "a.mot", individual="carl")

    def test_what_are_no_angles(self, tmp_path):
        for wrong, message in {
            "dimensions": angles().expand_dims(leg=2),
            "in rad or deg, got units 'mm'": angles(units="mm"),
            "got no frame": angles()[:0],
            "got frame numbers": angles().assign_coords(time=("time", np.arange(5.0), {"units": "frames"})),
        }.items():
            with pytest.raises(InvalidValueError, match=wrong):
                write_mot(message, tmp_path / "a.mot")

    def test_columns_that_are_no_angles_are_left_out(self, tmp_path):
        text = "Coordinates\nversion=1\nnRows=1\nnColumns=4\ninDegrees=yes\nendheader\n"
        (tmp_path / "a.mot").write_text(text + "time\tpelvis_tx\tknee\tground_force_vx\n0.0\t1.5\t180\t700\n")
        with pytest.warns(SuiteWarning, match="no angles are left out: pelvis_tx, ground_force_vx"):
            found = read_mot(tmp_path / "a.mot")
        assert found["angle"].values.tolist() == ["knee"]
        assert found.item() == pytest.approx(np.pi)

    def test_radians(self, tmp_path):
        (tmp_path / "a.sto").write_text("x\nDataType=double\nnRows=1\ninDegrees=no\nendheader\ntime knee\n0 1.5\n")
        assert read_mot(tmp_path / "a.sto").item() == 1.5

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "got an empty file"),
            ("time\tknee\n0\t1\n", "a line 'endheader'"),
            ("nRows=2\nendheader\ntime knee\n0 1\n", "2 rows, as its header says, got 1: the file seems to be cut off"),
            ("nRows=1\nendheader\ntime knee hip\n0 1\n", "3 numbers in a row, got 2 in row 1"),
            ("nRows=1\nendheader\ntime knee\n0 x\n", "expected numbers"),
            ("nRows=1\nendheader\ntime knee knee\n0 1 2\n", "repeated: knee"),
            ("nRows=1\nendheader\nknee\n0\n", "the first being 'time'"),
            ("nRows=1\nendheader\n", "got none"),
            ("nRows=x\nendheader\ntime knee\n0 1\n", "a whole number in nRows"),
        ],
    )
    def test_broken_files(self, tmp_path, text, message):
        (tmp_path / "a.mot").write_text(text)
        with pytest.raises(FileFormatError, match=message):
            read_mot(tmp_path / "a.mot")

    def test_no_file(self, tmp_path):
        with pytest.raises(FileFormatError, match=r"none\.mot: .*Check the path for spelling"):
            read_mot(tmp_path / "none.mot")
