"""From corners to the files of a calibration: rig.toml, corners.nc and report.html."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from calibration.alignment import move_rig
from calibration.camera import Camera
from calibration.diagnosis import Diagnosis
from calibration.errors import FileFormatError
from calibration.findings import Verdict
from calibration.formats import UNCERTAINTY_FILE, save_corners, save_rig, save_rig_uncertainty
from calibration.observations import Source, open_source
from calibration.report import write_report
from calibration.rig import Rig
from calibration.rig_calibration import Calibration
from calibration.rig_uncertainty import RigUncertainty
from calibration.transforms import RigidTransform

if TYPE_CHECKING:
    from pose3d.pipeline.refinement import Refinement

__all__ = ["CalibrationFiles", "save_calibration", "save_lenses"]


@dataclass(frozen=True)
class CalibrationFiles:
    """What was written.

    Attributes:
        rig, corners, report: files.
        uncertainty: of the rig; there is none where a parameter is not determined.
    """

    rig: Path
    corners: Path
    report: Path
    uncertainty: Path

    @classmethod
    def inside(cls, folder: Path) -> CalibrationFiles:
        """The files of a folder."""
        return cls(folder / "rig.toml", folder / "corners.nc", folder / "report.html", folder / UNCERTAINTY_FILE)

    def paths(self) -> tuple[Path, ...]:
        """Those that are always there."""
        return self.rig, self.corners, self.report

    def written(self) -> tuple[Path, ...]:
        """All that are there."""
        return (*self.paths(), *((self.uncertainty,) if self.uncertainty.exists() else ()))


def save_calibration(
    folder: Path,
    calibration: Calibration,
    diagnosis: Diagnosis,
    verdict: Verdict,
    *,
    corners: xr.Dataset,
    new_from_world: RigidTransform | None = None,
    aligned_by: str = "",
    refined: Refinement | None = None,
    sources: Mapping[str, Source] | None = None,
    provenance: Mapping[str, object] | None = None,
) -> CalibrationFiles:
    """Write a calibration: the report first and the rig last, so that a rig never stands there without its report.

    Args:
        folder: where to.
        calibration, diagnosis, verdict: the outcome and what it is worth.
        corners: Corners Dataset that it was made from, all frames.
        new_from_world: the world frame of the files; that of the first camera by default.
        aligned_by: how the world frame was chosen, in words.
        refined: a refinement of the cameras, in the world of the calibration.
        sources: the pictures, for those of the worst views.
        provenance: inputs, settings and versions.

    Raises:
        OutputError: a file cannot be written.
    """
    files = CalibrationFiles.inside(folder)
    rig = calibration.rig if refined is None else refined.rig
    adjustment = refined.adjustment if refined is not None and refined.accepted else calibration.adjustment
    rig = rig if new_from_world is None else move_rig(rig, new_from_world)
    rig = replace(rig, metadata=_metadata(calibration, diagnosis, verdict, aligned_by))
    write_report(
        files.report,
        calibration=calibration,
        diagnosis=diagnosis,
        verdict=verdict,
        rig=rig,
        pictures=_worst_pictures(diagnosis, sources or {}),
        provenance=provenance,
        title=folder.resolve().name,
    )
    save_corners(corners, files.corners)
    files.uncertainty.unlink(missing_ok=True)
    if adjustment.covariance is not None:
        uncertainty = RigUncertainty.of(rig, adjustment.labels, adjustment.covariance)
        save_rig_uncertainty(uncertainty, files.uncertainty)
    save_rig(rig, files.rig, format="rig-toml")
    return files


def save_lenses(folder: Path, cameras: Sequence[Camera], unit: str) -> Path:
    """Write lenses without poses: rig.toml, which says that its poses mean nothing.

    Args:
        folder: where to.
        cameras: the cameras.
        unit: of the board.

    Raises:
        OutputError: the file cannot be written.
    """
    target = folder / "rig.toml"
    save_rig(Rig(tuple(cameras), unit=unit, metadata={"lenses_only": True}), target, format="rig-toml")
    return target


def _metadata(calibration: Calibration, diagnosis: Diagnosis, verdict: Verdict, aligned_by: str) -> dict[str, object]:
    offsets: dict[str, float] = {}
    if calibration.clocks is not None:
        known = zip(calibration.rig.names, calibration.clocks.offsets, strict=True)
        offsets = {name: round(float(offset), 6) for name, offset in known}
    values: dict[str, object] = {
        "verdict": verdict.level.words,
        "board": str(calibration.board),
        "frames": calibration.corners.sizes["frame"],
        "rms_reprojection_error_px": round(diagnosis.used.rms, 4),
        "world": aligned_by or f"the frame of camera {calibration.rig.names[0]}",
    }
    if diagnosis.held_out is not None and np.isfinite(diagnosis.held_out.rms):
        values["rms_reprojection_error_of_left_out_frames_px"] = round(diagnosis.held_out.rms, 4)
    return values | ({"clock_offsets_s": offsets} if offsets else {})


def _worst_pictures(diagnosis: Diagnosis, sources: Mapping[str, Source]) -> dict[tuple[str, int], NDArray[np.uint8]]:
    """The pictures of the worst views; a report without one of them is better than none."""
    pictures = {}
    for view in diagnosis.worst:
        if view.camera in sources and view.picture is not None:
            with suppress(FileFormatError), open_source(sources[view.camera]) as opened:
                pictures[view.camera, view.picture] = opened.read(view.picture).image
    return pictures
