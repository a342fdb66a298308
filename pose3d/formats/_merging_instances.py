"""From the instances or candidates of each camera to one Dataset: frames meet by number, keypoints by name.

What one camera alone has of animals, or of frames, is kept: it is known in two dimensions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pose3d.datasets import DETECTIONS, detections, instances
from pose3d.formats._merging import common_keypoints, every_frame, image_sizes, joined, places_of_labels

__all__ = ["merge_candidates", "merge_instances"]

_Places = tuple[list[int], list[int]]


def merge_instances(cameras: Mapping[str, xr.Dataset], frame_rate: float | None) -> xr.Dataset:
    """One Instances Dataset of several cameras, with all instances of each; tracks of the same name are one track.

    Args:
        cameras: Instances of one camera each, by the camera's name.
        frame_rate: frames per second, None where it is unknown.

    Raises:
        MismatchError: no frame or keypoint is in two cameras, or the keypoints were recognized differently.

    Warns:
        SuiteWarning: a keypoint is left out, or some cameras lack frames or keypoints.
    """
    frames, own, keypoints = _meeting(cameras)
    slots = max([1, *(one.sizes["instance"] for one in cameras.values())])
    shape = (len(frames), len(cameras), slots, len(keypoints))
    arrays = _blank(shape, covariance=any("covariance" in one for one in cameras.values()))
    tracks, names = _merged_tracks(cameras, frames, slots)
    for index, (name, one) in enumerate(cameras.items()):
        _place(arrays, index, one, frames, places_of_labels(own[name], keypoints))
    return instances(
        arrays["position"],
        arrays["confidence"],
        covariance=arrays.get("covariance"),
        cameras=list(cameras),
        keypoints=keypoints,
        track=tracks,
        track_names=names,
        appearance=_merged_appearance(cameras, frames, slots),
        **_common(cameras, frames, frame_rate),
    )


def merge_candidates(cameras: Mapping[str, xr.Dataset], frame_rate: float | None) -> xr.Dataset:
    """One Detections Dataset of several cameras, with all candidates of each.

    Args:
        cameras: Detections of one camera each, by the camera's name.
        frame_rate: frames per second, None where it is unknown.

    Raises:
        MismatchError: no frame or keypoint is in two cameras.

    Warns:
        SuiteWarning: a keypoint is left out, or some cameras lack frames or keypoints.
    """
    frames, own, keypoints = _meeting(cameras)
    slots = max([1, *(one.sizes["candidate"] for one in cameras.values())])
    shape = (len(frames), len(cameras), slots, len(keypoints))
    arrays = _blank(shape, covariance=any("covariance" in one for one in cameras.values()))
    for index, (name, one) in enumerate(cameras.items()):
        _place(arrays, index, one, frames, places_of_labels(own[name], keypoints))
    merged = detections(
        arrays["position"],
        arrays["confidence"],
        arrays.get("covariance"),
        cameras=list(cameras),
        keypoints=keypoints,
        **_common(cameras, frames, frame_rate),
    )
    return _with_affinity(merged, cameras, frames, keypoints)


def _meeting(cameras: Mapping[str, xr.Dataset]) -> tuple[NDArray[np.int64], dict[str, list[str]], list[str]]:
    """The frames of all cameras, the keypoints of each, and those that are kept."""
    frames = every_frame(cameras)
    own, kept = common_keypoints(cameras)
    return frames, {name: own.get(name, []) for name in cameras}, kept


def _common(cameras: Mapping[str, xr.Dataset], frames: NDArray[np.int64], frame_rate: float | None) -> dict[str, Any]:
    return {
        "frames": frames,
        "frame_rate": frame_rate,
        "image_size": image_sizes(cameras.values()),
        "source_software": joined(cameras, "source_software"),
        "source_file": joined(cameras, "source_file"),
    }


def _blank(shape: tuple[int, ...], *, covariance: bool) -> dict[str, NDArray[np.float64]]:
    arrays = {"position": np.full((*shape, 2), np.nan), "confidence": np.zeros(shape)}
    if covariance:
        arrays["covariance"] = np.full((*shape, 2, 2), np.nan)
    return arrays


def _place(
    arrays: Mapping[str, NDArray[np.float64]],
    camera: int,
    one: xr.Dataset,
    frames: NDArray[np.int64],
    keypoints: _Places,
) -> None:
    """Copy what one camera has into the arrays (time, camera, slot, keypoint, ...) of all."""
    rows = np.searchsorted(frames, one["frame"].values)
    for name, array in arrays.items():
        if name in one and one["position"].size:
            values = one[name].values[:, 0]
            places = np.ix_(rows, np.arange(values.shape[1]), np.array(keypoints[0], dtype=np.int64))
            array[:, camera][places] = values[:, :, keypoints[1]]


def _merged_tracks(
    cameras: Mapping[str, xr.Dataset], frames: NDArray[np.int64], slots: int
) -> tuple[NDArray[np.int64] | None, list[str]]:
    """(time, camera, slot) number of the track, and the names of the tracks; None where no camera has any."""
    own = {name: [str(track) for track in one["track_name"].values] for name, one in cameras.items() if "track" in one}
    names = list(dict.fromkeys(track for row in own.values() for track in row))
    if not own:
        return None, []
    number = {track: place for place, track in enumerate(names)}
    merged = np.full((len(frames), len(cameras), slots), -1, dtype=np.int64)
    for index, (name, one) in enumerate(cameras.items()):
        if name in own:
            # the last one is for those without a track, whose number is -1
            numbers = np.array([*(number[track] for track in own[name]), -1], dtype=np.int64)
            values = numbers[one["track"].values[:, 0]]
            merged[np.searchsorted(frames, one["frame"].values), index, : values.shape[1]] = values
    return merged, names


def _merged_appearance(
    cameras: Mapping[str, xr.Dataset], frames: NDArray[np.int64], slots: int
) -> NDArray[np.float64] | None:
    """(time, camera, slot, feature); None where no camera has it, or they are vectors of different kinds."""
    lengths = {one.sizes["feature"] for one in cameras.values() if "appearance" in one}
    if len(lengths) != 1:
        return None
    merged = np.full((len(frames), len(cameras), slots, lengths.pop()), np.nan)
    for index, one in enumerate(cameras.values()):
        if "appearance" in one:
            values = one["appearance"].values[:, 0]
            merged[np.searchsorted(frames, one["frame"].values), index, : values.shape[1]] = values
    return merged


def _with_affinity(
    merged: xr.Dataset, cameras: Mapping[str, xr.Dataset], frames: NDArray[np.int64], keypoints: Sequence[str]
) -> xr.Dataset:
    """The candidates with the affinities of all edges that any camera has between keypoints that are kept."""
    own = {
        name: [(str(first), str(second)) for first, second in one["edge_keypoint"].values]
        for name, one in cameras.items()
        if "affinity" in one
    }
    edges: list[tuple[str, str]] = []
    for first, second in (edge for row in own.values() for edge in row):
        if {first, second} <= set(keypoints) and (first, second) not in edges and (second, first) not in edges:
            edges.append((first, second))
    if not edges:
        return merged
    slots = merged.sizes["candidate"]
    affinity = np.full((len(frames), len(cameras), len(edges), slots, slots), np.nan, dtype=np.float32)
    for index, (name, one) in enumerate(cameras.items()):
        for place, (first, second) in enumerate(own.get(name, [])):
            turned = (second, first) in edges
            if turned or (first, second) in edges:
                values = one["affinity"].values[:, 0, place]
                values = values.swapaxes(-1, -2) if turned else values
                edge = edges.index((second, first) if turned else (first, second))
                rows, count = np.searchsorted(frames, one["frame"].values), values.shape[-1]
                affinity[rows, index, edge, :count, :count] = values
    return merged.assign(
        affinity=(DETECTIONS.variables["affinity"].dims, affinity, {"units": "1"}),
        edge_keypoint=(DETECTIONS.variables["edge_keypoint"].dims, np.array(edges, dtype=np.str_)),
    )
