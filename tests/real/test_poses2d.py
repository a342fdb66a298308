"""2D poses of real recordings: what their tools wrote is what is read."""

import csv
import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from calibration.errors import MismatchError, SuiteWarning
from calibration.formats import load_rig
from pose3d.formats import load_poses2d, read_deeplabcut, read_openpose, read_sleap, read_sleap_analysis
from pose3d.formats._registry import detect_format
from pose3d.skeleton import PRESETS

MOUSE = "mouse_4cam/minimal_session"


def test_openpose_of_four_cameras(real_data: Path) -> None:
    folder = real_data / "human_4cam"
    rig = load_rig(folder / "Calib_qualisys.toml")
    with pytest.warns(SuiteWarning) as told:
        poses = load_poses2d(folder / "openpose_json", rig=rig)
    texts = " ".join(str(warning.message) for warning in told)
    assert "cam1_json: up to 3 people without ids" in texts
    assert "individuals that only one camera has are left out ('cam_01': person_2)" in texts
    assert poses.camera.values.tolist() == ["cam_01", "cam_02", "cam_03", "cam_04"]
    assert poses.individual.values.tolist() == ["person_0", "person_1"]
    assert poses.frame.values.tolist() == list(range(100))
    # The README of the recording says BODY_25B; the files do not.
    assert tuple(poses.keypoint.values) == PRESETS["body_25b"].keypoints
    for number in (1, 2, 3, 4):
        file = folder / "openpose_json" / f"cam{number}_json" / f"cam{number:02d}.0042.json"
        people = json.loads(file.read_text())["people"]
        pose = np.array(people[0]["pose_keypoints_2d"]).reshape(25, 3)
        pose[(pose[:, :2] == 0).all(axis=1), :2] = np.nan
        one = poses.sel(camera=f"cam_{number:02d}", individual="person_0").isel(time=42)
        np.testing.assert_array_equal(one.position, pose[:, :2])
        np.testing.assert_array_equal(one.confidence, pose[:, 2])


def test_the_model_is_recognized_in_every_camera_alone(real_data: Path) -> None:
    for folder in sorted((real_data / "human_4cam/openpose_json").iterdir()):
        with warnings.catch_warnings(action="ignore"):
            assert read_openpose(folder).attrs["keypoint_set"] == "body_25b"


@pytest.mark.parametrize("camera", ["back", "mid", "side", "top"])
def test_sleap_projects_and_analysis_files_agree(real_data: Path, camera: str) -> None:
    pytest.importorskip("sleap_io")
    files = [real_data / MOUSE / camera / f"minimal_{camera}_proofread{suffix}" for suffix in (".analysis.h5", ".slp")]
    assert [detect_format(file).name for file in files] == ["sleap-analysis", "sleap"]
    analysis, project = read_sleap_analysis(files[0]), read_sleap(files[1])
    assert dict(analysis.sizes) == {"time": 120, "camera": 1, "individual": 1, "keypoint": 15, "space": 2}
    assert analysis.individual.values.tolist() == project.individual.values.tolist() == ["track_0"]
    assert analysis.keypoint.values.tolist() == project.keypoint.values.tolist()
    np.testing.assert_array_equal(analysis.frame, project.frame)
    np.testing.assert_allclose(analysis.position, project.position, rtol=1e-6)
    np.testing.assert_allclose(analysis.confidence, project.confidence, atol=1e-6)


def test_sleap_of_a_session_folder(real_data: Path) -> None:
    rig = load_rig(real_data / MOUSE / "calibration_3cam.toml", unit="mm")
    with pytest.warns(SuiteWarning, match=r"the rig has no camera for .*minimal_side_proofread\.analysis\.h5"):
        poses = load_poses2d(real_data / MOUSE, rig=rig, format="sleap-analysis")
    assert poses.camera.values.tolist() == list(rig.names)
    back = read_sleap_analysis(real_data / MOUSE / "back/minimal_back_proofread.analysis.h5")
    np.testing.assert_array_equal(poses.position.sel(camera="back"), back.position[:, 0])


