"""Joint coordinates: the three angles of a segment in the system of another (Grood and Suntay 1983, and its kin)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple
from warnings import warn

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from calibration.errors import InvalidValueError, SuiteWarning
from pose3d.kinematics._angle_lines import (
    DEGENERATE,
    FOUND,
    GIMBAL_LOCK,
    MISSING,
    NEAR_SINGULAR,
    Lines,
    Output,
    Sources,
    chosen,
    computed,
    lines_between,
    sources_of,
    status_attributes,
)
from pose3d.kinematics._poses import keypoint_names
from pose3d.kinematics._rotation_continuity import unwrapped
from pose3d.kinematics._rotation_frames import (
    Frames,
    axes_of,
    covariances_of,
    ends_of,
    frames_in,
    turning,
    vectors_of,
)
from pose3d.kinematics._rotation_sequences import angles_of_sequence, axes_of_sequence, rotation_of_sequence
from pose3d.kinematics.segments import check_solid
from pose3d.rhythm import rhythm_of
from pose3d.skeleton import WORLD, Joint, Segment, Skeleton

__all__ = ["joint_coordinates", "joint_rotations", "neutral_pose"]

Array = NDArray[np.float64]
Codes = NDArray[np.int8]

# The sine of the angle between the first and the last axis below which rounding alone would turn one against the
# other by more than 1e-10.
_LOCKED = 1e-6
# The mean resultant length of a static trial below which it was none: a standard deviation of 15 degrees.
_STATIC = 0.966


class _Plan(NamedTuple):
    """Joints, and the segments and lines that they need.

    The proximal one is -1 for the world. The lines of a joint are two of its distal segment, then two of the proximal
    one.
    """

    joints: list[Joint]
    axes: NDArray[np.int64]
    lines: Lines
    proximal: NDArray[np.int64]
    distal: NDArray[np.int64]
    sources: Sources


def joint_coordinates(poses: xr.Dataset, skeleton: Skeleton, joints: Sequence[str | Joint] | None = None) -> xr.Dataset:
    """The three angles of joints.

    The rotation `proximal_from_distal` is the product of rotations about the axes of the sequence (intrinsic): the
    first is about an axis of the proximal segment, the last about one of the distal segment, and the second about the
    floating axis between. Each is told with its sign, minus its neutral value.

    Args:
        poses: Poses3D; lazy ones give lazy results.
        skeleton: its joints and segments.
        joints: names, or further joints between its segments; by default all whose keypoints the poses have.

    Returns:
        `joint_coordinate` (time, joint, component, individual) in rad: above -pi and up to pi where a run of frames
        without a gap begins, and unwrapped from there. The coordinate `angle_name` (joint, component) says what a
        component of a joint is. `joint_coordinate_status` (time, joint, individual): why there is none, that the lines
        of a segment are nearly one, or gimbal lock: the first and the last axis are within 10 degrees of each other.
        Then the first and last angle are uncertain, with errors in opposite directions (alike where the axes are
        opposite); where both axes are the same, the two are missing. `joint_coordinate_std` where the poses have
        covariance: first order, errors of different keypoints count as independent.

    Raises:
        InvalidValueError: the Dataset is no Poses3D, there is no joint, a joint contradicts itself, or a name or
            keypoint is unknown.
    """
    plan = _planned(poses, skeleton, joints)
    count, individuals = len(plan.joints), poses.sizes["individual"]

    shape = ("joint", "component", "individual"), (count, 3, individuals)
    value, status, *error = computed(poses, _coordinates(plan), _outputs(poses, Output(*shape)))
    result = xr.Dataset(
        {
            "joint_coordinate": unwrapped(value, rhythm_of(poses).slot).assign_attrs(
                units="rad", long_name="joint coordinate"
            ),
            "joint_coordinate_status": status.assign_attrs(status_attributes("joint coordinate", GIMBAL_LOCK)),
        }
    )
    if error:
        result["joint_coordinate_std"] = error[0].assign_attrs(
            units="rad", long_name="standard deviation of the joint coordinate"
        )
    names = [list(joint.angles) for joint in plan.joints]
    return result.assign_coords(
        joint=[joint.name for joint in plan.joints],
        component=["first", "second", "third"],
        angle_name=(("joint", "component"), names),
    )


def joint_rotations(poses: xr.Dataset, skeleton: Skeleton, joints: Sequence[str | Joint] | None = None) -> xr.Dataset:
    """How far joints are turned out of their neutral pose, all axes together: free of sequences and of gimbal lock.

    Args:
        poses, skeleton, joints: as for `joint_coordinates`.

    Returns:
        `joint_rotation` (time, joint, individual) in rad from 0 to pi, the angle of the one rotation that turns the
        distal segment from its neutral pose into what it is, `helical_axis` (time, joint, axis, individual), the unit
        vector in the proximal system that it is about (NaN where there is no rotation), `joint_rotation_status`, and
        `joint_rotation_std` where the poses have covariance: first order; NaN where there is no axis.

    Raises:
        InvalidValueError: see `joint_coordinates`.
    """
    plan = _planned(poses, skeleton, joints)
    neutral = np.stack(
        [rotation_of_sequence(np.deg2rad(joint.neutral) * joint.signs, joint.sequence) for joint in plan.joints]
    )

    def work(position: Array, covariance: Array | None, /) -> tuple[NDArray[np.generic], ...]:
        frames, rotation, status = _rotations(position, plan)
        turn = rotation @ np.swapaxes(neutral, -1, -2)
        axis = 0.5 * np.stack([turn[..., k, j] - turn[..., j, k] for j, k in ((1, 2), (2, 0), (0, 1))], axis=-1)
        sine = np.linalg.norm(axis, axis=-1)
        angle = np.arctan2(sine, 0.5 * (np.trace(turn, axis1=-2, axis2=-1) - 1.0))
        with np.errstate(invalid="ignore", divide="ignore"):
            axis = np.where(sine[..., None] > _LOCKED, axis / sine[..., None], np.nan)
        found: tuple[NDArray[np.generic], ...] = (angle, status)
        if covariance is not None:
            variance = _variances(covariance, plan, frames, _in_world(frames, plan, axis[..., None, :]))[..., 0]
            found = (*found, np.sqrt(np.maximum(variance, 0.0)))
        return (*found, axis)

    count, individuals = len(plan.joints), poses.sizes["individual"]
    shape = ("joint", "individual"), (count, individuals)
    axes = Output(("joint", "axis", "individual"), (count, 3, individuals))
    value, status, *error, axis = computed(poses, work, [*_outputs(poses, Output(*shape)), axes])
    result = xr.Dataset(
        {
            "joint_rotation": value.assign_attrs(units="rad", long_name="rotation out of the neutral pose"),
            "joint_rotation_status": status.assign_attrs(status_attributes("joint rotation")),
            "helical_axis": axis.assign_attrs(units="1", long_name="axis of the rotation, in the proximal system"),
        }
    )
    if error:
        result["joint_rotation_std"] = error[0].assign_attrs(
            units="rad", long_name="standard deviation of the rotation out of the neutral pose"
        )
    return result.assign_coords(joint=[joint.name for joint in plan.joints], axis=["x", "y", "z"])


def neutral_pose(
    poses: xr.Dataset,
    skeleton: Skeleton,
    frames: Sequence[int] | slice | None = None,
    *,
    individual: str | None = None,
) -> Skeleton:
    """The skeleton whose joints are neutral as they are in a static trial.

    Args:
        poses: Poses3D.
        skeleton: its joints get the circular means of their angles over these frames as `neutral`. Joints without
            values, and first and last angles at gimbal lock, keep what they have, with a warning.
        frames: frame numbers; a slice of them has its first number and the one after its last; all by default.
        individual: whose pose it is, where the poses have several.

    Raises:
        InvalidValueError: there are no such frames, several individuals and none of them named, no joints, or an
            individual is unknown.
    """
    trial = _trial(poses, frames, individual)
    bare = tuple(replace(joint, neutral=(0.0, 0.0, 0.0)) for joint in skeleton.anatomy.joints)
    plain = replace(skeleton, anatomy=replace(skeleton.anatomy, joints=bare))
    found = joint_coordinates(trial, plain).isel(individual=0).load()
    with np.errstate(invalid="ignore", divide="ignore"):
        known = found["joint_coordinate"].notnull() & (
            (found["joint_coordinate_status"] != GIMBAL_LOCK) | (found["component"] == "second")
        )
        values = xr.apply_ufunc(lambda angle: np.exp(1j * angle), found["joint_coordinate"]).where(known, 0.0)
        mean = values.sum("time") / known.sum("time")
    joints = []
    for joint in skeleton.anatomy.joints:
        here = mean.sel(joint=joint.name).values if joint.name in found["joint"] else np.full(3, np.nan + 0j)
        kept = [f"{name} stays, it has no value" for name, each in zip(joint.angles, here, strict=True) if each != each]
        moved = [f"{name} moves" for name, each in zip(joint.angles, here, strict=True) if abs(each) < _STATIC]
        if kept or moved:
            warn(f"neutral pose of '{joint.name}': {', '.join([*kept, *moved])}", SuiteWarning, stacklevel=2)
        first, second, third = map(float, np.where(np.isnan(here), joint.neutral, np.rad2deg(np.angle(here))))
        joints.append(replace(joint, neutral=(first, second, third)))
    return replace(skeleton, anatomy=replace(skeleton.anatomy, joints=tuple(joints)))


def _trial(poses: xr.Dataset, frames: Sequence[int] | slice | None, individual: str | None) -> xr.Dataset:
    check_solid(poses, "joints")
    names = [str(name) for name in poses["individual"].values]
    if individual not in names and not (individual is None and len(names) == 1):
        raise InvalidValueError(
            "individual",
            expected=f"one out of {', '.join(names)}",
            got=str(individual),
            remedy="Name the one whose pose is neutral.",
        )
    number = poses["frame"].values
    kept = np.ones(len(number), dtype=bool)
    if isinstance(frames, slice):
        kept &= number >= (0 if frames.start is None else frames.start)
        kept &= number < (np.inf if frames.stop is None else frames.stop)
    elif frames is not None:
        kept = np.isin(number, np.asarray(frames))
    if not kept.any():
        raise InvalidValueError(
            "frames of the static trial",
            expected="numbers of frames that the poses have",
            got=str(frames),
            remedy=f"The poses have {len(number)} frames" + (f", {number[0]} to {number[-1]}." if len(number) else "."),
        )
    return poses.isel(time=np.flatnonzero(kept)).sel(individual=[individual or names[0]])


def _planned(poses: xr.Dataset, skeleton: Skeleton, wanted: Sequence[str | Joint] | None) -> _Plan:
    check_solid(poses, "joints")
    anatomy, subject = skeleton.anatomy, f"skeleton '{skeleton.name}'"
    known = anatomy.joints if wanted is not None else anatomy.select(set(keypoint_names(poses))).joints
    joints = chosen(known, wanted, subject, "joints")
    segments = {segment.name: segment for segment in anatomy.segments}
    for joint in joints:
        problem = joint.problem({WORLD, *segments})
        if problem is not None:
            raise InvalidValueError(
                f"joint '{joint.name}'", expected=problem[0], got=problem[1], remedy="Correct its definition."
            )
    used: list[Segment] = [
        segments[name]
        for name in dict.fromkeys(name for joint in joints for name in (joint.proximal, joint.distal))
        if name != WORLD
    ]
    places = {segment.name: place for place, segment in enumerate(used)} | {WORLD: -1}
    lines = lines_between(poses, ends_of(used))
    proximal = np.array([places[joint.proximal] for joint in joints])
    distal = np.array([places[joint.distal] for joint in joints])
    sides = np.stack([distal, proximal], axis=-1)[:, :, None]
    members = np.where(sides < 0, -1, 2 * sides + [0, 1]).reshape(-1, 4)
    return _Plan(joints, axes_of(used), lines, proximal, distal, sources_of(lines, members))


def _coordinates(plan: _Plan) -> Callable[[Array, Array | None], tuple[NDArray[np.generic], ...]]:
    """What `computed` calls for joint coordinates."""

    def work(position: Array, covariance: Array | None, /) -> tuple[NDArray[np.generic], ...]:
        frames, rotation, status = _rotations(position, plan)
        value = np.empty((*rotation.shape[:3], 3))
        along = np.empty((*value.shape, 3))
        for place, joint in enumerate(plan.joints):
            raw = angles_of_sequence(rotation[:, :, place], joint.sequence)
            along[:, :, place], apart = axes_of_sequence(rotation[:, :, place], joint.sequence, raw[..., 0])
            raw[..., [0, 2]] = np.where(apart[..., None] > _LOCKED, raw[..., [0, 2]], np.nan)
            value[:, :, place] = raw * joint.signs - np.deg2rad(joint.neutral)
            known = (status[:, :, place] != MISSING) & (status[:, :, place] != DEGENERATE)
            status[:, :, place][known & ~(apart >= np.sin(NEAR_SINGULAR))] = GIMBAL_LOCK
        found: tuple[NDArray[np.generic], ...] = (value, status)
        if covariance is not None:
            variance = _variances(covariance, plan, frames, _in_world(frames, plan, along))
            found = (*found, np.where(np.isnan(value), np.nan, np.sqrt(np.maximum(variance, 0.0))))
        return found

    return work


def _outputs(poses: xr.Dataset, value: Output) -> list[Output]:
    """The outputs of a value of each joint: itself, its status, and its error where there is covariance."""
    joints = (value.sizes[0], value.sizes[-1])
    return [value, Output(("joint", "individual"), joints, np.int8), *([value] if "covariance" in poses else [])]


def _rotations(position: Array, plan: _Plan) -> tuple[Frames, Array, Codes]:
    """The systems, (row, individual, joint, 3, 3) proximal_from_distal and (row, individual, joint) status."""
    frames = frames_in(*vectors_of(position, plan.lines), plan.axes)
    ends, codes = [], []
    for which in (plan.proximal, plan.distal):
        moves = which >= 0
        ends.append(np.where(moves[:, None, None], frames.matrix[:, :, which], np.eye(3)))
        codes.append(np.where(moves, frames.status[:, :, which], FOUND))
    rotation = np.swapaxes(ends[0], -1, -2) @ ends[1]
    status = np.where((codes[0] == MISSING) | (codes[1] == MISSING), MISSING, np.maximum(*codes))
    # of the two, what is degenerate comes before what is nearly so
    status = np.where((status != MISSING) & np.isnan(rotation[..., 0, 0]), DEGENERATE, status)
    return frames, rotation, status.astype(np.int8)


def _in_world(frames: Frames, plan: _Plan, along: Array) -> Array:
    """Directions (row, individual, joint, value, 3) in the proximal systems, as directions in the world."""
    turned = np.einsum("tijsa,tijva->tijvs", frames.matrix[:, :, plan.proximal], along)
    return np.where((plan.proximal >= 0)[:, None, None], turned, along)


def _variances(covariance: Array, plan: _Plan, frames: Frames, along: Array) -> Array:
    """(row, individual, joint, value) variances of what gains `along` times a turn of distal in proximal."""
    gradient = np.zeros((*along.shape[:4], 4, 3))
    gradient[..., :2, :] = turning(frames, plan.distal, along)
    inner = np.flatnonzero(plan.proximal >= 0)
    if len(inner):
        gradient[:, :, inner, :, 2:] = -turning(frames, plan.proximal[inner], along[:, :, inner])
    found = covariances_of(covariance, plan.sources, gradient)
    return np.einsum("...vv->...v", found)
