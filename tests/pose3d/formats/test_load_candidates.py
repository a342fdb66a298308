"""Candidates of keypoints: DeepLabCut's raw detections, read without unpickling, and this project's own."""

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calibration.errors import FileFormatError, InvalidValueError, MismatchError, SuiteWarning
from calibration.synthetic import make_rig
from pose3d.datasets import detections, poses2d
from pose3d.formats import SessionWriter, holds_candidates, load_candidates, read_deeplabcut_full

KEYPOINTS = ["nose", "tail", "paw"]
GRAPH = [[0, 1], [1, 2]]


def frame(seed: int, counts: tuple[int, ...] = (2, 3, 1), *, costs: bool = True) -> dict[str, Any]:
    """As DeepLabCut's TensorFlow engine writes it."""
    rng = np.random.default_rng(seed)
    found: dict[str, Any] = {
        "coordinates": ([np.round(rng.uniform(0, 600, (count, 2)), 3) for count in counts],),
        "confidence": [np.round(rng.uniform(0.1, 1, (count, 1)), 5) for count in counts],
        "costs": {},
    }
    if costs:
        for edge, (first, second) in enumerate(GRAPH):
            shape = (counts[first], counts[second])
            # the keys are NumPy's numbers, since they come from np.arange
            found["costs"][np.int64(edge)] = {"m1": rng.uniform(0, 1.05, shape), "distance": rng.uniform(0, 9, shape)}
    return found


def content(*frames: Any) -> dict[str, Any]:
    numbered = {f"frame{number:02d}": one for number, one in enumerate(frames)}
    metadata = {
        "nms radius": 5.0,
        "minimal confidence": 0.01,
        "sigma": 1,
        "PAFgraph": GRAPH,
        "PAFinds": np.arange(len(GRAPH)),
        "all_joints": [[0], [1], [2]],
        "all_joints_names": KEYPOINTS,
        "nframes": len(frames),
    }
    return {**numbered, "metadata": metadata}


def written(path: Path, values: Any, protocol: int = pickle.HIGHEST_PROTOCOL) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(pickle.dumps(values, protocol))
    return path


@pytest.mark.parametrize("protocol", range(2, 6))
@pytest.mark.parametrize("core", [b"numpy._core", b"numpy.core"])
def test_every_candidate_of_every_protocol_and_version_of_numpy(tmp_path: Path, protocol: int, core: bytes) -> None:
    frames = [frame(seed) for seed in range(3)]
    data = pickle.dumps(content(*frames), protocol)
    old = data.replace(b"numpy._core", core)
    if protocol >= 4 and core == b"numpy.core":
        # the length of a short text stands before it
        old = data.replace(b"\x16numpy._core.multiarray", b"\x15numpy.core.multiarray")
        old = old.replace(b"\x13numpy._core.numeric", b"\x12numpy.core.numeric")
        # and the length of all before everything; pickle itself does not look at it either where it is too large
        assert core in old
    (tmp_path / "cam1DLC_full.pickle").write_bytes(old)
    found = read_deeplabcut_full(tmp_path / "cam1DLC_full.pickle", camera="cam1", frame_rate=30.0)
    assert dict(found.sizes) | {"end": 2} == {
        "time": 3, "camera": 1, "candidate": 3, "keypoint": 3, "space": 2, "edge": 2, "candidate_": 3, "end": 2,
    }  # fmt: skip
    assert found["edge_keypoint"].values.tolist() == [["nose", "tail"], ["tail", "paw"]]
    for row, one in enumerate(frames):
        order = [np.argsort(-scores.ravel()) for scores in one["confidence"]]
        for column, places in enumerate(order):
            points = one["coordinates"][0][column][places]
            np.testing.assert_array_equal(found["position"].values[row, 0, : len(points), column], points)
            assert np.isnan(found["position"].values[row, 0, len(points) :, column]).all()
            scores = one["confidence"][column].ravel()[places]
            np.testing.assert_array_equal(found["confidence"].values[row, 0, : len(scores), column], scores)
        for edge, (first, second) in enumerate(GRAPH):
            expected = np.minimum(one["costs"][edge]["m1"][np.ix_(order[first], order[second])], 1)
            affinity = found["affinity"].values[row, 0, edge]
            np.testing.assert_allclose(affinity[: expected.shape[0], : expected.shape[1]], expected, rtol=1e-6)
            assert np.isfinite(affinity).sum() == expected.size


