"""Detections in a result file: written in pieces, opened lazily, and taken by `load_poses2d` as 2D poses."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from calibration.errors import FileFormatError
from pose3d.datasets import detections, poses2d_of_detections
from pose3d.formats import SessionWriter, load_poses2d, open_session


def found(first: int, count: int) -> xr.Dataset:
    rng = np.random.default_rng(first)
    position = rng.uniform(0, 400, (count, 2, 2, 3, 2)).astype(np.float32)
    confidence = -np.sort(-rng.uniform(0, 1, (count, 2, 2, 3)).astype(np.float32), axis=2)
    covariance = np.broadcast_to(np.eye(2), (count, 2, 2, 3, 2, 2))
    position[0, 1], confidence[0, 1] = np.nan, np.nan
    names = {"cameras": ["top", "side"], "keypoints": ["nose", "tail", "paw"]}
    frames = np.arange(first, first + count)
    return detections(position, confidence, covariance, **names, frames=frames, frame_rate=30.0)


def written(path: Path) -> Path:
    with SessionWriter(path) as writer:
        for first in (0, 7):
            writer.append(detections=found(first, 7))
    return path


def test_what_was_written_in_pieces_is_read_as_a_whole(tmp_path: Path) -> None:
    with open_session(written(tmp_path / "detections.nc")) as session:
        whole = session.require("detections").load()
        assert session.poses2d is None
    expected = xr.concat([found(0, 7), found(7, 7)], "time", data_vars="minimal")
    for name in ("position", "confidence", "covariance", "frame", "time"):
        np.testing.assert_array_equal(whole[name], expected[name])
    assert whole.attrs["fps"] == 30.0


def test_they_are_read_as_2d_poses_of_the_best_candidates(tmp_path: Path) -> None:
    poses = load_poses2d(written(tmp_path / "detections.nc"))
    expected = poses2d_of_detections(found(0, 7))
    np.testing.assert_array_equal(poses["position"][:7], expected["position"].values)
    np.testing.assert_array_equal(poses["covariance"][:7], expected["covariance"].values)
    assert list(poses["camera"].values) == ["top", "side"]


def test_nothing_is_loaded_before_it_is_used(tmp_path: Path) -> None:
    poses = load_poses2d(written(tmp_path / "detections.nc"))
    assert not poses["position"].variable._in_memory


def test_a_file_of_detections_alone_has_no_3d_poses(tmp_path: Path) -> None:
    with open_session(written(tmp_path / "detections.nc")) as session, pytest.raises(FileFormatError) as error:
        session.require("poses3d")
    assert "only /detections" in str(error.value)
