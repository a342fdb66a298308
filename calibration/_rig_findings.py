"""What the numbers of a whole calibration mean: its fit, its predictions, lengths, and the instants of the pictures.

Every limit stands here with its reason, and is shown on the report beside the number it judges.
"""

from __future__ import annotations

import numpy as np

from calibration._joint_fit import EXCESS
from calibration.bundle import BundleStatus
from calibration.diagnosis import CameraDiagnosis, Diagnosis
from calibration.findings import Finding, Level, graded, percent
from calibration.rig_calibration import Calibration

__all__ = ["convergence", "fit", "flatness", "instants", "lengths", "outliers", "pixels", "prediction"]

# RMS reprojection error of corners as a share of the image diagonal. Detectors err by 0.05 to 0.3 px on sharp images of
# 1280 x 720 (diagonal 1469): 0.0002. Boards in motion blur or bent reach three times that; beyond, something is wrong.
_RMS = (0.0006, 0.0018)
# Left-out over used RMS. A fit with enough frames predicts new ones as well as its own (within the scatter of blocks, a
# fifth); half as much again means that parameters were fitted to noise.
_HELD_OUT = (1.25, 2.0)
# Mean error of the board's printed lengths, as a share of the length. A corner that is 0.3 px off changes a square of
# 50 px by 0.8 %; of the mean of a hundred of them, which tells of scale, a tenth of that is left.
_LENGTH_BIAS = (0.002, 0.01)
# Edges of one frame share their errors: three standard errors of independent ones are no proof.
_REGION_SIGNIFICANCE = 6.0
# Share of refused corners. With 20 % of them anywhere in the image, positions in the volume are as exact as without
# (0.020 mm, 0.019 mm): the fit rests on the others. Where they are more than half, nobody knows which are right.
_OUTLIERS = (0.05, 0.5)
# Corners that must remain of a camera where many were refused: ten for each of its 15 parameters, and some to spare.
_REMAINING = 200
# So many more are refused in left-out frames than in those in use where the rig does not predict what it refuses.
_NEW_OUTLIERS = 0.2


def convergence(calibration: Calibration) -> Finding:
    """Whether the fit has ended where nothing can be made better."""
    adjustment = calibration.adjustment
    done = adjustment.status == BundleStatus.CONVERGED
    return Finding(
        "Did the fit come to its end?",
        Level.GOOD if done else Level.BROKEN,
        f"{'Yes' if done else 'No'}, {adjustment.status.meaning}: {adjustment.iterations} steps, scaled gradient "
        f"{adjustment.gradient_norm:.1e}.",
        "" if done else "Film more views, tilted in all directions and in every part of the volume.",
        "Converged: no parameter can be moved by a relevant part of its standard deviation to lower the cost.",
        "" if done else "the fit has not converged",
    )


def fit(diagnosis: Diagnosis, calibration: Calibration) -> Finding:
    """Whether corners are where the calibration says."""
    shares = [camera.used.rms / float(np.hypot(*calibration.rig[camera.name].size)) for camera in diagnosis.cameras]
    worst = int(np.nanargmax(shares)) if np.isfinite(shares).any() else 0
    name, level = diagnosis.cameras[worst].name, graded(shares[worst], _RMS)
    return Finding(
        "Do the cameras agree with the board?",
        level,
        f"RMS reprojection error {pixels(diagnosis.used.rms)} (median {pixels(diagnosis.used.median)}, 95th "
        f"percentile {pixels(diagnosis.used.p95)}); largest in {name}: {pixels(diagnosis.cameras[worst].used.rms)}.",
        ""
        if level == Level.GOOD
        else f"Look at the worst views of {name}: is the board flat, sharp, and square size and type right? "
        f"Film {name} again with a still board and short exposure.",
        f"Good up to {_RMS[0]:.2%} of the image diagonal, broken above {_RMS[1]:.2%}: corners of a sharp, flat "
        "board are found to 0.02 % of it.",
        f"{name} does not fit ({pixels(diagnosis.cameras[worst].used.rms)} RMS)",
        f"RMS reprojection error {pixels(diagnosis.used.rms)}",
    )