def test_the_best_candidate_is_the_first(tmp_path: Path) -> None:
    found = read_deeplabcut_full(written(tmp_path / "a_full.pickle", content(*map(frame, range(5)))))
    assert (np.diff(found["confidence"].values, axis=2) <= 0).all()


def test_frames_in_which_nothing_was_found(tmp_path: Path) -> None:
    empty = frame(0, (0, 0, 0))
    values = content(frame(1), empty, [], None, frame(2, (0, 2, 0)))
    found = read_deeplabcut_full(written(tmp_path / "a_full.pickle", values))
    assert np.isfinite(found["position"].values).all(axis=-1).sum(axis=(1, 2, 3)).tolist() == [6, 0, 0, 0, 2]
    assert found["frame"].values.tolist() == list(range(5))


def test_a_candidate_that_is_not_finite_is_none(tmp_path: Path) -> None:
    one = frame(3)
    one["coordinates"][0][1][2] = np.nan
    one["costs"][0]["m1"][:, 2] = np.nan
    found = read_deeplabcut_full(written(tmp_path / "a_full.pickle", content(one)))
    assert np.isfinite(found["position"].values[0, 0, :, 1, 0]).tolist() == [True, True, False]
    assert found["confidence"].values[0, 0, 2, 1] == 0
    assert np.isnan(found["affinity"].values[0, 0, 0, :, 2]).all()


def test_a_network_without_affinities(tmp_path: Path) -> None:
    found = read_deeplabcut_full(written(tmp_path / "a_full.pickle", content(frame(0, costs=False))))
    assert "affinity" not in found


def test_animals_that_the_network_assembled_itself_stay_together(tmp_path: Path) -> None:
    """PyTorch's engine: candidates at one place are one animal, -1 is missing, and unique keypoints are of nobody."""
    rng = np.random.default_rng(0)
    poses, scores = rng.uniform(0, 600, (4, 2, 3, 2)), rng.uniform(0.1, 1, (4, 2, 3, 1))
    poses[1, 1, 2], scores[1, 1, 2] = -1, -1
    frames = [
        {
            "coordinates": ([pose[:, 0], pose[:, 1], pose[:1, 2]],),
            "confidence": [score[:, 0], score[:, 1], score[:1, 2]],
            "costs": None,
        }
        for pose, score in zip(poses, scores, strict=True)
    ]
    found = read_deeplabcut_full(written(tmp_path / "a_full.pickle", content(*frames)))
    assert found["edge_keypoint"].values.tolist() == [["nose", "tail"]]
    for row, affinity in enumerate(found["affinity"].values[:, 0, 0]):
        nose, tail = (found["position"].values[row, 0, :, column] for column in (0, 1))
        for first, second in np.argwhere(affinity == 1):
            animal = int(np.argmin(np.abs(poses[row, :, 0] - nose[first]).sum(axis=-1)))
            np.testing.assert_array_equal(tail[second], poses[row, animal, 1])
        assert (affinity == 1).sum() == 2


