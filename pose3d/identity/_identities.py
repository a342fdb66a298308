"""From tracks and names to the Identity Dataset, and from it to Poses2D."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from calibration.schema import check
from pose3d.datasets import IDENTITY, POSES2D
from pose3d.identity._following import Followed
from pose3d.identity._naming import History, Step, names_at

__all__ = [
    "NOT_SEEN",
    "ONE_CAMERA",
    "SEEN",
    "TWO_CAMERAS",
    "Solution",
    "identity_dataset",
    "poses2d_of_instances",
    "raise_in_meeting",
    "risk_variables",
    "step_variables",
    "steps_of",
]

SEEN, NOT_SEEN, ONE_CAMERA, TWO_CAMERAS = range(4)

# What is kept of a step, beside its price.
_STEP = ("row", "first", "second", "begin", "unseen")
# Risks below this are none.
_LEAST_RISK = 1e-3


@dataclass(frozen=True, eq=False)
class Solution:
    """Chains of pieces of track, and their names over time.

    Attributes:
        paths: the pieces of every chain.
        steps: what may change names, in the order of time.
        history: what did.
        individuals: the names, by number.
    """

    paths: list[list[int]]
    steps: Sequence[Step]
    history: History
    individuals: tuple[str, ...]


def identity_dataset(source: xr.Dataset, followed: Followed, solution: Solution) -> xr.Dataset:
    """The Identity Dataset of Instances.

    Args:
        source: the Instances, of which only coordinates and attributes are used.
        followed: the tracks.
        solution: whose they are.
    """
    frames, cameras, count = source.sizes["time"], source.sizes["camera"], len(solution.individuals)
    rows = followed.rows
    chain = followed.row_chains(solution.paths)
    own = np.flatnonzero(chain >= 0)
    if _overlap(followed, solution.paths):
        # where a piece began before the one before it ended, the new one is right
        own = own[np.lexsort((rows.track[own], rows.time[own]))]
    time, chain = rows.time[own].astype(np.int64), chain[own]
    who = names_at(solution.steps, solution.history, chain, time)
    instance, further = (np.full((frames, cameras, count), -1, np.int16) for _ in range(2))
    instance[time, :, who] = rows.instance[own]
    further[time, :, who] = rows.further[own]
    chains = np.full((frames, count), -1, np.int16)
    chains[time, who] = chain
    unclear = np.zeros((frames, count), bool)
    unclear[time, who] = rows.flag[own] > 0
    odds = np.full((frames, count), np.nan)
    odds[time, who] = rows.odds[own]
    used = (instance >= 0).sum(2)
    if "fragment" not in source:
        used = used + (further >= 0).sum(2)
    variables: dict[str, object] = {
        "instance": (IDENTITY.variables["instance"].dims, instance, {"units": "1"}),
        "identity_confidence": (("time", "individual"), _confidence(odds, chains, solution), {"units": "1"}),
        "identity_status": (("time", "individual"), _status(instance, unclear), _status_words()),
        "unassigned": (("time", "camera"), np.maximum(followed.present - used, 0).astype(np.int16), {"units": "1"}),
        "chain": (("time", "individual"), chains, {"units": "1"}),
        **step_variables(solution.steps, count),
        **risk_variables(source["frame"].values, solution.steps, solution.history, solution.individuals),
    }
    if (further >= 0).any():
        variables["further"] = (IDENTITY.variables["further"].dims, further, {"units": "1"})
    return check(_dataset(variables, source, solution.individuals), IDENTITY)


def _overlap(followed: Followed, paths: Sequence[Sequence[int]]) -> bool:
    first, last = followed.pieces.first, followed.pieces.last
    return any(first[after] <= last[before] for path in paths for before, after in pairwise(path))


def _dataset(variables: dict[str, object], source: xr.Dataset, individuals: Sequence[str]) -> xr.Dataset:
    kept = ("time_unit", "fps", "source_software", "source_file")
    return xr.Dataset(
        variables,
        coords={
            "time": source["time"].variable,
            "frame": source["frame"].variable,
            "camera": source["camera"].values,
            "individual": np.array(individuals, dtype=np.str_),
        },
        attrs={name: source.attrs[name] for name in kept if name in source.attrs} | {"ds_type": "identity"},
    )


def _status(instance: NDArray[np.int16], unclear: NDArray[np.bool_]) -> NDArray[np.int8]:
    seen_by = (instance >= 0).sum(1)
    enough = min(2, instance.shape[1])
    status = np.where(seen_by >= enough, SEEN, np.where(seen_by == 1, ONE_CAMERA, NOT_SEEN))
    status[unclear & (seen_by < enough)] = TWO_CAMERAS
    return status.astype(np.int8)


def _status_words() -> dict[str, object]:
    return {
        "units": "1",
        "flag_values": np.array([SEEN, NOT_SEEN, ONE_CAMERA, TWO_CAMERAS], np.int8),
        "flag_meanings": "seen not_seen one_camera_only two_cameras_do_not_tell",
    }


def _confidence(odds: NDArray[np.float64], chains: NDArray[np.int16], solution: Solution) -> NDArray[np.float32]:
    """(time, individual) from the odds of every frame; in meetings, from what was found of the whole meeting."""
    with np.errstate(over="ignore"):
        result = (1.0 / (1.0 + np.exp(-odds))).astype(np.float32)
    for number, step in enumerate(solution.steps):
        if step.begin >= 0:
            raise_in_meeting(result, chains, step, float(solution.history.probability[number]))
    return result


def raise_in_meeting(
    confidence: NDArray[np.float32], chains: NDArray[np.int16], step: Step, probability: float
) -> None:
    """Give the two of a meeting the confidence in its outcome, in the frames in which they were seen.

    Args:
        confidence, chains: (time, individual).
        step: the meeting.
        probability: that its outcome is right.
    """
    rows = slice(step.begin, step.row)
    own = (chains[rows] == step.first) | (chains[rows] == step.second)
    confidence[rows][own & np.isfinite(confidence[rows])] = probability


def step_variables(steps: Sequence[Step], count: int) -> dict[str, object]:
    """The steps as variables of the Identity Dataset."""
    price = np.full((len(steps), max(2, count)), np.nan)
    for number, step in enumerate(steps):
        price[number, : len(step.price)] = step.price
    columns = {name: np.array([getattr(step, name) for step in steps], np.int64) for name in _STEP}
    return {
        **{f"step_{name}": (("step",), column, {"units": "1"}) for name, column in columns.items()},
        "step_price": (("step", "choice"), price, {"units": "1"}),
    }


def steps_of(identity: xr.Dataset) -> list[Step]:
    """The steps that an Identity Dataset was made by."""
    columns = [identity[f"step_{name}"].values.tolist() for name in _STEP]
    count = identity.sizes["individual"]
    return [
        Step(row, first, second, price[: 2 if second >= 0 else count], begin, bool(unseen))
        for row, first, second, begin, unseen, price in zip(*columns, identity["step_price"].values, strict=True)
    ]


def risk_variables(
    frame: NDArray[np.int64], steps: Sequence[Step], history: History, individuals: Sequence[str]
) -> dict[str, object]:
    """The list of what may be wrong, the most probable first."""
    found = []
    for number, step in enumerate(steps):
        risk = 1.0 - float(history.probability[number])
        if step.begin < 0 or risk < _LEAST_RISK:
            continue
        pair = [individuals[history.names[number][chain]] for chain in (step.first, step.second)]
        first, last = (int(frame[min(row, len(frame) - 1)]) for row in (step.begin, step.row - 1))
        found.append((risk, first, last, *pair, "unseen" if step.unseen else "close"))
    found.sort(key=lambda each: (-each[0], each[1]))
    columns = list(zip(*found, strict=True)) if found else [()] * 6
    names = ("probability", "first", "last", "individual", "other", "reason")
    kinds = (np.float64, np.int64, np.int64, np.str_, np.str_, np.str_)
    return {
        f"risk_{name}": (("risk",), np.array(column, dtype=kind), {} if kind is np.str_ else {"units": "1"})
        for name, column, kind in zip(names, columns, kinds, strict=True)
    }


def poses2d_of_instances(instances: xr.Dataset, identity: xr.Dataset) -> xr.Dataset:
    """Poses2D: the instances of every individual, under its name. Values are loaded; give pieces of long recordings.

    Where a camera has an individual in two parts, the second one fills what the first lacks.

    Args:
        instances: Instances Dataset.
        identity: Identity Dataset of the same frames and cameras.
    """
    order = ("time", "camera", "instance", "keypoint")
    # those of a rig are in its order, and some may not be in it
    if not np.array_equal(instances["camera"].values, identity["camera"].values):
        instances = instances.sel(camera=identity["camera"].values)
    place = identity["instance"].transpose("time", "camera", "individual").values.astype(np.int64)
    further = None
    if "further" in identity:
        further = identity["further"].transpose("time", "camera", "individual").values.astype(np.int64)
    variables: dict[str, object] = {}
    missing = {"position": np.nan, "confidence": 0.0, "covariance": np.nan}
    seen: NDArray[np.bool_] | None = None
    for name, empty in missing.items():
        if name not in instances:
            continue
        ends = instances[name].dims[4:]
        values = instances[name].transpose(*order, *ends).values
        taken = _taken(values, place, empty)
        if name == "position":
            seen = np.asarray(np.isfinite(taken).all(-1))
        if further is not None:
            assert seen is not None  # the position comes first
            other = _taken(values, further, empty)
            taken[~seen] = other[~seen]
        variables[name] = (POSES2D.variables[name].dims, taken, dict(instances[name].attrs))
    if "image_size" in instances:
        variables["image_size"] = instances["image_size"].variable
    return xr.Dataset(
        variables,
        coords={
            **{name: instances[name].variable for name in ("time", "frame", "camera", "keypoint", "space")},
            "individual": identity["individual"].values,
        },
        attrs=instances.attrs | {"ds_type": "poses"},
    )


def _taken(values: NDArray[np.float64], place: NDArray[np.int64], empty: float) -> NDArray[np.float64]:
    """Values (time, camera, instance, ...) at places (time, camera, individual)."""
    if not values.shape[2]:
        return np.full((*place.shape, *values.shape[3:]), empty)
    index = np.maximum(place, 0).reshape(*place.shape, *(1,) * (values.ndim - 3))
    taken = np.take_along_axis(values, index, axis=2)
    taken[place < 0] = empty
    return taken
