"""What the cameras say: matched by number and name, and equal to the metrics."""

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

from calibration.errors import InvalidValueError
from pose3d.metrics import reprojection_summary
from pose3d.visualization import collect_evidence
from pose3d.visualization._motion import Motion


@pytest.mark.parametrize("by", [("camera",), ("keypoint",), ("keypoint", "camera"), ()])
def test_the_numbers_are_those_of_the_metrics(recording, by: tuple[str, ...]) -> None:
    evidence = collect_evidence(recording.poses3d, recording.poses2d, recording.rig)
    expected = reprojection_summary(recording.poses3d, recording.poses2d, recording.rig, by=by)
    xr.testing.assert_allclose(evidence.summary(by), expected, rtol=1e-5)


def test_frames_are_matched_by_number_and_everything_else_by_name(recording) -> None:
    whole = collect_evidence(recording.poses3d, recording.poses2d, recording.rig)
    part = recording.poses2d.isel(time=slice(10, 40))
    shuffled = part.isel(camera=[2, 0, 3, 1], keypoint=slice(None, None, -1))
    evidence = collect_evidence(recording.poses3d, shuffled, recording.rig)
    np.testing.assert_array_equal(evidence.error[10:40], whole.error[10:40])
    assert np.isnan(evidence.error[:10]).all()
    assert not evidence.detected[40:].any()
    assert evidence.cameras == recording.rig.names


def test_only_common_cameras_are_compared(recording) -> None:
    rig = recording.rig.select(["cam_4", "cam_2"])
    evidence = collect_evidence(recording.poses3d, recording.poses2d, rig)
    assert evidence.cameras == ("cam_4", "cam_2")
    whole = collect_evidence(recording.poses3d, recording.poses2d, recording.rig)
    np.testing.assert_array_equal(evidence.error, whole.error[:, [3, 1]])


def test_what_was_used_is_what_the_poses_say(recording) -> None:
    evidence = collect_evidence(recording.poses3d, recording.poses2d, recording.rig)
    inlier = recording.poses3d["inlier"].transpose("time", "camera", "individual", "keypoint").values
    np.testing.assert_array_equal(evidence.used, inlier)
    without = collect_evidence(recording.poses3d.drop_vars("inlier"), recording.poses2d, recording.rig)
    np.testing.assert_array_equal(without.used, np.isfinite(without.error))


@pytest.mark.parametrize("given", ["nothing", "poses2d", "rig"])
def test_without_2d_poses_or_rig_the_stored_errors_speak(recording, given: str) -> None:
    poses2d = recording.poses2d if given == "poses2d" else None
    evidence = collect_evidence(recording.poses3d, poses2d, recording.rig if given == "rig" else None)
    assert evidence.cameras == ()
    stored = recording.poses3d["reprojection_error"].values
    overall = evidence.summary(())
    assert float(overall["median"]) == pytest.approx(np.nanmedian(stored))
    assert float(overall["missing_3d"]) == pytest.approx(np.isnan(stored).mean(), abs=0.01)
    assert np.isnan(float(overall["used"]))
    nose = np.nanmedian(recording.poses3d["reprojection_error"].sel(keypoint="nose"))
    assert float(evidence.summary(("keypoint",))["median"].sel(keypoint="nose")) == pytest.approx(nose)


def test_reasons_are_named_and_add_up_to_what_is_missing(recording) -> None:
    evidence = collect_evidence(recording.poses3d, recording.poses2d, recording.rig)
    reasons = evidence.reasons()
    assert set(reasons) == {"the cameras do not agree on a point"}
    np.testing.assert_allclose(sum(reasons.values()), evidence.summary(("keypoint",))["missing_3d"].values)
    cut = recording.poses3d.copy(deep=True)
    cut["position"].values[:5] = np.nan
    assert "removed after triangulation" in collect_evidence(cut).reasons()


def test_reasons_are_in_the_words_of_the_poses(trajectory) -> None:
    assert set(collect_evidence(trajectory.poses3d).reasons()) == {"too uncertain"}
    cut = trajectory.poses3d.copy(deep=True)
    cut["position"].values[:5] = np.nan
    assert "removed after reconstruction" in collect_evidence(cut).reasons()
    unnamed = trajectory.poses3d.copy(deep=True)
    unnamed["status"].attrs.clear()
    assert set(collect_evidence(unnamed).reasons()) == {"status 5"}


@pytest.mark.parametrize("by", [("camera",), ("keypoint",), ("keypoint", "camera"), ()])
def test_repaired_views_have_their_stored_errors_as_in_the_metrics(trajectory, by: tuple[str, ...]) -> None:
    evidence = collect_evidence(trajectory.poses3d, trajectory.poses2d, trajectory.rig)
    repaired = evidence.repair > 0
    np.testing.assert_array_equal(evidence.error[repaired & evidence.used], 0.5)
    assert evidence.error[evidence.used].max() < 10
    expected = reprojection_summary(trajectory.poses3d, trajectory.poses2d, trajectory.rig, by=by)
    xr.testing.assert_allclose(evidence.summary(by), expected, rtol=1e-5)


def test_repaired_views_do_not_count_for_the_time_shift(trajectory, recording) -> None:
    """Only the length of what was put in their place is known."""
    found = collect_evidence(trajectory.poses3d, trajectory.poses2d, trajectory.rig).shifts
    whole = collect_evidence(recording.poses3d, recording.poses2d, recording.rig).shifts
    np.testing.assert_allclose(found[:, 0], whole[:, 0], atol=0.05)


