"""EasyMocap's pair of files: as EasyMocap writes them, as OpenCV reads them, and what may be missing."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from calibration import Camera, FileFormatError, InvalidValueError, OutputError, Rig, load_rig, save_rig
from calibration.errors import SuiteWarning

# As `write_camera` of EasyMocap writes two cameras: carriage returns, six decimals, R_ as vector and Rot_ as matrix.
INTRINSICS = """%YAML:1.0
---
names:
  - "01"
  - "side"
K_01: !!opencv-matrix
  rows: 3
  cols: 3
  dt: d
  data: [900.000000, 0.000000, 640.000000, 0.000000, 905.000000, 360.000000, 0.000000, 0.000000, 1.000000]
dist_01: !!opencv-matrix
  rows: 1
  cols: 5
  dt: d
  data: [-0.100000, 0.020000, 0.001000, -0.002000, 0.003000]
H_01: 720
W_01: 1280
K_side: !!opencv-matrix
  rows: 3
  cols: 3
  dt: d
  data: [900.000000, 0.000000, 640.000000, 0.000000, 905.000000, 360.000000, 0.000000, 0.000000, 1.000000]
dist_side: !!opencv-matrix
  rows: 1
  cols: 5
  dt: d
  data: [0.000000, 0.000000, 0.000000, 0.000000, 0.000000]
H_side: 720
W_side: 1280
"""
_POSE = """R_{name}: !!opencv-matrix
  rows: 3
  cols: 1
  dt: d
  data: [0.000000, 0.000000, 1.570796]
Rot_{name}: !!opencv-matrix
  rows: 3
  cols: 3
  dt: d
  data: [0.000000, -1.000000, 0.000000, 1.000000, 0.000000, 0.000000, 0.000000, 0.000000, 1.000000]
T_{name}: !!opencv-matrix
  rows: 3
  cols: 1
  dt: d
  data: [{x}, 2.000000, 3.000000]
