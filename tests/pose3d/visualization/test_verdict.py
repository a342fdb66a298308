"""The verdict: good stays good, and each thing that is made wrong is named."""

from dataclasses import replace

import numpy as np
import pytest

from pose3d.skeleton import Skeleton
from pose3d.visualization import Verdict, collect_evidence, judge
from pose3d.visualization.verdict import Level


def verdict_of(scene, **changed: object) -> Verdict:
    poses3d, poses2d = (changed.get(name, getattr(scene, name)) for name in ("poses3d", "poses2d"))
    rig, skeleton, truth = (changed.get(name, getattr(scene, name)) for name in ("rig", "skeleton", "truth"))
    return judge(collect_evidence(poses3d, poses2d, rig), poses3d, skeleton=skeleton, truth=truth)


def level(verdict: Verdict, question: str) -> Level:
    (found,) = [finding for finding in verdict.findings if question in finding.question]
    return found.level


def answer(verdict: Verdict, question: str) -> str:
    (found,) = [finding for finding in verdict.findings if question in finding.question]
    return found.answer


def test_a_good_reconstruction_is_called_good_everywhere(walk) -> None:
    verdict = verdict_of(walk)
    assert [finding.level for finding in verdict.findings] == [Level.GOOD] * 8
    assert verdict.level == Level.GOOD
    assert verdict.headline == "Nothing stands out: little is missing, the cameras agree, bones keep their length."


def test_every_finding_has_words_and_every_concern_a_next_step(walk) -> None:
    broken = walk.poses3d.copy(deep=True)
    broken["position"].values[::2] = np.nan
    for verdict in (verdict_of(walk), verdict_of(walk, poses3d=broken), verdict_of(walk, poses2d=None, rig=None)):
        assert list(verdict.findings) == sorted(verdict.findings, key=lambda finding: -finding.level)
        for finding in verdict.findings:
            assert finding.question.endswith("?")
            assert finding.answer
            if finding.level >= Level.LOOK:
                assert finding.next_step
                assert finding.concern in verdict.headline or finding.level < verdict.level


@pytest.mark.parametrize(("share", "expected"), [(0.0, Level.GOOD), (0.2, Level.LOOK), (0.5, Level.BROKEN)])
def test_missing_positions_are_judged_by_their_share(walk, share: float, expected: Level) -> None:
    poses3d = walk.poses3d.copy(deep=True)
    rows = np.random.default_rng(0).random(poses3d.sizes["time"]) < share
    poses3d["position"].values[rows] = np.nan
    assert level(verdict_of(walk, poses3d=poses3d), "missing") == expected


@pytest.mark.parametrize(("offset", "expected"), [(0.0, Level.GOOD), (3.0, Level.LOOK), (12.0, Level.BROKEN)])
def test_disagreement_is_judged_relative_to_the_image(walk, offset: float, expected: Level) -> None:
    # The diagonal is 410 px: limits at 1.6 and 4.9 px.
    poses2d = walk.poses2d.copy(deep=True)
    poses2d["position"].values[..., 0] += offset
    verdict = verdict_of(walk, poses2d=poses2d)
    assert level(verdict, "agree") == expected
    (finding,) = [finding for finding in verdict.findings if "agree" in finding.question]
    assert all(name in finding.answer for name in ("median", "RMS", "95th percentile", "px"))


def test_a_camera_that_is_rejected_too_often_is_named(walk) -> None:
    poses3d = walk.poses3d.copy(deep=True)
    poses3d["inlier"].loc[{"camera": "cam_3"}] = np.random.default_rng(0).random((200, 8, 1)) < 0.3
    verdict = verdict_of(walk, poses3d=poses3d)
    assert level(verdict, "out of line") == Level.BROKEN
    assert "cam_3 is out of line" in verdict.headline


def test_a_camera_with_a_much_larger_error_is_named(walk) -> None:
    poses2d = walk.poses2d.copy(deep=True)
    poses2d["position"].loc[{"camera": "cam_2"}] += 3.0
    verdict = verdict_of(walk, poses2d=poses2d)
    assert level(verdict, "out of line") == Level.LOOK
    assert "cam_2" in verdict.headline


