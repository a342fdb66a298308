"""From the part of every candidate to an Instances Dataset."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pose3d.datasets import instances

__all__ = ["gather"]

Array = NDArray[np.float64]

_SINGLE = "single"
# A margin (see `assemble_views`) of so many units of log-likelihood makes the odds of being right larger by e. Scores
# of pairs are not independent of each other, so it is more than 1; see `tests/benchmarks/bench_assembly.py`.
_PER_ODDS = 3.5


def gather(
    piece: xr.Dataset,
    usable: NDArray[np.bool_],
    label: NDArray[np.int32],
    margin: NDArray[np.float32],
    unique: tuple[int, ...],
    individuals: int,
) -> xr.Dataset:
    """Instances of a stretch of detections.

    Args:
        piece: Detections.
        usable: (time, camera, candidate, keypoint) what goes into an instance, unique keypoints with it.
        label: (time, camera, candidate, keypoint) the part of every candidate; -1 for what has none.
        margin: (time, camera, candidate, keypoint) see `assemble_views`.
        unique: numbers of the keypoints that exist once.
        individuals: how many animals there are at most; 0: not known.
    """
    part = label.astype(np.int64)
    single = _number_unique(part, usable, piece["confidence"].values, unique)
    count = int(part.max(initial=-1)) + 1
    shape = (part.shape[0], part.shape[1], count, part.shape[3])
    # places in flat arrays, which are written much faster
    where = np.flatnonzero(part >= 0)
    view, keypoint = where // (part.shape[2] * part.shape[3]), where % max(part.shape[3], 1)
    owner = view * count + part.ravel()[where]
    place = owner * part.shape[3] + keypoint

    def scattered(values: NDArray[np.floating], empty: float) -> Array:
        ends = values.shape[4:]
        result = np.full((int(np.prod(shape)), *ends), empty)
        result[place] = values.reshape(-1, *ends)[where] if len(where) else 0.0
        return result.reshape(*shape, *ends)

    confidence = scattered(piece["confidence"].values, 0.0)
    lost = np.isnan(piece["confidence"].values).all(axis=(2, 3))  # the frame could not be decoded
    confidence[lost] = np.nan
    size = np.bincount(owner, minlength=int(np.prod(shape[:3]))).reshape(shape[:3])
    fragment = size == 1
    if individuals:
        fragment |= (size > 0) & (np.arange(count) >= individuals)
    track = np.full(shape[:3], -1)
    if unique:
        rows = np.nonzero(single >= 0)
        track[(*rows, single[rows])] = 0
        fragment &= track < 0
    appearance = None
    if "appearance" in piece:
        appearance = _mean_appearance(scattered(piece["appearance"].values, np.nan), confidence)
    result = instances(
        scattered(piece["position"].values, np.nan),
        confidence,
        cameras=piece["camera"].values.tolist(),
        keypoints=piece["keypoint"].values.tolist(),
        covariance=scattered(piece["covariance"].values, np.nan) if "covariance" in piece else None,
        track=track if unique else None,
        track_names=[_SINGLE] if unique else [],
        appearance=appearance,
        frames=piece["frame"].values,
        image_size=piece["image_size"].values if "image_size" in piece else None,
    )
    sure = np.where((size > 0) & ~fragment & (track < 0), _certainty(scattered(margin, np.nan), size), np.nan)
    dims = ("time", "camera", "instance")
    result["fragment"] = (dims, fragment.astype(np.int8), {"units": "1"})
    result["assembly_confidence"] = (dims, sure, {"units": "1"})
    return result.assign_coords(time=piece["time"].variable).assign_attrs(piece.attrs | {"ds_type": "instances"})


def _number_unique(
    label: NDArray[np.int64], usable: NDArray[np.bool_], confidence: NDArray[np.floating], unique: tuple[int, ...]
) -> NDArray[np.int64]:
    """Number what is of unique keypoints behind all parts, in place; return (time, camera) the number of the best."""
    following = label.max(axis=(2, 3), initial=-1) + 1
    chosen = usable[..., list(unique)]
    there = chosen.any(axis=(2, 3))
    single = np.where(there, following, -1)
    following = following + there
    for keypoint in unique:
        found = usable[..., keypoint]
        if not found.size:
            continue
        best = np.argmax(np.where(found, confidence[..., keypoint], -1.0), axis=-1)
        for candidate in range(found.shape[2]):
            here = found[:, :, candidate]
            first = here & (best == candidate)
            label[:, :, candidate, keypoint] = np.where(first, single, np.where(here, following, -1))
            following = following + (here & ~first)
    return single


def _mean_appearance(values: Array, confidence: Array) -> Array:
    """(time, camera, instance, feature) mean over the keypoints, weighed by confidence; NaN where there is none."""
    known = np.isfinite(values).all(axis=-1) & (confidence > 0)
    weight = np.where(known, confidence, 0.0)[..., None]
    total = weight.sum(axis=3)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(total > 0, (np.nan_to_num(values) * weight).sum(axis=3) / total, np.nan)


def _certainty(margin: NDArray[np.floating], size: NDArray[np.int64]) -> NDArray[np.float64]:
    """(time, camera, instance) mean probability that a keypoint is of the instance, by its margin."""
    with np.errstate(over="ignore"):
        each = 1.0 / (1.0 + np.exp(-np.maximum(margin, 0.0) / _PER_ODDS))
    return np.nansum(each, axis=-1) / np.maximum(size, 1)