def test_what_was_bridged_and_repaired_is_what_the_poses_say(trajectory, recording) -> None:
    evidence = collect_evidence(trajectory.poses3d, trajectory.poses2d, trajectory.rig)
    order = ("time", "individual", "keypoint")
    np.testing.assert_array_equal(evidence.bridged, trajectory.poses3d["bridged"].transpose(*order))
    kinds = trajectory.poses3d["repair"].transpose("time", "camera", "individual", "keypoint")
    np.testing.assert_array_equal(evidence.repair, kinds)
    without = collect_evidence(recording.poses3d, recording.poses2d, recording.rig)
    assert without.bridged is None
    assert without.repair is None


@pytest.mark.parametrize("frames", [1, 2])
@pytest.mark.parametrize("ahead", [True, False])
def test_a_camera_out_of_step_is_found_with_its_sign(walk, frames: int, ahead: bool) -> None:
    poses2d = walk.poses2d.copy(deep=True)
    rows = poses2d["position"].values
    late, early = rows[frames:, 2].copy(), rows[:-frames, 2].copy()
    if ahead:
        rows[:-frames, 2] = late  # its frame n shows what the others show at n + frames
    else:
        rows[frames:, 2] = early
    shifts = collect_evidence(walk.poses3d, poses2d, walk.rig).shifts
    # Paws accelerate within the stretch over which motion is measured: the estimate is somewhat too large.
    assert shifts[2, 0] == pytest.approx(frames if ahead else -frames, rel=0.25)
    assert shifts[2, 1] < 0.1
    assert shifts[2, 2] > 0.15
    np.testing.assert_allclose(np.delete(shifts[:, 0], 2), 0, atol=0.1)


@pytest.mark.parametrize("offset", [(4.0, 0.0), (0.0, -4.0), (20.0, 20.0)])
def test_a_constant_offset_of_a_camera_is_no_shift_in_time(walk, offset: tuple[float, float]) -> None:
    expected = collect_evidence(walk.poses3d, walk.poses2d, walk.rig).shifts
    poses2d = walk.poses2d.copy(deep=True)
    poses2d["position"].loc[{"camera": "cam_2"}] += np.array(offset)
    found = collect_evidence(walk.poses3d, poses2d, walk.rig).shifts
    np.testing.assert_allclose(found[:, :2], expected[:, :2], atol=1e-3)


def test_even_motion_tells_offset_and_shift_apart_with_a_large_error_only() -> None:
    # All keypoints move alike: residual = shift * velocity and residual = offset are nearly the same.
    rng = np.random.default_rng(0)
    frames = np.arange(200)
    projected = np.stack([3.0 * frames, 0.0 * frames], axis=-1)[:, None, None, None] + rng.normal(
        0, 0.1, (200, 1, 1, 5, 2)
    )
    motion = Motion(1, 2)
    motion.add(rng.normal([3.0, 0.0], 1.0, projected.shape), projected, frames)
    shift, error, explained = motion.shifts()[0]
    assert abs(shift) < 4 * error
    assert error > 0.1
    assert explained < 0.1


def test_shifts_are_shown_relative_to_the_other_cameras(walk) -> None:
    evidence = collect_evidence(walk.poses3d, walk.poses2d, walk.rig)
    shifts = np.array([[-0.5, 0.03, 0], [0.6, 0.04, 0.5], [-0.4, 0.03, 0], [np.nan, np.nan, np.nan]])
    relative = replace(evidence, shifts=shifts).relative_shifts()
    np.testing.assert_allclose(relative[1], [1.05, 0.05, 0.5])
    assert np.isnan(relative[3]).all()


def test_animals_that_stand_still_tell_nothing_about_time(recording) -> None:
    poses3d = recording.poses3d.copy(deep=True)
    poses3d["position"].values[:] = poses3d["position"].values[:1]
    assert np.isnan(collect_evidence(poses3d, recording.poses2d, recording.rig).shifts).all()


def test_individuals_are_counted_apart(pair) -> None:
    evidence = collect_evidence(pair.poses3d, pair.poses2d, pair.rig)
    second = pair.poses3d.isel(individual=[1])
    expected = reprojection_summary(second, pair.poses2d, pair.rig, by=())
    xr.testing.assert_allclose(evidence.summary((), [1]), expected, rtol=1e-5)


def test_long_recordings_are_read_in_pieces_with_the_same_result(recording, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = collect_evidence(recording.poses3d, recording.poses2d, recording.rig)
    monkeypatch.setattr("pose3d.visualization.evidence._CHUNK", 7)
    pieces = collect_evidence(recording.poses3d, recording.poses2d, recording.rig)
    np.testing.assert_array_equal(pieces.error, whole.error)
    xr.testing.assert_allclose(pieces.summary(("camera",)), whole.summary(("camera",)))


def test_no_frames_are_no_error(recording) -> None:
    none = recording.poses3d.isel(time=[])
    evidence = collect_evidence(none, recording.poses2d, recording.rig)
    assert evidence.reasons() == {}
    assert np.isnan(float(evidence.summary(())["missing_3d"]))


def test_something_else_than_poses_is_refused(recording) -> None:
    with pytest.raises(InvalidValueError, match="Poses3D"):
        collect_evidence(recording.poses2d)
