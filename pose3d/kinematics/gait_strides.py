"""Strides: how long they take, how long and wide they are, and how alike."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from calibration.errors import MismatchError
from calibration.nearest import nearest_name
from pose3d.kinematics._gait_ground import Ground, belt_of_stances, ground_of, walkers_of, with_belt
from pose3d.kinematics._gait_legs import Timing, Walker, legs_of, timing_of
from pose3d.kinematics._gait_measures import measured, stride_places
from pose3d.kinematics._gait_regularity import regularity_of, symmetry_index
from pose3d.kinematics._gait_settings import GaitSettings
from pose3d.skeleton import Leg, Skeleton

__all__ = ["gait_summary", "strides"]

Array = NDArray[np.float64]

_TIMES = {
    "stride_start": "contact at the start",
    "stride_lift_off": "lift-off",
    "stride_end": "contact at the end",
}
_MEASURES = {
    "stride_duration": ("from contact to the next contact", "s"),
    "stance_duration": ("from contact to lift-off", "s"),
    "swing_duration": ("from lift-off to the next contact", "s"),
    "duty_factor": ("share of the stride on the ground", "1"),
    "cadence": ("strides of this leg per minute", "1/min"),
    "stride_length": ("from footprint to the next footprint", "{unit}"),
    "step_length": ("from the partner's footprint before, in the direction of travel", "{unit}"),
    "step_width": ("from the partner's footprint before, across the direction of travel", "{unit}"),
    "stride_speed": ("stride length by stride duration", "{unit}/s"),
    "foot_clearance": ("greatest height of the foot in swing over the footprints", "{unit}"),
}


def strides(
    poses: xr.Dataset,
    events: xr.Dataset,
    skeleton: Skeleton | None = None,
    settings: GaitSettings | None = None,
    *,
    legs: Sequence[str | Leg] | None = None,
) -> xr.Dataset:
    """The strides of every leg: from a contact to the next one, with one lift-off between.

    A footprint is where the foot is on average from 30 to 70 % of a stance. On a treadmill lengths are those on the
    belt. What a stride cannot have (no mirrored leg, no whole stance) is NaN. Strides in which the foot is missing for
    longer than `settings.longest_gap`, and those without exactly one lift-off, are left out.

    Args:
        poses: Poses3D that the events are of.
        events: from `gait_events`, or edited by a person.
        skeleton: says what legs and their partners are.
        settings: as for `gait_events`: what is up, where it goes, belt.
        legs: as for `gait_events`; by default the legs of the skeleton and the keypoints that the events name.

    Returns:
        Over `stride`, by start: `stride_leg`, `stride_individual`, `stride_start`, `stride_lift_off`, `stride_end` (s),
        and `stride_duration`, `stance_duration`, `swing_duration` (s), `duty_factor`, `cadence` (strides per minute; a
        person makes twice as many steps), `stride_length`, `step_length`, `step_width`, `foot_clearance` (unit of the
        poses), `stride_speed` (unit/s), each with `<name>_std`: first order, from the standard deviations of the events
        and of the positions (their covariance, or the noise seen in the tracks). The attribute `left_out` counts
        contacts that start no stride though another contact follows.

    Raises:
        InvalidValueError: the poses are not Poses3D or have no frame rate, or there is no such leg.
        MismatchError: the events are of other individuals or legs.
    """
    chosen = GaitSettings() if settings is None else settings
    timing = timing_of(poses)
    feet = legs_of(poses, skeleton, _named(events, skeleton) if legs is None else legs)
    names = [str(name) for name in poses["individual"].values]
    _check_names(events, names, [leg.name for leg in feet])
    walkers, up = walkers_of(poses, names, skeleton, feet, timing, chosen)
    rows: list[pd.DataFrame] = []
    left_out = 0
    for walker in walkers:
        of_legs = {
            leg.leg.name: stride_places(_events_of(events, walker.name, leg.leg.name), timing) for leg in walker.legs
        }
        ground = _ground(walker, timing, up, chosen, of_legs)
        table, lost = measured(walker, ground, timing, of_legs, _partners(feet, skeleton))
        rows.append(table)
        left_out += lost
    return _dataset(pd.concat(rows, ignore_index=True), str(poses["position"].attrs.get("units", "")), left_out)


def gait_summary(
    strides: xr.Dataset,
    poses: xr.Dataset | None = None,
    skeleton: Skeleton | None = None,
    settings: GaitSettings | None = None,
) -> xr.Dataset:
    """What the strides of every leg and individual have in common.

    Args:
        strides: from `strides`.
        poses: what they are of; gives the regularity.
        skeleton: says which legs are partners.
        settings: as for `strides`.

    Returns:
        Over (leg, individual) for each measure of `strides`: `<name>_mean`, `<name>_sd` (NaN below two strides),
        `<name>_n`, `<name>_cv` (sd by mean) and `<name>_symmetry`: the index of R. O. Robinson, W. Herzog, B. M. Nigg
        (Journal of Manipulative and Physiological Therapeutics 10 (1987)), 100 % (own - partner) / mean of both; 0 is
        symmetric. With poses, over individual: `stride_regularity` and `step_regularity`, the autocorrelation of the
        vertical acceleration of the body at the lag of a stride and of half a stride (R. Moe-Nilssen and J. L.
        Helbostad, Journal of Biomechanics 37 (2004)), 1 for motion that repeats exactly.

    Raises:
        InvalidValueError: the poses are not Poses3D or have no frame rate.
    """
    names = list(dict.fromkeys(strides["stride_individual"].values.tolist()))
    legs = list(dict.fromkeys(strides["stride_leg"].values.tolist()))
    partners = _partners([] if skeleton is None else skeleton.anatomy.legs, skeleton)
    result: dict[str, tuple[tuple[str, ...], Array, dict[str, str]]] = {}
    for measure in _MEASURES:
        values, about = strides[measure].values, strides[measure].attrs
        groups = [
            [
                values[(strides["stride_leg"].values == leg) & (strides["stride_individual"].values == name)]
                for name in names
            ]
            for leg in legs
        ]
        for kind, (words, unit, figures) in _statistics(groups, legs, partners, str(about["units"])).items():
            result[f"{measure}_{kind}"] = (
                ("leg", "individual"),
                figures,
                {"long_name": f"{about['long_name']}, {words}", "units": unit},
            )
    coords: dict[str, object] = {"leg": np.array(legs, dtype=str), "individual": np.array(names, dtype=str)}
    if poses is not None:
        result |= regularity_of(poses, strides, names, skeleton, GaitSettings() if settings is None else settings)
    return xr.Dataset(result, coords=coords)


def _statistics(
    groups: list[list[Array]], legs: list[str], partners: dict[str, str], unit: str
) -> dict[str, tuple[str, str, Array]]:
    known = [[values[np.isfinite(values)] for values in row] for row in groups]
    shape = (len(groups), len(groups[0]) if groups else 0)

    def figures(of: object) -> Array:
        assert callable(of)
        return np.array([[of(values) for values in row] for row in known], dtype=np.float64).reshape(shape)

    mean = figures(lambda values: values.mean() if len(values) else np.nan)
    sd = figures(lambda values: values.std(ddof=1) if len(values) > 1 else np.nan)
    partner = np.full(shape, np.nan)
    for row, leg in enumerate(legs):
        if partners.get(leg) in legs:
            partner[row] = mean[legs.index(partners[leg])]
    cv = np.divide(sd, np.abs(mean), out=np.full(shape, np.nan), where=np.abs(mean) > 0)
    return {
        "mean": ("mean", unit, mean),
        "sd": ("standard deviation", unit, sd),
        "n": ("number of strides", "1", figures(len)),
        "cv": ("coefficient of variation", "1", cv),
        "symmetry": ("symmetry index", "%", symmetry_index(mean, partner)),
    }


def _ground(
    walker: Walker, timing: Timing, up: Array, settings: GaitSettings, of_legs: dict[str, dict[str, Array]]
) -> Ground:
    """The ground, with the belt that these stances show."""
    ground = ground_of(walker, timing.rate, up, settings)
    if not ground.treadmill or settings.belt_speed is not None:
        return ground
    stances = [
        [pair for pair in zip(own["contact"], own["lift_off"], strict=True) if np.isfinite(pair).all()]
        for own in (of_legs[leg.leg.name] for leg in walker.legs)
    ]
    return with_belt(ground, *belt_of_stances(walker.legs, stances, ground.direction, timing.rate))


def _partners(legs: Sequence[Leg], skeleton: Skeleton | None) -> dict[str, str]:
    if skeleton is None:
        return {}
    by_foot = {leg.foot: leg.name for leg in legs}
    pairs = {leg.name: by_foot.get(skeleton.partner(leg.foot) or "") for leg in legs}
    return {name: other for name, other in pairs.items() if other is not None}


def _named(events: xr.Dataset, skeleton: Skeleton | None) -> list[str | Leg]:
    """The legs of the skeleton and what else the events name."""
    own: list[str | Leg] = [] if skeleton is None else [leg.name for leg in skeleton.anatomy.legs]
    named = dict.fromkeys(events["event_leg"].values.tolist())
    if not named:
        named = dict.fromkeys(events["leg"].values.tolist() if "leg" in events.coords else own)
    return list(named)


def _check_names(events: xr.Dataset, individuals: list[str], legs: list[str]) -> None:
    for kind, known in (("individual", individuals), ("leg", legs)):
        strange = sorted(set(events[f"event_{kind}"].values.tolist()) - set(known))
        if strange:
            raise MismatchError(
                f"events, {kind}",
                expected=f"one of {', '.join(known)}",
                got=strange[0],
                remedy=nearest_name(strange[0], known) or "Use the poses that the events are of.",
            )


def _events_of(events: xr.Dataset, individual: str, leg: str) -> xr.Dataset:
    own = (events["event_individual"].values == individual) & (events["event_leg"].values == leg)
    return events.isel(event=np.flatnonzero(own)).sortby("event_time")


def _dataset(table: pd.DataFrame, unit: str, left_out: int) -> xr.Dataset:
    table = table.sort_values(["stride_start", "stride_individual", "stride_leg"], kind="stable")
    variables: dict[str, tuple[str, object, dict[str, str]]] = {}
    for name in ("stride_leg", "stride_individual"):
        variables[name] = ("stride", table[name].to_numpy().astype(str), {"long_name": name[7:], "units": "1"})
    for name, words in _TIMES.items():
        variables[name] = ("stride", table[name].to_numpy(dtype=np.float64), {"long_name": words, "units": "s"})
    for name, (words, units) in _MEASURES.items():
        about = {"long_name": words, "units": units.format(unit=unit)}
        variables[name] = ("stride", table[name].to_numpy(dtype=np.float64), about)
        about = {"long_name": f"standard deviation of: {words}", "units": about["units"]}
        variables[f"{name}_std"] = ("stride", table[f"{name}_std"].to_numpy(dtype=np.float64), about)
    return xr.Dataset(variables, attrs={"left_out": left_out})
