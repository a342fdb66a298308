"""`pose3d calibrate --rig`: another world frame for a calibration, or cameras refined by 2D poses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING
from warnings import warn

import click

from calibration.errors import FileFormatError, SuiteWarning
from pose3d.cli._calibration_inputs import Inputs
from pose3d.cli._console import console, plain_number, print_json

if TYPE_CHECKING:
    import xarray as xr

    from calibration.rig import Rig
    from calibration.rig_calibration import Calibration
    from calibration.transforms import RigidTransform
    from pose3d.pipeline import Refinement

__all__ = ["change_rig", "choose_world", "refine", "refinement_as_json", "words_of_world"]


def change_rig(inputs: Inputs, *, as_json: bool) -> None:
    """Refine and align an existing calibration, and write it anew."""
    from calibration.alignment import move_rig
    from calibration.formats import load_rig, save_rig

    assert inputs.rig_path is not None  # usage was checked
    assert inputs.output is not None
    rig = load_rig(inputs.rig_path)
    refined = refine(inputs, rig, None) if inputs.refine_with else None
    rig = rig if refined is None else refined.rig
    corners = None if inputs.corners_path is None else inputs.load_corners()
    new_from_world, aligned_by = choose_world(inputs, rig, corners)
    rig = rig if new_from_world is None else move_rig(rig, new_from_world)
    added = {"world": aligned_by} if aligned_by else {}
    if refined is not None and refined.accepted:
        added["refined_with"] = ", ".join(inputs.refine_with)
    target = inputs.output / "rig.toml"
    save_rig(replace(rig, metadata={**rig.metadata, **added}), target, format="rig-toml")
    if as_json:
        print_json(_as_json(inputs, rig, refined) | {"written": [str(target)]})
        return
    from pose3d.cli._calibration_tables import show_rig

    show_rig(rig, refined, words_of_world(inputs, rig), target)


def choose_world(inputs: Inputs, rig: Rig, corners: xr.Dataset | None) -> tuple[RigidTransform | None, str]:
    """new_from_world and how it was chosen, in words; None where the world stays."""
    if inputs.align is None:
        return None, ""
    from pose3d.pipeline import WorldChoice, align_rig

    choice = WorldChoice.parse(inputs.align)
    poses3d = _poses3d(inputs, rig) if inputs.align_with else None
    return align_rig(rig, choice, corners=corners, poses3d=poses3d), inputs.align


def words_of_world(inputs: Inputs, rig: Rig) -> str:
    """Where the origin is and what the axes are after --align; "" without it."""
    if inputs.align is None:
        return ""
    from pose3d.pipeline import WorldChoice

    return WorldChoice.parse(inputs.align).words(rig, boards=not inputs.align_with)


def refine(inputs: Inputs, rig: Rig, calibration: Calibration | None) -> Refinement:
    """The rig refined by 2D poses, as far as they know better than the calibration; else the rig as it was."""
    from pose3d.formats import load_poses2d
    from pose3d.pipeline import refine_rig
    from pose3d.pipeline.refinement import prior_of_calibration

    with console().status("Refining the cameras with the 2D poses ..."):
        poses2d = load_poses2d(
            list(inputs.refine_with), rig=rig, keypoints=inputs.keypoints, frame_rate=inputs.frame_rate
        )
        prior = None if calibration is None else prior_of_calibration(calibration.adjustment)
        refined = refine_rig(
            rig,
            poses2d,
            lengths=_lengths(inputs.lengths),
            models=None if calibration is None or prior is None else calibration.models,
            prior=prior,
            minimum_confidence=inputs.min_confidence,
        )
    if not refined.accepted:
        warn(f"--refine-with: the cameras stay as they were: {refined.reason}", SuiteWarning, stacklevel=2)
    return refined


def _lengths(texts: Sequence[str]) -> dict[tuple[str, str], float]:
    """`A-B` and `A-B=LENGTH`."""
    lengths = {}
    for text in texts:
        pair, equals, value = text.partition("=")
        names = tuple(name.strip() for name in pair.split("-"))
        try:
            length = float(value) if equals else float("nan")
        except ValueError:
            length = -1.0
        if len(names) != 2 or not all(names) or length <= 0:
            raise click.UsageError(f"--length {text}: write KEYPOINT-KEYPOINT, or KEYPOINT-KEYPOINT=LENGTH.")
        lengths[names[0], names[1]] = length
    return lengths


def _poses3d(inputs: Inputs, rig: Rig) -> xr.Dataset:
    """3D poses of a result file, or 2D poses triangulated."""
    from pose3d.formats import load_poses2d, open_session
    from pose3d.reconstruction import triangulate

    if len(inputs.align_with) == 1 and inputs.align_with[0].endswith(".nc"):
        try:
            with open_session(inputs.align_with[0]) as session:
                if session.poses3d is not None:
                    return session.poses3d.load()
        except FileFormatError:
            pass  # a file of 2D poses is no session; what is wrong with it, its reader says
    poses2d = load_poses2d(list(inputs.align_with), rig=rig, keypoints=inputs.keypoints, frame_rate=inputs.frame_rate)
    return triangulate(poses2d, rig)


def _as_json(inputs: Inputs, rig: Rig, refined: Refinement | None) -> dict[str, object]:
    content: dict[str, object] = {
        "aligned_by": inputs.align,
        "world": words_of_world(inputs, rig) or None,
        "cameras": {camera.name: {"center": camera.center.tolist()} for camera in rig},
        "unit": rig.unit,
    }
    return content if refined is None else content | {"refinement": refinement_as_json(refined)}


def refinement_as_json(refined: Refinement) -> dict[str, object]:
    """What a refinement did, and why."""
    return {
        "accepted": refined.accepted,
        "reason": refined.reason,
        "points": refined.points,
        "status": refined.adjustment.status.meaning,
        "moves": {
            move.name: {
                "rotation_degrees": [plain_number(math.degrees(value)) for value in move.rotation],
                "distance": [plain_number(value) for value in move.distance],
            }
            for move in refined.moves
        },
        "median_reprojection_error_of_left_out_frames_px": {
            name: {"before": plain_number(before), "after": plain_number(after)}
            for name, before, after in zip(refined.rig.names, refined.before, refined.after, strict=True)
        },
    }
