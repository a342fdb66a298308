"""When feet meet the ground and leave it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pose3d.kinematics._gait_ground import Ground, walkers_of
from pose3d.kinematics._gait_legs import Timing, legs_of, timing_of
from pose3d.kinematics._gait_settings import GaitSettings
from pose3d.kinematics._gait_steps import Steps, steps_of
from pose3d.kinematics.event_tables import CONTACT, LIFT_OFF, make_events
from pose3d.kinematics.treadmill import found_ground
from pose3d.skeleton import Leg, Skeleton

__all__ = ["GaitSettings", "gait_events"]

# Why a leg has no steps, by the values of `leg_status`.
STATUS = (
    "steps_found",
    "missing",
    "too_short",
    "stands_still",
    "speed_does_not_tell_standing_from_swinging",
    "moves_no_more_than_the_noise",
    "no_contact_and_lift_off_in_turn",
)


def gait_events(
    poses: xr.Dataset,
    skeleton: Skeleton | None = None,
    settings: GaitSettings | None = None,
    *,
    legs: Sequence[str | Leg] | None = None,
) -> xr.Dataset:
    """When the feet of all individuals meet the ground (contact) and leave it (lift-off), between frames too.

    Methods, in `settings.method`:

    - "speed": a foot stands while it is slow over the ground, on a treadmill over the belt. The threshold is that which
      parts its speeds best. A foot that is one point comes to rest at the moment that its mean swing shows; of a foot
      with heel and toe, contact is when the heel, lift-off when the toe passes a share of its fast speed.
    - "height_speed": the same; to stand, a foot must also be low over the plane it stands on.
    - "zeni": contact where the heel is farthest to the front of the hip or body, lift-off where the toe is farthest to
      the rear (J. A. Zeni, J. G. Richards, J. S. Higginson, Gait and Posture 27 (2008)); needs no ground.
    - "high_pass": the same with the way of the foot, high-pass filtered, instead of its place relative to the body
      (E. Desailly et al., Gait and Posture 29 (2009)).
    - "automatic": "speed"; lift-offs of feet with heel and toe are those of "zeni", since their markers leave the
      ground before the tip of the toe does. "zeni" alone where the speed of the belt cannot be found or the speed of
      the foot does not tell standing from swinging.

    Contacts and lift-offs of a leg take turns: of all candidates the most credible sequence is taken, by dynamic
    programming over the evidence between them and the usual lengths of stance and swing. Long gaps in the positions
    are not bridged.

    Args:
        poses: Poses3D with a frame rate.
        skeleton: its legs are looked at.
        settings: how; the defaults where None.
        legs: names of legs of the skeleton or of keypoints that are feet, or legs; all of the skeleton by default.

    Returns:
        Over `event`, by time: `event_time` (s), `event_time_std` (s), `event_frame` (the nearest), `event_leg`,
        `event_individual`, `event_kind` ("contact", "lift_off"), `event_confidence` (0 to 1) and `event_method`. Over
        leg and individual: `leg_status` (0, or why there are no steps) and `candidates_dropped`. Over individual:
        `belt_speed`, `belt_speed_std` (0 overground), `stride_period` (NaN where the motion has none) and
        `travel_direction` (the mean, a unit vector). Attributes `up`, `method` and `surface` say what was used.

    Raises:
        InvalidValueError: the poses are not Poses3D or have no frame rate, or there is no such leg.
    """
    chosen = GaitSettings() if settings is None else settings
    timing, feet = timing_of(poses), legs_of(poses, skeleton, legs)
    names = [str(name) for name in poses["individual"].values]
    walkers, up = walkers_of(poses, names, skeleton, feet, timing, chosen)
    grounds, found = [], []
    for walker in walkers:
        ground = found_ground(walker, timing.rate, up, chosen)
        grounds.append(ground)
        found.append(steps_of(walker, ground, timing.rate, chosen, chosen.method))
    events = _events(found, names, feet, timing)
    unit = str(poses["position"].attrs.get("units", ""))
    about = _about(found, grounds, unit).assign_coords(
        individual=names, leg=[leg.name for leg in feet], space=poses["space"].values
    )
    surfaces = dict.fromkeys("treadmill" if ground.treadmill else "overground" for ground in grounds)
    sign = "-" if up.sum() < 0 else ""
    return xr.merge([events, about]).assign_attrs(
        method=chosen.method, up=sign + "xyz"[int(np.abs(up).argmax())], surface=" ".join(surfaces)
    )


def _events(found: list[list[Steps]], names: list[str], legs: Sequence[Leg], timing: Timing) -> xr.Dataset:
    rows = [
        (steps, name, leg.name)
        for of_one, name in zip(found, names, strict=True)
        for steps, leg in zip(of_one, legs, strict=True)
    ]
    place = np.concatenate([steps.place for steps, _, _ in rows])
    time, frame = timing.at(place)
    return make_events(
        time,
        np.rint(frame).astype(np.int64),
        np.concatenate([np.full(len(steps.place), leg, dtype=np.object_) for steps, _, leg in rows]),
        np.concatenate([np.full(len(steps.place), name, dtype=np.object_) for steps, name, _ in rows]),
        np.concatenate([np.where(steps.lifts, LIFT_OFF, CONTACT) for steps, _, _ in rows]),
        confidence=np.concatenate([steps.confidence for steps, _, _ in rows]),
        deviation=np.concatenate([steps.deviation for steps, _, _ in rows]) / timing.rate,
        method=np.concatenate([steps.method for steps, _, _ in rows]),
    )


def _about(found: list[list[Steps]], grounds: list[Ground], unit: str) -> xr.Dataset:
    status = np.array([[_code(steps.reason) for steps in of_one] for of_one in found], dtype=np.int8).T
    dropped = np.array([[steps.dropped for steps in of_one] for of_one in found], dtype=np.int64).T
    speed = {"units": f"{unit}/s"}
    period = [ground.period if ground.periodic else np.nan for ground in grounds]
    return xr.Dataset(
        {
            "leg_status": (
                ("leg", "individual"),
                status,
                {
                    "long_name": "why a leg has no steps",
                    "units": "1",
                    "flag_values": np.arange(len(STATUS), dtype=np.int8),
                    "flag_meanings": " ".join(STATUS),
                },
            ),
            "candidates_dropped": (
                ("leg", "individual"),
                dropped,
                {"long_name": "possible events that are none", "units": "1"},
            ),
            "belt_speed": ("individual", [g.belt for g in grounds], {"long_name": "speed of the belt", **speed}),
            "belt_speed_std": (
                "individual",
                [g.belt_std for g in grounds],
                {"long_name": "standard deviation of the speed of the belt", **speed},
            ),
            "stride_period": ("individual", period, {"long_name": "usual time of a stride", "units": "s"}),
            "travel_direction": (
                ("individual", "space"),
                [_mean_direction(ground.direction) for ground in grounds],
                {"long_name": "mean direction of travel", "units": "1"},
            ),
        }
    )


def _mean_direction(direction: NDArray[np.float64]) -> NDArray[np.float64]:
    known = direction[np.isfinite(direction).all(axis=1)]
    mean = known.mean(axis=0) if len(known) else np.full(3, np.nan)
    length = np.linalg.norm(mean)
    return np.asarray(mean / length if length > 0 else np.full(3, np.nan))


def _code(reason: str) -> int:
    return STATUS.index(reason.replace(" ", "_").replace("-", "_")) if reason else 0
