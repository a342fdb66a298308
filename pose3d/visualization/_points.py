"""Findings about single 3D positions: is one of them far off, and how many cameras stand behind each?"""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from calibration.errors import MismatchError
from calibration.findings import Finding, Level, percent
from pose3d.metrics import bone_lengths, bone_statistics
from pose3d.skeleton import Skeleton
from pose3d.visualization.evidence import Evidence

__all__ = ["gross_error_finding", "redundancy_finding"]

Array = NDArray[np.float64]

# No bone doubles its length, and hardly a soft edge does.
_LONG = 2.0
# Even the tip of a long tail lies within about four times the median distance of the keypoints from their center.
_FAR = 5.0
# One position in a thousand spoils a maximum or a speed, but hardly a median; more than that wants a filter or a look.
_GROSS = 0.001
# Fewer keypoints have no center that one of them could not move.
_LEAST_KEYPOINTS = 4
_GROSS_QUESTION = "Are single positions far off?"


def gross_error_finding(poses3d: xr.Dataset, skeleton: Skeleton | None) -> Finding:
    """Positions that are off by about a body: two cameras that agree by chance make such, with small uncertainty.

    Judged by the bones; without any, by the distance of keypoints from the center of the individual.

    Raises:
        InvalidValueError: the Dataset is no Poses3D.
    """
    try:
        if skeleton is not None and skeleton.edges and poses3d.sizes["time"]:
            return _long_bones(poses3d, skeleton)
    except MismatchError:
        pass  # the skeleton of another animal: its edges say nothing here, and the finding about bones tells so
    return _far_keypoints(poses3d)


def _long_bones(poses3d: xr.Dataset, skeleton: Skeleton) -> Finding:
    lengths = bone_lengths(poses3d, skeleton).transpose("time", "edge", "individual")
    median = bone_statistics(poses3d, skeleton)["median"].transpose("edge", "individual").values
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = lengths.values / median
    known = np.isfinite(ratio)
    if not known.any():
        return Finding(_GROSS_QUESTION, Level.UNKNOWN, "No bone is ever complete.")
    time, edge, individual = _worst(ratio)
    place = _place(poses3d, time, individual)
    worst = f"{lengths['edge'].values[edge]} in {place}, {100 * (ratio[time, edge, individual] - 1):+.0f} %"
    return _gross(
        int((ratio[known] > _LONG).sum()),
        int(known.sum()),
        f"bone lengths are more than {_LONG:g} times the median of their bone",
        worst,
        f"A bone does not reach {_LONG:g} times its length.",
    )


def _far_keypoints(poses3d: xr.Dataset) -> Finding:
    points = poses3d["position"].transpose("time", "individual", "space", "keypoint").values
    present = np.isfinite(points).all(axis=2).sum(axis=-1) >= _LEAST_KEYPOINTS  # (time, individual)
    distance = np.linalg.norm(points - _median(points)[..., None], axis=2)
    distance[~present] = np.nan
    size = _median(np.moveaxis(distance, 0, -1).reshape(distance.shape[1], -1))  # (individual,)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.moveaxis(distance / size[:, None], 2, 1)  # (time, keypoint, individual)
    known = np.isfinite(ratio)
    if not known.any():
        answer = f"There is no skeleton, and no frame with {_LEAST_KEYPOINTS} keypoints to compare with each other."
        return Finding(_GROSS_QUESTION, Level.UNKNOWN, answer, "Give a skeleton.")
    time, keypoint, individual = _worst(ratio)
    name = poses3d["keypoint"].values[keypoint]
    worst = f"{name} in {_place(poses3d, time, individual)}, {ratio[time, keypoint, individual]:.1f} times"
    return _gross(
        int((ratio[known] > _FAR).sum()),
        int(known.sum()),
        f"positions are farther from the center of the individual than {_FAR:g} times the median distance",
        worst,
        f"Without bones, {_FAR:g} times the median distance of the keypoints from their center stands for far off.",
    )