def test_a_camera_that_sees_everything_elsewhere_is_named_with_the_way_it_is_off(walk) -> None:
    poses2d = walk.poses2d.copy(deep=True)
    poses2d["position"].loc[{"camera": "cam_2", "space": "x"}] += 8.0
    told = answer(verdict_of(walk, poses2d=poses2d), "out of line")
    assert "cam_2 sees everything +8.0, " in told
    assert "cam_1 sees" not in told
    assert "sees everything" not in answer(verdict_of(walk), "out of line")


@pytest.mark.parametrize(("frames", "expected"), [(0, Level.GOOD), (3, Level.BROKEN)])
def test_a_camera_out_of_step_is_named(walk, frames: int, expected: Level) -> None:
    poses2d = walk.poses2d.copy(deep=True)
    rows = poses2d["position"].values
    rows[: len(rows) - frames, 1] = rows[frames:, 1].copy()
    verdict = verdict_of(walk, poses2d=poses2d)
    assert level(verdict, "in step") == expected
    assert ("cam_2 is out of step" in verdict.headline) == (expected == Level.BROKEN)


@pytest.mark.parametrize(("error", "expected"), [(0.5, Level.GOOD), (0.05, Level.LOOK)])
def test_a_shift_counts_only_beyond_its_own_uncertainty(walk, error: float, expected: Level) -> None:
    evidence = collect_evidence(walk.poses3d, walk.poses2d, walk.rig)
    shifts = np.array([[0, 0.01, 0], [0.9, error, 0.5], [0, 0.01, 0], [np.nan, np.nan, np.nan]])
    verdict = judge(replace(evidence, shifts=shifts), walk.poses3d)
    assert level(verdict, "in step") == expected


@pytest.mark.parametrize(("explained", "expected"), [(0.1, Level.LOOK), (0.6, Level.BROKEN)])
def test_a_shift_that_explains_little_is_not_called_broken(walk, explained: float, expected: Level) -> None:
    evidence = collect_evidence(walk.poses3d, walk.poses2d, walk.rig)
    shifts = np.array([[0, 0.01, 0], [1.4, 0.05, explained], [0, 0.01, 0], [0, 0.01, 0]])
    verdict = judge(replace(evidence, shifts=shifts), walk.poses3d)
    assert level(verdict, "in step") == expected
    assert ("is out of step by" in verdict.headline) == (expected == Level.BROKEN)


def test_no_camera_is_out_of_line_by_a_few_detections(walk) -> None:
    poses3d = walk.poses3d.copy(deep=True)
    poses3d["inlier"].loc[{"camera": "cam_3"}] = False
    assert level(verdict_of(walk, poses3d=poses3d), "out of line") == Level.BROKEN
    poses2d = walk.poses2d.copy(deep=True)
    poses2d["position"].loc[{"camera": "cam_3"}].values[12:] = np.nan
    found = verdict_of(walk, poses3d=poses3d, poses2d=poses2d)
    assert level(found, "out of line") == Level.GOOD
    assert "cam_3" not in answer(found, "out of line")
    rows = slice(0, 5)
    short = verdict_of(walk, poses3d=poses3d.isel(time=rows), poses2d=poses2d.isel(time=rows))
    assert level(short, "out of line") == Level.UNKNOWN


@pytest.mark.parametrize(("size", "told"), [(0.0, False), (0.2, True)])
def test_an_estimate_of_zero_frames_is_not_told(walk, size: float, told: bool) -> None:
    evidence = collect_evidence(walk.poses3d, walk.poses2d, walk.rig)
    shifts = np.array([[0, 0.01, 0], [size, 0.2, 0], [0, 0.01, 0], [0, 0.01, 0]])
    found = answer(judge(replace(evidence, shifts=shifts), walk.poses3d), "in step")
    assert ("largest estimate" in found) == told


