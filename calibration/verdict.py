"""What the numbers of a calibration mean, in words: is it good, which camera to film again, where to hold the board."""

from __future__ import annotations

from calibration import _camera_findings as cameras
from calibration import _rig_findings as rig
from calibration._calibration_values import to_dict
from calibration.diagnosis import Diagnosis
from calibration.findings import Finding, Level, Verdict
from calibration.rig_calibration import Calibration

__all__ = ["judge", "to_dict"]


def judge(diagnosis: Diagnosis, calibration: Calibration, *, lenses_only: bool = False) -> Verdict:
    """Judge a calibration by its diagnosis: the worst finding is the verdict.

    Where nothing is bad, but no frame could be left out, how good the calibration is is not known.

    Args:
        diagnosis: of the calibration.
        calibration: what is judged.
        lenses_only: whether no more than lenses was asked for: nothing is said of ties between cameras and of lengths.
    """
    prediction = rig.prediction(diagnosis)
    asked = (
        rig.convergence(calibration),
        rig.instants(calibration),  # causes come before what follows from them
        rig.flatness(calibration),
        rig.fit(diagnosis, calibration),
        prediction,
        None if lenses_only else rig.lengths(diagnosis),
        None if lenses_only else cameras.overlap(diagnosis),
        cameras.coverage(diagnosis),
        cameras.lens_models(diagnosis),
        cameras.determination(diagnosis),
        rig.outliers(diagnosis),
        cameras.noticed(calibration),
    )
    findings = [finding for finding in asked if finding is not None]
    level = max((finding.level for finding in findings if finding.level != Level.UNKNOWN), default=Level.UNKNOWN)
    if level == Level.GOOD and prediction.level == Level.UNKNOWN:
        level = Level.UNKNOWN
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
