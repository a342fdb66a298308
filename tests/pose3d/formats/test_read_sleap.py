"""SLEAP's analysis files in all their layouts, and its projects through sleap-io."""

import builtins
import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr

from calibration.errors import FileFormatError, InvalidValueError, SuiteWarning
from pose3d.formats import read_sleap, read_sleap_analysis
from pose3d.formats._registry import detect_format

AXES = ("frame", "track", "node", "xy")
MATLAB = ("track", "xy", "node", "frame")
TRANSPOSED = ("frame", "node", "xy", "track")
STANDARD = AXES


def arrays(frames: int = 7, tracks: int = 2, nodes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """(frame, track, node, 2) positions and (frame, track, node) scores."""
    rng = np.random.default_rng(3)
    return rng.random((frames, tracks, nodes, 2)) * 100, rng.random((frames, tracks, nodes))


def write_analysis(
    path: Path,
    position: np.ndarray,
    scores: np.ndarray | None,
    axes: tuple[str, ...] = MATLAB,
    *,
    named: bool = False,
    names: bool = True,
) -> Path:
    remaining = [axis for axis in axes if axis != "xy"]
    with h5py.File(path, "w") as file:
        file["tracks"] = position.transpose([AXES.index(axis) for axis in axes])
        if scores is not None:
            file["point_scores"] = scores.transpose([AXES.index(axis) for axis in remaining])
        file["node_names"] = np.array([f"node {index}" for index in range(position.shape[2])], dtype="S")
        if names:
            file["track_names"] = np.array([f"mouse {index}" for index in range(position.shape[1])], dtype="S")
        if named:
            file["tracks"].attrs["dims"] = json.dumps(axes)
    return path


def check(poses: xr.Dataset, position: np.ndarray, scores: np.ndarray) -> None:
    np.testing.assert_array_equal(poses.position.values[:, 0], position)
    np.testing.assert_array_equal(poses.confidence.values[:, 0], scores)


@pytest.mark.parametrize(("axes", "named"), [(MATLAB, False), (TRANSPOSED, False), (MATLAB, True), (STANDARD, True)])
@pytest.mark.parametrize(("frames", "tracks", "nodes"), [(7, 2, 3), (7, 1, 2), (5, 2, 2), (2, 2, 4), (1, 1, 1)])
def test_every_layout(tmp_path: Path, axes: tuple[str, ...], named: bool, frames: int, tracks: int, nodes: int) -> None:
    position, scores = arrays(frames, tracks, nodes)
    path = write_analysis(tmp_path / "cam1.analysis.h5", position, scores, axes, named=named)
    assert detect_format(path).name == "sleap-analysis"
    poses = read_sleap_analysis(path, frame_rate=50.0)
    check(poses, position, scores)
    assert poses.camera.values.tolist() == ["cam1"]
    assert poses.individual.values.tolist() == [f"mouse {index}" for index in range(tracks)]
    assert poses.keypoint.values.tolist() == [f"node {index}" for index in range(nodes)]
    assert poses.attrs["fps"] == 50.0


def test_missing_points_and_scores(tmp_path: Path) -> None:
    position, scores = arrays()
    position[1, 0, 2] = np.nan
    scores[1, 0, 2] = 0.7
    scores[2, 1, 0] = np.nan
    poses = read_sleap_analysis(write_analysis(tmp_path / "a.h5", position, scores))
    confidence = poses.confidence.values[:, 0]
    assert confidence[1, 0, 2] == 0, "nothing was found there"
    assert confidence[2, 1, 0] == 1, "placed by a person, who gives no score"
    np.testing.assert_array_equal(
        read_sleap_analysis(write_analysis(tmp_path / "b.h5", position, None)).confidence.values[2], 1
    )


def test_peaks_a_little_above_1_are_cut(tmp_path: Path) -> None:
    position, scores = arrays()
    scores[0, 0, 0] = 1.1
    assert read_sleap_analysis(write_analysis(tmp_path / "a.h5", position, scores)).confidence.values.max() == 1
    scores[0, 0, 0] = 90
    with pytest.raises(InvalidValueError, match=r"b\.h5, likelihood: expected scores from 0 to 2, got 1 of 42 outside"):
        read_sleap_analysis(write_analysis(tmp_path / "b.h5", position, scores))


def test_tracks_without_names(tmp_path: Path) -> None:
    path = write_analysis(tmp_path / "a.h5", *arrays(), names=False)
    assert read_sleap_analysis(path).individual.values.tolist() == ["track_0", "track_1"]


def test_infinite_positions(tmp_path: Path) -> None:
    position, scores = arrays()
    position[0, 0, 0, 0] = np.inf
    with pytest.raises(InvalidValueError, match=r"a\.h5.*infinite"):
        read_sleap_analysis(write_analysis(tmp_path / "a.h5", position, scores))


@pytest.mark.parametrize("name", ["tracks", "node_names"])
def test_parts_missing(tmp_path: Path, name: str) -> None:
    path = write_analysis(tmp_path / "a.h5", *arrays())
    with h5py.File(path, "r+") as file:
        del file[name]
    with pytest.raises(FileFormatError, match=rf"a\.h5: .*got no {name}\. Export it again"):
        read_sleap_analysis(path)


@pytest.mark.parametrize("shape", [(2, 3, 3, 7), (2, 2, 4, 7), (3, 7), (0,)])
def test_shapes_that_do_not_fit(tmp_path: Path, shape: tuple[int, ...]) -> None:
    path = write_analysis(tmp_path / "a.h5", *arrays())
    with h5py.File(path, "r+") as file:
        del file["tracks"]
        file["tracks"] = np.zeros(shape)
    with pytest.raises(FileFormatError, match=r"a\.h5, tracks: expected numbers of shape .* with 3 nodes"):
        read_sleap_analysis(path)


def test_scores_that_do_not_fit(tmp_path: Path) -> None:
    path = write_analysis(tmp_path / "a.h5", *arrays())
    with h5py.File(path, "r+") as file:
        del file["point_scores"]
        file["point_scores"] = np.zeros((2, 3, 6))
    with pytest.raises(FileFormatError, match=r"point_scores: expected one score per point"):
        read_sleap_analysis(path)


@pytest.mark.parametrize("dims", ["not json", '["a", "b"]', "7"])
def test_axes_with_senseless_names(tmp_path: Path, dims: str) -> None:
    path = write_analysis(tmp_path / "a.h5", *arrays())
    with h5py.File(path, "r+") as file:
        file["tracks"].attrs["dims"] = dims
    with pytest.raises(FileFormatError, match=r"a\.h5, tracks"):
        read_sleap_analysis(path)


@pytest.mark.parametrize("part", [0.0, 0.05, 0.5, 0.95])
def test_a_truncated_file(tmp_path: Path, part: float) -> None:
    path = write_analysis(tmp_path / "a.h5", *arrays(500))
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * part)])
    with pytest.raises(
        FileFormatError, match=r"a\.h5: expected a SLEAP analysis file.*got (an empty file|a file that is damaged)"
    ):
        read_sleap_analysis(path)


