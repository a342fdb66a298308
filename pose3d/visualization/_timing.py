"""The finding about the step of the cameras."""

from __future__ import annotations

import numpy as np

from calibration.findings import Finding, Level, graded
from pose3d.visualization.evidence import Evidence

__all__ = ["timing_finding"]

# Frames by which a camera is ahead of the others. A quarter of a frame costs less than the noise of detection; from a
# whole frame on the videos are misaligned.
_SHIFT = (0.25, 1.0)
_SHIFT_SIGNIFICANCE = 4.0
# A camera is called out of step only where the shift explains so much of its residuals that nothing else is likely.
_EXPLAINED = 1 / 3
# Smaller estimates (frames) are zero on the page.
_SHOWN = 0.005
# Median reprojection error (px) below which nothing was measured; see the finding about agreement.
_PROJECTED = 0.001
_QUESTION = "Are the videos in step?"
_LIMITS = (
    f"From how the residuals lie along the motion, apart from an offset that does not move. Good up to {_SHIFT[0]:g} "
    f"frames; broken above {_SHIFT[1]:g}, if its residuals in fast motion shrink by more than a third without the "
    "shift. The true shift is somewhat larger than the estimate, because a late camera pulls the 3D position along."
)


def timing_finding(evidence: Evidence) -> Finding:
    """Is a camera ahead of the others or behind them?"""
    if len(evidence.cameras) < 2:
        return Finding(_QUESTION, Level.UNKNOWN, "There are no cameras to compare.", "Give the 2D poses and the rig.")
    shifts = evidence.relative_shifts()
    relative, errors, explained = shifts.T
    if np.isfinite(relative).sum() < 2:
        return Finding(_QUESTION, Level.UNKNOWN, "The keypoints move too little, or too rarely, to tell.", "")
    if float(evidence.summary(())["median"]) < _PROJECTED:
        return Finding(_QUESTION, Level.UNKNOWN, "The 2D positions are projections of 3D positions, not measurements.")
    significant = np.abs(relative) > _SHIFT_SIGNIFICANCE * errors
    judged = np.where(np.isfinite(relative) & significant, np.abs(relative), 0.0)
    levels = [
        graded(float(size), _SHIFT) if share > _EXPLAINED else min(graded(float(size), _SHIFT), Level.LOOK)
        for size, share in zip(judged, explained, strict=True)
    ]
    worst = max(range(len(judged)), key=lambda index: (levels[index], judged[index]))
    if levels[worst] == Level.GOOD:
        largest = int(np.nanargmax(np.abs(relative)))
        answer = "No camera is ahead or behind"
        if abs(relative[largest]) >= _SHOWN:
            answer += (
                f"; the largest estimate is {relative[largest]:+.2f} ± {errors[largest]:.2f} frames, of "
                f"{evidence.cameras[largest]}"
            )
        answer += "."
        return Finding(_QUESTION, Level.GOOD, answer, "", _LIMITS)
    return _out_of_step(evidence.cameras[worst], levels[worst], *shifts[worst].tolist())


def _out_of_step(camera: str, level: Level, shift: float, error: float, explained: float) -> Finding:
    direction = "ahead of" if shift > 0 else "behind"
    shows = f"its frame n shows what they show at frame n {'+' if shift > 0 else '-'} {abs(shift):.1f}"
    if explained > _EXPLAINED:
        return Finding(
            _QUESTION,
            level,
            f"{camera} is {abs(shift):.1f} frames or more {direction} the others: {shows}.",
            f"Find the frames that {camera} dropped, or its start, and align it.",
            _LIMITS,
            f"{camera} is out of step by {abs(shift):.1f} frames or more",
        )
    return Finding(
        _QUESTION,
        level,
        f"{camera} may be {direction} the others, by {abs(shift):.1f} ± {error:.1f} frames, but that explains only "
        f"{100 * max(explained, 0.0):.0f} % of its residuals in fast motion: a wrong calibration, or detections "
        "that trail the motion, look the same.",
        f"Compare a sudden event in {camera} and another video, frame by frame; if they are in step, check the "
        f"calibration of {camera}.",
        _LIMITS,
        f"{camera} may be out of step, or its calibration is off",
    )