def test_cameras_are_found_by_name_and_keep_all_their_candidates(tmp_path: Path) -> None:
    names = make_rig(3).names
    counts = [(2, 3, 1), (1, 1, 1), (4, 0, 2)]
    for name, count in zip(names, counts, strict=True):
        values = content(*(frame(seed, count) for seed in range(3)))
        written(tmp_path / f"{name}DLC_resnet50_mouseshuffle1_50000_full.pickle", values)
        (tmp_path / f"{name}DLC_resnet50_mouseshuffle1_50000_meta.pickle").write_bytes(pickle.dumps({"data": {}}))
    found = load_candidates(tmp_path, rig=make_rig(3), frame_rate=30.0)
    assert list(found["camera"].values) == list(names)
    assert found.sizes["candidate"] == 4
    assert found.attrs["fps"] == 30.0
    seen = np.isfinite(found["position"].values).all(axis=-1).sum(axis=2)
    for index, count in enumerate(counts):
        assert (seen[:, index] == count).all()
        own = read_deeplabcut_full(tmp_path / f"{names[index]}DLC_resnet50_mouseshuffle1_50000_full.pickle")
        merged = found["affinity"].values[:, index]
        slots = own.sizes["candidate"]
        np.testing.assert_array_equal(merged[..., :slots, :slots], own["affinity"].values[:, 0])
        assert np.isfinite(merged).sum() == np.isfinite(own["affinity"].values).sum()


def test_edges_meet_by_name_and_may_be_turned(tmp_path: Path) -> None:
    values = content(frame(0), frame(1))
    turned = content(frame(0), frame(1))
    turned["metadata"]["PAFgraph"] = [[1, 0], [2, 1]]
    for name, one in turned.items():
        if name != "metadata":
            for cost in one["costs"].values():
                cost["m1"] = cost["m1"].T
    paths = {
        "left": written(tmp_path / "a_full.pickle", values),
        "right": written(tmp_path / "b_full.pickle", turned),
    }
    found = load_candidates(paths)
    assert found["edge_keypoint"].values.tolist() == [["nose", "tail"], ["tail", "paw"]]
    np.testing.assert_array_equal(found["affinity"].values[:, 0], found["affinity"].values[:, 1])


def test_frames_that_one_camera_lacks_are_kept(tmp_path: Path) -> None:
    paths = {
        "left": written(tmp_path / "a_full.pickle", content(*map(frame, range(5)))),
        "right": written(tmp_path / "b_full.pickle", content(*map(frame, range(3)))),
    }
    with pytest.warns(SuiteWarning, match=r"'right' 2: 3-4\); they count as not seen there"):
        found = load_candidates(paths)
    assert found.sizes["time"] == 5
    assert np.isnan(found["position"].values[3:, 1]).all()
    assert np.isfinite(found["position"].values[3:, 0]).any()


def test_one_camera_is_enough(tmp_path: Path) -> None:
    found = load_candidates(written(tmp_path / "topDLC_full.pickle", content(frame(0))))
    assert list(found["camera"].values) == ["top"]


