"""From the poses of each camera to one Dataset: frames, keypoints and individuals meet by number and name."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from calibration.errors import MismatchError, SuiteWarning
from pose3d.datasets import POSES2D, poses2d
from pose3d.formats._tidy import UNNAMED_INDIVIDUAL

__all__ = [
    "common_frame_rate",
    "common_keypoints",
    "every_frame",
    "image_sizes",
    "joined",
    "merge_cameras",
    "places_of_labels",
]

Label = TypeVar("Label", bound=Hashable)

# How many dropped names or ranges of frames a message lists.
_LISTED = 6


def merge_cameras(cameras: Mapping[str, xr.Dataset], frame_rate: float | None) -> xr.Dataset:
    """One Poses2D Dataset of several cameras.

    What at least two cameras have is kept, and is NaN in the others; the rest is left out, which a SuiteWarning says.
    Where every camera has exactly one individual, it is the same one, whatever it is called.

    Args:
        cameras: Poses2D of one camera each, by the camera's name.
        frame_rate: frames per second, None where it is unknown.

    Raises:
        MismatchError: no frame, keypoint or individual is in two cameras, or the keypoints were recognized differently.
    """
    individuals = _individuals(cameras)
    frames = {name: one["frame"].values.tolist() for name, one in cameras.items()}
    kept_frames = np.array(sorted(_in_two("frame", frames)), dtype=np.int64)
    keypoints, kept_keypoints = common_keypoints(cameras)
    kept_individuals = _in_two("individual", individuals)
    _warn_of_gaps(frames, kept_frames)
    shape = (len(kept_frames), len(cameras), len(kept_individuals), len(kept_keypoints))
    arrays = {"position": np.full((*shape, 2), np.nan), "confidence": np.zeros(shape)}
    if any("covariance" in one for one in cameras.values()):
        arrays["covariance"] = np.full((*shape, 2, 2), np.nan)
    for index, (name, one) in enumerate(cameras.items()):
        own = (frames[name], individuals[name], keypoints[name])
        kept = (kept_frames.tolist(), kept_individuals, kept_keypoints)
        places = [places_of_labels(*pair) for pair in zip(own, kept, strict=True)]
        to, source = np.ix_(*(place[0] for place in places)), np.ix_(*(place[1] for place in places))
        for variable, array in arrays.items():
            if variable in one:
                array[:, index][to] = one[variable].values[:, 0][source]
    merged = poses2d(
        arrays["position"],
        arrays["confidence"],
        cameras=list(cameras),
        individuals=kept_individuals,
        keypoints=kept_keypoints,
        frames=kept_frames,
        frame_rate=frame_rate,
        image_size=image_sizes(cameras.values()),
        source_software=joined(cameras, "source_software"),
        source_file=joined(cameras, "source_file"),
    )
    if "covariance" in arrays:
        merged["covariance"] = (POSES2D.variables["covariance"].dims, arrays["covariance"], {"units": "px^2"})
    return merged


def common_frame_rate(cameras: Mapping[str, xr.Dataset], frame_rate: float | None) -> float | None:
    """The frame rate of all cameras: the given one, else the one in the files, else None.

    Raises:
        MismatchError: the files have different frame rates.
    """
    rates = {name: float(one.attrs["fps"]) for name, one in cameras.items() if "fps" in one.attrs}
    if len(set(rates.values())) > 1:
        raise MismatchError(
            "2D poses",
            expected="the same frame rate in all cameras",
            got=", ".join(f"{rate:g} in '{name}'" for name, rate in rates.items()),
            remedy="Bring the recordings to a common clock first; frames of different rates do not belong together.",
        )
    found = next(iter(rates.values()), None)
    if frame_rate is not None and found is not None and frame_rate != found:
        warnings.warn(
            f"2D poses: the files say {found:g} frames per second; the given {frame_rate:g} are used",
            SuiteWarning,
            stacklevel=3,
        )
    return found if frame_rate is None else frame_rate


def common_keypoints(cameras: Mapping[str, xr.Dataset]) -> tuple[dict[str, list[str]], list[str]]:
    """The names of each camera's keypoints, and those that at least two cameras have, or the only one that has any.

    Raises:
        MismatchError: there are none in common, or the keypoints were recognized differently.

    Warns:
        SuiteWarning: a keypoint is left out, or some cameras lack it.
    """
    _check_keypoint_sets(cameras)
    keypoints = {name: [str(label) for label in one["keypoint"].values] for name, one in cameras.items()}
    # Where a file names nobody and no keypoint, nothing was found.
    some = {name: labels for name, labels in keypoints.items() if labels}
    kept = _in_two("keypoint", some) if some else []
    _warn_of_lacking_keypoints(some, kept)
    return keypoints, kept


def every_frame(cameras: Mapping[str, xr.Dataset]) -> NDArray[np.int64]:
    """The numbers of the frames that any camera has.

    Raises:
        MismatchError: no frame is in two cameras.

    Warns:
        SuiteWarning: some cameras lack some frames.
    """
    frames = {name: one["frame"].values.tolist() for name, one in cameras.items()}
    some = {name: row for name, row in frames.items() if row}
    counts = Counter(frame for row in some.values() for frame in row)
    if len(some) > 1 and max(counts.values()) < 2:
        raise _nothing_in_common("frame", some)
    kept = np.array(sorted(counts), dtype=np.int64)
    _warn_of_gaps(some, kept)
    return kept


def _individuals(cameras: Mapping[str, xr.Dataset]) -> dict[str, list[str]]:
    names = {camera: [str(label) for label in one["individual"].values] for camera, one in cameras.items()}
    different = sorted({label for labels in names.values() for label in labels})
    if len(different) == 1 or any(len(labels) > 1 for labels in names.values()):
        return names
    warnings.warn(
        f"2D poses: one individual in every camera, called {', '.join(different[:_LISTED])}; "
        f"it is taken for the same and called {UNNAMED_INDIVIDUAL}",
        SuiteWarning,
        stacklevel=4,
    )
    return {camera: [UNNAMED_INDIVIDUAL] for camera in names}


def _in_two(what: str, labels: Mapping[str, Sequence[Label]]) -> list[Label]:
    """Labels that two cameras have (or the only camera), in the order of first appearance."""
    counts = Counter(label for row in labels.values() for label in row)
    needed = min(2, len(labels))
    kept = [label for label, count in counts.items() if count >= needed]
    if not kept:
        raise _nothing_in_common(what, labels)
    dropped = {name: [label for label in row if counts[label] < needed] for name, row in labels.items()}
    if any(dropped.values()):
        shown = "; ".join(f"'{name}': {_shorten(row)}" for name, row in dropped.items() if row)
        warnings.warn(f"2D poses: {what}s that only one camera has are left out ({shown})", SuiteWarning, stacklevel=4)
    return kept


def _nothing_in_common(what: str, labels: Mapping[str, Sequence[Label]]) -> MismatchError:
    shown = "; ".join(f"'{name}': {_shorten(list(row))}" for name, row in labels.items())
    return MismatchError(
        f"2D poses, {what}s",
        expected=f"{what}s that at least two cameras have",
        got=f"none in common ({shown})",
        remedy=f"Check that the files are of one recording and name their {what}s alike.",
    )


def _warn_of_gaps(frames: Mapping[str, Sequence[int]], kept: NDArray[np.int64]) -> None:
    missing = {name: np.setdiff1d(kept, row).tolist() for name, row in frames.items()}
    if any(missing.values()):
        shown = "; ".join(f"'{name}' {len(row)}: {_shorten(row)}" for name, row in missing.items() if row)
        warnings.warn(
            f"2D poses: of {len(kept)} frames, some are missing in some cameras ({shown}); "
            "they count as not seen there",
            SuiteWarning,
            stacklevel=4,
        )


def _warn_of_lacking_keypoints(keypoints: Mapping[str, Sequence[str]], kept: Sequence[str]) -> None:
    missing = {name: [keypoint for keypoint in kept if keypoint not in row] for name, row in keypoints.items()}
    if any(missing.values()):
        shown = "; ".join(f"'{name}': {_shorten(row)}" for name, row in missing.items() if row)
        warnings.warn(
            f"2D poses: keypoints that some cameras lack ({shown}); they count as not seen there",
            SuiteWarning,
            stacklevel=3,
        )


def places_of_labels(own: Sequence[Any], kept: Sequence[Any]) -> tuple[list[int], list[int]]:
    """Where the labels that are kept go to, and where they come from."""
    index = {label: place for place, label in enumerate(kept)}
    pairs = [(index[label], place) for place, label in enumerate(own) if label in index]
    return [to for to, _ in pairs], [source for _, source in pairs]


def _shorten(labels: Sequence[Any]) -> str:
    """Names as a list, numbers as ranges; cut after some."""
    if labels and isinstance(labels[0], int):
        breaks = [index for index in range(1, len(labels)) if labels[index] != labels[index - 1] + 1]
        runs = [labels[start:end] for start, end in zip([0, *breaks], [*breaks, len(labels)], strict=True)]
        parts = [str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs]
    else:
        parts = [str(label) for label in labels]
    return ", ".join(parts[:_LISTED]) + (f" and {len(parts) - _LISTED} more" if len(parts) > _LISTED else "")


def _check_keypoint_sets(cameras: Mapping[str, xr.Dataset]) -> None:
    sets = {name: str(one.attrs["keypoint_set"]) for name, one in cameras.items() if "keypoint_set" in one.attrs}
    if len(set(sets.values())) > 1:
        raise MismatchError(
            "2D poses, keypoints",
            expected="the same set of keypoints in all cameras",
            got=", ".join(f"{keypoint_set} in '{name}'" for name, keypoint_set in sets.items()),
            remedy=f"Say which it is, e.g. keypoints='{next(iter(sets.values()))}'.",
        )


def image_sizes(datasets: Iterable[xr.Dataset]) -> NDArray[np.float64] | None:
    """(camera, 2) px width and height of Datasets of one camera each, NaN where unknown; None where all are."""
    sizes = [one["image_size"].values[0] if "image_size" in one else (np.nan, np.nan) for one in datasets]
    return np.array(sizes, dtype=np.float64) if np.isfinite(np.array(sizes, dtype=np.float64)).any() else None


def joined(cameras: Mapping[str, xr.Dataset], attribute: str) -> str:
    """The different values of a text attribute."""
    values = dict.fromkeys(str(one.attrs.get(attribute, "")) for one in cameras.values())
    return "; ".join(value for value in values if value)
