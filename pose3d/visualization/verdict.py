"""A verdict in words: is this reconstruction good, is there something to look at, or is it broken, and what to do next.

Every limit stands here with its reason, and is shown on the report beside the number it judges.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

from calibration.errors import MismatchError
from calibration.findings import Finding, Level, Verdict, graded, percent
from pose3d.metrics import bone_statistics, coverage
from pose3d.metrics.reprojection import is_displaced
from pose3d.skeleton import Skeleton
from pose3d.visualization._points import gross_error_finding, redundancy_finding
from pose3d.visualization._timing import timing_finding
from pose3d.visualization._trajectories import held_bones_finding
from pose3d.visualization.evidence import Evidence
from pose3d.visualization.identity_verdict import identity_findings

__all__ = ["Finding", "Level", "Verdict", "judge"]


# Shares of 3D positions that are missing. A tenth in short gaps is interpolated without harm to most measures; above a
# third, statistics describe the frames in which the animal was easy to see.
_MISSING = (0.10, 0.35)
# Median reprojection error as a share of the image diagonal. Trained networks err by 0.2 to 0.5 % (DeepLabCut on the
# open-field recording: 1.8 to 3.8 px of 800), and the residual of a fit is smaller than the noise. Three times that is
# no longer noise: calibration, synchronization or identities are wrong.
_REPROJECTION = (0.004, 0.012)
# No detection is so exact: below this median (px), the 2D positions were made by projecting the 3D positions.
_PROJECTED = 0.001
_PROJECTED_ANSWER = "The 2D positions are projections of 3D positions, not measurements: they cannot tell."
# Share of a camera's detections that were not used. Networks produce 5 to 10 % outliers and more at occlusions; a
# camera whose detections are rejected every second time disagrees with the others.
_REJECTED = (0.20, 0.50)
# Shares and medians of fewer detections say little: of 100, a share is known to about a tenth.
_LEAST_DETECTIONS = 100
# How many times the median error of a camera may exceed that of the others.
_IMBALANCE = 2.5
# Robust relative spread of bone lengths, median over the bones. Skin moves by a few percent of a limb segment.
_BONES = (0.08, 0.20)
# Share of the true positions in the 95 % ellipsoid of the covariance.
_HONEST = (0.90, 0.98)
_NOT_HONEST = (0.75, 0.995)


def judge(
    evidence: Evidence,
    poses3d: xr.Dataset,
    *,
    skeleton: Skeleton | None = None,
    truth: xr.Dataset | None = None,
    identity: xr.Dataset | None = None,
) -> Verdict:
    """Judge 3D poses by what the cameras say about them, by their bones, and their covariance by the truth.

    How far the truth may be away is not judged: it depends on the question that the poses are to answer.

    Args:
        evidence: from `collect_evidence` of the same poses.
        poses3d: Poses3D Dataset.
        skeleton: its edges are the bones.
        truth: Poses3D Dataset of true positions, if known.
        identity: Identity Dataset, where animals were told apart.

    Raises:
        InvalidValueError: a Dataset breaks its schema.
        MismatchError: truth and poses have nothing in common.
    """
    agreement = _agreement(evidence)
    findings = [
        _completeness(evidence),
        agreement,
        _outlying_camera(evidence),
        timing_finding(evidence),
        redundancy_finding(evidence, poses3d),
        gross_error_finding(poses3d, skeleton),
        _bones(poses3d, skeleton),
    ]
    if truth is not None and "covariance" in poses3d:
        inside = float(coverage(poses3d, truth, over=("time", "keypoint", "individual")))
        findings += [_honesty(inside)] if np.isfinite(inside) else []
    if identity is not None:
        findings += identity_findings(identity)
    level = max((finding.level for finding in findings if finding.level != Level.UNKNOWN), default=Level.UNKNOWN)
    if level == Level.GOOD and agreement.level == Level.UNKNOWN:
        level = Level.UNKNOWN  # that nothing is missing does not make positions good that nothing was measured of
    ordered = tuple(sorted(findings, key=lambda finding: -finding.level))
    return Verdict(level, _headline(level, findings), ordered)


def _headline(level: Level, findings: list[Finding]) -> str:
    concerns = "; ".join(finding.concern for finding in findings if finding.level == level and finding.concern)
    merits = ", ".join(finding.merit for finding in findings if finding.level == Level.GOOD and finding.merit)
    return {
        Level.GOOD: f"Nothing stands out: {merits}.",
        Level.UNKNOWN: f"How good these poses are is not known: {concerns or 'there is nothing to judge'}.",
        Level.LOOK: f"Usable, but look at this first: {concerns}.",
        Level.BROKEN: f"Do not use these poses before this is clear: {concerns}.",
    }[level]


def _completeness(evidence: Evidence) -> Finding:
    question = "What is missing?"
    if not evidence.missing.size:
        return Finding(
            question,
            Level.BROKEN,
            "There is no frame.",
            "Check the input of the triangulation.",
            concern="there is no frame",
        )
    missing = float(evidence.missing.mean())
    reasons = {reason: float(share.mean()) for reason, share in evidence.reasons().items()}
    main = max(reasons, key=lambda reason: reasons[reason]) if reasons else ""
    answer = f"{percent(missing)} of the 3D positions are missing"
    answer += f", mostly because: {main} ({percent(reasons[main])})." if main else "."
    level = graded(missing, _MISSING)
    return Finding(
        question,
        level,
        answer if missing else "Every 3D position is there.",
        _next_step_for(main) if level != Level.GOOD else "",
        f"Good up to {percent(_MISSING[0])}: gaps that few and short can be interpolated. Broken above "
        f"{percent(_MISSING[1])}: what is left describes only the frames that were easy to see.",
        f"{percent(missing)} of the positions are missing",
        "little is missing",
    )


def _next_step_for(reason: str) -> str:
    if reason.startswith("seen by fewer"):
        return (
            "Too few cameras report the keypoint: look at the overlay where it should be seen, label more of such "
            "frames, lower the minimum confidence, or add a camera."
        )
    if reason.startswith("the cameras do not agree"):
        return (
            "The cameras see different things: check first that the videos are in step and the calibration is of this "
            "recording, then that each camera tracks the same animal."
        )
    if reason.startswith("too uncertain"):
        return (
            "Too few cameras for too long, so that neither they nor the motion tell where the keypoint is: look at the "
            "overlay where it should be seen, label more of such frames, or add a camera."
        )
    if reason:
        return (
            "Check the calibration: rays that hardly cross, or cross behind a camera, point to wrong camera positions."
        )
    return "Look at the overlay video of the cameras that should see it."


def _agreement(evidence: Evidence) -> Finding:
    question = "Do the cameras agree?"
    overall = evidence.summary(())
    median, rms, p95 = (float(overall[name]) for name in ("median", "rms", "p95"))
    if not np.isfinite(median):
        return Finding(
            question,
            Level.UNKNOWN,
            "There is no reprojection error to judge by.",
            "Give the 2D poses and the rig.",
            concern="no camera was compared with them",
        )
    if median < _PROJECTED:
        return Finding(
            question,
            Level.UNKNOWN,
            f"Reprojection error: median {median:.2g} px. The 2D positions are projections of 3D positions, not "
            "measurements: they agree whatever the truth is.",
            "Give the 2D positions as they were labeled or detected.",
            f"Below {_PROJECTED:g} px (median) nothing was measured: no detection is so exact.",
            "the 2D positions are projections, not measurements",
        )
    answer = f"Reprojection error: median {median:.2f} px, RMS {rms:.2f} px, 95th percentile {p95:.2f} px"
    if not len(evidence.diagonals):
        return Finding(
            question,
            Level.UNKNOWN,
            f"{answer}.",
            "Give the 2D poses and the rig, so that it can be compared with the image size.",
            concern="without 2D poses and rig, the reprojection error cannot be compared with the image size",
        )
    share = median / float(np.median(evidence.diagonals))
    level = graded(share, _REPROJECTION)
    steps = {
        Level.GOOD: "",
        Level.LOOK: "Look for the camera or keypoint with the largest error below, and at its overlay video.",
        Level.BROKEN: "This is no noise: wrong calibration file, cameras swapped or moved, or videos out of step.",
    }
    return Finding(
        question,
        level,
        f"{answer}; the median is {percent(share)} of the image diagonal.",
        steps[level],
        f"Good up to {percent(_REPROJECTION[0])} of the diagonal, about the error of a trained network. Broken above "
        f"{percent(_REPROJECTION[1])}: three times that is no longer noise.",
        f"the cameras disagree by {median:.3g} px (median)",
        "the cameras agree",
    )


def _outlying_camera(evidence: Evidence) -> Finding:
    question = "Is one camera out of line?"
    if len(evidence.cameras) < 2:
        return Finding(question, Level.UNKNOWN, "There are no cameras to compare.", "Give the 2D poses and the rig.")
    table = evidence.summary(("camera",))
    enough = evidence.detected.sum(axis=(0, 2, 3)) >= _LEAST_DETECTIONS
    if enough.sum() < 2:
        answer = f"Fewer than two cameras have {_LEAST_DETECTIONS} detections: too few to compare."
        return Finding(question, Level.UNKNOWN, answer)
    rejected, median = (np.where(enough, table[name].values, np.nan) for name in ("used", "median"))
    rejected = 1 - rejected
    if not np.isfinite(median).any():
        return Finding(question, Level.UNKNOWN, "No detection of any camera was used.", "")
    if np.nanmax(median) < _PROJECTED:
        return Finding(question, Level.UNKNOWN, _PROJECTED_ANSWER)
    worst = int(np.nanargmax(rejected))
    name = evidence.cameras[worst]
    level = graded(float(rejected[worst]), _REJECTED)
    answer = (
        f"Of {name} {percent(float(rejected[worst]))} of the detections were not used, more than of any other camera."
    )
    ratios = np.array([_over_others(median, index) for index in range(len(median))])
    if np.isfinite(ratios).any() and np.nanmax(ratios) > _IMBALANCE and len(median) > 2:
        largest = int(np.nanargmax(ratios))
        answer += f" The median error of {evidence.cameras[largest]} is {ratios[largest]:.1f} times that of the others."
        level, name = max(level, Level.LOOK), evidence.cameras[largest] if level == Level.GOOD else name
    displaced = np.flatnonzero(is_displaced(evidence.offsets, median))
    if len(displaced) and len(median) > 2:
        answer += " " + " ".join(_sees_elsewhere(evidence, int(index)) for index in displaced)
        level, name = max(level, Level.LOOK), evidence.cameras[displaced[0]] if level == Level.GOOD else name
    return Finding(
        question,
        level,
        answer,
        f"Watch the overlay of {name}: was it moved after the calibration, is it in step, does it track another animal?"
        if level != Level.GOOD
        else "",
        f"Good up to {percent(_REJECTED[0])} (networks err that often at occlusions), broken above "
        f"{percent(_REJECTED[1])}; an error {_IMBALANCE:g} times that of the other cameras is worth a look, and so is "
        "one that points the same way everywhere.",
        f"{name} is out of line with the other cameras",
    )


def _sees_elsewhere(evidence: Evidence, index: int) -> str:
    x, y = evidence.offsets[index].tolist()
    return f"{evidence.cameras[index]} sees everything {x:+.1f}, {y:+.1f} px (x, y) from where the others put it."


def _over_others(values: np.ndarray, index: int) -> float:
    others = np.delete(values, index)
    others = others[np.isfinite(others)]
    return float(values[index] / np.median(others)) if others.size and np.median(others) > 0 else float("nan")


def _bones(poses3d: xr.Dataset, skeleton: Skeleton | None) -> Finding:
    question = "Do bones keep their length?"
    held = held_bones_finding(question, poses3d)
    if held is not None:
        return held
    if skeleton is None or not skeleton.edges:
        return Finding(question, Level.UNKNOWN, "No skeleton with edges is given.", "")
    if not poses3d.sizes["time"]:
        return Finding(question, Level.UNKNOWN, "There is no frame.", "")
    try:
        table = bone_statistics(poses3d, skeleton)
    except MismatchError:
        return Finding(question, Level.UNKNOWN, "The skeleton has no edge between keypoints of these poses.", "")
    spread = table["relative_spread"].max("individual").values
    if not np.isfinite(spread).any():
        return Finding(question, Level.UNKNOWN, "No bone is ever complete.", "")
    typical, worst = float(np.nanmedian(spread)), int(np.nanargmax(spread))
    level = graded(typical, _BONES)
    return Finding(
        question,
        level,
        f"Their spread is {percent(typical)} of the length for the typical bone, {percent(float(spread[worst]))} for "
        f"{table['edge'].values[worst]}.",
        "Soft edges vary by nature; for stiff ones, look at their keypoints in the overlay."
        if level != Level.GOOD
        else "",
        f"Good up to {percent(_BONES[0])}, broken above {percent(_BONES[1])}: skin moves over bone by a few percent.",
        f"bones change their length by {percent(typical)}",
        "bones keep their length",
    )


def _honesty(inside: float) -> Finding:
    if _HONEST[0] <= inside <= _HONEST[1]:
        level = Level.GOOD
    else:
        level = Level.LOOK if _NOT_HONEST[0] <= inside <= _NOT_HONEST[1] else Level.BROKEN
    return Finding(
        "Is the uncertainty honest?",
        level,
        f"{percent(inside)} of the true positions lie in the 95 % ellipsoid of their covariance.",
        "Do not test hypotheses with these covariances: the noise of some keypoints is not what was assumed."
        if level != Level.GOOD
        else "",
        f"Good from {percent(_HONEST[0])} to {percent(_HONEST[1])}.",
        "the covariance does not say how large the errors are",
    )