def test_two_cameras_are_too_few_to_check_each_other(walk) -> None:
    poses3d = walk.poses3d.copy(deep=True)
    poses3d["n_cameras"].values[:] = 2
    assert level(verdict_of(walk, poses3d=poses3d), "How many cameras") == Level.LOOK


@pytest.mark.parametrize(("noise", "expected"), [(0.0, Level.GOOD), (2.0, Level.LOOK), (15.0, Level.BROKEN)])
def test_bones_that_change_their_length_are_seen(walk, noise: float, expected: Level) -> None:
    poses3d = walk.poses3d.copy(deep=True)
    poses3d["position"].values[:] += np.random.default_rng(0).normal(0, noise, poses3d["position"].shape)
    assert level(verdict_of(walk, poses3d=poses3d), "bones") == expected


def test_bones_that_were_held_prove_nothing_by_their_constancy(trajectory) -> None:
    verdict = verdict_of(trajectory)
    assert level(verdict, "bones") == Level.UNKNOWN
    assert "2 bones were held" in answer(verdict, "bones")
    assert "known to 1.2 %" in answer(verdict, "bones"), "between 0.5 and 2 percent"
    assert "neck-spine, 30.00 ± 0.60 mm" in answer(verdict, "bones")
    assert "bones keep their length" not in verdict.headline
    none_held = trajectory.poses3d.copy(deep=True)
    none_held["bone_length"].values[:] = np.nan
    assert level(verdict_of(trajectory, poses3d=none_held), "bones") == Level.GOOD
    nobody = trajectory.poses3d.isel(bone=slice(0, 0))
    assert level(verdict_of(trajectory, poses3d=nobody), "bones") == Level.GOOD


def test_bridged_positions_are_not_counted_among_those_of_cameras(trajectory, recording) -> None:
    found = answer(verdict_of(trajectory), "How many cameras")
    assert "rest on the motion, since fewer than two cameras were used (bridged)" in found
    assert "bridged" not in answer(verdict_of(recording), "How many cameras")


def test_positions_that_are_too_uncertain_have_a_next_step_of_their_own(trajectory) -> None:
    poses3d = trajectory.poses3d.copy(deep=True)
    poses3d["position"].values[::4] = np.nan
    poses3d["status"].values[::4] = 5
    (finding,) = [each for each in verdict_of(trajectory, poses3d=poses3d).findings if "missing" in each.question]
    assert "mostly because: too uncertain" in finding.answer
    assert finding.next_step.startswith("Too few cameras for too long")


@pytest.mark.parametrize(("factor", "expected"), [(1.0, Level.GOOD), (0.7, Level.LOOK), (0.05, Level.BROKEN)])
def test_a_covariance_that_is_too_small_is_not_honest(walk, factor: float, expected: Level) -> None:
    poses3d = walk.poses3d.copy(deep=True)
    poses3d["covariance"].values[:] *= factor
    assert level(verdict_of(walk, poses3d=poses3d), "honest") == expected


def test_what_cannot_be_known_is_not_called_good(walk) -> None:
    bare = walk.poses3d[["position", "confidence"]]
    verdict = verdict_of(walk, poses3d=bare, poses2d=None, rig=None, skeleton=None, truth=None)
    unknown = {finding.question for finding in verdict.findings if finding.level == Level.UNKNOWN}
    assert len(unknown) == 5
    assert level(verdict, "missing") == Level.GOOD
    assert verdict.level == Level.UNKNOWN
    assert verdict.headline == "How good these poses are is not known: no camera was compared with them."
    assert "no cameras to compare" in answer(verdict, "in step")