def test_this_projects_own_candidates_are_opened_and_not_loaded(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    names = make_rig(3).names
    own = detections(
        rng.uniform(0, 400, (6, 3, 4, 2, 2)), -np.sort(-rng.random((6, 3, 4, 2)), axis=2),
        cameras=names[::-1], keypoints=["nose", "tail"], frame_rate=25.0,
    )  # fmt: skip
    affinity = rng.random((6, 3, 1, 4, 4)).astype(np.float32)
    own["affinity"] = (("time", "camera", "edge", "candidate", "candidate_"), affinity, {"units": "1"})
    own["edge_keypoint"] = (("edge", "end"), [["nose", "tail"]])
    with SessionWriter(tmp_path / "a.nc") as writer:
        writer.append(detections=own.isel(time=slice(0, 4)))
        writer.append(detections=own.isel(time=slice(4, 6)))
    found = load_candidates(tmp_path / "a.nc", rig=make_rig(3))
    assert not found["affinity"].variable._in_memory
    assert list(found["camera"].values) == list(names)
    np.testing.assert_array_equal(found["affinity"], affinity[:, ::-1])
    assert found["edge_keypoint"].values.tolist() == [["nose", "tail"]]


def test_nothing_found_in_one_camera_is_said_and_in_all_cameras_is_an_error(tmp_path: Path) -> None:
    empty = written(tmp_path / "a_full.pickle", content(*(frame(seed, (0, 0, 0)) for seed in range(2))))
    paths = {"left": empty, "right": written(tmp_path / "b_full.pickle", content(frame(0), frame(1)))}
    with pytest.warns(SuiteWarning, match="no position at all in camera 'left'"):
        assert load_candidates(paths).sizes["candidate"] == 3
    with pytest.raises(InvalidValueError, match="expected at least one position, got NaN everywhere"):
        load_candidates({"left": empty, "right": empty})


class Malicious:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch was_run",)


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_that_would_run_something_is_refused_and_nothing_is_run(
    tmp_path: Path, protocol: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    values = content(frame(0)) | {"frame01": Malicious()}
    path = written(tmp_path / "a_full.pickle", values, protocol)
    with pytest.raises(FileFormatError, match=r"a_full\.pickle: .*asks to run code") as error:
        load_candidates(path)
    assert "nothing in it was run" in error.value.remedy
    assert not (tmp_path / "was_run").exists()


@pytest.mark.parametrize(
    "value",
    [np.array([{"a": 1}], dtype=object), np.array(["text"]), np.zeros(1, dtype=[("a", float)]), {1, 2}, Path("a")],
    ids=["objects", "texts", "records", "set", "path"],
)
def test_anything_but_numbers_is_refused(tmp_path: Path, value: Any) -> None:
    values = content(frame(0)) | {"frame01": {"coordinates": value}}
    with pytest.raises(FileFormatError, match=r"a_full\.pickle: expected DeepLabCut's raw detections"):
        read_deeplabcut_full(written(tmp_path / "a_full.pickle", values))


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.7, 0.99])
def test_a_truncated_file(tmp_path: Path, share: float) -> None:
    data = written(tmp_path / "a_full.pickle", content(*map(frame, range(20)))).read_bytes()
    (tmp_path / "a_full.pickle").write_bytes(data[: int(share * len(data))])
    with pytest.raises(FileFormatError, match=r"a_full\.pickle: .* raw detections.*(damaged|an empty file)"):
        read_deeplabcut_full(tmp_path / "a_full.pickle")


def test_damaged_bytes_are_an_error_of_the_file_and_never_of_the_program(tmp_path: Path) -> None:
    data = written(tmp_path / "a_full.pickle", content(frame(0), frame(1))).read_bytes()
    rng, told = np.random.default_rng(0), []
    for _ in range(400):
        damaged = bytearray(data)
        for place in rng.integers(0, len(data), 3):
            damaged[place] = rng.integers(0, 256)
        (tmp_path / "b_full.pickle").write_bytes(damaged)
        try:
            read_deeplabcut_full(tmp_path / "b_full.pickle")
        except (FileFormatError, InvalidValueError) as error:
            told.append(str(error))
    assert len(told) > 50
    assert all("b_full.pickle" in text for text in told)


def without(key: str) -> dict[str, Any]:
    one = frame(0)
    del one[key]
    return content(one)


def changed(name: str, value: Any) -> dict[str, Any]:
    values = content(frame(0))
    values["metadata"][name] = value
    return values


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1, 2], "no 'metadata' with 'all_joints_names'"),
        ({"frame0": frame(0)}, "no 'metadata' with 'all_joints_names'"),
        (content(), "no frames"),
        (content(frame(0)) | {"data": {}}, "'data'"),
        (content([1]), "frame 0: .* no dictionary"),
        (without("coordinates"), "frame 0: .* no lists of 'coordinates' and 'confidence'"),
        (without("confidence"), "frame 0: .* no lists of 'coordinates' and 'confidence'"),
        (changed("all_joints_names", ["nose", "tail"]), "3 keypoints with 3 confidences instead of 2"),
        (changed("PAFgraph", [[0, 1], [1, 7]]), "PAFgraph: .* no pairs of 3 keypoints"),
        (changed("PAFgraph", [[0, 2], [1, 2]]), r"costs of shape \(2, 3\) for 2 x 1 candidates"),
    ],
)
def test_parts_that_do_not_fit(tmp_path: Path, values: Any, message: str) -> None:
    with pytest.raises(FileFormatError, match=message):
        read_deeplabcut_full(written(tmp_path / "a_full.pickle", values))


