"""All kinematics of a recording as one Dataset: what there is for every frame, and the steps."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

import numpy as np
import xarray as xr

from calibration.errors import InvalidValueError, MismatchError, SuiteError
from pose3d.kinematics._derivative_settings import DerivativeSettings
from pose3d.kinematics._poses import at_points, check_poses, covariance_at_points, is_flat, keypoint_names
from pose3d.kinematics.angles import joint_angles
from pose3d.kinematics.bodies import bone_lengths
from pose3d.kinematics.body_axes import body_axis
from pose3d.kinematics.derivatives import acceleration, jerk, speed, velocity
from pose3d.kinematics.gait import gait_events
from pose3d.kinematics.gait_phases import gait_classes, phase_differences, phases
from pose3d.kinematics.gait_strides import gait_summary, strides
from pose3d.kinematics.joints import joint_coordinates
from pose3d.kinematics.masses import center_of_mass, center_of_mass_poses
from pose3d.kinematics.paths import curvature
from pose3d.kinematics.settings import CYCLED, KinematicsSettings
from pose3d.kinematics.stride_cycles import cycle_summary, cycles
from pose3d.skeleton import Skeleton

__all__ = ["compute_kinematics", "cycle_kinematics", "frame_kinematics", "gait_kinematics"]

_OF_SEVERAL = ("sd_within", "sd_between", "low", "high")


def compute_kinematics(
    poses3d: xr.Dataset, skeleton: Skeleton | None = None, settings: KinematicsSettings | None = None
) -> xr.Dataset:
    """All kinematics of poses that fit into memory; `pose3d.pipeline.kinematics_session` does it for any length.

    Args:
        poses3d: Poses3D Dataset.
        skeleton: says what angles, joints, legs and masses there are; without it there are derivatives only.
        settings: what is computed, and how; the defaults where None.

    Returns:
        Kinematics Dataset: what `frame_kinematics` and `gait_kinematics` give.

    Raises:
        InvalidValueError: the Dataset is no Poses3D, or a setting does not fit the poses.
    """
    frames = frame_kinematics(poses3d, skeleton, settings)
    steps = gait_kinematics(poses3d, skeleton, settings)
    steps = xr.merge([steps, cycle_kinematics(frames, steps)], combine_attrs="override", join="outer")
    left_out = json.loads(frames.attrs["left_out"]) | json.loads(steps.attrs.get("left_out", "{}"))
    merged = xr.merge([frames, steps], combine_attrs="override", compat="override", join="outer")
    return merged.assign_attrs(steps.attrs | {"left_out": json.dumps(left_out)})


def frame_kinematics(
    poses3d: xr.Dataset, skeleton: Skeleton | None = None, settings: KinematicsSettings | None = None
) -> xr.Dataset:
    """What there is for every frame: derivatives, angles, joints, the body.

    Args:
        poses3d, skeleton, settings: as for `compute_kinematics`.

    Returns:
        Kinematics Dataset; each `<name>` with `<name>_std` where the poses have a covariance. `body_speed` is the
        speed of the center of mass, or of the middle of the body's axis, or of all keypoints, as its attribute `of`
        says. The attribute `left_out` is a JSON object: what was left out, and why.

    Raises:
        InvalidValueError: as for `compute_kinematics`.
    """
    if is_flat(check_poses(poses3d)):
        raise InvalidValueError(
            "poses", expected="Poses3D", got="Poses2D", remedy="Reconstruct first; single functions take 2D poses."
        )
    chosen = settings or KinematicsSettings()
    known = None if skeleton is None else _within(skeleton, poses3d)
    parts: list[xr.Dataset] = []
    left_out: dict[str, str] = {}
    for name, make in _frame_quantities(poses3d, known, chosen).items():
        if name not in chosen.quantities:
            continue
        missing = _not_defined(name, known)
        if missing:
            left_out[name] = missing
            continue
        try:
            parts.append(make())
        except (InvalidValueError, MismatchError) as error:
            if name in ("velocity", "speed", "acceleration", "body_speed"):
                raise  # nothing but the poses themselves can be wrong
            left_out[name] = _reason(error)
    merged = xr.merge(parts, combine_attrs="override", compat="override", join="override") if parts else xr.Dataset()
    merged.attrs = {}
    times = {name: poses3d[name] for name in ("time", "frame")}
    kept = {name: poses3d.attrs[name] for name in ("fps", "time_unit", "source_software") if name in poses3d.attrs}
    return merged.assign_coords(times).assign_attrs(kept | {"left_out": json.dumps(left_out)})


def gait_kinematics(
    poses3d: xr.Dataset,
    skeleton: Skeleton | None = None,
    settings: KinematicsSettings | None = None,
    *,
    events: xr.Dataset | None = None,
) -> xr.Dataset:
    """The steps: events, strides, what they have in common, and phases of the legs.

    Args:
        poses3d, skeleton, settings: as for `compute_kinematics`.
        events: those to use; found where None.

    Returns:
        Kinematics Dataset over event, stride, gait_stride, leg and individual, and time for `leg_phase`. The attribute
        `left_out` says why there is nothing, where there is nothing.

    Raises:
        InvalidValueError, MismatchError: the events do not fit the poses.
    """
    chosen = settings or KinematicsSettings()
    known = None if skeleton is None else _within(skeleton, poses3d)
    if "gait" not in chosen.quantities:
        return xr.Dataset()
    if events is None:
        if known is None or not known.anatomy.legs:
            why = "no skeleton is given" if skeleton is None else "the skeleton names no legs that the poses have"
            return xr.Dataset(attrs={"left_out": json.dumps({"gait": why})})
        try:
            events = gait_events(poses3d, known, chosen.gait)
        except InvalidValueError as error:
            return xr.Dataset(attrs={"left_out": json.dumps({"gait": _reason(error)})})
    found = strides(poses3d, events, known, chosen.gait)
    summary = gait_summary(found, poses3d, known, chosen.gait)
    parts = [events, found, summary, *_phases(poses3d, events, found, known)]
    told = {f"gait_{name}": events.attrs[name] for name in ("method", "surface", "up") if name in events.attrs}
    merged = xr.merge(parts, combine_attrs="override", compat="override", join="outer")
    merged.attrs = {}
    return merged.assign_attrs(told | {"strides_left_out": found.attrs["left_out"]})


def _phases(poses3d: xr.Dataset, events: xr.Dataset, found: xr.Dataset, skeleton: Skeleton | None) -> list[xr.Dataset]:
    """Phases of the legs over time, how far they are apart, and the gaits, over strides of their own (gait_stride)."""
    over_time = phases(poses3d, events, skeleton)
    parts = [over_time.rename(phase="leg_phase"), phase_differences(over_time)] if over_time.sizes["leg"] else []
    try:
        gaits = gait_classes(found, skeleton)
    except InvalidValueError:  # nobody says which leg is which
        return parts
    names = {f"stride_{name}": f"gait_{name}" for name in ("individual", "start", "end")}
    return [*parts, gaits.rename(names | {"stride": "gait_stride"})]


def cycle_kinematics(frames: xr.Dataset, steps: xr.Dataset) -> xr.Dataset:
    """The mean of every angle over the stride, of each individual by itself.

    Args:
        frames: angles over time, from `frame_kinematics`.
        steps: from `gait_kinematics`.

    Returns:
        What `cycle_summary` gives, with `cycle_` before its names and the dimension `cycle_phase`; empty where there
        are no angles or no strides.
    """
    names = [name for base in CYCLED for name in (base, f"{base}_std") if name in frames]
    if not names or not steps.sizes.get("stride", 0):
        return xr.Dataset()
    waveforms = cycles(frames[names], steps)
    whose = steps["stride_individual"].values.astype(str)
    own = []
    for individual in dict.fromkeys(whose.tolist()):
        summary = cycle_summary(waveforms.isel(stride=np.flatnonzero(whose == individual)))
        # of one individual there is nothing between individuals, and the band holds what the interval does
        needless = ("n_individuals", *(f"{name}_{kind}" for name in names for kind in _OF_SEVERAL))
        own.append(summary.drop_vars(needless, errors="ignore").expand_dims(individual=[individual]))
    joined = xr.concat(own, dim="individual", join="outer", combine_attrs="drop_conflicts")
    renamed = {name: f"cycle_{name}" for name in joined.data_vars} | {"phase": "cycle_phase"}
    return joined.rename(renamed).drop_attrs(deep=False)


def _frame_quantities(
    poses3d: xr.Dataset, skeleton: Skeleton | None, settings: KinematicsSettings
) -> Mapping[str, Callable[[], xr.Dataset]]:
    how = settings.derivatives
    whole: dict[str, Callable[[], xr.Dataset]] = {
        "velocity": lambda: velocity(poses3d, how),
        "speed": lambda: speed(poses3d, how),
        "acceleration": lambda: acceleration(poses3d, how),
        "jerk": lambda: jerk(poses3d, how),
        "curvature": lambda: curvature(poses3d, how),
        "body_speed": lambda: _body_speed(poses3d, skeleton, how),
    }
    body = skeleton or Skeleton("none", tuple(keypoint_names(poses3d)))
    return whole | {
        "body_axis": lambda: body_axis(poses3d, body),
        "center_of_mass": lambda: center_of_mass(poses3d, body),
        "bone_lengths": lambda: bone_lengths(poses3d, body),
        "joint_angles": lambda: joint_angles(poses3d, body),
        "joint_coordinates": lambda: joint_coordinates(poses3d, body),
    }


def _not_defined(quantity: str, skeleton: Skeleton | None) -> str:
    """Why a quantity is not there, where the skeleton does not say what it is of."""
    if quantity not in ("body_axis", "center_of_mass", "bone_lengths", "joint_angles", "joint_coordinates"):
        return ""
    if skeleton is None:
        return "no skeleton is given"
    anatomy = skeleton.anatomy
    parts: dict[str, tuple[object, str]] = {
        "body_axis": (anatomy.rear, "front and rear"),
        "center_of_mass": (anatomy.masses, "masses"),
        "bone_lengths": (skeleton.edges, "edges"),
        "joint_angles": (anatomy.angles or skeleton.edges, "angles and no edges"),
        "joint_coordinates": (anatomy.joints, "joints"),
    }
    there, words = parts[quantity]
    return "" if there else f"the skeleton names no {words} that the poses have"


def _body_speed(poses3d: xr.Dataset, skeleton: Skeleton | None, how: DerivativeSettings) -> xr.Dataset:
    if skeleton is not None and skeleton.anatomy.masses:
        of, body = "center of mass", center_of_mass_poses(poses3d, skeleton)
    else:
        anatomy = None if skeleton is None else skeleton.anatomy
        whole = anatomy is not None and bool(anatomy.rear)
        names = (*anatomy.rear, *anatomy.front) if whole and anatomy is not None else tuple(keypoint_names(poses3d))
        of = "middle of the axis of the body" if whole else "middle of all keypoints"
        body = _middle(poses3d, names)
    found = speed(body, how).isel(keypoint=0, drop=True)
    renamed = found.rename({name: f"body_{name}" for name in found.data_vars})
    renamed["body_speed"].attrs |= {"of": of, "long_name": "speed of the body"}
    return renamed


def _middle(poses3d: xr.Dataset, names: tuple[str, ...]) -> xr.Dataset:
    """Poses of the one point that is the middle of these keypoints."""
    point = poses3d[["time", "frame", "space", "individual"]].assign_attrs(poses3d.attrs)
    for name, values in (
        ("position", at_points(poses3d, [names])),
        ("covariance", covariance_at_points(poses3d, [names])),
    ):
        if values is not None:
            point[name] = values.rename(point="keypoint").transpose(*poses3d[name].dims)
    if "smoothness" in poses3d:
        point["smoothness"] = poses3d["smoothness"].mean("keypoint", keep_attrs=True).expand_dims(keypoint=1)
    point["confidence"] = (
        poses3d["confidence"].sel(keypoint=list(names)).mean("keypoint").expand_dims(keypoint=1, axis=1)
    )
    return point.assign_coords(keypoint=["body"])


def _within(skeleton: Skeleton, poses3d: xr.Dataset) -> Skeleton:
    """The skeleton with what the poses have."""
    names = keypoint_names(poses3d)
    kept = [name for name in skeleton.keypoints if name in names]
    if not kept:
        raise MismatchError(
            f"skeleton '{skeleton.name}'",
            expected=f"some of the keypoints of the poses: {', '.join(names[:8])}",
            got=", ".join(skeleton.keypoints[:8]),
            remedy="Give the skeleton that the poses were made with; names have to agree, upper and lower case too.",
        )
    return skeleton.select(kept)


def _reason(error: SuiteError) -> str:
    return f"{error.subject}: expected {error.expected}, got {error.got}"