def test_two_files_of_a_camera_are_not_chosen_from(real_data: Path) -> None:
    rig = load_rig(real_data / MOUSE / "calibration_3cam.toml", unit="mm")
    with pytest.raises(
        MismatchError, match=r"camera 'back'.*got 2.*analysis\.h5.*\.slp.*format \(sleap, sleap-analysis\)"
    ):
        load_poses2d(real_data / MOUSE, rig=rig)


def test_labels_of_label3d_project_onto_their_3d(real_data: Path) -> None:
    path = real_data / "labeled_mouse_6cam/label3d_dannce.mat"
    with pytest.warns(SuiteWarning, match="image size"):
        rig = load_rig(path)
    poses = load_poses2d(path, rig=rig)
    assert poses.camera.values.tolist() == list(rig.names)
    assert dict(poses.sizes) == {"time": 81, "camera": 6, "individual": 1, "keypoint": 22, "space": 2}
    assert poses.frame.values[:4].tolist() == [27, 72, 168, 230]
    truth = scipy.io.loadmat(path, simplify_cells=True)["labelData"][0]["data_3d"].reshape(81, 22, 3)
    residual = poses.position.values[:, :, 0].transpose(0, 2, 1, 3) - rig.project(truth)
    # Label3D's 2D labels are the projections of its 3D: what is left is rounding, and would be 1.4 px without the
    # shift from MATLAB's pixels to ours.
    assert np.nanmedian(np.linalg.norm(residual, axis=-1)) < 1e-3


def test_points_of_caliscope(real_data: Path) -> None:
    folder = real_data / "charuco_4cam/4_cam_recording"
    path = folder / "calibration/extrinsic/xy.csv"
    with warnings.catch_warnings(action="ignore"):
        rig = load_rig(folder / "camera_array.toml")
    poses = load_poses2d(path, rig=rig)
    assert poses.camera.values.tolist() == list(rig.names) == ["cam_0", "cam_1", "cam_2", "cam_3"]
    assert (int(poses.frame[0]), int(poses.frame[-1])) == (416, 463)
    assert poses.keypoint.values.tolist() == [f"keypoint_{number}" for number in range(12)]
    with path.open() as file:
        lines = list(csv.DictReader(file))
    assert int(np.isfinite(poses.position[..., 0]).sum()) == len(lines)
    for line in lines[:: len(lines) // 50]:
        found = poses.position.sel(
            time=int(line["sync_index"]),
            camera=f"cam_{line['cam_id']}",
            individual=f"object_{line['object_id']}",
            keypoint=f"keypoint_{line['keypoint_id']}",
        )
        assert found.values.tolist() == [float(line["img_loc_x"]), float(line["img_loc_y"])]


def test_deeplabcut_csv_and_h5_agree(real_data: Path) -> None:
    folder = real_data / "openfield/openfield-Pranav-2018-10-30/labeled-data/m4s1"
    table, stored = (read_deeplabcut(folder / f"CollectedData_Pranav.{suffix}") for suffix in ("csv", "h5"))
    assert dict(table.sizes) == {"time": 116, "camera": 1, "individual": 1, "keypoint": 4, "space": 2}
    assert table.keypoint.values.tolist() == ["snout", "leftear", "rightear", "tailbase"]
    assert table.identical(stored.assign_attrs(source_file=table.attrs["source_file"]))
    assert table.position.values[1, 0, 0, 0].tolist() == [10.248, 288.487]


def test_labels_of_lightning_pose(real_data: Path) -> None:
    poses = load_poses2d(real_data / "mirror_mouse/CollectedData.csv")
    assert dict(poses.sizes) == {"time": 90, "camera": 1, "individual": 1, "keypoint": 17, "space": 2}
    assert poses.frame.values.tolist() == list(range(1, 91))
    assert poses.position.sel(keypoint="paw1LH_top").values[0, 0, 0].tolist() == [77.25, 36.25]
    assert np.isnan(poses.position.sel(keypoint="tailBase_top").values[0, 0, 0]).all()
