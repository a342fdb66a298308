"""Kalibr's camera chains: poses that follow each other, an IMU as the world, and lenses that are none of ours."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from calibration import Camera, FileFormatError, InvalidValueError, Rig, RigidTransform, load_rig, save_rig

# The example of Kalibr's wiki ("YAML formats") with a pinhole instead of an omni camera, and a third camera.
CHAIN = """cam0:
  camera_model: pinhole
  intrinsics: [461.629, 460.152, 362.680, 246.049]
  distortion_model: radtan
  distortion_coeffs: [-0.27695497, 0.06712482, 0.00087538, 0.00011556]
  rostopic: /cam0/image_raw
  resolution: [752, 480]
cam1:
  camera_model: pinhole
  intrinsics: [833.006, 830.345, 373.850, 253.749]
  distortion_model: equidistant
  distortion_coeffs: [-0.033518750, 0.013211436, 0.00055967,
    0.00057686]
  T_cn_cnm1:
  - [ 1.0, 0.0, 0.0, -0.11]
  - [ 0.0, 1.0, 0.0, 0.0]
  - [ 0.0, 0.0, 1.0, 0.0]
  - [0.0, 0.0, 0.0, 1.0]
  cam_overlaps: [0]
  rostopic: /cam1/image_raw
  resolution: [752, 480]
cam10:
  camera_model: pinhole
  intrinsics: [833.006, 830.345, 373.850, 253.749]
  distortion_model: none
  T_cn_cnm1: [[0.0, -1.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.5], [0.0, 0.0, 0.0, 1.0]]
  rostopic: /stereo/left/image_raw
  resolution: [640, 480]
"""


@pytest.fixture
def chain(tmp_path: Path) -> Path:
    path = tmp_path / "camchain.yaml"
    path.write_text(CHAIN)
    return path


class TestReading:
    def test_the_chain_is_followed_from_the_first_camera(self, chain: Path) -> None:
        rig = load_rig(chain)
        assert (rig.names, rig.unit) == (("cam0", "cam1", "cam10"), "m")
        assert [camera.size for camera in rig] == [(752, 480), (752, 480), (640, 480)]
        first, second, third = rig
        assert first.cam_from_world == RigidTransform.identity()
        # T_c1_c0 "takes cam0 to cam1 coordinates"
        np.testing.assert_allclose(second.cam_from_world([0.0, 0.0, 0.0]), [-0.11, 0.0, 0.0])
        np.testing.assert_allclose(third.cam_from_world([0.0, 0.0, 0.0]), [0.0, -0.11, 0.5], atol=1e-15)
        np.testing.assert_array_equal(
            first.lens.camera_matrix, [[461.629, 0, 362.680], [0, 460.152, 246.049], [0, 0, 1]]
        )
        assert first.lens.coefficients.tolist() == [-0.27695497, 0.06712482, 0.00087538, 0.00011556]
        assert second.lens.model == "fisheye"
        assert third.lens.coefficients.size == 0

    def test_the_imu_is_the_world_where_every_camera_is_placed_by_it(self, chain: Path) -> None:
        text = CHAIN
        for key, shift in (("cam0", 1), ("cam1", 2), ("cam10", 3)):
            imu = f"T_cam_imu: [[0, 1, 0, {shift}], [-1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]"
            text = text.replace(f"{key}:\n", f"{key}:\n  {imu}\n")
        chain.write_text(text)
        rig = load_rig(chain)
        assert [camera.cam_from_world.translation[0] for camera in rig] == [1.0, 2.0, 3.0]

    def test_a_topic_names_the_camera(self, chain: Path) -> None:
        chain.write_text(CHAIN.replace("/cam1/image_raw", "/left/image_raw"))
        assert load_rig(chain).names == ("cam0", "left", "cam10")
        chain.write_text(CHAIN.replace("/cam1/image_raw", "/cam0/image_raw"))
        assert load_rig(chain).names == ("cam0", "cam1", "cam10")

    @pytest.mark.parametrize(
        ("before", "after", "message"),
        [
            ("camera_model: pinhole", "camera_model: omni", "camera_model: expected pinhole, got 'omni'"),
            ("radtan", "fov", "distortion_model: expected radtan, equidistant or none, got 'fov'"),
            ("T_cn_cnm1:", "T_other:", "camera 'cam1': expected a value 'T_cn_cnm1'"),
            ("[461.629, 460.152, ", "[461.629, ", "intrinsics: expected numbers of shape"),
            ("  resolution: [752, 480]\n", "", "camera 'cam0': expected a value 'resolution'"),
            ("[ 1.0, 0.0, 0.0, -0.11]", "[ 2.0, 0.0, 0.0, -0.11]", "camera 'cam1', T_cn_cnm1, rotation"),
            ("[0.0, 0.0, 0.0, 1.0]", "[0.0, 0.0, 0.0, 2.0]", "T_cn_cnm1: expected 0, 0, 0, 1 in the last row"),
            ("cam", "lens", "expected cam0, cam1, ... with camera_model"),
        ],
    )
    def test_what_is_wrong_is_said(self, before: str, after: str, message: str, chain: Path) -> None:
        chain.write_text(CHAIN.replace(before, after, 10 if before == "cam" else 1))
        with pytest.raises(FileFormatError, match=message) as caught:
            load_rig(chain, format="kalibr")
        assert str(chain) in str(caught.value)


class TestWriting:
    def test_the_first_camera_as_world_needs_no_imu(self, chain: Path, tmp_path: Path) -> None:
        save_rig(load_rig(chain), tmp_path / "again.yaml", format="kalibr")
        assert "imu" not in (tmp_path / "again.yaml").read_text()
        assert load_rig(tmp_path / "again.yaml").names == ("cam0", "cam1", "cam10")

    def test_another_world_is_kept_as_the_body(self, tmp_path: Path, make_camera: Callable[..., Camera]) -> None:
        rig = Rig(tuple(make_camera(name, seed, count=4) for seed, name in enumerate(["left", "view 2"])), unit="m")
        save_rig(rig, tmp_path / "chain.yaml", format="kalibr")
        again = load_rig(tmp_path / "chain.yaml")
        assert again.names == rig.names
        for before, after in zip(rig, again, strict=True):
            np.testing.assert_allclose(after.cam_from_world.matrix, before.cam_from_world.matrix, atol=1e-12)
        text = (tmp_path / "chain.yaml").read_text()
        assert (text.count("T_cam_imu"), text.count("T_cn_cnm1")) == (2, 1)

    def test_a_slash_in_a_name(self, tmp_path: Path, make_camera: Callable[..., Camera]) -> None:
        with pytest.raises(InvalidValueError, match="a name without a slash"):
            save_rig(Rig((make_camera("a/b", 1, count=4),)), tmp_path / "chain.yaml", format="kalibr")
