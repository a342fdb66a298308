"""What readers of all formats do to the values of a file: missing is NaN, confidence is in [0, 1], rows are frames."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np
from numpy.typing import NDArray

from calibration.errors import FileFormatError, InvalidValueError
from pose3d.skeleton import PRESETS

__all__ = [
    "UNNAMED_INDIVIDUAL",
    "clean_confidence",
    "clean_positions",
    "frames_of_labels",
    "keypoint_names",
    "last_number",
]

UNNAMED_INDIVIDUAL = "individual_0"
"""The name of the only animal or person in a file that does not name it."""

# Rounding in float32 files.
_ROUNDING = 1e-6


def clean_positions(position: NDArray[np.float64]) -> NDArray[np.float64]:
    """(..., 2) positions that are NaN in both coordinates where one of them is NaN."""
    return np.asarray(np.where(np.isnan(position).any(axis=-1, keepdims=True), np.nan, position))


def clean_confidence(
    scores: NDArray[np.float64] | None, position: NDArray[np.float64], path: Path, *, highest: float = 1.0
) -> NDArray[np.float64]:
    """Confidence in [0, 1] of positions (..., 2).

    Args:
        scores: (...) as the file has them; None where it has none. NaN beside a position means that nobody scored it,
            as with labels by hand: it becomes 1.
        position: (..., 2) px, NaN where missing; confidence becomes 0 there.
        path: the file, for the error.
        highest: the highest score that this format gives to a certain keypoint. Peaks of heatmaps overshoot 1 a little;
            what lies between 1 and `highest` becomes 1.

    Raises:
        InvalidValueError: a score is below 0 or above `highest`.
    """
    found = np.asarray(np.isfinite(position).all(axis=-1))
    if scores is None:
        return found.astype(np.float64)
    wrong = found & ((scores < -_ROUNDING) | (scores > highest + _ROUNDING))
    if wrong.any():
        raise InvalidValueError(
            f"{path}, likelihood",
            expected=f"scores from 0 to {highest:g}",
            got=f"{int(wrong.sum())} of {int(found.sum())} outside, from {scores[wrong].min():g} to "
            f"{scores[wrong].max():g}",
            remedy="Divide by the highest possible score if they are on another scale; "
            "look whether columns are mixed up.",
        )
    return np.asarray(np.where(found, np.clip(np.where(np.isnan(scores), 1.0, scores), 0.0, 1.0), 0.0))


def last_number(name: str) -> int | None:
    """The last group of digits in a text, as a number; None where there is none."""
    groups = re.findall(r"\d+", name)
    return int(groups[-1]) if groups else None


def frames_of_labels(labels: Sequence[object], path: Path) -> tuple[NDArray[np.int64], NDArray[np.intp]]:
    """Frame numbers of the rows of a table, increasing, and the order that sorts the rows so.

    Labels are frame numbers, or names of images, the last number in whose name is the frame.

    Raises:
        FileFormatError: there is no row, a label has no number, a frame is there twice, or the rows are of several
            videos.
    """
    if len(labels) == 0:
        raise FileFormatError(
            path,
            expected="one row per frame",
            got="no rows",
            remedy="Export the poses again; the file may be cut off.",
        )
    numbers = _plain_numbers(labels)
    if numbers is None:
        numbers = _numbers_of_images([str(label) for label in labels], path)
    order = np.argsort(numbers, kind="stable")
    frames = numbers[order]
    repeated = frames[1:][np.diff(frames) == 0]
    if repeated.size or frames[0] < 0:
        raise FileFormatError(
            path,
            expected="every frame number once, from 0",
            got=f"frame {repeated[0]} twice" if repeated.size else f"frame {frames[0]}",
            remedy="Keep one row per frame; give the frames of one video only.",
        )
    return frames, order


def _plain_numbers(labels: Sequence[object]) -> NDArray[np.int64] | None:
    try:
        numbers = np.asarray(labels, dtype=np.float64)
    except (TypeError, ValueError):
        return None
    whole = (
        np.isfinite(numbers).all() and np.array_equal(numbers, np.round(numbers)) and (np.abs(numbers) < 2**53).all()
    )
    return numbers.astype(np.int64) if whole else None


def _numbers_of_images(labels: Sequence[str], path: Path) -> NDArray[np.int64]:
    files = [(PureWindowsPath if "\\" in label else PurePosixPath)(label) for label in labels]
    folders = sorted({str(file.parent) for file in files})
    if len(folders) > 1:
        raise FileFormatError(
            path,
            expected="the frames of one video",
            got=f"images of {len(folders)} folders: {', '.join(folders[:3])}{', ...' if len(folders) > 3 else ''}",
            remedy="Save the rows of each video to a file of their own.",
        )
    numbers = [last_number(file.stem) for file in files]
    if None in numbers:
        raise FileFormatError(
            path,
            expected="rows named by frame number, or by images with a number in their name",
            got=f"'{labels[numbers.index(None)]}'",
            remedy="Name the rows by frame number.",
        )
    return np.array(numbers, dtype=np.int64)


def keypoint_names(keypoints: str | Sequence[str], count: int, path: Path) -> list[str]:
    """The names a caller gave to `count` keypoints that the file does not name.

    Raises:
        InvalidValueError: there are fewer or more names than keypoints, or a text is not the name of a preset.
    """
    if isinstance(keypoints, str) and keypoints not in PRESETS:
        raise InvalidValueError(
            "keypoints",
            expected=f"a list of names, or one of the presets {', '.join(PRESETS)}",
            got=f"'{keypoints}'",
            remedy="Correct the name.",
        )
    names = list(PRESETS[keypoints].keypoints if isinstance(keypoints, str) else keypoints)
    if len(names) != count:
        raise InvalidValueError(
            f"{path}, keypoints",
            expected=f"{count} names, one per keypoint of the file",
            got=f"{len(names)}",
            remedy="Name all keypoints, in the file's order.",
        )
    return names
