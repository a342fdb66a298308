"""From 2D poses to a result file with trajectories, whole recordings at once, in bounded memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

import xarray as xr

from calibration.errors import MismatchError
from calibration.rig import Rig
from calibration.rig_uncertainty import RigUncertainty
from pose3d.formats.session import SessionWriter
from pose3d.pipeline._disagreements import Disagreement
from pose3d.pipeline._reconstruction_statistics import ReconstructionSummary, Tally
from pose3d.pipeline._recording_checks import check_recording
from pose3d.reconstruction import Plan, TrajectorySettings, plan, reconstruct_pieces
from pose3d.skeleton import Skeleton

__all__ = ["Disagreement", "ReconstructionSummary", "reconstruct_session"]


def reconstruct_session(
    poses2d: xr.Dataset,
    rig: Rig,
    output: str | os.PathLike[str],
    *,
    skeleton: Skeleton | None = None,
    settings: TrajectorySettings | None = None,
    candidates: xr.Dataset | None = None,
    uncertainty: RigUncertainty | None = None,
    identity: xr.Dataset | None = None,
    provenance: Mapping[str, object] | None = None,
    compression: int = 0,
    workers: int | None = None,
    learned: Callable[[Plan], object] | None = None,
    progress: Callable[[int], object] | None = None,
) -> ReconstructionSummary:
    """Reconstruct the trajectories of a recording into a result file with the groups /rig, /poses2d and /poses3d.

    Noise, smoothness and bones are learned first, from blocks of the whole recording; then the pieces are written as
    they are found. Memory does not grow with the length where `poses2d` is lazily loaded, as `pose3d.load_poses2d` does
    with the project's own files, and the result does not depend on the pieces.

    Args:
        poses2d: Poses2D Dataset.
        rig: the cameras.
        output: the netCDF file to write; it appears when it is complete.
        skeleton: names bones, mirrored pairs and ranges of angles.
        settings: how to reconstruct.
        candidates: Detections that the 2D poses are the most probable candidates of, see `pose3d.reconstruct`.
        uncertainty: of the rig, to be added to the covariance.
        identity: Identity Dataset that the 2D poses were made by, to be kept in the group /identity.
        provenance: what stands in the file's attribute of that name.
        compression: zlib level of the file, 0 to 9.
        workers: threads; as many as processors by default.
        learned: called once, with what was learned, before the first piece.
        progress: called with the number of frames after each piece.

    Raises:
        InvalidValueError: the poses do not follow the schema, or have no frame.
        MismatchError: the skeleton has no keypoint of the poses; or see `pose3d.reconstruction.match_cameras`.
        OutputError: the file cannot be written.

    Warns:
        SuiteWarning: the calibration says of itself that it is broken, or that it has lenses only.
    """
    check_recording(poses2d, rig)
    _check_skeleton(skeleton, poses2d)
    with SessionWriter(output, rig=rig, provenance=provenance, compression=compression) as writer:
        if identity is not None:
            writer.append(identity=identity)
        planned = plan(
            poses2d, rig, skeleton=skeleton, settings=settings, candidates=candidates, uncertainty=uncertainty
        )
        if learned is not None:
            learned(planned)
        tally: Tally | None = None
        for flat, solid in reconstruct_pieces(planned, workers=workers):
            writer.append(poses2d=flat, poses3d=solid)
            tally = tally or Tally(solid, planned.recording.rig)
            tally.add(flat, solid)
            if progress is not None:
                progress(solid.sizes["time"])
    assert tally is not None, "a recording has a frame, see check_recording"
    return tally.summary()


def _check_skeleton(skeleton: Skeleton | None, poses2d: xr.Dataset) -> None:
    """A skeleton of other keypoints would silently be none."""
    found = [str(name) for name in poses2d["keypoint"].values]
    if skeleton is not None and not set(skeleton.keypoints) & set(found):
        raise MismatchError(
            f"skeleton '{skeleton.name}'",
            expected=f"some of the keypoints of the 2D poses: {', '.join(found[:8])}",
            got=", ".join(skeleton.keypoints[:8]),
            remedy="Give the skeleton that the 2D poses were made with; names have to agree, upper and lower case too.",
        )