def prediction(diagnosis: Diagnosis) -> Finding:
    """Whether it fits frames that it was not fitted to."""
    question = "Does it predict frames that it was not fitted to?"
    if diagnosis.held_out is None or not np.isfinite(diagnosis.held_out.rms):
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
    worst = int(np.nanargmax(ratios))
    name, level = diagnosis.cameras[worst].name, graded(float(ratios[worst]), _HELD_OUT)
    return Finding(
        question,
        level,
        f"On left-out frames the RMS reprojection error is {pixels(diagnosis.held_out.rms)}, "
        f"{diagnosis.held_out.rms / diagnosis.used.rms:.2f} times that of the frames in use"
        + (f"; in {name}, the worst, {ratios[worst]:.2f} times." if len(ratios) > 1 else "."),
        "" if level == Level.GOOD else f"Film {name} again: more views, also at the border of its image.",
        f"Good up to {_HELD_OUT[0]:g} times, broken above {_HELD_OUT[1]:g}: then parameters follow noise.",
        f"{name} predicts new frames badly ({ratios[worst]:.1f} times the error)",
        f"{pixels(diagnosis.held_out.rms)} on left-out frames",
    )


def lengths(diagnosis: Diagnosis) -> Finding:
    """Whether the board's squares come out as long as printed."""
    question, overall = "Are lengths in the volume right?", diagnosis.lengths
    if overall is None:
        alone = len(diagnosis.cameras) == 1
        return Finding(
            question,
            Level.UNKNOWN,
            "One camera measures no lengths."
            if alone
            else "There are too few frames to leave any out."
            if diagnosis.held_out is None
            else "No corner was seen by two cameras in a left-out frame.",
            "" if alone else "Show the board to two cameras at once, in 20 frames or more.",
            concern="no length was measured",
        )
    told = [region for region in diagnosis.regions if abs(region.mean) > _REGION_SIGNIFICANCE * region.error]
    worst = max(told, key=lambda region: abs(region.mean), default=overall)
    level = max(
        graded(abs(overall.mean) / diagnosis.square, _LENGTH_BIAS),
        graded(abs(worst.mean) / diagnosis.square / 3, _LENGTH_BIAS),
    )
    unit = diagnosis.unit
    where = "everywhere" if worst is overall else f"{worst.region} as {diagnosis.cameras[0].name} sees it"
    return Finding(
        question,
        level,
        f"Squares of {diagnosis.square:g} {unit} measure {overall.mean_length:.3f} {unit} on average on left-out "
        f"frames, {overall.rms:.3f} {unit} RMS error; "
        + (
            f"no region stands out from the mean error of {_signed(overall.mean)} {unit}."
            if worst is overall
            else f"the mean is farthest off {where}: {_signed(worst.mean)} {unit}."
        ),
        ""
        if level == Level.GOOD
        else "Measure a square of the printed board, and check that the board is flat."
        if worst is overall
        else f"Check that the board is flat. Film it {where}, in view of all cameras.",
        f"The mean is good up to {_LENGTH_BIAS[0]:.1%} of the length (three times that in a region), broken above "
        f"{_LENGTH_BIAS[1]:.0%}. Corners are triangulated without knowing the board.",
        f"lengths are off by {_signed(worst.mean)} {unit} {where}",
        f"squares of {diagnosis.square:g} {unit} come out at {overall.mean_length:.2f} {unit}",
    )


def instants(calibration: Calibration) -> Finding | None:
    """Whether what is matched was seen at one instant; None for a single camera."""
    if len(calibration.rig) == 1:
        return None
    question, clocks, excess = "Were the pictures taken at the same instants?", calibration.clocks, calibration.excess
    together = f"All cameras together miss the board by {excess:.1f} times what each does alone"
    limits = (
        f"Looked at from {EXCESS:g} times on: corners are found equally well in one view and in many, so that more "
        "comes from clocks, from a board that bends, or from lenses."
    )
    if clocks is not None:
        late = ", ".join(
            f"{name} {1000 * offset:+.0f} ± {1000 * deviation:.0f} ms"
            for name, offset, deviation in zip(
                calibration.rig.names[1:], clocks.offsets[1:], clocks.deviations[1:], strict=True
            )
        )
        first = calibration.rig.names[0]
        return Finding(
            question,
            Level.LOOK,
            f"No. By the motion of the board, to be added to the clock of each camera to get that of {first}: {late}. "
            f"That is corrected in this calibration. {together} even so.",
            "Run pose3d sync on everything that was filmed with these cameras before 3D positions are made of it. "
            "Here, film the board held still for a second at each place.",
            limits,
            f"pictures were taken up to {1000 * float(np.ptp(clocks.offsets)):.0f} ms apart",
        )
    if not np.isfinite(excess) or excess > EXCESS:
        return Finding(
            question,
            Level.LOOK if np.isfinite(excess) else Level.UNKNOWN,
            f"Perhaps not. {together}, and its motion does not tell why.",
            "Film the board held still for a second at each place, check that it is flat, and run pose3d sync on the "
            "recordings.",
            limits,
            f"the cameras together miss the board by {excess:.1f} times what each does alone",
        )
    return Finding(question, Level.GOOD, f"Nothing speaks against it. {together}.", "", limits)