def test_a_triangulated_file_is_not_taken_for_2d_poses(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "points3d.h5", "w") as file:
        file["tracks"] = np.zeros((5, 1, 3, 3))
    with pytest.raises(FileFormatError, match="an HDF5 file that is cut off or has no 2D poses"):
        detect_format(tmp_path / "points3d.h5")


# Projects


def project(path: Path, *, tracks: int = 2, frames: tuple[int, ...] = (0, 1, 5), videos: int = 1) -> Path:
    sio = pytest.importorskip("sleap_io")
    skeleton = sio.Skeleton(["nose", "tail"])
    recordings = [sio.Video(f"D:\\session\\{name}\\v.mp4") for name in ("back", "top")[:videos]]
    named = [sio.Track(f"mouse {index}") for index in range(tracks)]
    labeled = [
        sio.LabeledFrame(
            video=video,
            frame_idx=frame,
            instances=[
                sio.PredictedInstance.from_numpy(
                    np.array([[frame + 10.0, place], [frame + 20.0, np.nan]]),
                    skeleton=skeleton,
                    point_scores=np.array([0.5, 0.25]),
                    score=1.0,
                    track=named[place] if tracks else None,
                )
                for place in range(max(1, tracks))
            ],
        )
        for video in recordings
        for frame in frames
    ]
    sio.save_slp(sio.Labels(labeled, videos=recordings, skeletons=[skeleton], tracks=named), str(path), verbose=False)
    return path


