"""What the numbers of a calibration mean, in words: is it good, which camera to film again, where to hold the board.

Every limit stands here with its reason, and is shown on the report beside the number it judges.
"""

from __future__ import annotations

import numpy as np

from calibration._calibration_values import to_dict
from calibration.bundle import BundleStatus
from calibration.diagnosis import CameraDiagnosis, Diagnosis
from calibration.findings import Finding, Level, Verdict, graded, percent
from calibration.rig_calibration import Calibration

__all__ = ["judge", "to_dict"]

# RMS reprojection error of corners as a share of the image diagonal. Detectors err by 0.05 to 0.3 px on sharp images of
# 1280 x 720 (diagonal 1469): 0.0002. Boards in motion blur or bent reach three times that; beyond, something is wrong.
_RMS = (0.0006, 0.0018)
# Left-out over used RMS. A fit with enough frames predicts new ones as well as its own (within the scatter of blocks, a
# fifth); half as much again means that parameters were fitted to noise.
_HELD_OUT = (1.25, 2.0)
# Mean error of the board's printed lengths, as a share of the length. A corner that is 0.3 px off changes a square of
# 50 px by 0.8 %; of the mean of a hundred of them, which tells of scale, a tenth of that is left.
_LENGTH_BIAS = (0.002, 0.01)
# Share of the image's cells in which corners were seen.
_COVERED = (0.6, 0.3)
# Frames that a camera shares with the others: of 20, the pose of a camera is known to a fifth of what one frame gives.
_SHARED = (20, 8)
# Standard deviation of a focal length as a share of it: 0.2 % is a millimeter in half a meter of depth.
_FOCAL = (0.002, 0.01)
_OUTLIERS = (0.05, 0.2)
_REGION_SIGNIFICANCE = 6.0


def judge(diagnosis: Diagnosis, calibration: Calibration) -> Verdict:
    """Judge a calibration by its diagnosis."""
    findings = [
        _convergence(calibration),
        _fit(diagnosis, calibration),
        _prediction(diagnosis),
        _lengths(diagnosis),
        _overlap(diagnosis),
        _coverage(diagnosis),
        _lens_models(diagnosis),
        _determination(diagnosis),
        _outliers(diagnosis),
        *_noticed(calibration),
    ]
    level = max((finding.level for finding in findings if finding.level != Level.UNKNOWN), default=Level.UNKNOWN)
    if level == Level.GOOD and findings[2].level == Level.UNKNOWN:
        level = Level.UNKNOWN  # what nothing was predicted with is not proven
    return Verdict(level, _headline(level, findings), tuple(sorted(findings, key=lambda each: -each.level)))


def _headline(level: Level, findings: list[Finding]) -> str:
    concerns = "; ".join(finding.concern for finding in findings if finding.level == level and finding.concern)
    merits = ", ".join(finding.merit for finding in findings if finding.level == Level.GOOD and finding.merit)
    return {
        Level.GOOD: f"This calibration is good: {merits}.",
        Level.UNKNOWN: f"How good this calibration is is not known: {concerns}.",
        Level.LOOK: f"Usable, but look at this first: {concerns}.",
        Level.BROKEN: f"Do not use this calibration: {concerns}.",
    }[level]


def _convergence(calibration: Calibration) -> Finding:
    adjustment = calibration.adjustment
    done = adjustment.status == BundleStatus.CONVERGED
    return Finding(
        "Did the fit come to its end?",
        Level.GOOD if done else Level.BROKEN,
        f"After {adjustment.iterations} steps the scaled gradient is {adjustment.gradient_norm:.1e}"
        + ("." if done else f": {adjustment.status.meaning}."),
        "" if done else "Film more views, tilted in all directions and in every part of the volume.",
        "Converged: no parameter can be moved by a relevant part of its standard deviation to lower the cost.",
        "" if done else "the fit has not converged",
    )


def _fit(diagnosis: Diagnosis, calibration: Calibration) -> Finding:
    shares = [camera.used.rms / float(np.hypot(*calibration.rig[camera.name].size)) for camera in diagnosis.cameras]
    worst = int(np.nanargmax(shares)) if np.isfinite(shares).any() else 0
    name, level = diagnosis.cameras[worst].name, graded(shares[worst], _RMS)
    return Finding(
        "Do the cameras agree with the board?",
        level,
        f"RMS reprojection error {_pixels(diagnosis.used.rms)} (median {_pixels(diagnosis.used.median)}, 95th "
        f"percentile {_pixels(diagnosis.used.p95)}); largest in {name}: {_pixels(diagnosis.cameras[worst].used.rms)}.",
        ""
        if level == Level.GOOD
        else f"Look at the worst views of {name}: is the board flat, sharp, and square size and type right? "
        f"Film {name} again with a still board and short exposure.",
        f"Good up to {_RMS[0]:.2%} of the image diagonal, broken above {_RMS[1]:.2%}: corners of a sharp, flat "
        "board are found to 0.02 % of it.",
        f"{name} does not fit ({_pixels(diagnosis.cameras[worst].used.rms)} RMS)",
        f"RMS reprojection error {_pixels(diagnosis.used.rms)}",
    )