def flatness(calibration: Calibration) -> Finding:
    """Whether the board is flat."""
    question, unit = "Is the board flat?", calibration.rig.unit
    estimated = float(np.ptp(calibration.board_points[:, 2]))
    if estimated > 0:
        return Finding(
            question,
            Level.GOOD,
            f"Its corners differ by {estimated:.2g} {unit} in height. That was estimated, and is no error any more.",
        )
    if not calibration.bend:
        return Finding(question, Level.GOOD, "Nothing is explained better by a board that is not.")
    return Finding(
        question,
        Level.LOOK,
        f"No: its corners differ by {calibration.bend:.2g} {unit} in height; that explains what a flat board does not.",
        "Calibrate again with --bend, or glue the board to a stiff, flat plate and film it again.",
        "Told where chance would give one flat board in a thousand such heights, from 0.05 % of its diagonal on.",
        f"the board is not flat ({calibration.bend:.2g} {unit})",
    )


def outliers(diagnosis: Diagnosis) -> Finding:
    """How many corners have nothing to do with what they should be, and whether the others are enough."""
    worst = max(diagnosis.cameras, key=lambda camera: (_mistaken(camera), np.nan_to_num(camera.used.outliers)))
    level, used, held = _mistaken(worst), worst.used, worst.held_out
    share = percent(used.outliers)
    answer = f"{percent(diagnosis.used.outliers)} of the corners are no noise and were given no weight"
    if used.outliers > 0 and len(diagnosis.cameras) > 1:
        answer += f"; most in {worst.name}: {share}"
    concern = f"{share} of the corners of {worst.name} were refused"
    if level != Level.GOOD and np.isfinite(used.outliers):
        answer += f". {_remaining(worst)} corners of {worst.name} remain"
        if held is not None and np.isfinite(held.outliers):
            answer += f"; of left-out frames {percent(held.outliers)} are refused"
            if held.outliers - used.outliers > _NEW_OUTLIERS:
                concern = f"{percent(held.outliers)} of the corners of {worst.name} in left-out frames do not fit"
    return Finding(
        "Were corners mistaken?",
        level,
        f"{answer}.",
        ""
        if level == Level.GOOD
        else f"Look at the worst views of {worst.name}: blur, reflections, a second board? Take it out of sight and "
        f"film {worst.name} again{'; until then, the calibration rests on the others' if level == Level.LOOK else ''}.",
        f"Good up to {_OUTLIERS[0]:.0%}. Broken above {_OUTLIERS[1]:.0%}, where fewer than {_REMAINING} corners "
        f"remain, or where left-out frames have {_NEW_OUTLIERS:.0%} more: what remains is what counts.",
        concern,
    )


def _mistaken(camera: CameraDiagnosis) -> Level:
    level = graded(camera.used.outliers, _OUTLIERS)
    held = np.nan if camera.held_out is None else camera.held_out.outliers
    few = level == Level.LOOK and _remaining(camera) < _REMAINING
    return Level.BROKEN if few or held - camera.used.outliers > _NEW_OUTLIERS else level


def _remaining(camera: CameraDiagnosis) -> int:
    return round(camera.used.count * (1.0 - camera.used.outliers))


def pixels(value: float) -> str:
    """A number of pixels for people."""
    return "unknown" if not np.isfinite(value) else f"{value:.2f} px" if value >= 0.1 else f"{value:.2g} px"


def _signed(length: float) -> str:
    return f"{round(length, 3) + 0.0:+.3f}"