"""
EXTRINSICS = (
    '%YAML:1.0\n---\nnames:\n  - "01"\n  - "side"\n' + _POSE.format(name="01", x=1.0) + _POSE.format(name="side", x=4.0)
)


def _write(folder: Path, intrinsics: str = INTRINSICS, extrinsics: str = EXTRINSICS) -> Path:
    for name, text in (("intri.yml", intrinsics), ("extri.yml", extrinsics)):
        (folder / name).write_text(text.replace("\n", "\r\n"), newline="")
    return folder


class TestReading:
    @pytest.mark.parametrize("file", ["", "intri.yml", "extri.yml"])
    def test_what_easymocap_writes(self, file: str, tmp_path: Path) -> None:
        rig = load_rig(_write(tmp_path) / file)
        assert (rig.names, rig.unit) == (("01", "side"), "m")
        first = rig["01"]
        assert first.size == (1280, 720)
        assert first.lens.coefficients.tolist() == [-0.1, 0.02, 0.001, -0.002, 0.003]
        # R X + T, the rotation a quarter turn
        np.testing.assert_allclose(first.cam_from_world([1.0, 0.0, 0.0]), [1.0, 3.0, 3.0], atol=1e-6)

    @pytest.mark.parametrize("without", ["R_", "Rot_"])
    def test_one_of_the_rotations_is_enough(self, without: str, tmp_path: Path) -> None:
        extrinsics = EXTRINSICS.replace(f"\n{without}", "\nX_")
        rig = load_rig(_write(tmp_path, extrinsics=extrinsics))
        np.testing.assert_allclose(rig["side"].cam_from_world([1.0, 0.0, 0.0]), [4.0, 3.0, 3.0], atol=1e-6)

    def test_older_files_call_the_distortion_d_and_have_no_size(self, tmp_path: Path) -> None:
        text = INTRINSICS.replace("dist_", "D_").replace("H_01: 720\n", "").replace("H_side: 720", "H_side: -1")
        with pytest.warns(SuiteWarning, match="no image size"):
            rig = load_rig(_write(tmp_path, text))
        assert rig["01"].lens.coefficients[0] == -0.1
        assert rig["01"].size == (1281, 721)
        assert rig.metadata["assumed_image_size"] == ["01", "side"]

    @pytest.mark.parametrize(
        ("intrinsics", "extrinsics", "message"),
        [
            (
                INTRINSICS.replace("K_side", "K_other"),
                EXTRINSICS,
                "intri.yml, camera 'side': expected a value 'K_side'",
            ),
            (INTRINSICS, EXTRINSICS.replace("T_01", "T_1"), "extri.yml, camera '01': expected a value 'T_01'"),
            (INTRINSICS.replace("names:", "cameras:"), EXTRINSICS, "intri.yml: expected a value 'names'"),
            (INTRINSICS.replace("names:", "names: 3\nx:"), EXTRINSICS, "intri.yml, names: expected the list"),
            (INTRINSICS.replace("[900.000000", "[-900"), EXTRINSICS, "camera '01'"),
            (INTRINSICS[:300], EXTRINSICS, "intri.yml"),
            ("", EXTRINSICS, "intri.yml: .*an empty file"),
        ],
    )
    def test_what_is_wrong_is_said(self, intrinsics: str, extrinsics: str, message: str, tmp_path: Path) -> None:
        with pytest.raises(FileFormatError, match=message) as caught:
            load_rig(_write(tmp_path, intrinsics, extrinsics), format="easymocap")
        assert str(tmp_path) in str(caught.value)

    def test_one_file_alone(self, tmp_path: Path) -> None:
        (_write(tmp_path) / "extri.yml").unlink()
        with pytest.raises(FileFormatError, match=r"a folder with intri\.yml and extri\.yml"):
            load_rig(tmp_path / "intri.yml", format="easymocap")


class TestWriting:
    def test_opencv_reads_it_as_easymocap_does(self, tmp_path: Path, make_camera: Callable[..., Camera]) -> None:
        camera = make_camera("01", 1)
        save_rig(Rig((camera, make_camera("view b", 2)), unit="m"), tmp_path / "data", format="easymocap")
        intrinsics = cv2.FileStorage(str(tmp_path / "data/intri.yml"), cv2.FILE_STORAGE_READ)
        extrinsics = cv2.FileStorage(str(tmp_path / "data/extri.yml"), cv2.FILE_STORAGE_READ)
        names = intrinsics.getNode("names")
        assert [names.at(place).string() for place in range(names.size())] == ["01", "view b"]
        assert intrinsics.getNode("H_01").real() == 720
        assert intrinsics.getNode("K_view b").mat().shape == (3, 3)
        matrix, distortion = intrinsics.getNode("K_01").mat(), intrinsics.getNode("dist_01").mat()
        assert distortion.shape == (1, 5)
        pose = extrinsics.getNode("R_01").mat(), extrinsics.getNode("T_01").mat()
        point = camera.cam_from_world.inverse()([0.2, 0.1, 1.0])
        pixel, _ = cv2.projectPoints(point[None], *pose, matrix, distortion)
        np.testing.assert_allclose(pixel.ravel(), camera.project(point), atol=1e-9)
        np.testing.assert_allclose(cv2.Rodrigues(pose[0])[0], extrinsics.getNode("Rot_01").mat(), atol=1e-14)

    def test_other_files_of_the_folder_stay(self, tmp_path: Path, make_camera: Callable[..., Camera]) -> None:
        (_write(tmp_path) / "annots").mkdir()
        save_rig(Rig((make_camera("01", 1),)), tmp_path, format="easymocap")
        assert {file.name for file in tmp_path.iterdir()} == {"annots", "intri.yml", "extri.yml"}
        assert load_rig(tmp_path).names == ("01",)

    def test_a_size_that_was_assumed_is_not_written(self, tmp_path: Path, make_camera: Callable[..., Camera]) -> None:
        rig = Rig((make_camera("a", 1), make_camera("b", 2)), metadata={"assumed_image_size": ["a"]})
        save_rig(rig, tmp_path, format="easymocap")
        with pytest.warns(SuiteWarning, match="no image size"):
            assert load_rig(tmp_path).metadata["assumed_image_size"] == ["a"]

    @pytest.mark.parametrize("name", ["a.b", "a:b", "a/b", "a#", " a", 'a"'])
    def test_a_name_that_is_no_key(self, name: str, tmp_path: Path, make_camera: Callable[..., Camera]) -> None:
        with pytest.raises(InvalidValueError, match="a name of letters, digits"):
            save_rig(Rig((make_camera(name, 1),)), tmp_path, format="easymocap")

    def test_the_name_of_a_file(self, tmp_path: Path, make_camera: Callable[..., Camera]) -> None:
        with pytest.raises(OutputError, match=r"a folder for intri\.yml"):
            save_rig(Rig((make_camera("a", 1),)), tmp_path / "intri.yml", format="easymocap")