def _prediction(diagnosis: Diagnosis) -> Finding:
    question = "Does it predict frames that it was not fitted to?"
    if diagnosis.held_out is None:
        return Finding(
            question,
            Level.UNKNOWN,
            "There are too few frames to leave any out.",
            "Film at least 20 views of the board, in different places and tilts.",
            concern="there are too few frames to test it",
        )
    ratios = [
        np.nan if camera.held_out is None else camera.held_out.rms / camera.used.rms for camera in diagnosis.cameras
    ]
    worst = int(np.nanargmax(ratios)) if np.isfinite(ratios).any() else 0
    name, level = diagnosis.cameras[worst].name, graded(float(ratios[worst]), _HELD_OUT)
    return Finding(
        question,
        level,
        f"On left-out frames the RMS reprojection error is {_pixels(diagnosis.held_out.rms)}, "
        f"{diagnosis.held_out.rms / diagnosis.used.rms:.2f} times that of the frames in use; "
        f"{name}: {ratios[worst]:.2f} times.",
        "" if level == Level.GOOD else f"Film {name} again: more views, also at the border of its image.",
        f"Good up to {_HELD_OUT[0]:g} times, broken above {_HELD_OUT[1]:g}: then parameters follow noise.",
        f"{name} predicts new frames badly ({ratios[worst]:.1f} times the error)",
        f"{_pixels(diagnosis.held_out.rms)} on left-out frames",
    )


def _lengths(diagnosis: Diagnosis) -> Finding:
    question, lengths = "Are lengths in the volume right?", diagnosis.lengths
    if lengths is None:
        return Finding(
            question,
            Level.UNKNOWN,
            "No corner was seen by two cameras in a left-out frame.",
            "Show the board to two cameras at once.",
            concern="no length was measured",
        )
    # edges of one frame share their errors: three standard errors of independent ones are no proof
    told = [region for region in diagnosis.regions if abs(region.mean) > _REGION_SIGNIFICANCE * region.error]
    worst = max(told, key=lambda region: abs(region.mean), default=lengths)
    level = max(
        graded(abs(lengths.mean) / diagnosis.square, _LENGTH_BIAS),
        graded(abs(worst.mean) / diagnosis.square / 3, _LENGTH_BIAS),
    )
    unit = diagnosis.unit
    return Finding(
        question,
        level,
        f"Squares of {diagnosis.square:g} {unit} measure {lengths.mean_length:.3f} {unit} on average on left-out "
        f"frames, {lengths.rms:.3f} {unit} RMS error; the mean is farthest off {worst.region}: "
        f"{worst.mean:+.3f} {unit}.",
        ""
        if level == Level.GOOD
        else f"Hold the board {worst.region} as the first camera sees it, in view of all cameras.",
        f"The mean is good up to {_LENGTH_BIAS[0]:.1%} of the length (three times that in a region), broken above "
        f"{_LENGTH_BIAS[1]:.0%}. Corners are triangulated without knowing the board.",
        f"lengths are off by {worst.mean:+.3f} {unit} {worst.region}",
        f"squares of {diagnosis.square:g} {unit} come out at {lengths.mean_length:.2f} {unit}",
    )


def _overlap(diagnosis: Diagnosis) -> Finding:
    question = "Is every camera tied to the others?"
    if len(diagnosis.cameras) == 1:
        return Finding(
            question,
            Level.LOOK,
            "There is one camera: its lens is calibrated, 3D positions need a second one.",
            "Film the board with two or more cameras at once.",
            concern="there is one camera only",
        )
    others = diagnosis.overlap - np.diag(np.diag(diagnosis.overlap))
    weakest = int(np.argmin(others.max(axis=1)))
    partner = int(np.argmax(others[weakest]))
    count, name, other = (
        int(others[weakest, partner]),
        diagnosis.cameras[weakest].name,
        diagnosis.cameras[partner].name,
    )
    level = Level.GOOD if count >= _SHARED[0] else Level.LOOK if count >= _SHARED[1] else Level.BROKEN
    return Finding(
        question,
        level,
        f"Every camera shares {count} frames or more with another; the weakest is {name}, with {other}.",
        ""
        if level == Level.GOOD
        else f"Hold the board where {name} and {other} both see it, at ten or more places and tilts.",
        f"Good from {_SHARED[0]} frames, broken below {_SHARED[1]}.",
        f"{name} shares only {count} frames with any other camera",
    )


