"""Instances of real recordings: everybody whom the network saw, in every camera."""

import json
from pathlib import Path

import numpy as np
import pytest

from calibration.formats import load_rig
from pose3d.formats import load_instances, load_poses2d
from pose3d.skeleton import PRESETS

MOUSE = "mouse_4cam/minimal_session"


def test_openpose_of_four_cameras_of_which_two_see_a_bystander(real_data: Path) -> None:
    folder = real_data / "human_4cam"
    found = load_instances(folder / "openpose_json", rig=load_rig(folder / "Calib_qualisys.toml"))
    assert found["camera"].values.tolist() == ["cam_01", "cam_02", "cam_03", "cam_04"]
    assert tuple(found["keypoint"].values) == PRESETS["body_25b"].keypoints
    assert found["frame"].values.tolist() == list(range(100))
    assert "track" not in found, "OpenPose did not track these people"
    seen = np.isfinite(found["position"].values).all(axis=-1).any(axis=-1)
    # camera 1 takes something for a third person once
    assert seen.sum(axis=(0, 2)).tolist() == [201, 200, 100, 100]
    for number in (1, 2, 3, 4):
        for frame in (0, 42, 99):
            file = folder / "openpose_json" / f"cam{number}_json" / f"cam{number:02d}.{frame:04d}.json"
            people = json.loads(file.read_text())["people"]
            poses = np.array([person["pose_keypoints_2d"] for person in people]).reshape(len(people), 25, 3)
            poses[(poses[..., :2] == 0).all(axis=-1), :2] = np.nan
            own = found.sel(camera=f"cam_{number:02d}").isel(time=frame, instance=slice(0, len(people)))
            np.testing.assert_array_equal(own["position"], poses[..., :2])
            assert not seen[frame, number - 1, len(people) :].any()


def test_one_camera_of_them_alone(real_data: Path) -> None:
    folder = real_data / "human_4cam" / "openpose_json" / "cam2_json"
    found = load_instances(folder)
    assert found.sizes["camera"] == 1
    assert np.isfinite(found["position"].values).all(axis=-1).any(axis=-1).sum(axis=-1).tolist() == [[2]] * 100


@pytest.mark.parametrize("kind", ["sleap", "sleap-analysis"])
def test_sleap_of_four_cameras(real_data: Path, kind: str) -> None:
    pytest.importorskip("sleap_io")
    found = load_instances(real_data / MOUSE, format=kind)
    poses = load_poses2d(real_data / MOUSE, format=kind)
    assert found["camera"].values.tolist() == poses["camera"].values.tolist() == ["back", "mid", "side", "top"]
    assert found["track_name"].values.tolist() == ["track_0"]
    np.testing.assert_allclose(found["position"].values, poses["position"].values, rtol=1e-6)
    np.testing.assert_allclose(found["confidence"].values, poses["confidence"].values, atol=1e-6)
