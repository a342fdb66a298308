"""From tracks and names to the Identity Dataset, and from it to Poses2D."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from calibration.schema import check
from pose3d.datasets import IDENTITY, POSES2D
from pose3d.identity._following import Followed
from pose3d.identity._meetings import Meeting
from pose3d.identity._naming import History, Step

__all__ = [
    "NOT_SEEN",
    "ONE_CAMERA",
    "SEEN",
    "TWO_CAMERAS",
    "Solution",
    "identity_dataset",
    "names_at",
    "poses2d_of_instances",
]

SEEN, NOT_SEEN, ONE_CAMERA, TWO_CAMERAS = range(4)

# Risks below this are none.
_LEAST_RISK = 1e-3


@dataclass(frozen=True, eq=False)
class Solution:
    """Chains of pieces of track, and their names over time.

    Attributes:
        paths: the pieces of every chain.
        steps: what may change names, in the order of time.
        history: what did.
        meetings: by the number of their step.
        individuals: the names, by number.
    """

    paths: list[list[int]]
    steps: Sequence[Step]
    history: History
    meetings: dict[int, Meeting]
    individuals: tuple[str, ...]


def names_at(
    steps: Sequence[Step], history: History, chain: NDArray[np.int64], time: NDArray[np.int64], count: int
) -> NDArray[np.int64]:
    """The number of the name of chains at some frames."""
    if not len(steps):
        return chain
    begin = np.array([step.row for step in steps])
    at = np.searchsorted(begin, time, side="right") - 1
    table = np.concatenate([np.arange(count)[None], history.names])
    return table[at + 1, chain]


def identity_dataset(source: xr.Dataset, followed: Followed, solution: Solution) -> xr.Dataset:
    """The Identity Dataset of Instances.

    Args:
        source: the Instances, of which only coordinates and attributes are used.
        followed: the tracks.
        solution: whose they are.
    """
    frames, cameras, count = source.sizes["time"], source.sizes["camera"], len(solution.individuals)
    rows = followed.rows
    chain_of = np.full(int(followed.pieces.number.max(initial=-1)) + 2, -1, np.int64)
    for number, path in enumerate(solution.paths):
        chain_of[followed.pieces.number[path]] = number
    chain = chain_of[rows.track]
    own = chain >= 0
    time, chain = rows.time[own], chain[own]
    who = names_at(solution.steps, solution.history, chain, time, count)
    instance = np.full((frames, cameras, count), -1, np.int16)
    instance[time, :, who] = rows.instance[own]
    further = np.full((frames, cameras, count), -1, np.int16)
    further[time, :, who] = rows.further[own]
    chains = np.full((frames, count), -1, np.int16)
    chains[time, who] = chain
    seen_by = (instance >= 0).sum(1)
    status = np.where(seen_by > 1, SEEN, np.where(seen_by == 1, ONE_CAMERA, NOT_SEEN)).astype(np.int8)
    if cameras == 1:
        status[seen_by == 1] = SEEN
    unclear = np.zeros((frames, count), bool)
    unclear[time, who] = rows.flag[own] > 0
    status[unclear & (seen_by < 2)] = TWO_CAMERAS
    used = (instance >= 0).sum(2) + (further >= 0).sum(2)
    variables: dict[str, object] = {
        "instance": (IDENTITY.variables["instance"].dims, instance, {"units": "1"}),
        "identity_confidence": (
            ("time", "individual"),
            _confidence(rows.odds[own], time, who, solution, status),
            {"units": "1"},
        ),  # fmt: skip
        "identity_status": (("time", "individual"), status, _status_words()),
        "unassigned": (("time", "camera"), (followed.present - used).astype(np.int16), {"units": "1"}),
        "chain": (("time", "individual"), chains, {"units": "1"}),
        **_step_variables(solution.steps, count),
        **risk_variables(source["frame"].values, solution),
    }
    if (further >= 0).any():
        variables["further"] = (IDENTITY.variables["further"].dims, further, {"units": "1"})
    dataset = xr.Dataset(
        variables,
        coords={
            "time": source["time"].variable,
            "frame": source["frame"].variable,
            "camera": source["camera"].values,
            "individual": np.array(solution.individuals, dtype=np.str_),
        },
        attrs={
            name: value
            for name, value in source.attrs.items()
            if name in ("time_unit", "fps", "source_software", "source_file")
        }
        | {"ds_type": "identity"},
    )
    return check(dataset, IDENTITY)


def _status_words() -> dict[str, object]:
    return {
        "units": "1",
        "flag_values": np.array([SEEN, NOT_SEEN, ONE_CAMERA, TWO_CAMERAS], np.int8),
        "flag_meanings": "seen not_seen one_camera_only two_cameras_do_not_tell",
    }


def _confidence(
    odds: NDArray[np.float32],
    time: NDArray[np.int64],
    who: NDArray[np.int64],
    solution: Solution,
    status: NDArray[np.int8],
) -> NDArray[np.float32]:
    """(time, individual) from the odds of every frame; in meetings, from what was found of the whole meeting."""
    result = np.full(status.shape, np.nan, np.float32)
    with np.errstate(over="ignore"):
        result[time, who] = 1.0 / (1.0 + np.exp(-odds.astype(np.float64)))
    for number, meeting in solution.meetings.items():
        if meeting.second < 0:
            continue
        names = solution.history.names[number]
        rows = slice(meeting.first_row, meeting.last_row + 1)
        for chain in (meeting.first, meeting.second):
            column = result[rows, names[chain]]
            column[np.isfinite(column)] = solution.history.probability[number]
    return result


def _step_variables(steps: Sequence[Step], count: int) -> dict[str, object]:
    price = np.full((len(steps), max(2, count)), np.nan)
    for number, step in enumerate(steps):
        price[number, : len(step.price)] = step.price
    return {
        "step_row": (("step",), np.array([step.row for step in steps], np.int64), {"units": "1"}),
        "step_first": (("step",), np.array([step.first for step in steps], np.int64), {"units": "1"}),
        "step_second": (("step",), np.array([step.second for step in steps], np.int64), {"units": "1"}),
        "step_price": (("step", "choice"), price, {"units": "1"}),
    }


def risk_variables(frame: NDArray[np.int64], solution: Solution) -> dict[str, object]:
    """The list of what may be wrong, the most probable first."""
    found = []
    for number, meeting in solution.meetings.items():
        risk = 1.0 - float(solution.history.probability[number])
        if meeting.second < 0:
            risk = 1.0 / (1.0 + float(np.exp(np.clip(meeting.odds, -30, 30))))
        if risk < _LEAST_RISK:
            continue
        names = solution.history.names[number]
        second = "nobody" if meeting.second < 0 else solution.individuals[names[meeting.second]]
        first, last = (min(row, len(frame) - 1) for row in (meeting.first_row, meeting.last_row))
        pair = (solution.individuals[names[meeting.first]], second)
        found.append((risk, int(frame[first]), int(frame[last]), *pair, meeting.reason))
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
            seen = np.isfinite(taken).all(-1)
        if further is not None:
            assert seen is not None  # the position comes first
            other = _taken(values, further, empty)
            fill = ~seen if name != "position" else ~seen
            taken[fill] = other[fill]
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
