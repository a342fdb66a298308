"""Label3D's labels of all cameras: MATLAB's pixels, and the clock that the cameras share."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io

from calibration.errors import FileFormatError, InvalidValueError, SuiteWarning
from pose3d.formats import read_label3d
from pose3d.formats._registry import detect_format

NAMES = ("Camera1", "Camera2", "Camera3")


def labels(samples: list[int], frames: list[int] | None = None, keypoints: int = 4, seed: int = 0) -> dict[str, Any]:
    positions = np.random.default_rng(seed).uniform(1, 1000, (len(samples), 2 * keypoints))
    return {
        "data_2d": positions,
        "data_3d": np.zeros((len(samples), 3 * keypoints)),
        "data_frame": np.array(samples if frames is None else frames, dtype=np.uint16)[None],
        "data_sampleID": np.array(samples, dtype=np.int32)[:, None],
    }


def cell(values: list[Any]) -> np.ndarray:
    array = np.empty((len(values), 1), dtype=object)
    for index, value in enumerate(values):
        array[index, 0] = value
    return array


def write(path: Path, cameras: list[dict[str, Any]], names: tuple[str, ...] | None = NAMES) -> Path:
    content: dict[str, Any] = {"labelData": cell(cameras)}
    if names is not None:
        content["camnames"] = cell(list(names)).T
    scipy.io.savemat(path, content)
    return path


def test_matlab_counts_pixels_from_1(tmp_path: Path) -> None:
    cameras = [labels([5, 9], seed=seed) for seed in range(3)]
    path = write(tmp_path / "a.mat", cameras)
    assert detect_format(path).name == "label3d"
    poses = read_label3d(path)
    assert poses.camera.values.tolist() == list(NAMES)
    assert poses.keypoint.values.tolist() == ["keypoint_0", "keypoint_1", "keypoint_2", "keypoint_3"]
    assert poses.frame.values.tolist() == [5, 9]
    for index, camera in enumerate(cameras):
        np.testing.assert_array_equal(poses.position[:, index, 0, :, 0], camera["data_2d"][:, 0::2] - 1)
        np.testing.assert_array_equal(poses.position[:, index, 0, :, 1], camera["data_2d"][:, 1::2] - 1)
    assert (poses.confidence == 1).all()


def test_rows_meet_by_sample_and_not_by_position(tmp_path: Path) -> None:
    cameras = [labels([10, 20, 40], [1, 2, 4]), labels([40, 10], [4, 1], seed=1), labels([20, 30], [2, 3], seed=2)]
    poses = read_label3d(write(tmp_path / "a.mat", cameras))
    assert poses.frame.values.tolist() == [1, 2, 3, 4]
    np.testing.assert_array_equal(poses.position[3, 1, 0, 0], cameras[1]["data_2d"][0, :2] - 1)
    assert np.isnan(poses.position[1, 1]).all()
    assert np.isnan(poses.position[2, 0]).all()


def test_cameras_that_number_their_frames_differently_are_called_by_sample(tmp_path: Path) -> None:
    cameras = [labels([10, 20, 40], [1, 2, 4]), labels([10, 20, 40], [1, 2, 3], seed=1)]
    with pytest.warns(SuiteWarning, match=r"a\.mat: the cameras number their frames differently"):
        poses = read_label3d(write(tmp_path / "a.mat", cameras, NAMES[:2]))
    assert poses.frame.values.tolist() == [10, 20, 40]
    assert np.isfinite(poses.position).all()


def test_unlabeled_points_and_names(tmp_path: Path) -> None:
    camera = labels([1, 2])
    camera["data_2d"][1, 3] = np.nan
    poses = read_label3d(write(tmp_path / "a.mat", [camera, labels([1, 2])], NAMES[:2]), keypoints=list("abcd"))
    assert np.isnan(poses.position.isel(time=1, camera=0).sel(keypoint="b")).all()
    assert float(poses.confidence.isel(time=1, camera=0, individual=0).sel(keypoint="b")) == 0


def test_cameras_without_names_are_called_as_in_the_calibration(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mat", [labels([1])] * 2, names=None)
    assert read_label3d(path).camera.values.tolist() == ["Camera1", "Camera2"]


@pytest.mark.parametrize(("given", "got"), [(["a"], "got 1"), ("abcd", "'abcd'")])
def test_names_that_do_not_fit(tmp_path: Path, given: Any, got: str) -> None:
    with pytest.raises(InvalidValueError, match=rf"keypoints: .*{got}"):
        read_label3d(write(tmp_path / "a.mat", [labels([1])] * 3), keypoints=given)


# What is refused


def broken(**changes: Any) -> dict[str, Any]:
    return {**labels([1, 2]), **changes}


@pytest.mark.parametrize(
    ("camera", "message"),
    [
        (broken(data_2d=np.zeros((2, 7))), r"camera 'Camera2', data_2d: expected .*got shape \(2, 7\)"),
        (broken(data_2d=np.zeros((0, 0))), "camera 'Camera2', data_2d"),
        (broken(data_2d="text"), "camera 'Camera2', data_2d: .*got nothing"),
        (broken(data_sampleID=np.array([1])), "camera 'Camera2', data_sampleID: expected 2 different whole numbers"),
        (broken(data_sampleID=np.array([1, 1])), "camera 'Camera2', data_sampleID: .*got 2, 1 of them different"),
        (broken(data_sampleID=np.array([1, 2.5])), "camera 'Camera2', data_sampleID"),
        (broken(data_frame=np.array([1, 2, 3])), "camera 'Camera2', data_frame"),
        (labels([1, 2], keypoints=3), "same keypoints in all cameras, got 3, 4 keypoints"),
    ],
)
def test_broken_labels(tmp_path: Path, camera: dict[str, Any], message: str) -> None:
    with pytest.raises(FileFormatError, match=rf"a\.mat.*{message}"):
        read_label3d(write(tmp_path / "a.mat", [labels([1, 2]), camera, labels([1, 2])]))


def test_infinite_positions(tmp_path: Path) -> None:
    with pytest.raises(InvalidValueError, match="infinite"):
        read_label3d(write(tmp_path / "a.mat", [broken(data_2d=np.full((2, 8), np.inf))], ("a",)))


def test_names_of_cameras_that_do_not_fit(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match=r"a\.mat, camnames: expected 1 names"):
        read_label3d(write(tmp_path / "a.mat", [labels([1])]))


def test_a_calibration_without_labels(tmp_path: Path) -> None:
    scipy.io.savemat(tmp_path / "a.mat", {"params": np.zeros(3)})
    with pytest.raises(FileFormatError, match=r"got no 'labelData'. Export it from Label3D again"):
        read_label3d(tmp_path / "a.mat")
    with pytest.raises(FileFormatError, match="a MATLAB file that is cut off or has no labels"):
        detect_format(tmp_path / "a.mat")


@pytest.mark.parametrize("part", [0.0, 0.3, 0.8])
def test_a_truncated_file(tmp_path: Path, part: float) -> None:
    path = write(tmp_path / "a.mat", [labels(list(range(100)))] * 3)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * part)])
    with pytest.raises(FileFormatError, match=r"a\.mat"):
        read_label3d(path)
