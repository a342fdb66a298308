"""JARVIS' folders: matrices for rows, an example of JARVIS itself, and files of OpenCV that look alike."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from calibration import Camera, FileFormatError, InvalidValueError, OutputError, Rig, load_rig, save_rig
from calibration.errors import SuiteWarning
from calibration.formats import FORMATS

# Values of a camera of JARVIS' example data set.
CAMERA = """%YAML:1.0
---
intrinsicMatrix: !!opencv-matrix
   rows: 3
   cols: 3
   dt: d
   data: [ 7.6257220270111134e+02, 0., 0., 0., 7.6209778633059807e+02,
       0., 6.3049267333365287e+02, 5.0156416619773626e+02, 1. ]
distortionCoefficients: !!opencv-matrix
   rows: 1
   cols: 5
   dt: d
   data: [ -3.6341498633693348e-02, 5.0082941884364719e-02, 0., 0., 0. ]
R: !!opencv-matrix
   rows: 3
   cols: 3
   dt: d
   data: [ 7.1666465727511530e-01, -4.3090657450463626e-01,
       -5.4837149183871869e-01, -6.9039628017000920e-01,
       -5.4963478284437939e-01, -4.7037706344487740e-01,
       -9.8715476700240501e-02, 7.1569625508052814e-01,
       -6.9140011941245128e-01 ]
T: !!opencv-matrix
   rows: 3
   cols: 1
   dt: d
   data: [ 1.4370529429672255e+01, -4.0094797299788979e+02,
       9.3549859552925307e+02 ]
"""


def _as_jarvis(file: Path, point: np.ndarray) -> np.ndarray:
    """The pixel of a point, by the formula of JARVIS' ReprojectionTool: rows from the left, k1 and k2."""
    storage = cv2.FileStorage(str(file), cv2.FILE_STORAGE_READ)
    names = ("R", "T", "intrinsicMatrix", "distortionCoefficients")
    rotation, translation, intrinsics, distortion = (storage.getNode(name).mat() for name in names)
    camera_matrix = np.concatenate([rotation, translation.reshape(1, 3)]) @ intrinsics  # (4, 3)
    homogeneous = np.append(point, 1.0) @ camera_matrix
    offset = homogeneous[:2] / homogeneous[2] - intrinsics[2, :2]
    r2 = (offset**2 / np.diag(intrinsics)[:2] ** 2).sum()
    return offset * (1 + (distortion[0, 0] + distortion[0, 1] * r2) * r2) + intrinsics[2, :2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "set").mkdir()
    (tmp_path / "set/Camera_LBB.yaml").write_text(CAMERA)
    return tmp_path / "set"


@pytest.mark.filterwarnings("ignore:.*no image size:calibration.errors.SuiteWarning")
class TestReading:
    @pytest.mark.parametrize("file", ["", "Camera_LBB.yaml"])
    def test_a_camera_of_jarvis_sees_what_it_sees_there(self, file: str, folder: Path) -> None:
        rig = load_rig(folder / file)
        assert (rig.names, rig.unit) == (("Camera_LBB",), "mm")
        (camera,) = rig
        for point in ([0.0, 0.0, 0.0], [100.0, -50.0, 30.0], [-80.0, 120.0, -40.0]):
            expected = _as_jarvis(folder / "Camera_LBB.yaml", np.array(point))
            np.testing.assert_allclose(camera.project(point), expected, rtol=0.0, atol=1e-9)

    def test_it_is_not_taken_for_opencv(self, folder: Path) -> None:
        assert [name for name in FORMATS if FORMATS[name].sniff(folder)] == ["jarvis"]
        assert [name for name in FORMATS if FORMATS[name].sniff(folder / "Camera_LBB.yaml")] == ["jarvis"]

    def test_the_same_keys_with_the_usual_matrix_are_opencv(self, folder: Path) -> None:
        file = folder / "Camera_LBB.yaml"
        usual = CAMERA.replace("0., 0., 0., 7.62", "0., 630., 0., 7.62").replace(
            "0., 6.3049267333365287e+02", "501., 0."
        )
        file.write_text(usual.replace("5.0156416619773626e+02, 1.", "0., 1."))
        assert [name for name in FORMATS if FORMATS[name].sniff(file)] == ["opencv"]
        assert load_rig(file, unit="mm").cameras[0].lens.camera_matrix[0, 2] == 630.0
        with pytest.raises(FileFormatError, match=r"the transposed matrix of JARVIS.*opencv"):
            load_rig(file, format="jarvis")

    def test_the_size_is_assumed(self, folder: Path) -> None:
        with pytest.warns(SuiteWarning, match="no image size"):
            assert load_rig(folder).metadata == {"assumed_image_size": ["Camera_LBB"]}

    @pytest.mark.parametrize("missing", ["intrinsicMatrix", "distortionCoefficients", "R", "T"])
    def test_what_is_missing_is_said(self, missing: str, folder: Path) -> None:
        (folder / "Camera_LBB.yaml").write_text(CAMERA.replace(f"\n{missing}:", "\nother:"))
        with pytest.raises(FileFormatError, match=f"Camera_LBB.yaml, camera 'Camera_LBB': .*'{missing}'"):
            load_rig(folder / "Camera_LBB.yaml", format="jarvis")

    def test_no_camera_in_the_folder(self, tmp_path: Path) -> None:
        with pytest.raises(FileFormatError, match=r"one \.yaml file per camera"):
            load_rig(tmp_path, format="jarvis")


class TestWriting:
    def test_jarvis_sees_the_same(self, tmp_path: Path, make_camera: Callable[..., Camera]) -> None:
        camera = make_camera("Camera_T", 1, count=0)
        save_rig(Rig((camera, make_camera("Camera_B", 2, count=0))), tmp_path / "set", format="jarvis")
        point = camera.cam_from_world.inverse()([30.0, -20.0, 100.0])
        np.testing.assert_allclose(_as_jarvis(tmp_path / "set/Camera_T.yaml", point), camera.project(point), atol=1e-9)
        assert load_rig(tmp_path / "set")["Camera_T"].size == (1280, 720)

    def test_what_jarvis_does_not_use_is_warned_about(self, tmp_path: Path, make_camera: Callable[..., Camera]) -> None:
        with pytest.warns(SuiteWarning, match="k1 and k2 of a lens only; the other coefficients of b are written"):
            save_rig(Rig((make_camera("a", 1, count=0), make_camera("b", 2))), tmp_path / "set", format="jarvis")

    def test_a_file_for_several_cameras_or_a_full_folder(
        self, folder: Path, make_camera: Callable[..., Camera]
    ) -> None:
        rig = Rig((make_camera("a", 1, count=0), make_camera("b", 2, count=0)))
        with pytest.raises(InvalidValueError, match="a folder for several cameras"):
            save_rig(rig, folder / "a.yaml", format="jarvis")
        with pytest.raises(OutputError, match="new or empty folder"):
            save_rig(rig, folder, format="jarvis")
        assert [file.name for file in folder.iterdir()] == ["Camera_LBB.yaml"]
