"""The verdict names the camera and the next step, for each thing that can be wrong with a calibration."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from calibration._board_clocks import BoardClocks
from calibration._camera_findings import collapsed
from calibration.boards.geometry import Charuco
from calibration.bundle import BundleStatus
from calibration.diagnosis import CameraDiagnosis, Diagnosis, Errors, LengthErrors, diagnose
from calibration.findings import Finding, Level, Verdict
from calibration.lens_models import LENS_MODELS
from calibration.rig_calibration import Calibration, calibrate
from calibration.synthetic import BoardScene, make_board_scene
from calibration.synthetic.volume import volume_errors
from calibration.verdict import judge, to_dict


@pytest.fixture(scope="module")
def diagnosis(good_calibration: Calibration) -> Diagnosis:
    return diagnose(good_calibration)


def with_camera(diagnosis: Diagnosis, name: str, **changes: Any) -> Diagnosis:
    """The diagnosis with other numbers of one camera."""
    cameras = tuple(replace(each, **changes) if each.name == name else each for each in diagnosis.cameras)
    return replace(diagnosis, cameras=cameras)


def camera(diagnosis: Diagnosis, name: str) -> CameraDiagnosis:
    return next(each for each in diagnosis.cameras if each.name == name)


def found(verdict: Verdict, words: str) -> Finding:
    (finding,) = (finding for finding in verdict.findings if words in finding.question)
    return finding


def test_a_good_calibration_is_called_good_with_its_numbers(
    diagnosis: Diagnosis, good_calibration: Calibration
) -> None:
    verdict = judge(diagnosis, replace(good_calibration, warnings=()))
    assert verdict.level == Level.GOOD
    assert re.fullmatch(
        r"This calibration is good: RMS reprojection error 0\.4\d px, 0\.4\d px on left-out frames, squares of 50 mm "
        r"come out at \d+\.\d\d mm\.",
        verdict.headline,
    )
    assert all(finding.level == Level.GOOD and not finding.next_step for finding in verdict.findings)
    assert len({finding.question for finding in verdict.findings}) == len(verdict.findings) == 11


def test_every_bad_finding_has_a_concern_and_comes_first(diagnosis: Diagnosis, good_calibration: Calibration) -> None:
    bad = replace(diagnosis, held_out=None, lengths=None)
    verdict = judge(bad, good_calibration)
    levels = [finding.level for finding in verdict.findings]
    assert levels == sorted(levels, reverse=True)
    assert all(finding.concern for finding in verdict.findings if finding.level != Level.GOOD)


# --- one thing wrong at a time ---


@pytest.mark.parametrize(("rms", "level"), [(0.9, Level.GOOD), (1.5, Level.LOOK), (5.0, Level.BROKEN)])
def test_large_errors_name_the_camera(
    rms: float, level: Level, diagnosis: Diagnosis, good_calibration: Calibration
) -> None:
    """Of an image of 1280 x 1024, 0.06 % of the diagonal is 1 px, 0.18 % is 3 px."""
    errors = replace(camera(diagnosis, "cam_3").used, rms=rms)
    bad = with_camera(diagnosis, "cam_3", used=errors, held_out=errors)
    finding = found(judge(bad, good_calibration), "agree with the board")
    assert finding.level == level
    if level != Level.GOOD:
        assert "Look at the worst views of cam_3" in finding.next_step
        assert "cam_3 does not fit" in judge(bad, good_calibration).headline


@pytest.mark.parametrize(("ratio", "level"), [(1.2, Level.GOOD), (1.5, Level.LOOK), (3.0, Level.BROKEN)])
def test_new_frames_that_are_predicted_badly_name_the_camera(
    ratio: float, level: Level, diagnosis: Diagnosis, good_calibration: Calibration
) -> None:
    errors = replace(camera(diagnosis, "cam_2").used, rms=ratio * camera(diagnosis, "cam_2").used.rms)
    finding = found(judge(with_camera(diagnosis, "cam_2", held_out=errors), good_calibration), "predict frames")
    assert finding.level == level
    assert ("Film cam_2 again" in finding.next_step) == (level != Level.GOOD)


def test_without_left_out_frames_nothing_is_called_good(diagnosis: Diagnosis, good_calibration: Calibration) -> None:
    calibration = replace(good_calibration, held_out=None, warnings=())
    verdict = judge(diagnose(calibration), calibration)
    assert verdict.level == Level.UNKNOWN
    assert verdict.headline.startswith("How good this calibration is is not known: there are too few frames to test it")
    assert "20 views" in found(verdict, "predict frames").next_step
    assert "too few frames" in found(verdict, "lengths").answer


def lengths(mean: float, region: str = "everywhere", error: float = 0.01) -> LengthErrors:
    return LengthErrors(region, (0.0, 0.0, 0.0), 400, mean, error, 0.4, 50.0 + mean)


@pytest.mark.parametrize(
    ("mean", "region", "level"),
    [(0.05, 0.0, Level.GOOD), (0.2, 0.0, Level.LOOK), (0.6, 0.0, Level.BROKEN), (0.0, 0.5, Level.LOOK)],
)
def test_lengths_that_are_off_say_where(
    mean: float, region: float, level: Level, diagnosis: Diagnosis, good_calibration: Calibration
) -> None:
    """0.2 % of 50 mm are 0.1 mm, 1 % are 0.5 mm; three times that in a region."""
    bad = replace(diagnosis, lengths=lengths(mean), regions=(lengths(region, "near, upper, left"),))
    finding = found(judge(bad, good_calibration), "lengths")
    assert finding.level == level
    assert ("near, upper, left as cam_1 sees it" in finding.next_step) == (region > 0)
    assert ("Measure a square" in finding.next_step) == (level != Level.GOOD and region == 0)
    assert f"{mean or region:+.3f} mm" in finding.answer


def test_a_region_within_its_scatter_is_not_accused(diagnosis: Diagnosis, good_calibration: Calibration) -> None:
    vague = replace(diagnosis, lengths=lengths(0.0), regions=(lengths(2.0, "far, lower, right", error=0.5),))
    finding = found(judge(vague, good_calibration), "lengths")
    assert finding.level == Level.GOOD
    assert "no region stands out from the mean error of +0.000 mm" in finding.answer


def test_clocks_that_differ_are_told_in_milliseconds(diagnosis: Diagnosis, good_calibration: Calibration) -> None:
    clocks = BoardClocks(np.array([0.0, -0.122, 0.025]), np.array([0.0, 0.003, 0.001]), (1.5, 0.4))
    verdict = judge(diagnosis, replace(good_calibration, clocks=clocks, excess=2.5))
    finding = found(verdict, "same instants")
    assert finding.level == Level.LOOK
    assert "that of cam_1: cam_2 -122 ± 3 ms, cam_3 +25 ± 1 ms." in finding.answer
    assert "2.5 times" in finding.answer
    assert "pose3d sync" in finding.next_step
    assert "pictures were taken up to 147 ms apart" in verdict.headline


def test_cameras_that_do_not_fit_together_are_told(diagnosis: Diagnosis, good_calibration: Calibration) -> None:
    finding = found(judge(diagnosis, replace(good_calibration, excess=4.0)), "same instants")
    assert finding.level == Level.LOOK
    assert "4.0 times" in finding.answer
    assert "held still" in finding.next_step


def test_a_board_that_is_not_flat_is_told(diagnosis: Diagnosis, good_calibration: Calibration) -> None:
    verdict = judge(diagnosis, replace(good_calibration, bend=1.3))
    assert found(verdict, "flat").level == Level.LOOK
    assert "--bend" in found(verdict, "flat").next_step
    assert "the board is not flat (1.3 mm)" in verdict.headline
    points = good_calibration.board_points.copy()
    points[0, 2] = 1.3
    estimated = found(judge(diagnosis, replace(good_calibration, board_points=points)), "flat")
    assert estimated.level == Level.GOOD
    assert "1.3 mm" in estimated.answer


@pytest.mark.parametrize(
    ("overlap", "level", "pair"),
    [
        ([[40, 30, 30], [30, 40, 30], [30, 30, 40]], Level.GOOD, ()),
        ([[40, 30, 2], [30, 40, 12], [2, 12, 20]], Level.LOOK, ("cam_2", "cam_3")),
        ([[40, 30, 3], [30, 40, 5], [3, 5, 20]], Level.BROKEN, ("cam_2", "cam_3")),
        # the third camera need not see the board with each of the others
        ([[40, 25, 0], [25, 40, 21], [0, 21, 40]], Level.GOOD, ()),
    ],
)
def test_few_shared_frames_name_the_pair_that_ties_worst(
    overlap: list[list[int]],
    level: Level,
    pair: tuple[str, ...],
    diagnosis: Diagnosis,
    good_calibration: Calibration,
) -> None:
    finding = found(judge(replace(diagnosis, overlap=np.array(overlap)), good_calibration), "tied")
    assert finding.level == level
    assert all(name in finding.next_step for name in pair)
    assert bool(finding.next_step) == bool(pair)


def test_two_groups_with_much_in_common_inside_and_little_between_are_told(
    diagnosis: Diagnosis, good_calibration: Calibration
) -> None:
    """Each camera shares 90 frames with another one, but 3 frames tie the two pairs to each other."""
    cameras = (*diagnosis.cameras, replace(diagnosis.cameras[0], name="cam_4"))
    overlap = np.array([[90, 90, 1, 0], [90, 90, 3, 2], [1, 3, 90, 90], [0, 2, 90, 90]])
    bad = replace(diagnosis, cameras=cameras, overlap=overlap)
    rig = good_calibration.rig
    fourth = type(rig)((*rig.cameras, replace(rig.cameras[0], name="cam_4")), unit=rig.unit)
    finding = found(judge(bad, replace(good_calibration, rig=fourth)), "tied")
    assert finding.level == Level.BROKEN
    assert "3 frames" in finding.answer
    assert "cam_2" in finding.next_step
    assert "cam_3" in finding.next_step


def test_bare_parts_of_images_are_named_for_all_cameras_in_one_finding(
    diagnosis: Diagnosis, good_calibration: Calibration
) -> None:
    coverage = np.zeros((8, 12), dtype=np.intp)
    coverage[:, :6] = 5
    bad = with_camera(diagnosis, "cam_1", coverage=coverage, bare=("upper right", "right", "lower right"))
    bad = with_camera(bad, "cam_3", coverage=coverage // 9, bare=("upper", "lower", "left", "right", "lower left"))
    verdict = judge(bad, good_calibration)
    finding = found(verdict, "everywhere in the images")
    assert finding.level == Level.LOOK
    assert "cam_3 (0%" in finding.answer
    assert "cam_1 (50%" in finding.answer
    assert "cam_1 (upper right, right, lower right)" in finding.next_step
    assert "cam_3 (all but upper left, upper right, middle, lower right)" in finding.next_step
    assert "the board covered only parts of the image of cam_3 and cam_1" in verdict.headline


def test_corners_that_stay_in_the_middle_are_told_even_where_many_cells_have_some(
    diagnosis: Diagnosis, good_calibration: Calibration
) -> None:
    finding = found(judge(with_camera(diagnosis, "cam_2", reach=0.6), good_calibration), "everywhere in the images")
    assert finding.level == Level.LOOK
    assert "cam_2" in finding.next_step


def test_a_trend_says_what_to_add_and_how(diagnosis: Diagnosis, good_calibration: Calibration) -> None:
    trend = replace(camera(diagnosis, "cam_2").trend, advice="add k3", mean=np.array([0.1, -0.4, np.nan]))
    finding = found(judge(with_camera(diagnosis, "cam_2", trend=trend), good_calibration), "lens models")
    assert finding.level == Level.LOOK
    assert "cam_2 (0.40 px, add k3)" in finding.answer
    assert "cam_2: calibrate again with --lens-model brown5" in finding.next_step


@pytest.mark.parametrize(("share", "level"), [(0.001, Level.GOOD), (0.005, Level.LOOK), (0.02, Level.BROKEN)])
@pytest.mark.parametrize("parameter", ["f", "fx"])
def test_an_uncertain_focal_length_asks_for_tilt(
    share: float, level: Level, parameter: str, diagnosis: Diagnosis, good_calibration: Calibration
) -> None:
    deviations = {parameter: share * camera(diagnosis, "cam_3").focal_length}
    finding = found(judge(with_camera(diagnosis, "cam_3", deviations=deviations), good_calibration), "determined")
    assert finding.level == level
    if level != Level.GOOD:
        assert finding.next_step == "Film cam_3 again with the board tilted by 30 to 45 degrees to all sides."


def test_given_lenses_need_no_determination_and_missing_deviations_are_unknown(
    diagnosis: Diagnosis, good_calibration: Calibration
) -> None:
    kept = replace(diagnosis, cameras=tuple(replace(each, deviations={}) for each in diagnosis.cameras))
    assert "given and kept" in found(judge(kept, good_calibration), "determined").answer
    vague = replace(diagnosis, cameras=tuple(replace(each, deviations={"f": np.nan}) for each in diagnosis.cameras))
    assert found(judge(vague, good_calibration), "determined").level == Level.UNKNOWN


@pytest.mark.parametrize(
    ("share", "level"), [(0.02, Level.GOOD), (0.1, Level.LOOK), (0.4, Level.LOOK), (0.6, Level.BROKEN)]
)
def test_many_outliers_name_the_camera(
    share: float, level: Level, diagnosis: Diagnosis, good_calibration: Calibration
) -> None:
    errors = replace(camera(diagnosis, "cam_1").used, outliers=share)
    bad = with_camera(diagnosis, "cam_1", used=errors, held_out=errors)
    finding = found(judge(bad, good_calibration), "mistaken")
    assert finding.level == level
    assert ("worst views of cam_1" in finding.next_step) == (level != Level.GOOD)


def test_many_refused_corners_are_no_harm_where_enough_remain(
    diagnosis: Diagnosis, good_calibration: Calibration
) -> None:
    errors = replace(camera(diagnosis, "cam_1").used, count=300, outliers=0.2)
    verdict = judge(with_camera(diagnosis, "cam_1", used=errors, held_out=errors), good_calibration)
    finding = found(verdict, "mistaken")
    assert finding.level == Level.LOOK
    assert "240 corners of cam_1 remain; of left-out frames 20.0 % are refused." in finding.answer
    assert "20.0 % of the corners of cam_1 were refused" in verdict.headline
    few = replace(errors, count=240)
    assert found(
        judge(with_camera(diagnosis, "cam_1", used=few, held_out=few), good_calibration), "mistaken"
    ).level == (Level.BROKEN)


def test_corners_that_are_refused_in_left_out_frames_only_break_a_calibration(
    diagnosis: Diagnosis, good_calibration: Calibration
) -> None:
    """What the rig does not predict is refused there, and would not show in the errors of the others."""
    held = replace(camera(diagnosis, "cam_2").used, outliers=0.5)
    verdict = judge(with_camera(diagnosis, "cam_2", held_out=held), good_calibration)
    assert found(verdict, "mistaken").level == Level.BROKEN
    assert "50.0 % of the corners of cam_2 in left-out frames do not fit" in verdict.headline


def test_a_fifth_of_wrong_corners_leaves_a_calibration_that_may_be_used(board_scene: BoardScene) -> None:
    made = make_board_scene(board_scene.rig, Charuco(7, 5, 50.0), frames=60, radius=320.0, outlier_rate=0.2, seed=3)
    calibration = calibrate(made.corners, models=dict.fromkeys(made.rig.names, LENS_MODELS["brown5"]))
    assert float(volume_errors(made.rig, calibration.rig).mean()) < 0.05
    diagnosis = diagnose(calibration)
    assert diagnosis.used.outliers == pytest.approx(0.2, abs=0.03)
    verdict = judge(diagnosis, calibration)
    assert found(verdict, "mistaken").level == Level.LOOK
    assert verdict.level == Level.LOOK


def test_a_fit_that_did_not_converge_is_not_to_be_used(diagnosis: Diagnosis, good_calibration: Calibration) -> None:
    adjustment = replace(good_calibration.adjustment, status=BundleStatus.NOT_CONVERGED)
    verdict = judge(diagnosis, replace(good_calibration, adjustment=adjustment))
    assert verdict.level == Level.BROKEN
    assert verdict.headline == "Do not use this calibration: the fit has not converged."


def test_a_single_camera_is_judged_by_what_it_can_tell(board_scene: BoardScene) -> None:
    calibration = calibrate(board_scene.corners.isel(camera=[1]))
    verdict = judge(diagnose(calibration), calibration)
    assert verdict.level == Level.LOOK
    assert "there is one camera only" in verdict.headline
    assert not any("same instants" in finding.question for finding in verdict.findings)
    assert found(verdict, "lengths").level == Level.UNKNOWN
    assert "One camera measures no lengths" in found(verdict, "lengths").answer


def test_a_lens_that_was_asked_for_alone_is_judged_as_a_lens(board_scene: BoardScene) -> None:
    """The same camera with and without others wanted; all that is bad of it is that it is alone."""
    made = make_board_scene(board_scene.rig, Charuco(7, 5, 50.0), frames=120, radius=320.0, outlier_rate=0.02, seed=3)
    corners = made.corners.isel(camera=[1])
    corners = corners.isel(frame=corners["position"].notnull().any(("camera", "corner", "space")).values)
    calibration = calibrate(corners, models={"cam_2": LENS_MODELS["brown5"]})
    calibration = replace(calibration, warnings=())
    alone = diagnose(calibration)
    assert judge(alone, calibration).level == Level.LOOK
    verdict = judge(alone, calibration, lenses_only=True)
    assert verdict.level == Level.GOOD
    assert verdict.headline.startswith("This calibration is good: RMS reprojection error 0.")
    asked = {finding.question for finding in verdict.findings}
    assert not any("tied" in question or "lengths" in question for question in asked)
    broken = replace(calibration, adjustment=replace(calibration.adjustment, status=BundleStatus.NOT_CONVERGED))
    assert judge(alone, broken, lenses_only=True).level == Level.BROKEN


def test_a_camera_that_saw_nothing_of_use_breaks_nothing(diagnosis: Diagnosis, good_calibration: Calibration) -> None:
    nothing = Errors(0, np.nan, np.nan, np.nan, np.nan)
    blind = with_camera(diagnosis, "cam_2", used=nothing, held_out=nothing)
    verdict = judge(blind, good_calibration)
    assert all("cam_2" not in finding.answer or "nan" not in finding.answer for finding in verdict.findings)


# --- what was noticed on the way ---


def test_warnings_of_the_same_kind_become_one_sentence() -> None:
    texts = [(f"cam_{number}", f"only {number + 3} views: record 20 or more") for number in range(1, 8)]
    texts += [("cam_2", "the boards are seen as in a mirror"), ("", "the pair cam_1 - cam_2 has 3 frames")]
    texts += [
        ("", "the pair cam_1 - cam_2 has 4 frames"),
        ("cam_1", "brown8 would fit better"),
        ("cam_2", "brown5 would fit better"),
    ]
    assert collapsed(texts) == [
        "cam_1, cam_2, cam_3, cam_4 and 3 more: only 4 to 10 views: record 20 or more.",
        "cam_2: the boards are seen as in a mirror.",
        "The pair cam_1 - cam_2 has 3 frames.",
        "The pair cam_1 - cam_2 has 4 frames.",
        "cam_1: brown8 would fit better.",
        "cam_2: brown5 would fit better.",
    ]


def test_what_findings_judge_by_numbers_is_not_repeated(diagnosis: Diagnosis, good_calibration: Calibration) -> None:
    warnings = (
        "cam_1: no corners beyond 34% of the way from the middle of the image to its corners: hold it there",
        "cam_2: corners in 14% of the image only: move the board through all of it",
        "cam_2: the focal length is known to 2.1% only: add views",
        "cam_3: 12% of the corners were left out as wrong: look at the detections",
        "the pictures of the cameras were not taken at the same instants (cam_1 +0 ms): synchronize",
        "the board is not flat: its corners differ by 3 mm in height",
        "cameras together still miss the board by 3.0 times what each does alone",
    )
    silent = judge(diagnosis, replace(good_calibration, warnings=warnings))
    assert not any("noticed" in finding.question for finding in silent.findings)
    told = judge(diagnosis, replace(good_calibration, warnings=(*warnings, "cam_1: only 5 views: record 20 or more")))
    assert found(told, "noticed").answer == "cam_1: only 5 views: record 20 or more."
    assert told.headline == "Usable, but look at this first: 1 thing was noticed on the way, see below."


def test_names_within_names_are_told_apart(diagnosis: Diagnosis, good_calibration: Calibration) -> None:
    cameras = [replace(one, name=name) for one, name in zip(good_calibration.rig, ("a", "a: b", "c"), strict=True)]
    rig = type(good_calibration.rig)(tuple(cameras), unit="mm")
    odd = replace(good_calibration, rig=rig, warnings=("a: b: only 5 views", "a: only 6 views"))
    names = dict(zip(good_calibration.rig.names, rig.names, strict=True))
    renamed = replace(diagnosis, cameras=tuple(replace(each, name=names[each.name]) for each in diagnosis.cameras))
    assert found(judge(renamed, odd), "noticed").answer == "a: b and a: only 5 to 6 views."


# --- as plain values ---


def test_all_numbers_survive_json(diagnosis: Diagnosis, good_calibration: Calibration) -> None:
    clocks = BoardClocks(np.array([0.0, -0.122, np.nan]), np.array([0.0, 0.003, 0.001]), (1.5, 0.4))
    calibration = replace(good_calibration, clocks=clocks)
    verdict = judge(diagnosis, good_calibration)
    values = to_dict(calibration, diagnosis, verdict)
    assert json.loads(json.dumps(values, allow_nan=False)) == values
    assert values["verdict"]["level"] == verdict.level.name.lower()
    assert [each["question"] for each in values["verdict"]["findings"]] == [each.question for each in verdict.findings]
    assert values["overlap"]["frames"] == diagnosis.overlap.tolist()
    assert values["clocks"]["cam_2"] == {"offset_s": -0.122, "standard_deviation_s": 0.003}
    assert values["clocks"]["cam_3"]["offset_s"] is None
    one = values["cameras"]["cam_2"]
    assert one["used"]["rms_px"] == camera(diagnosis, "cam_2").used.rms
    assert one["lens"]["model"] == "brown5"
    assert one["lens"]["values"]["fx"] == calibration.rig["cam_2"].lens.camera_matrix[0, 0]
    assert one["lens"]["standard_deviations"]["k3"] == camera(diagnosis, "cam_2").deviations["k3"]
    assert set(one["lens"]["standard_deviations"]) == set(calibration.models["cam_2"].free)
    assert one["pose"]["standard_deviations"] == [
        camera(diagnosis, "cam_2").deviations[axis] for axis in ("tx", "ty", "tz")
    ]
    assert values["cameras"]["cam_1"]["pose"]["standard_deviations_rad"] == [None] * 3
    assert np.sum(one["coverage"]) == camera(diagnosis, "cam_2").coverage.sum()
    assert len(values["lengths"]["regions"]) == len(diagnosis.regions)
    assert values["worst_views"][0]["camera"] == diagnosis.worst[0].camera
    assert values["warnings"] == list(calibration.warnings)


def test_what_is_not_known_is_none(good_calibration: Calibration) -> None:
    calibration = replace(good_calibration, held_out=None)
    diagnosis = diagnose(calibration)
    values = to_dict(calibration, diagnosis, judge(diagnosis, calibration))
    assert values["all"]["held_out"] is None
    assert values["cameras"]["cam_1"]["held_out"] is None
    assert values["lengths"] == {"everywhere": None, "regions": []}
    assert values["clocks"] is None
