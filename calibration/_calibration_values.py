"""All numbers of a calibration, its diagnosis and verdict as plain values, as for JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from calibration.diagnosis import POSE_PARAMETERS, CameraDiagnosis, Diagnosis, Errors, LengthErrors, lens_values
from calibration.findings import Verdict
from calibration.rig_calibration import Calibration

__all__ = ["to_dict"]


def to_dict(calibration: Calibration, diagnosis: Diagnosis, verdict: Verdict) -> dict[str, Any]:
    """Everything that is known of a calibration as dicts, lists, text and numbers; what is not known is None.

    Names end in the unit where there is one: `_px`, `_s`, `_rad`; lengths are in the unit that stands at "unit".

    Args:
        calibration: the outcome.
        diagnosis: its numbers.
        verdict: their meaning.
    """
    adjustment, clocks, names = calibration.adjustment, calibration.clocks, calibration.rig.names
    values = {
        "unit": diagnosis.unit,
        "board": str(calibration.board),
        "square": diagnosis.square,
        "frames": calibration.corners.sizes["frame"],
        "frames_of_single_cameras": (~calibration.shared).sum(),
        "verdict": _verdict(verdict),
        "all": {"used": _errors(diagnosis.used), "held_out": _errors(diagnosis.held_out)},
        "cameras": {camera.name: _camera(calibration, camera) for camera in diagnosis.cameras},
        "overlap": {"cameras": names, "frames": diagnosis.overlap},
        "lengths": {
            "everywhere": None if diagnosis.lengths is None else _lengths(diagnosis.lengths),
            "regions": [_lengths(region) for region in diagnosis.regions],
        },
        "excess": calibration.excess,
        "bend": calibration.bend,
        "clocks": clocks
        and {
            name: {"offset_s": offset, "standard_deviation_s": deviation}
            for name, offset, deviation in zip(names, clocks.offsets, clocks.deviations, strict=True)
        },
        "worst_views": [
            {
                "camera": view.camera,
                "frame": view.frame,
                "picture": view.picture,
                "median_px": view.median,
                "outliers": view.outliers,
            }
            for view in diagnosis.worst
        ],
        "fit": {
            "status": adjustment.status.name.lower(),
            "iterations": adjustment.iterations,
            "scaled_gradient": adjustment.gradient_norm,
            "cost": adjustment.cost,
        },
        "warnings": calibration.warnings,
    }
    plain: dict[str, Any] = _plain(values)
    return plain


def _verdict(verdict: Verdict) -> dict[str, object]:
    return {
        "level": verdict.level.name.lower(),
        "headline": verdict.headline,
        "findings": [
            {
                "question": finding.question,
                "level": finding.level.name.lower(),
                "answer": finding.answer,
                "next_step": finding.next_step,
                "limits": finding.limits,
            }
            for finding in verdict.findings
        ],
    }


def _camera(calibration: Calibration, camera: CameraDiagnosis) -> dict[str, object]:
    place = calibration.rig.names.index(camera.name)
    own, lens = calibration.rig.cameras[place], calibration.lenses[camera.name]
    pose = own.cam_from_world
    deviations = {name: value for name, value in camera.deviations.items() if name not in POSE_PARAMETERS}
    pose_deviations = [camera.deviations.get(name, np.nan) for name in POSE_PARAMETERS]
    return {
        "frames": camera.boards,
        "corners": camera.corners,
        "noise_px": calibration.adjustment.noise[place],
        "used": _errors(camera.used),
        "held_out": _errors(camera.held_out),
        "covered": camera.covered,
        "coverage": camera.coverage,
        "bare": camera.bare,
        "reach": camera.reach,
        "radial_trend": {
            "radius_px": camera.trend.radius,
            "mean_px": camera.trend.mean,
            "standard_error_px": camera.trend.error,
            "advice": camera.trend.advice,
        },
        "lens": {
            "model": None if camera.model is None else camera.model.name,
            "type": own.lens.model,
            "size_px": own.size,
            "values": lens_values(own.lens),
            "standard_deviations": deviations,
            "held_out_px_by_model": dict(lens.held_out),
        },
        "pose": {
            "rotation": pose.rotation,
            "translation": pose.translation,
            "center": own.center,
            "standard_deviations_rad": pose_deviations[:3],
            "standard_deviations": pose_deviations[3:],
        },
    }


def _errors(errors: Errors | None) -> dict[str, object] | None:
    if errors is None:
        return None
    return {
        "count": errors.count,
        "outliers": errors.outliers,
        "rms_px": errors.rms,
        "median_px": errors.median,
        "p95_px": errors.p95,
    }


def _lengths(lengths: LengthErrors) -> dict[str, object]:
    return {
        "region": lengths.region,
        "center": lengths.center,
        "count": lengths.count,
        "mean_error": lengths.mean,
        "standard_error": lengths.error,
        "rms_error": lengths.rms,
        "mean_length": lengths.mean_length,
    }


def _plain(value: Any) -> Any:
    """The value with arrays as lists, numbers of numpy as those of Python, and what is not finite as None."""
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    return value