def test_other_numbers_of_positions_than_of_confidences(tmp_path: Path) -> None:
    one = frame(0)
    one["confidence"][1] = one["confidence"][1][:2]
    with pytest.raises(FileFormatError, match=r"frame 0: .* positions of shape \(3, 2\) with 2 confidences"):
        read_deeplabcut_full(written(tmp_path / "a_full.pickle", content(one)))


def test_duplicate_keypoints_and_wrong_scores(tmp_path: Path) -> None:
    with pytest.raises(InvalidValueError, match=r"'keypoint': expected each name once, got repeated: nose"):
        read_deeplabcut_full(written(tmp_path / "a_full.pickle", changed("all_joints_names", ["nose", "nose", "paw"])))
    one = frame(0)
    one["confidence"][0][0] = 7
    with pytest.raises(InvalidValueError, match="likelihood: expected scores from 0 to 1"):
        read_deeplabcut_full(written(tmp_path / "a_full.pickle", content(one)))


def test_files_of_other_kinds_and_missing_ones(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("frame,x,y\n")
    with pytest.raises(FileFormatError, match=r"a\.csv: expected candidates of keypoints in one of the formats netcdf"):
        load_candidates(tmp_path / "a.csv")
    with pytest.raises(FileFormatError, match="no such file"):
        load_candidates(tmp_path / "none_full.pickle")
    with pytest.raises(InvalidValueError, match="format: expected one of netcdf, deeplabcut-full"):
        load_candidates(tmp_path / "a.csv", format="sleap")


def test_cameras_without_a_frame_in_common(tmp_path: Path) -> None:
    late = content(frame(0))
    late["frame99"] = late.pop("frame00")
    paths = {
        "left": written(tmp_path / "a_full.pickle", content(frame(0))),
        "right": written(tmp_path / "b_full.pickle", late),
    }
    with pytest.raises(MismatchError, match=r"2D poses, frames: .* none in common \('left': 0; 'right': 99\)"):
        load_candidates(paths)


def own(path: Path, count: int, *, poses: bool = False) -> Path:
    shape = (4, 2, count, 2)
    names = {"cameras": ["a", "b"], "keypoints": ["nose", "tail"]}
    with SessionWriter(path) as writer:
        writer.append(detections=detections(np.ones((*shape, 2)), np.ones(shape), **names))
        if poses:
            writer.append(poses2d=poses2d(np.ones((4, 2, 1, 2, 2)), individuals=["i"], **names))
    return path


def test_what_is_to_be_assembled_is_told_from_poses(tmp_path: Path) -> None:
    raw = written(tmp_path / "raw" / "topDLC_full.pickle", content(frame(0)))
    assert holds_candidates(raw)
    assert holds_candidates(raw.parent)
    assert holds_candidates({"top": raw}, format="deeplabcut-full")
    assert not holds_candidates(raw, format="openpose")
    assert holds_candidates(own(tmp_path / "several.nc", 3))
    assert holds_candidates(own(tmp_path / "several.nc", 3), format="netcdf")
    assert not holds_candidates(own(tmp_path / "one.nc", 1))
    assert not holds_candidates(own(tmp_path / "both.nc", 3, poses=True))
    assert not holds_candidates(tmp_path / "missing")
    (raw.parent / "top.csv").write_text("scorer,n,n,n\nbodyparts,a,a,a\ncoords,x,y,likelihood\n0,1,2,1\n")
    assert not holds_candidates(raw.parent), "the poses beside are read"
    assert holds_candidates(raw.parent, format="deeplabcut-full")
