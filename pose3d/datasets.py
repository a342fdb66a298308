"""The labeled arrays that flow through the suite: their schemas and constructors.

Missing is NaN, confidence is in [0, 1], and frame numbers (coordinate `frame`), never row positions, say which rows
belong together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from calibration.errors import InvalidValueError
from calibration.schema import Schema, as_floats, check
from pose3d._schemas import DETECTIONS, IDENTITY, INSTANCES, KINEMATICS, POSES2D, POSES3D

__all__ = [
    "DETECTIONS",
    "IDENTITY",
    "INSTANCES",
    "KINEMATICS",
    "POSES2D",
    "POSES3D",
    "detections",
    "flag_words",
    "instances",
    "poses2d",
    "poses2d_of_detections",
    "poses3d",
    "time_coordinates",
]


def poses2d(
    position: ArrayLike,
    confidence: ArrayLike | None = None,
    *,
    cameras: Sequence[str],
    individuals: Sequence[str],
    keypoints: Sequence[str],
    frames: ArrayLike | None = None,
    frame_rate: float | None = None,
    image_size: ArrayLike | None = None,
    source_software: str = "",
    source_file: str = "",
) -> xr.Dataset:
    """A Poses2D Dataset from arrays.

    Args:
        position: (time, camera, individual, keypoint, 2) pixels, NaN where missing.
        confidence: (time, camera, individual, keypoint) in [0, 1]; 1 where a position is given, by default.
        cameras, individuals, keypoints: names along these axes.
        frames: (time,) frame numbers; 0, 1, 2, ... by default.
        frame_rate: frames per second; without it `time` holds frame numbers.
        image_size: (camera, 2) width and height, NaN where unknown.
        source_software, source_file: where the poses came from.

    Raises:
        InvalidValueError: shapes do not fit, names are repeated or blank, values are infinite, confidence is out of
            [0, 1], or frames or frame rate are not as `time_coordinates` wants them.
    """
    sizes = {"camera": len(cameras), "individual": len(individuals), "keypoint": len(keypoints), "space": 2}
    subject, kinds = source_file or POSES2D.name, POSES2D.variables
    points = _fitting(position, f"{subject}, position", kinds["position"].dims, sizes)
    sizes["time"] = len(points)
    given = np.all(np.isfinite(points), axis=-1) if confidence is None else confidence
    scores = _fitting(given, f"{subject}, confidence", kinds["confidence"].dims, sizes)
    variables: dict[str, object] = {
        "position": (kinds["position"].dims, points, {"units": "px"}),
        "confidence": (kinds["confidence"].dims, scores, {"units": "1"}),
    }
    if image_size is not None:
        width_height = _fitting(image_size, f"{subject}, image_size", kinds["image_size"].dims, sizes)
        variables["image_size"] = (kinds["image_size"].dims, width_height, {"units": "px"})
    dataset = xr.Dataset(
        variables,
        coords={
            **time_coordinates(len(points), frames, frame_rate, subject=source_file),
            "camera": _names(cameras),
            "individual": _names(individuals),
            "keypoint": _names(keypoints),
            "space": ["x", "y"],
        },
        attrs=_attributes(frame_rate, source_software, source_file),
    )
    return check(dataset, POSES2D, subject=source_file or None)


def poses3d(
    position: ArrayLike,
    confidence: ArrayLike | None = None,
    *,
    individuals: Sequence[str],
    keypoints: Sequence[str],
    unit: str,
    frames: ArrayLike | None = None,
    frame_rate: float | None = None,
    source_software: str = "",
    source_file: str = "",
) -> xr.Dataset:
    """A Poses3D Dataset from arrays, with position and confidence only.

    Args:
        position: (time, 3, keypoint, individual) in `unit`, NaN where missing.
        confidence: (time, keypoint, individual) in [0, 1]; 1 where a position is given, by default.
        individuals, keypoints: names along these axes.
        unit: length unit ("mm", "m").
        frames, frame_rate, source_software, source_file: as for `poses2d`.

    Raises:
        InvalidValueError: as for `poses2d`, or the unit is blank.
    """
    sizes = {"space": 3, "keypoint": len(keypoints), "individual": len(individuals)}
    subject, kinds = source_file or POSES3D.name, POSES3D.variables
    points = _fitting(position, f"{subject}, position", kinds["position"].dims, sizes)
    sizes["time"] = len(points)
    given = np.all(np.isfinite(points), axis=1) if confidence is None else confidence
    scores = _fitting(given, f"{subject}, confidence", kinds["confidence"].dims, sizes)
    _check_unit(unit, subject)
    dataset = xr.Dataset(
        {
            "position": (kinds["position"].dims, points, {"units": unit}),
            "confidence": (kinds["confidence"].dims, scores, {"units": "1"}),
        },
        coords={
            **time_coordinates(len(points), frames, frame_rate, subject=source_file),
            "space": ["x", "y", "z"],
            "keypoint": _names(keypoints),
            "individual": _names(individuals),
        },
        attrs=_attributes(frame_rate, source_software, source_file),
    )
    return check(dataset, POSES3D, subject=source_file or None)


def detections(
    position: ArrayLike,
    confidence: ArrayLike,
    covariance: ArrayLike | None = None,
    *,
    cameras: Sequence[str],
    keypoints: Sequence[str],
    frames: ArrayLike | None = None,
    frame_rate: float | None = None,
    image_size: ArrayLike | None = None,
    source_software: str = "",
    source_file: str = "",
) -> xr.Dataset:
    """A Detections Dataset from arrays.

    Args:
        position: (time, camera, candidate, keypoint, 2) pixels, NaN where missing; the most probable candidate first.
        confidence: (time, camera, candidate, keypoint) in [0, 1].
        covariance: (time, camera, candidate, keypoint, 2, 2) px^2.
        cameras, keypoints, frames, frame_rate, image_size, source_software, source_file: as for `poses2d`.

    Raises:
        InvalidValueError: as for `poses2d`.
    """
    subject, sizes = source_file or DETECTIONS.name, {"camera": len(cameras), "keypoint": len(keypoints), "space": 2}
    given = {"position": position, "confidence": confidence, "covariance": covariance, "image_size": image_size}
    variables = _variables(given, DETECTIONS, sizes, subject)
    dataset = xr.Dataset(
        variables,
        coords={
            **time_coordinates(sizes["time"], frames, frame_rate, subject=source_file),
            "camera": _names(cameras),
            "candidate": np.arange(sizes["candidate"]),
            "keypoint": _names(keypoints),
            "space": ["x", "y"],
        },
        attrs=_attributes(frame_rate, source_software, source_file) | {"ds_type": "detections"},
    )
    return check(dataset, DETECTIONS, subject=source_file or None)


def instances(
    position: ArrayLike,
    confidence: ArrayLike | None = None,
    *,
    cameras: Sequence[str],
    keypoints: Sequence[str],
    covariance: ArrayLike | None = None,
    track: ArrayLike | None = None,
    track_names: Sequence[str] = (),
    appearance: ArrayLike | None = None,
    frames: ArrayLike | None = None,
    frame_rate: float | None = None,
    image_size: ArrayLike | None = None,
    source_software: str = "",
    source_file: str = "",
) -> xr.Dataset:
    """An Instances Dataset from arrays.

    Args:
        position: (time, camera, instance, keypoint, 2) pixels, NaN where missing.
        confidence: (time, camera, instance, keypoint) in [0, 1]; 1 where a position is given, by default.
        cameras, keypoints: names along these axes.
        covariance: (time, camera, instance, keypoint, 2, 2) px^2.
        track: (time, camera, instance) number of the track that another program put the instance into, -1 for none.
        track_names: names of these tracks.
        appearance: (time, camera, instance, feature).
        frames, frame_rate, image_size, source_software, source_file: as for `poses2d`.

    Raises:
        InvalidValueError: as for `poses2d`.
    """
    subject, sizes = source_file or INSTANCES.name, {"camera": len(cameras), "keypoint": len(keypoints), "space": 2}
    points = as_floats(position, f"{subject}, position")
    given = {
        "position": points,
        "confidence": np.all(np.isfinite(points), axis=-1) if confidence is None else confidence,
        "covariance": covariance,
        "appearance": appearance,
        "image_size": image_size,
        "track": track,
    }
    variables = _variables(given, INSTANCES, sizes, subject)
    if track is not None:
        dims, numbers, attributes = variables["track"]
        variables["track"] = (dims, numbers.astype(np.int64), attributes)
        variables["track_name"] = (("source_track",), _names(track_names), {})
    dataset = xr.Dataset(
        variables,
        coords={
            **time_coordinates(sizes["time"], frames, frame_rate, subject=source_file),
            "camera": _names(cameras),
            "instance": np.arange(sizes["instance"]),
            "keypoint": _names(keypoints),
            "space": ["x", "y"],
        },
        attrs=_attributes(frame_rate, source_software, source_file) | {"ds_type": "instances"},
    )
    return check(dataset, INSTANCES, subject=source_file or None)


def poses2d_of_detections(found: xr.Dataset) -> xr.Dataset:
    """Poses2D of the most probable candidates, as those of one individual "individual_0"; nothing is loaded.

    Raises:
        InvalidValueError: the Dataset does not follow the schema, or has no candidate.
    """
    check(found, DETECTIONS, values=False)
    best = found.isel(candidate=slice(0, 1)).drop_vars("candidate").rename(candidate="individual")
    if not best.sizes["individual"]:
        raise InvalidValueError(DETECTIONS.name, expected="at least one candidate", got="none", remedy="Detect again.")
    return best.assign_coords(individual=_names(["individual_0"])).assign_attrs(ds_type="poses")


def time_coordinates(
    length: int, frames: ArrayLike | None, frame_rate: float | None, *, subject: str = ""
) -> dict[str, tuple[str, NDArray[np.generic], dict[str, str]]]:
    """The coordinates `time` and `frame` along the dimension time.

    Args:
        length: number of rows.
        frames: (length,) increasing frame numbers; 0, 1, 2, ... by default.
        frame_rate: frames per second, or None where it is unknown: `time` then holds frame numbers.
        subject: the file to name in an error.

    Raises:
        InvalidValueError: the frame numbers do not increase or one is negative, or the frame rate is not positive.
    """
    where = f"{subject}, " if subject else ""
    as_floats([] if frames is None else frames, f"{where}frame numbers")  # refuses what are no numbers
    numbers = np.arange(length) if frames is None else np.asarray(frames)
    rate = None if frame_rate is None else as_floats(frame_rate, f"{where}frame rate")
    if rate is not None and not (rate.shape == () and np.isfinite(rate) and rate > 0):
        raise InvalidValueError(
            f"{where}frame rate",
            expected="a positive number of frames per second",
            got=str(frame_rate),
            remedy="Give the rate at which the videos were recorded.",
        )
    fits = numbers.shape == (length,) and (numbers.dtype.kind in "iu" or not length)
    if fits:
        # before the differences: those of unsigned numbers are never negative
        numbers = numbers.astype(np.int64)
        fits = not length or bool(numbers[0] >= 0 and (np.diff(numbers) > 0).all())
    if not fits:
        raise InvalidValueError(
            f"{where}frame numbers",
            expected=f"{length} increasing whole numbers from 0 on, each once",
            got=f"shape {numbers.shape}, type {numbers.dtype}, first {numbers.ravel()[:5]}",
            remedy="Sort the rows by frame and keep one row per frame.",
        )
    if rate is None:
        time, units = numbers.astype(np.float64), "frames"
    else:
        time, units = numbers / float(rate), "s"
    return {"time": ("time", time, {"units": units}), "frame": ("time", numbers, {})}


def flag_words(coded: xr.DataArray) -> dict[int, str]:
    """What the values of a coded variable, as `status`, mean: a word each, with `_` for blanks.

    They are taken from the attributes `flag_values` and `flag_meanings` of the CF conventions; none where there are no
    such attributes, or as many values as words.
    """
    codes = np.atleast_1d(coded.attrs.get("flag_values", [])).tolist()
    words = str(coded.attrs.get("flag_meanings", "")).split()
    return dict(zip(map(int, codes), words, strict=True)) if len(codes) == len(words) else {}


def _names(names: Sequence[str]) -> NDArray[np.str_]:
    # An empty list would become an array of floats.
    return np.array([str(name) for name in names], dtype=np.str_)


def _fitting(values: ArrayLike, subject: str, dims: tuple[str, ...], sizes: Mapping[str, int]) -> NDArray[np.float64]:
    """The array of these dimensions, or an error where its shape is not that of `sizes`."""
    array = as_floats(values, subject)
    if array.ndim != len(dims) or any(sizes.get(dim, n) != n for dim, n in zip(dims, array.shape, strict=True)):
        raise InvalidValueError(
            subject,
            expected=f"shape ({', '.join(dims)}) = ({', '.join(str(sizes.get(dim, 'n')) for dim in dims)})",
            got=f"shape {array.shape}",
            remedy="Check the order of the axes and the number of names and frames.",
        )
    return array


def _variables(
    given: Mapping[str, ArrayLike | None], schema: Schema, sizes: dict[str, int], subject: str
) -> dict[str, tuple[tuple[str, ...], NDArray[np.generic], dict[str, str | None]]]:
    """The arrays that are given, as variables of a schema; `sizes` learns the lengths of their axes."""
    variables: dict[str, tuple[tuple[str, ...], NDArray[np.generic], dict[str, str | None]]] = {}
    for name, values in given.items():
        if values is not None:
            kind = schema.variables[name]
            fitting = _fitting(values, f"{subject}, {name}", kind.dims, sizes)
            sizes |= dict(zip(kind.dims, fitting.shape, strict=True))
            variables[name] = (kind.dims, fitting, {"units": kind.units})
    return variables


def _check_unit(unit: object, subject: str) -> None:
    if not isinstance(unit, str) or not unit.strip():
        raise InvalidValueError(
            f"{subject}, unit",
            expected="the name of a length unit",
            got=repr(unit),
            remedy="Give the unit of the rig, as 'mm' or 'm'.",
        )


def _attributes(frame_rate: float | None, source_software: str, source_file: str) -> dict[str, object]:
    # The names are those of the movement package, so that it takes the Dataset as its own.
    attributes: dict[str, object] = {
        "ds_type": "poses",
        "time_unit": "frames" if frame_rate is None else "seconds",
        "source_software": source_software or f"pose3d {_version()}",
        "source_file": source_file,
    }
    if frame_rate is not None:
        attributes["fps"] = float(frame_rate)
    return attributes


def _version() -> str:
    try:
        return version("pose3d-suite")
    except PackageNotFoundError:
        return "(not installed)"