def _gross(count: int, total: int, meaning: str, worst: str, reason: str) -> Finding:
    share = count / total
    level = Level.LOOK if share > _GROSS else Level.GOOD
    return Finding(
        _GROSS_QUESTION,
        level,
        f"{count:,} of {total:,} ({percent(share)}) {meaning}; the largest: {worst}.",
        "Look at that frame in the overlay: two cameras can agree by chance on a wrong point, with small stated "
        "uncertainty. Keep points of three cameras (n_cameras), or raise the minimum confidence."
        if level != Level.GOOD
        else "",
        f"{reason} Good up to {percent(_GROSS)}: single spikes spoil a maximum or a speed, but hardly a median.",
        f"{count:,} {meaning} ({worst})",
    )


def _worst(ratio: Array) -> tuple[int, int, int]:
    time, middle, individual = np.unravel_index(np.nanargmax(ratio), ratio.shape)
    return int(time), int(middle), int(individual)


def _place(poses3d: xr.Dataset, time: int, individual: int) -> str:
    place = f"frame {int(poses3d['frame'].values[time])}"
    return place if poses3d.sizes["individual"] == 1 else f"{place} of {poses3d['individual'].values[individual]}"


def _median(values: Array) -> Array:
    """Median over the last axis of what is not NaN; NaN of nothing, without a warning."""
    if not values.shape[-1]:
        return np.full(values.shape[:-1], np.nan)
    ordered = np.sort(values, axis=-1)  # NaN at the end
    count = np.isfinite(ordered).sum(axis=-1, keepdims=True)
    low, high = (np.take_along_axis(ordered, np.maximum(index, 0), axis=-1) for index in ((count - 1) // 2, count // 2))
    high = np.where(count == 1, low, high)
    return np.asarray((low + high)[..., 0] / 2, dtype=np.float64)


def redundancy_finding(evidence: Evidence, poses3d: xr.Dataset) -> Finding:
    """How many cameras were used, and how often two of them outvoted a third."""
    question = "How many cameras see each point?"
    if "n_cameras" not in poses3d:
        return Finding(question, Level.UNKNOWN, "The poses do not say how many cameras were used.")
    used = poses3d["n_cameras"].values[poses3d["position"].notnull().all("space").values]
    used = used[used >= 2]
    if not used.size:
        answer = f"No position rests on two cameras or more.{_bridged(evidence)}"
        return Finding(question, Level.UNKNOWN, answer)
    two = float((used == 2).mean())
    return Finding(
        question,
        Level.LOOK if two > 0.5 else Level.GOOD,
        f"{percent(two)} of the positions rest on only two cameras; the average is {used.mean():.1f}."
        f"{_outvoted(evidence, poses3d)}{_bridged(evidence)}",
        "With two cameras an error along the line of sight goes unnoticed: add views, or trust the covariance."
        if two > 0.5
        else "",
        "Good while at least half of the positions have a third camera to check the other two.",
        "most positions rest on two cameras only",
    )


def _bridged(evidence: Evidence) -> str:
    if evidence.bridged is None or not evidence.bridged.any():
        return ""
    share = float(evidence.bridged.mean())
    return f" Not counted: {percent(share)} that rest on the motion, since fewer than two cameras were used (bridged)."


def _outvoted(evidence: Evidence, poses3d: xr.Dataset) -> str:
    if len(evidence.cameras) < 3 or "inlier" not in poses3d:
        return ""
    present = ~evidence.missing
    others = (evidence.detected & ~evidence.used).sum(axis=1)
    outvoted = present & (evidence.used.sum(axis=1) == 2) & (others >= 1)
    share = float(outvoted.sum() / max(present.sum(), 1))
    return (
        f" {int(outvoted.sum()):,} ({percent(share)}) rest on two cameras against the detection of another one, which "
        "was rejected: such pairs sometimes agree by chance."
    )