@pytest.mark.parametrize(("noise", "known"), [(0.0, False), (0.1, True)])
def test_projections_of_3d_positions_are_no_measurements(walk, noise: float, known: bool) -> None:
    points = walk.poses3d["position"].transpose("time", "individual", "keypoint", "space").values
    projected = np.moveaxis(walk.rig.project(points), 3, 1)
    poses2d = walk.poses2d.copy(deep=True)
    poses2d["position"].values[:] = projected + noise * np.random.default_rng(0).normal(size=projected.shape)
    poses3d = walk.poses3d.copy(deep=True)
    poses3d["inlier"].values[:] = poses3d["position"].notnull().all("space").values[:, None]
    verdict = verdict_of(walk, poses3d=poses3d, poses2d=poses2d)
    for question in ("agree", "out of line", "in step"):
        assert (level(verdict, question) == Level.UNKNOWN) != known
    assert ("projections, not measurements" in verdict.headline) != known
    assert verdict.level == (Level.GOOD if known else Level.UNKNOWN)


def test_the_headline_claims_only_what_was_found_good(walk) -> None:
    verdict = verdict_of(walk, skeleton=None)
    assert verdict.level == Level.GOOD
    assert "bones" not in verdict.headline


def test_nothing_at_all_is_broken_and_does_not_crash(walk) -> None:
    empty = walk.poses3d.copy(deep=True)
    for name in ("position", "covariance", "reprojection_error"):
        empty[name].values[:] = np.nan
    empty["inlier"].values[:] = False
    for poses3d in (empty, walk.poses3d.isel(time=[])):
        verdict = verdict_of(walk, poses3d=poses3d, truth=None)
        assert verdict.level == Level.BROKEN
        assert level(verdict, "missing") == Level.BROKEN


@pytest.mark.parametrize("with_skeleton", [True, False])
@pytest.mark.parametrize(("count", "expected"), [(1, Level.GOOD), (20, Level.LOOK)])
def test_positions_that_are_far_off_are_counted_and_the_worst_is_named(
    walk, count: int, expected: Level, with_skeleton: bool
) -> None:
    poses3d = walk.poses3d.copy(deep=True)
    position = poses3d["position"]
    position.values[:] = walk.truth["position"].values
    rows = 7 + 5 * np.arange(count)
    nose = position.get_index("keypoint").get_loc("nose")
    position.values[rows, 0, nose, 0] += 600.0
    position.values[7, 0, nose, 0] += 100.0
    verdict = verdict_of(walk, poses3d=poses3d, skeleton=walk.skeleton if with_skeleton else None, truth=None)
    assert level(verdict, "far off") == expected
    found = answer(verdict, "far off")
    assert f"{count} of " in found
    assert "nose" in found
    assert "frame 7," in found
    assert ("nose" in verdict.headline) == (expected == Level.LOOK and verdict.level == Level.LOOK)


def test_too_few_keypoints_cannot_tell_whether_one_is_far_off(walk) -> None:
    few = walk.poses3d.isel(keypoint=[0, 1, 2])
    assert level(verdict_of(walk, poses3d=few, skeleton=None, truth=None), "far off") == Level.UNKNOWN


def test_points_of_two_cameras_against_a_third_are_counted(walk) -> None:
    assert "against the detection of another one" in answer(verdict_of(walk), "How many cameras")
    poses3d = walk.poses3d.copy(deep=True)
    present = poses3d["position"].notnull().all("space").values
    inlier = np.zeros(poses3d["inlier"].shape, bool)
    inlier[:, :2] = present[:, None]
    poses3d["inlier"].values[:] = inlier
    poses2d = walk.poses2d.copy(deep=True)
    poses2d["position"].loc[{"camera": ["cam_3", "cam_4"]}] = np.nan
    assert " 0 (0.0 %) rest on two cameras against" in answer(
        verdict_of(walk, poses3d=poses3d, poses2d=poses2d), "How many cameras"
    )
    poses2d["position"].values[3, 2] = 10.0
    count = int(present[3].sum())
    seen = walk.poses2d["position"].values[3, :2]
    assert np.isfinite(seen).all()
    assert f" {count} (" in answer(verdict_of(walk, poses3d=poses3d, poses2d=poses2d), "How many cameras")


def test_a_skeleton_of_another_animal_is_no_error(walk) -> None:
    other = Skeleton("crab", ("claw", "eye"), (("claw", "eye"),))
    assert level(verdict_of(walk, skeleton=other), "bones") == Level.UNKNOWN
