"""Instances of every format: all animals of every camera, packed, with the tracks that the source knows."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from calibration.errors import FileFormatError, InvalidValueError, MismatchError, SuiteWarning
from calibration.rig import Rig
from calibration.synthetic import make_rig
from pose3d.datasets import INSTANCES, instances, poses2d
from pose3d.formats import (
    SessionWriter,
    instances_of_poses2d,
    load_instances,
    load_poses2d,
    read_sleap_analysis,
    save_session,
)
from pose3d.formats.netcdf import read_netcdf
from pose3d.skeleton import PRESETS, Skeleton

KEYPOINTS = ["nose", "tail"]


def seen(found: xr.Dataset) -> np.ndarray:
    """(time, camera, instance) whether there is an animal."""
    return np.isfinite(found["position"].values).all(axis=-1).any(axis=-1)


def animals(found: xr.Dataset, row: int, camera: int) -> set[tuple[Any, ...]]:
    """What was found in one frame of one camera, whatever the order: track and positions."""
    tracks = found["track"].values if "track" in found else np.full(seen(found).shape, -1)
    names = [*found["track_name"].values.tolist(), None] if "track" in found else [None]
    return {
        (names[tracks[row, camera, slot]], *found["position"].values[row, camera, slot].ravel().tolist())
        for slot in np.flatnonzero(seen(found)[row, camera])
    }


def made(
    individuals: list[str], shown: float, *, frames: int = 20, cameras: tuple[str, ...] = ("a", "b")
) -> xr.Dataset:
    rng = np.random.default_rng(len(individuals))
    position = rng.uniform(0, 600, (frames, len(cameras), len(individuals), len(KEYPOINTS), 2))
    position[rng.random(position.shape[:3]) > shown] = np.nan
    confidence = np.where(np.isfinite(position[..., 0]), rng.random(position.shape[:-1]), 0)
    names = {"cameras": cameras, "individuals": individuals, "keypoints": KEYPOINTS}
    return poses2d(position, confidence, **names, frame_rate=30.0, image_size=[[1280, 1024]] * len(cameras))


# ---- Poses2D


@given(count=st.integers(1, 9), shown=st.floats(0, 1))
def test_individuals_become_instances_and_nothing_is_lost(count: int, shown: float) -> None:
    poses = made([f"mouse {index}" for index in range(count)], shown)
    found = instances_of_poses2d(poses)
    there = np.isfinite(poses["position"].values).all(axis=-1).any(axis=-1)
    assert found.sizes["instance"] == max(1, there.sum(axis=-1).max()), "as few places as needed"
    assert (seen(found) == (np.arange(found.sizes["instance"]) < there.sum(axis=-1)[..., None])).all()
    np.testing.assert_array_equal(found["track"].values >= 0, seen(found))
    for row, camera, place in np.argwhere(there):
        (slot,) = np.flatnonzero(found["track"].values[row, camera] == place)
        for name in ("position", "confidence"):
            np.testing.assert_array_equal(found[name].values[row, camera, slot], poses[name].values[row, camera, place])
    np.testing.assert_array_equal(found["confidence"].values[~seen(found)], 0)
    assert found["track_name"].values.tolist() == poses["individual"].values.tolist()
    assert found["image_size"].equals(poses["image_size"])
    assert (found.attrs["fps"], found.attrs["ds_type"]) == (30.0, "instances")
    assert set(found.dims) <= set(INSTANCES.dims)


def test_names_that_are_only_places_are_no_tracks() -> None:
    found = instances_of_poses2d(made(["a", "b"], 0.8).assign_attrs(individuals="places"))
    assert "track" not in found
    assert "individuals" not in found.attrs


def test_hundreds_of_tracks_take_as_many_places_as_are_there_at_once() -> None:
    poses = made([f"track_{index}" for index in range(300)], 0.0)
    for row in range(20):
        poses["position"][row, :, 10 * row : 10 * row + 3] = 5.0
    found = instances_of_poses2d(poses)
    assert found.sizes["instance"] == 3
    assert found["track"].values[4, 0].tolist() == [40, 41, 42]


def test_covariances_go_along() -> None:
    poses = made(["a", "b", "c"], 0.5)
    covariance = np.random.default_rng(0).random((20, 2, 3, 2, 2, 2))
    poses["covariance"] = (("time", "camera", "individual", "keypoint", "space", "space_"), covariance)
    found = instances_of_poses2d(poses)
    for row, camera, slot in np.argwhere(seen(found)):
        expected = covariance[row, camera, found["track"].values[row, camera, slot]]
        np.testing.assert_array_equal(found["covariance"].values[row, camera, slot], expected)
    assert np.isnan(found["covariance"].values[~seen(found)]).all()


# ---- netCDF


def test_poses_of_this_project_are_opened_and_not_loaded(tmp_path: Path) -> None:
    rig = make_rig(3)
    poses = made(["anna", "ben"], 0.7, cameras=rig.names[::-1])
    save_session(tmp_path / "a.nc", poses2d=poses)
    found = load_instances(tmp_path / "a.nc", rig=rig)
    assert not found["position"].variable._in_memory
    assert list(found["camera"].values) == list(rig.names)
    packed = instances_of_poses2d(poses.isel(camera=[2, 1, 0]))
    for row in range(20):
        assert all(animals(found, row, camera) == animals(packed, row, camera) for camera in range(3))
    assert found["track_name"].values.tolist() == ["anna", "ben"]


def test_many_individuals_in_a_file_of_this_project_are_packed(tmp_path: Path) -> None:
    poses = made([f"track_{index}" for index in range(100)], 0.05)
    save_session(tmp_path / "a.nc", poses2d=poses)
    xr.testing.assert_equal(load_instances(tmp_path / "a.nc").drop_attrs(), instances_of_poses2d(poses).drop_attrs())


def test_instances_of_this_project_come_before_what_was_made_of_them(tmp_path: Path) -> None:
    own = instances_of_poses2d(made(["anna", "ben", "carl"], 0.4))
    with SessionWriter(tmp_path / "a.nc") as writer:
        writer.append(instances=own, poses2d=made(["x"], 1.0))
    found = load_instances(tmp_path / "a.nc")
    assert not found["position"].variable._in_memory
    xr.testing.assert_equal(found.load(), own)
    assert load_poses2d(tmp_path / "a.nc")["individual"].values.tolist() == ["x"]


def test_a_file_of_instances_alone_opens_as_well_and_has_no_named_poses(tmp_path: Path) -> None:
    own = instances_of_poses2d(made(["anna", "ben"], 0.4))
    own.to_netcdf(tmp_path / "a.nc")
    xr.testing.assert_equal(load_instances(tmp_path / "a.nc").load(), own)
    with pytest.raises(FileFormatError, match=r"a\.nc: expected a result file with the group /poses2d, got only"):
        read_netcdf(tmp_path / "a.nc")


def test_one_camera_is_enough_with_a_rig_and_without(tmp_path: Path) -> None:
    rig = make_rig(3)
    save_session(tmp_path / "a.nc", poses2d=made(["anna", "ben"], 0.7, cameras=rig.names[1:2]))
    assert load_instances(tmp_path / "a.nc")["camera"].values.tolist() == [rig.names[1]]
    with pytest.warns(SuiteWarning, match=f"none for the cameras {rig.names[0]}, {rig.names[2]}"):
        assert load_instances(tmp_path / "a.nc", rig=rig)["camera"].values.tolist() == [rig.names[1]]
    alone = Rig((rig[rig.names[1]],), unit=rig.unit)
    assert load_instances(tmp_path / "a.nc", rig=alone)["camera"].values.tolist() == [rig.names[1]]


def test_candidates_are_no_animals(tmp_path: Path, candidates: Callable[[int], xr.Dataset]) -> None:
    with SessionWriter(tmp_path / "a.nc") as writer:
        writer.append(detections=candidates(3))
    with pytest.raises(FileFormatError, match=r"expected animals, got 3 candidates per keypoint") as error:
        load_instances(tmp_path / "a.nc")
    assert "load_candidates" in error.value.remedy
    with SessionWriter(tmp_path / "b.nc") as writer:
        writer.append(detections=candidates(1))
    assert load_instances(tmp_path / "b.nc").sizes["instance"] == 1


@pytest.fixture
def candidates() -> Callable[[int], xr.Dataset]:
    from pose3d.datasets import detections

    def make(count: int) -> xr.Dataset:
        shape = (4, 2, count, 2)
        return detections(np.ones((*shape, 2)), np.ones(shape), cameras=["a", "b"], keypoints=KEYPOINTS)

    return make


# ---- several files


def saved(path: Path, poses: xr.Dataset) -> Path:
    save_session(path, poses2d=poses)
    return path


def test_every_camera_keeps_all_of_its_animals_and_tracks_of_one_name_are_one(tmp_path: Path) -> None:
    left = made(["anna", "ben", "carl"], 0.8, cameras=("left",))
    right = made(["ben", "dora"], 0.9, cameras=("right",))
    found = load_instances([saved(tmp_path / "l.nc", left), saved(tmp_path / "r.nc", right)])
    assert found["track_name"].values.tolist() == ["anna", "ben", "carl", "dora"]
    for index, one in enumerate((left, right)):
        own = instances_of_poses2d(one)
        for row in range(20):
            assert animals(found, row, index) == animals(own, row, 0)
    assert found["image_size"].values.tolist() == [[1280, 1024], [1280, 1024]]


def test_frames_of_one_camera_alone_are_kept_and_keypoints_are_not(tmp_path: Path) -> None:
    left, right = made(["a"], 1.0, cameras=("left",)), made(["b"], 1.0, cameras=("right",))
    left = left.assign_coords(keypoint=["nose", "ear"])
    paths = [saved(tmp_path / "l.nc", left), saved(tmp_path / "r.nc", right.isel(time=slice(5, 20)))]
    with pytest.warns(SuiteWarning) as told:
        found = load_instances(paths)
    texts = " ".join(str(warning.message) for warning in told)
    assert "keypoints that only one camera has are left out ('left': ear; 'right': tail)" in texts
    assert "'right' 5: 0-4" in texts
    assert found["keypoint"].values.tolist() == ["nose"]
    assert seen(found).sum(axis=0).tolist() == [[20], [15]]


def test_recordings_that_share_no_frame(tmp_path: Path) -> None:
    left, right = made(["a"], 1.0, cameras=("left",)), made(["b"], 1.0, cameras=("right",))
    late = right.assign_coords(frame=right["frame"] + 100)
    with pytest.raises(MismatchError, match=r"frames: .*none in common \('left': 0-19; 'right': 100-119\)"):
        load_instances([saved(tmp_path / "l.nc", left), saved(tmp_path / "r.nc", late)])


def test_nobody_in_one_camera_is_said_and_nobody_in_all_is_an_error(tmp_path: Path) -> None:
    nobody, somebody = made(["a"], 0.0, cameras=("left",)), made(["b"], 1.0, cameras=("right",))
    paths = [saved(tmp_path / "l.nc", nobody), saved(tmp_path / "r.nc", somebody)]
    with pytest.warns(SuiteWarning, match="no position at all in camera 'left'"):
        assert seen(load_instances(paths)).sum(axis=(0, 2)).tolist() == [0, 20]
    with pytest.raises(InvalidValueError, match="expected at least one position, got NaN everywhere"):
        load_instances(paths[:1])


def test_appearances_and_covariances_of_some_cameras(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name, slots in (("left", 2), ("right", 3)):
        one = instances(
            rng.random((4, 1, slots, 2, 2)), cameras=[name], keypoints=KEYPOINTS,
            appearance=rng.random((4, 1, slots, 5)) if name == "left" else None,
            covariance=rng.random((4, 1, slots, 2, 2, 2)) if name == "right" else None,
        )  # fmt: skip
        save_session(tmp_path / f"{name}.nc", instances=one)
    found = load_instances(tmp_path)
    assert found["appearance"].shape == (4, 2, 3, 5)
    assert np.isfinite(found["appearance"].values).all(axis=(0, 3)).tolist() == [[True, True, False], [False] * 3]
    assert np.isfinite(found["covariance"].values).all(axis=(0, 3, 4, 5)).tolist() == [[False] * 3, [True] * 3]
    assert "track" not in found


# ---- SLEAP


def project(path: Path, *, tracks: list[str], loose: int = 0, frames: int = 4, videos: int = 1) -> Path:
    """A project in which every track is in every other frame, beside animals without a track."""
    sio = pytest.importorskip("sleap_io")
    skeleton = sio.Skeleton(list(KEYPOINTS))
    recordings = [sio.Video(f"/session/{name}/v.mp4") for name in ("back", "top")[:videos]]
    named = [sio.Track(name) for name in tracks]

    def animal(frame: int, number: int, track: Any) -> Any:
        points = np.array([[100.0 * number + frame, 5.0], [100.0 * number + frame, 9.0]])
        return sio.PredictedInstance.from_numpy(
            points, skeleton=skeleton, point_scores=np.array([0.5, 0.25]), score=1.0, track=track
        )

    labeled = [
        sio.LabeledFrame(
            video=video,
            frame_idx=frame,
            instances=[
                *(animal(frame, number, track) for number, track in enumerate(named) if (frame + number) % 2 == 0),
                *(animal(frame, len(named) + number, None) for number in range(loose)),
            ],
        )
        for video in recordings
        for frame in range(frames)
    ]
    sio.save_slp(sio.Labels(labeled, videos=recordings, skeletons=[skeleton], tracks=named), str(path), verbose=False)
    return path


def test_sleap_animals_in_tracks_and_beside_them(tmp_path: Path) -> None:
    found = load_instances(project(tmp_path / "cam1.slp", tracks=["x", "y", "z"], loose=2))
    assert found["camera"].values.tolist() == ["cam1"]
    assert found["track_name"].values.tolist() == ["x", "y", "z"]
    assert seen(found).sum(axis=-1)[:, 0].tolist() == [4, 3, 4, 3]
    for frame in range(4):
        expected = {
            (name, 100.0 * number + frame, 5.0, 100.0 * number + frame, 9.0)
            for number, name in enumerate(["x", "y", "z", None, None])
            if name is None or (frame + number) % 2 == 0
        }
        assert animals(found, frame, 0) == expected
    assert set(found["confidence"].values[seen(found)].ravel()) == {0.5, 0.25}


def test_sleap_animals_without_tracks_have_none_and_no_warning(tmp_path: Path) -> None:
    found = load_instances(project(tmp_path / "cam1.slp", tracks=[], loose=3))
    assert "track" not in found
    assert seen(found).all()


def test_hundreds_of_sleap_tracks(tmp_path: Path) -> None:
    path = project(tmp_path / "cam1.slp", tracks=[f"track_{index}" for index in range(300)], frames=1)
    found = load_instances(path)
    assert found.sizes["instance"] == 150
    assert found.sizes["source_track"] == 300


def test_the_videos_of_a_sleap_project_are_cameras(tmp_path: Path) -> None:
    found = load_instances(project(tmp_path / "all.slp", tracks=["x", "y"], videos=2))
    assert found["camera"].values.tolist() == ["back", "top"]
    assert animals(found, 2, 0) == animals(found, 2, 1)


def test_sleap_tracks_of_the_same_name_stay_two(tmp_path: Path) -> None:
    found = load_instances(project(tmp_path / "cam1.slp", tracks=["x", "x"]))
    assert found["track_name"].values.tolist() == ["x", "x (2)"]


@pytest.mark.parametrize("linked", ["track", "prediction"])
def test_an_animal_that_a_person_corrected_is_there_once(tmp_path: Path, linked: str) -> None:
    sio = pytest.importorskip("sleap_io")
    labels = sio.load_slp(str(project(tmp_path / "a.slp", tracks=["x", "y"], loose=1)), open_videos=False)
    frame = labels[0]
    predicted = next(each for each in frame.instances if (each.track is None) == (linked == "prediction"))
    placed = sio.Instance.from_numpy(
        np.array([[7.0, 7.0], [np.nan, np.nan]]), skeleton=labels.skeletons[0], track=predicted.track
    )
    if linked == "prediction":
        placed.from_predicted = predicted
    frame.instances.append(placed)
    sio.save_slp(labels, str(tmp_path / "b.slp"), verbose=False)
    found = load_instances(tmp_path / "b.slp")
    before = load_instances(tmp_path / "a.slp")
    assert seen(found).sum(axis=-1).tolist() == seen(before).sum(axis=-1).tolist()
    (slot,) = np.flatnonzero(found["position"].values[0, 0, :, 0, 0] == 7)
    assert found["confidence"].values[0, 0, slot].tolist() == [1.0, 0.0]


def test_a_sleap_project_in_which_nothing_was_found_beside_one_with_animals(tmp_path: Path) -> None:
    sio = pytest.importorskip("sleap_io")
    empty = sio.Labels([], videos=[sio.Video("v.mp4")], skeletons=[sio.Skeleton(list(KEYPOINTS))])
    sio.save_slp(empty, str(tmp_path / "left.slp"), verbose=False)
    project(tmp_path / "right.slp", tracks=["x"])
    with pytest.warns(SuiteWarning, match="no position at all in camera 'left'"):
        found = load_instances(tmp_path)
    assert seen(found).sum(axis=(0, 2)).tolist() == [0, 2]
    with pytest.raises(InvalidValueError, match="expected at least one frame, keypoint and instance, got no frame"):
        load_instances(tmp_path / "left.slp")


@pytest.mark.parametrize("part", [0.0, 0.05, 0.5, 0.95])
def test_a_truncated_sleap_project(tmp_path: Path, part: float) -> None:
    data = project(tmp_path / "a.slp", tracks=["x"], frames=200).read_bytes()
    (tmp_path / "b.slp").write_bytes(data[: int(len(data) * part)])
    with pytest.raises(FileFormatError, match=r"b\.slp: expected a SLEAP project"):
        load_instances(tmp_path / "b.slp", format="sleap")


def test_sleap_analysis_files_with_and_without_names_of_tracks(tmp_path: Path) -> None:
    position = np.random.default_rng(0).random((2, 2, 2, 6)) * 100
    position[1, :, :, 3:] = np.nan
    for name in ("named", "unnamed"):
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            file["tracks"] = position
            file["node_names"] = np.array(KEYPOINTS, dtype="S")
            if name == "named":
                file["track_names"] = np.array(["x", "y"], dtype="S")
    found = load_instances(tmp_path / "named.h5")
    assert found["track"].values[:, 0].tolist() == [[0, 1]] * 3 + [[0, -1]] * 3
    assert "track" not in load_instances(tmp_path / "unnamed.h5")
    assert read_sleap_analysis(tmp_path / "unnamed.h5").attrs["individuals"] == "places"


# ---- DeepLabCut


def table(animals: dict[str, list[str]], frames: int = 5) -> pd.DataFrame:
    names = ["scorer", "individuals", "bodyparts", "coords"]
    columns = [
        ("net", animal, keypoint, coord)
        for animal, keypoints in animals.items()
        for keypoint in keypoints
        for coord in ("x", "y", "likelihood")
    ]
    values = np.random.default_rng(0).random((frames, len(columns)))
    return pd.DataFrame(values, columns=pd.MultiIndex.from_tuples(columns, names=names))


@pytest.mark.parametrize("suffix", [".csv", ".h5"])
def test_deeplabcut_animals_and_its_unique_keypoints(tmp_path: Path, suffix: str) -> None:
    frame = table({"anna": KEYPOINTS, "ben": KEYPOINTS, "single": ["corner"]})
    frame.iloc[3, 6:12] = np.nan
    path = tmp_path / f"cam1{suffix}"
    if suffix == ".h5":
        pytest.importorskip("tables")
        frame.to_hdf(path, key="df_with_missing", mode="w", format="table")
    else:
        frame.to_csv(path)
    found = load_instances(path)
    assert found["keypoint"].values.tolist() == [*KEYPOINTS, "corner"]
    assert found["track_name"].values.tolist() == ["anna", "ben", "single"]
    assert found["track"].values[:, 0].tolist() == [[0, 1, 2]] * 3 + [[0, 2, -1]] + [[0, 1, 2]]
    given = np.isfinite(found["position"].values[0, 0, :, :, 0]).tolist()
    assert given == [[True, True, False], [True, True, False], [False, False, True]]


def test_a_deeplabcut_table_with_an_animal_twice(tmp_path: Path) -> None:
    frame = table({"anna": KEYPOINTS})
    pd.concat([frame, frame], axis=1).to_csv(tmp_path / "cam1.csv")
    with pytest.raises(FileFormatError, match=r"keypoint 'nose' of 'anna': .*the same column twice"):
        load_instances(tmp_path / "cam1.csv")


# ---- OpenPose


def write_people(folder: Path, frames: list[list[dict[str, Any]]]) -> Path:
    folder.mkdir()
    for number, people in enumerate(frames):
        (folder / f"v_{number:012d}_keypoints.json").write_text(json.dumps({"people": people}))
    return folder


def person(place: float, number: int | None = None, count: int = 3) -> dict[str, Any]:
    values = [value for index in range(count) for value in (place, 50.0 + index, 0.5)]
    return {"pose_keypoints_2d": values} | ({} if number is None else {"person_id": [number]})


def test_people_in_any_order_have_no_tracks_and_no_warning(tmp_path: Path) -> None:
    folder = write_people(tmp_path / "cam1", [[person(10), person(20)], [], [person(30)]])
    found = load_instances(folder, keypoints=["a", "b", "c"])
    assert "track" not in found
    assert found["position"].values[:, 0, :, 0, 0].tolist()[0] == [10, 20]
    assert seen(found)[:, 0].tolist() == [[True, True], [False, False], [True, False]]
    with pytest.warns(SuiteWarning, match="up to 2 people without ids"):
        load_poses2d({"x": folder, "y": folder}, keypoints=["a", "b", "c"])


def test_ids_of_people_are_tracks(tmp_path: Path) -> None:
    folder = write_people(tmp_path / "cam1", [[person(10, 7), person(20, 3)], [person(30, 3)], [person(40, 9)]])
    found = load_instances(folder, keypoints=["a", "b", "c"])
    assert found["track_name"].values.tolist() == ["person_3", "person_7", "person_9"]
    assert found["track"].values[:, 0].tolist() == [[1, 0], [0, -1], [2, -1]]
    assert found.sizes["instance"] == 2


def test_cameras_with_other_numbers_of_people_and_with_nobody(tmp_path: Path) -> None:
    write_people(tmp_path / "cam1", [[person(10), person(20)], [person(30)]])
    write_people(tmp_path / "cam2", [[], []])
    write_people(tmp_path / "cam3", [[person(10)], [person(5)] * 4])
    with pytest.warns(SuiteWarning, match="no position at all in camera 'cam2'"):
        found = load_instances(tmp_path, keypoints=["a", "b", "c"])
    assert seen(found).sum(axis=-1).tolist() == [[2, 0, 1], [1, 0, 4]]


def test_nobody_in_any_camera(tmp_path: Path) -> None:
    for camera in ("cam1", "cam2"):
        write_people(tmp_path / camera, [[], []])
    with pytest.raises(InvalidValueError, match="expected at least one frame, keypoint and instance, got no keypoint"):
        load_instances(tmp_path)


# ---- names of keypoints


def test_a_skeleton_names_keypoints_that_are_only_counted(tmp_path: Path) -> None:
    folder = write_people(tmp_path / "cam1", [[person(10), person(20)], [person(30)]])
    skeleton = Skeleton("thing", ("p", "q", "r"))
    assert load_instances(folder)["keypoint"].values.tolist() == ["keypoint_0", "keypoint_1", "keypoint_2"]
    assert load_instances(folder, skeleton=skeleton)["keypoint"].values.tolist() == ["p", "q", "r"]
    other = load_instances(folder, skeleton=PRESETS["body_25"])
    assert other["keypoint"].values.tolist() == ["keypoint_0", "keypoint_1", "keypoint_2"]
    given = load_instances(folder, skeleton=skeleton, keypoints=["a", "b", "c"])
    assert given["keypoint"].values.tolist() == ["a", "b", "c"]


def test_files_of_no_known_format(tmp_path: Path) -> None:
    (tmp_path / "a_full.pickle").write_bytes(pickle.dumps({"metadata": {"nms radius": 5}}))
    with pytest.raises(FileFormatError, match="expected 2D poses in one of the formats"):
        load_instances(tmp_path / "a_full.pickle")
    with pytest.raises(InvalidValueError, match="format: expected one of"):
        load_instances(tmp_path / "a_full.pickle", format="deeplabcut-full")