def _coverage(diagnosis: Diagnosis) -> Finding:
    worst = min(diagnosis.cameras, key=lambda camera: camera.covered)
    level = Level.GOOD if worst.covered >= _COVERED[0] else Level.LOOK
    where = ", ".join(worst.bare[:4])
    return Finding(
        "Did the board come everywhere in the images?",
        level,
        f"Corners fill {percent(worst.covered)} of the image of {worst.name}, the least covered"
        + (f"; bare: {where}." if where else "."),
        ""
        if level == Level.GOOD
        else f"Film {worst.name} again with the board also {where or 'at the border'} in its image.",
        f"Good from {_COVERED[0]:.0%} of the cells of the image. Where no corner was, distortion is extrapolated.",
        f"{worst.name} saw the board in {percent(worst.covered)} of its image",
    )


def _lens_models(diagnosis: Diagnosis) -> Finding:
    told = [camera for camera in diagnosis.cameras if camera.trend.advice]
    if not told:
        return Finding(
            "Is the lens model rich enough?", Level.GOOD, "Residuals show no trend along the radius in any camera."
        )
    largest = {camera.name: float(np.nanmax(np.abs(camera.trend.mean))) for camera in told}
    return Finding(
        "Is the lens model rich enough?",
        Level.LOOK,
        "Residuals have a trend along the radius: "
        + "; ".join(f"{camera.name} {_pixels(largest[camera.name])}, {camera.trend.advice}" for camera in told)
        + ".",
        "Choose a richer lens model, or cover the border of the image so that it can be chosen by itself.",
        "Told where the mean residual of a ring of the image exceeds five standard errors and a fifth of the noise.",
        f"the lens model of {told[0].name} leaves a trend ({told[0].trend.advice})",
    )


def _determination(diagnosis: Diagnosis) -> Finding:
    shares = [_focal_share(camera) for camera in diagnosis.cameras]
    question = "Are the lenses determined?"
    if not np.isfinite(shares).any():
        return Finding(question, Level.GOOD, "All lenses were given and kept.")
    worst = int(np.nanargmax(shares))
    name, level = diagnosis.cameras[worst].name, graded(shares[worst], _FOCAL)
    return Finding(
        question,
        level,
        f"The focal length of {name}, the least certain, has a standard deviation of {shares[worst]:.2%}.",
        "" if level == Level.GOOD else f"Film {name} again with the board tilted by 30 to 45 degrees to all sides.",
        f"Good up to {_FOCAL[0]:.1%}, broken above {_FOCAL[1]:.0%}.",
        f"the focal length of {name} is uncertain ({shares[worst]:.1%})",
    )


def _focal_share(camera: CameraDiagnosis) -> float:
    for parameter in ("f", "fx"):
        if parameter in camera.deviations:
            return camera.deviations[parameter] / camera.focal_length
    return np.nan


def _outliers(diagnosis: Diagnosis) -> Finding:
    worst = max(diagnosis.cameras, key=lambda camera: np.nan_to_num(camera.used.outliers))
    level = graded(worst.used.outliers, _OUTLIERS)
    return Finding(
        "Were corners mistaken?",
        level,
        f"{percent(diagnosis.used.outliers)} of the corners are no noise and were given no weight; most in "
        f"{worst.name}: {percent(worst.used.outliers)}.",
        "" if level == Level.GOOD else f"Look at the worst views of {worst.name}: blur, reflections, a second board?",
        f"Good up to {_OUTLIERS[0]:.0%}, broken above {_OUTLIERS[1]:.0%}.",
        f"{percent(worst.used.outliers)} of the corners of {worst.name} are wrong",
    )


def _noticed(calibration: Calibration) -> list[Finding]:
    if not calibration.warnings:
        return []
    count = len(calibration.warnings)
    return [
        Finding(
            "What was noticed on the way?",
            Level.LOOK,
            ". ".join(text[0].upper() + text[1:] for text in calibration.warnings) + ".",
            concern=f"{count} {'thing was' if count == 1 else 'things were'} noticed on the way, see below",
        )
    ]


def _pixels(value: float) -> str:
    return "unknown" if not np.isfinite(value) else f"{value:.2f} px" if value >= 0.1 else f"{value:.2g} px"
