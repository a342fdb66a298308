"""The trajectory as it comes: the same answer as from the whole recording, as far as it can be known in time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray

from calibration.errors import InvalidValueError
from pose3d.metrics import coverage, position_error
from pose3d.reconstruction import CausalPose, FixedLag, Plan, TrajectorySettings, plan, reconstruct
from pose3d.synthetic import Scene, SimulationSettings, simulate

EVERYTHING = ("time", "keypoint", "individual")
# what comes frame by frame has one smoothness for all times
STEADY = TrajectorySettings(adaptive=False)


@pytest.fixture(scope="module")
def scene() -> Scene:
    return simulate(SimulationSettings(duration=0.8, cameras=4, seed=3))


@pytest.fixture(scope="module")
def planned(scene: Scene) -> Plan:
    return plan(scene.poses2d, scene.rig, settings=STEADY)


def frames_of(planned: Plan) -> Iterator[tuple[float, NDArray[np.float64], NDArray[np.float64]]]:
    """Time, pixels (keypoint, camera, 2) and confidence (keypoint, camera) of every frame."""
    poses2d = planned.recording.poses2d.isel(individual=0)
    pixels = poses2d["position"].transpose("time", "keypoint", "camera", "space").values
    confidence = poses2d["confidence"].transpose("time", "keypoint", "camera").values
    yield from zip(poses2d["time"].values.tolist(), pixels, confidence, strict=True)


def followed(planned: Plan, lag: int) -> list[CausalPose]:
    one = FixedLag(planned.recording.rig, planned.model, planned.frame, lag=lag)
    poses = [one.update(*frame) for frame in frames_of(planned)]
    return [pose for pose in poses if pose is not None] + list(one.finish())


def positions(poses: list[CausalPose]) -> NDArray[np.float64]:
    return np.stack([pose.position for pose in poses])


def of_dataset(poses3d: xr.Dataset) -> NDArray[np.float64]:
    return np.asarray(poses3d["position"].isel(individual=0).transpose("time", "keypoint", "space").values)


def test_a_lag_of_the_whole_recording_is_the_reconstruction(scene: Scene, planned: Plan) -> None:
    whole = of_dataset(reconstruct(scene.poses2d, scene.rig, settings=STEADY))
    poses = followed(planned, lag=scene.settings.frame_count)
    apart = np.linalg.norm(positions(poses) - whole, axis=-1)
    assert np.isfinite(apart).mean() > 0.99  # at the end a live system predicts, where the other does not extrapolate
    assert np.nanquantile(apart, 0.97) < 1e-6  # what is left ended in another minimum: it began elsewhere
    assert [pose.time for pose in poses] == scene.poses2d["time"].values.tolist()


def test_a_longer_lag_comes_nearer_to_the_reconstruction(scene: Scene, planned: Plan) -> None:
    whole = of_dataset(reconstruct(scene.poses2d, scene.rig, settings=STEADY))
    apart = [
        float(np.nanmean(np.linalg.norm(positions(followed(planned, lag)) - whole, axis=-1))) for lag in (0, 3, 12)
    ]
    assert apart[0] > 2 * apart[1] > 4 * apart[2]
    assert apart[2] < 0.03


def test_what_was_forgotten_still_counts(scene: Scene, planned: Plan) -> None:
    """The last pose with a lag of 0 is that of a window that holds all frames: eliminating frames loses nothing."""
    at_once = FixedLag(planned.recording.rig, planned.model, planned.frame, lag=0)
    last = [at_once.update(*frame) for frame in frames_of(planned)][-1]
    remembering = FixedLag(planned.recording.rig, planned.model, planned.frame, lag=scene.settings.frame_count)
    for frame in frames_of(planned):
        remembering.update(*frame)
    best = list(remembering.finish())[-1]
    assert last is not None
    deviation = np.sqrt(np.trace(best.covariance, axis1=-2, axis2=-1))
    # the frames of the one were linearized when they left, those of the other anew: a share of the uncertainty
    assert (np.linalg.norm(last.position - best.position, axis=-1) < 0.2 * deviation).all()
    ratio = np.trace(last.covariance, axis1=-2, axis2=-1) / np.trace(best.covariance, axis1=-2, axis2=-1)
    assert np.abs(np.median(ratio) - 1) < 0.03


def test_bones_are_held_as_it_comes(scene: Scene) -> None:
    planned = plan(scene.poses2d, scene.rig, skeleton=scene.skeleton)
    free, held = (
        FixedLag(planned.recording.rig, plan(scene.poses2d, scene.rig).model, planned.frame),
        FixedLag(planned.recording.rig, planned.model, planned.frame),
    )
    truth = of_dataset(scene.poses3d)
    errors: dict[str, list[float]] = {"free": [], "held": []}
    for number, frame in enumerate(frames_of(planned)):
        for name, one in (("free", free), ("held", held)):
            pose = one.update(*frame)
            assert pose is not None
            errors[name].append(float(np.nanmean(np.linalg.norm(pose.position - truth[number], axis=-1))))
    assert np.mean(errors["held"]) < 0.9 * np.mean(errors["free"])


@pytest.mark.parametrize("lag", [0, 4])
def test_the_dataset_is_as_honest_as_that_of_the_whole_recording(scene: Scene, lag: int) -> None:
    solid = reconstruct(scene.poses2d, scene.rig, settings=TrajectorySettings(lag=lag))
    assert solid.sizes["time"] == scene.settings.frame_count
    assert 0.9 < float(coverage(solid, scene.poses3d, over=EVERYTHING)) < 0.99
    assert float(position_error(solid, scene.poses3d).median()) < 1.0
    assert "bridged" in solid
    assert "view_probability" in solid


def test_pieces_join_without_a_seam(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = TrajectorySettings(lag=3)
    whole = of_dataset(reconstruct(scene.poses2d, scene.rig, settings=settings))
    monkeypatch.setattr("pose3d.reconstruction.trajectory._CAUSAL_FRAMES", 17)
    np.testing.assert_array_equal(of_dataset(reconstruct(scene.poses2d, scene.rig, settings=settings)), whole)


def test_a_gap_is_bridged_and_a_long_one_is_forgotten(scene: Scene) -> None:
    poses2d = scene.poses2d.copy(deep=True)
    poses2d["position"][dict(keypoint=0, time=slice(20, 30))] = np.nan  # noqa: C408 - the usual way in xarray
    poses2d["position"][dict(keypoint=1, time=slice(20, 60))] = np.nan  # noqa: C408
    solid = reconstruct(poses2d, scene.rig, settings=TrajectorySettings(lag=0, longest_gap=15))
    nose = solid.isel(keypoint=0, individual=0)
    assert bool(nose["position"][20:30].notnull().all())
    assert bool(nose["bridged"][20:30].all())
    variance = nose["covariance"].values[:, [0, 1, 2], [0, 1, 2]].sum(-1)
    assert variance[29] > 4 * variance[21] > 4 * variance[19]
    other = solid.isel(keypoint=1, individual=0)["position"].values[:, 0]
    assert np.isfinite(other[20:34]).all()
    assert np.isnan(other[36:60]).all()
    assert np.isfinite(other[60:]).all()
    error = position_error(solid, scene.poses3d).isel(keypoint=1, individual=0).values
    assert np.nanmedian(error[60:]) < 3.0


def test_frames_that_do_not_come_in_order_are_refused(planned: Plan) -> None:
    one = FixedLag(planned.recording.rig, planned.model, planned.frame)
    frames = list(frames_of(planned))
    one.update(*frames[1])
    with pytest.raises(InvalidValueError, match="later than"):
        one.update(*frames[0])


def test_a_lag_is_a_whole_number_of_frames(planned: Plan) -> None:
    with pytest.raises(InvalidValueError, match="whole number"):
        FixedLag(planned.recording.rig, planned.model, planned.frame, lag=-1)


def test_a_model_of_other_cameras_is_refused(planned: Plan) -> None:
    rig = planned.recording.rig.select(planned.recording.rig.names[:2])
    with pytest.raises(InvalidValueError, match="a model of the 2 cameras"):
        FixedLag(rig, planned.model, planned.frame)


def test_nothing_seen_is_nothing_known(planned: Plan) -> None:
    one = FixedLag(planned.recording.rig, planned.model, planned.frame)
    time, pixels, confidence = next(frames_of(planned))
    pose = one.update(time, np.full(pixels.shape, np.nan), confidence)
    assert pose is not None
    assert np.isnan(pose.position).all()