def test_a_project(tmp_path: Path) -> None:
    path = project(tmp_path / "cam1.slp")
    assert detect_format(path).name == "sleap"
    poses = read_sleap(path)
    assert poses.camera.values.tolist() == ["cam1"]
    assert poses.frame.values.tolist() == [0, 1, 5]
    assert poses.individual.values.tolist() == ["mouse 0", "mouse 1"]
    assert poses.keypoint.values.tolist() == ["nose", "tail"]
    np.testing.assert_array_equal(
        poses.position.sel(individual="mouse 1", keypoint="nose").values[:, 0], [[10, 1], [11, 1], [15, 1]]
    )
    assert (poses.confidence.sel(keypoint="nose") == 0.5).all()
    assert np.isnan(poses.position.sel(keypoint="tail")).all()
    assert (poses.confidence.sel(keypoint="tail") == 0).all()


def test_labels_by_hand_are_certain(tmp_path: Path) -> None:
    sio = pytest.importorskip("sleap_io")
    skeleton = sio.Skeleton(["nose", "tail"])
    instance = sio.Instance.from_numpy(np.array([[1.0, 2.0], [np.nan, np.nan]]), skeleton=skeleton)
    video = sio.Video("v.mp4")
    labels = sio.Labels(
        [sio.LabeledFrame(video=video, frame_idx=4, instances=[instance])], videos=[video], skeletons=[skeleton]
    )
    sio.save_slp(labels, str(tmp_path / "a.slp"), verbose=False)
    poses = read_sleap(tmp_path / "a.slp")
    assert poses.frame.values.tolist() == [4]
    assert poses.confidence.values.ravel().tolist() == [1.0, 0.0]
    assert poses.position.values[0, 0, 0, 0].tolist() == [1.0, 2.0]


def test_the_videos_of_a_project_are_its_cameras(tmp_path: Path) -> None:
    poses = read_sleap(project(tmp_path / "all.slp", videos=2))
    assert poses.camera.values.tolist() == ["back", "top"]
    np.testing.assert_array_equal(poses.position.isel(camera=0), poses.position.isel(camera=1))


def test_animals_without_tracks_are_said_to_be_in_order_only(tmp_path: Path) -> None:
    sio = pytest.importorskip("sleap_io")
    assert read_sleap(project(tmp_path / "one.slp", tracks=0)).individual.values.tolist() == ["track_0"]
    labels = sio.load_slp(str(project(tmp_path / "two.slp")), open_videos=False)
    for labeled in labels:
        for instance in labeled.instances:
            instance.track = None
    labels.tracks = []
    sio.save_slp(labels, str(tmp_path / "untracked.slp"), verbose=False)
    with pytest.warns(SuiteWarning, match=r"untracked\.slp: 2 animals without tracks"):
        poses = read_sleap(tmp_path / "untracked.slp")
    assert poses.individual.values.tolist() == ["track_0", "track_1"]


def test_instances_without_a_track_among_tracks_are_counted(tmp_path: Path) -> None:
    sio = pytest.importorskip("sleap_io")
    labels = sio.load_slp(str(project(tmp_path / "a.slp")), open_videos=False)
    labels[0].instances[1].track = None
    sio.save_slp(labels, str(tmp_path / "b.slp"), verbose=False)
    with pytest.warns(SuiteWarning, match=r"b\.slp: 1 instances without a track are left out"):
        read_sleap(tmp_path / "b.slp")


def test_a_project_without_poses(tmp_path: Path) -> None:
    sio = pytest.importorskip("sleap_io")
    labels = sio.Labels([], videos=[sio.Video("v.mp4")], skeletons=[sio.Skeleton(["a"])])
    sio.save_slp(labels, str(tmp_path / "a.slp"), verbose=False)
    with pytest.raises(FileFormatError, match=r"a\.slp: expected a project with poses, got none"):
        read_sleap(tmp_path / "a.slp")


@pytest.mark.parametrize("part", [0.0, 0.05, 0.5, 0.95])
def test_a_truncated_project(tmp_path: Path, part: float) -> None:
    path = project(tmp_path / "a.slp", frames=tuple(range(200)))
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * part)])
    with pytest.raises(FileFormatError, match=r"a\.slp: expected a SLEAP project"):
        read_sleap(path)


def test_a_missing_project(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="no such file"):
        read_sleap(tmp_path / "a.slp")


def test_without_sleap_io_the_message_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = project(tmp_path / "a.slp")
    plain_import = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.split(".")[0] == "sleap_io":
            raise ImportError("No module named 'sleap_io'")
        return plain_import(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(
        FileFormatError, match=r"a\.slp: expected the package sleap-io.*not installed.*pose3d-suite\[formats\]"
    ):
        read_sleap(path)
