"""OpenPose's JSON: a folder of one file per frame, with the keypoints of each person.

The frame is the last number in the name of the file (cam01.0081.json, video_000000000081_keypoints.json). A keypoint
at (0, 0) with score 0 was not found. The files do not name keypoints: how many there are, and where they lie, tells
which of OpenPose's models found them.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Sequence
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from calibration.errors import FileFormatError, InvalidValueError, SuiteWarning
from pose3d.datasets import instances, poses2d
from pose3d.formats._tidy import clean_confidence, clean_positions, keypoint_names, last_number
from pose3d.formats.pose_format import PoseFormat
from pose3d.formats.poses_as_instances import PLACES
from pose3d.skeleton import PRESETS

__all__ = ["FORMAT", "read_openpose"]

_WHAT = "OpenPose JSON: an object with a list 'people', each with 'pose_keypoints_2d'"
_REMEDY = "Write the file again with OpenPose's --write_json, or take it out of the folder."
# The first versions wrote 'pose_keypoints'.
_KEYS = ("pose_keypoints_2d", "pose_keypoints")
_OTHER_PARTS = ("face_keypoints_2d", "hand_left_keypoints_2d", "hand_right_keypoints_2d")
# The highest peak of OpenPose's heatmaps seen was 1.1.
_HIGHEST_SCORE = 2.0
# One model explains the keypoints if its eyes are this many times nearer to its nose than the other's.
_CLEARLY_NEARER = 2.0


def read_openpose(
    path: str | os.PathLike[str],
    *,
    keypoints: str | Sequence[str] | None = None,
    camera: str | None = None,
    frame_rate: float | None = None,
) -> xr.Dataset:
    """Poses2D of one camera from a folder of OpenPose JSON files, or from one such file.

    Individuals are OpenPose's person ids where it tracked people. Otherwise they are the places in each frame's list,
    person_0, person_1, ..., which need not be the same person from frame to frame; a SuiteWarning says so where there
    is more than one. Face and hands are left out. The attribute `keypoint_set` says which model was recognized.

    Args:
        path: the folder, or a file.
        keypoints: names of the keypoints in the file's order, or the name of a preset ("body_25", "body_25b",
            "coco_18", ...); by default recognized from their number and place.
        camera: the name of the camera; the name of the folder by default.
        frame_rate: frames per second, where it is known.

    Raises:
        FileFormatError: there are no files, one is damaged or of another format, a frame is there twice, nobody is in
            any frame, or the number of keypoints changes.
        InvalidValueError: a score is far out of [0, 1], a position is infinite, or `keypoints` does not fit the file.
    """
    file = Path(path)
    frames, files = _files(file)
    people = [_people(name) for name in files]
    if not any(people):
        raise _nobody(file, f"nobody in {len(files)} files")
    ids = _ids(people)
    individuals, columns = _places(people) if ids is None else _individuals(ids)
    position, confidence = _values(people, columns, len(individuals), files, file)
    if ids is None and len(individuals) > 1:
        warnings.warn(
            f"{file}: up to {len(individuals)} people without ids; they are told apart by their order in each frame, "
            "which need not be the same from frame to frame and from camera to camera",
            SuiteWarning,
            stacklevel=2,
        )
    names, keypoint_set = _keypoint_names(position, keypoints, file)
    dataset = poses2d(
        position[:, None],
        confidence[:, None],
        cameras=[camera or file.stem],
        individuals=individuals,
        keypoints=names,
        frames=frames,
        frame_rate=frame_rate,
        source_software="OpenPose",
        source_file=str(file),
    )
    return dataset.assign_attrs(keypoint_set=keypoint_set, **({"individuals": PLACES} if ids is None else {}))


def _read_instances(
    path: str | os.PathLike[str],
    *,
    keypoints: str | Sequence[str] | None = None,
    camera: str | None = None,
    frame_rate: float | None = None,
) -> xr.Dataset:
    """Instances of one camera: all people in every frame, with OpenPose's person ids as tracks where it has them.

    Where nobody is in any frame, there are no keypoints.
    """
    file = Path(path)
    frames, files = _files(file)
    people = [_people(name) for name in files]
    count = np.array([len(persons) for persons in people])
    slots = max(1, int(count.max()))
    position, confidence = np.full((len(files), slots, 0, 2), np.nan), np.zeros((len(files), slots, 0))
    names: tuple[str, ...] = ()
    attributes = {}
    columns = np.concatenate([np.arange(persons) for persons in count])
    if count.any():
        position, confidence = _values(people, columns, slots, files, file)
        names, attributes["keypoint_set"] = _keypoint_names(position, keypoints, file)
    ids = _ids(people) if count.any() else None
    tracks: list[str] = []
    track = np.full((len(files), slots), -1, dtype=np.int64)
    if ids is not None:
        tracks, numbers = _individuals(ids)
        track[np.repeat(np.arange(len(files)), count), columns] = numbers
    dataset = instances(
        position[:, None],
        confidence[:, None],
        cameras=[camera or file.stem],
        keypoints=names,
        track=None if ids is None else track[:, None],
        track_names=tracks,
        frames=frames,
        frame_rate=frame_rate,
        source_software="OpenPose",
        source_file=str(file),
    )
    return dataset.assign_attrs(attributes)


def _files(path: Path) -> tuple[NDArray[np.int64], list[Path]]:
    """Frame numbers, increasing, and the file of each."""
    if path.is_dir():
        files = [file for file in path.iterdir() if file.suffix.casefold() == ".json" and not file.name.startswith(".")]
    else:
        files = [path]
    numbered = [(number, file) for file in files if (number := _frame(file)) is not None]
    if len(numbered) < max(1, len(files)):
        odd = next((file.name for file in files if _frame(file) is None), None)
        raise FileFormatError(
            path,
            expected="OpenPose JSON files with the frame number in their names, as video_000000000012_keypoints.json",
            got=f"'{odd}'" if odd else "no JSON file",
            remedy="Give the folder that OpenPose's --write_json wrote, and take other files out of it.",
        )
    numbered.sort(key=lambda pair: (pair[0], pair[1].name))
    for (number, first), (next_number, second) in pairwise(numbered):
        if number == next_number:
            raise FileFormatError(
                path,
                expected="one file per frame of one camera",
                got=f"frame {number} in '{first.name}' and '{second.name}'",
                remedy="Put the files of each camera into a folder of their own.",
            )
    return np.array([number for number, _ in numbered], dtype=np.int64), [file for _, file in numbered]


def _frame(path: Path) -> int | None:
    return last_number(path.stem.removesuffix("_keypoints"))


def _people(path: Path) -> list[dict[str, Any]]:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise FileFormatError(path, expected=_WHAT, got=f"no JSON ({error})", remedy=_REMEDY) from error
    people = content.get("people") if isinstance(content, dict) else None
    if not isinstance(people, list) or not all(isinstance(person, dict) for person in people):
        found = f"the keys {', '.join(map(repr, content))}" if isinstance(content, dict) else type(content).__name__
        raise FileFormatError(path, expected=_WHAT, got=found[:80], remedy=_REMEDY)
    return people


def _values(
    people: list[list[dict[str, Any]]], columns: NDArray[np.int64], width: int, files: Sequence[Path], path: Path
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(frame, column, keypoint, 2) positions in px and (frame, column, keypoint) confidence.

    Args:
        people: those of every frame.
        columns: where each of them is to go.
        width: how many columns there are.
        files: of every frame.
        path: the folder.
    """
    poses = _flat(people, files, path)
    values = np.full((len(people), width, *poses.shape[1:]), np.nan)
    values[np.repeat(np.arange(len(people)), [len(persons) for persons in people]), columns] = poses
    _warn_of_other_parts(people, path)
    missing = (values[..., :2] == 0).all(axis=-1)
    values[missing] = np.nan
    position = clean_positions(values[..., :2])
    _check_pixels(position, path)
    return position, clean_confidence(values[..., 2], position, path, highest=_HIGHEST_SCORE)


def _flat(people: list[list[dict[str, Any]]], files: Sequence[Path], path: Path) -> NDArray[np.float64]:
    """(person, keypoint, 3) x, y and score of all people in all frames."""
    flat = [_pose(person, file) for persons, file in zip(people, files, strict=True) for person in persons]
    counts = sorted({len(pose) for pose in flat})
    if counts == [0]:
        raise _nobody(path, "people without 'pose_keypoints_2d'")
    if len(counts) > 1 or counts[0] % 3:
        usual = max(counts, key=lambda count: (count % 3 == 0, [len(pose) for pose in flat].count(count)))
        owners = [file for persons, file in zip(people, files, strict=True) for _ in persons]
        odd = [file for pose, file in zip(flat, owners, strict=True) if len(pose) != usual or usual % 3]
        raise FileFormatError(
            odd[0],
            expected="the same number of keypoints everywhere, each with x, y and score",
            got=f"lists of {', '.join(map(str, counts[:5]))} numbers",
            remedy="Keep the files of one run of one model in the folder.",
        )
    return np.array(flat, dtype=np.float64).reshape(len(flat), -1, 3)


def _nobody(path: Path, got: str) -> FileFormatError:
    return FileFormatError(
        path,
        expected="people with body keypoints",
        got=got,
        remedy="Check that this is the right folder and that OpenPose found people in the video.",
    )


def _pose(person: dict[str, Any], path: Path) -> list[float]:
    pose: object = next((person[key] for key in _KEYS if key in person), [])
    if not isinstance(pose, list) or not all(isinstance(value, int | float) for value in pose):
        raise FileFormatError(path, expected=_WHAT, got="keypoints that are not a list of numbers", remedy=_REMEDY)
    return pose


def _ids(people: list[list[dict[str, Any]]]) -> list[int] | None:
    """The id of each person in all frames; None where they have none, or one is there twice in a frame."""
    ids = [[_person_id(person) for person in persons] for persons in people]
    flat = [number for number in chain.from_iterable(ids) if number is not None and number >= 0]
    unique = all(len(set(row)) == len(row) for row in ids)
    return flat if unique and len(flat) == sum(map(len, people)) else None


def _individuals(ids: Sequence[int]) -> tuple[list[str], NDArray[np.int64]]:
    """The names of people with ids, and the index of the name of each person in all frames."""
    known, index = np.unique(ids, return_inverse=True)
    return [f"person_{number}" for number in known], index


def _places(people: list[list[dict[str, Any]]]) -> tuple[list[str], NDArray[np.int64]]:
    """The same of people without ids, who are called by their place in each frame."""
    names = [f"person_{place}" for place in range(max(map(len, people)))]
    return names, np.concatenate([np.arange(len(persons)) for persons in people])


def _person_id(person: dict[str, Any]) -> int | None:
    value = person.get("person_id")
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    return value if isinstance(value, int) else None


def _check_pixels(position: NDArray[np.float64], path: Path) -> None:
    """OpenPose can write coordinates from 0 to 1 or -1 to 1 as well (--keypoint_scale 3 and 4)."""
    found = position[np.isfinite(position)]
    if found.size and np.abs(found).max() <= 1:
        raise InvalidValueError(
            f"{path}, positions",
            expected="pixels",
            got=f"values from {found.min():g} to {found.max():g}",
            remedy="Run OpenPose with --keypoint_scale 0, which writes pixels of the video.",
        )


def _warn_of_other_parts(people: list[list[dict[str, Any]]], path: Path) -> None:
    parts = {part for person in chain.from_iterable(people) for part in _OTHER_PARTS if any(person.get(part) or ())}
    if parts:
        named = ", ".join(sorted(part.removesuffix("_keypoints_2d") for part in parts))
        warnings.warn(f"{path}: keypoints of {named} are left out; only the body is read", SuiteWarning, stacklevel=2)


def _keypoint_names(
    position: NDArray[np.float64], keypoints: str | Sequence[str] | None, path: Path
) -> tuple[tuple[str, ...], str]:
    """Names of the keypoints, and of the preset they come from."""
    count = position.shape[-2]
    if keypoints is not None:
        given = keypoints if isinstance(keypoints, str) else "given"
        return tuple(keypoint_names(keypoints, count, path)), given
    # OpenPose knows people; the other presets are of animals and hands
    people = {name: preset for name, preset in PRESETS.items() if {"Nose", "LEye", "REye"} <= set(preset.keypoints)}
    candidates = [name for name, preset in people.items() if len(preset.keypoints) == count]
    chosen = _recognize(position, candidates, path)
    if chosen is None:
        return tuple(f"keypoint_{index}" for index in range(count)), "unknown"
    return PRESETS[chosen].keypoints, chosen


def _recognize(position: NDArray[np.float64], candidates: Sequence[str], path: Path) -> str | None:
    """The model whose eyes lie nearest to its nose: in BODY_25 the second keypoint is the neck, in BODY_25B an eye."""
    if len(candidates) < 2:
        return next(iter(candidates), None)
    distances = sorted((_eyes_to_nose(position, PRESETS[name].keypoints), name) for name in candidates)
    (nearest, chosen), (second, _) = distances[:2]
    if not nearest * _CLEARLY_NEARER < second:
        raise InvalidValueError(
            f"{path}, keypoints",
            expected=f"keypoints that look like those of {' or '.join(candidates)}",
            got="too few faces to tell which",
            remedy=f"Say it: keypoints={' or '.join(map(repr, candidates))}.",
        )
    return chosen


def _eyes_to_nose(position: NDArray[np.float64], names: Sequence[str]) -> float:
    """The median distance of the eyes from the nose, px; infinite where they were never seen together."""
    if not {"Nose", "LEye", "REye"} <= set(names):
        return float("inf")
    nose = position[..., names.index("Nose"), :]
    distances = np.stack(
        [np.linalg.norm(position[..., names.index(eye), :] - nose, axis=-1) for eye in ("LEye", "REye")]
    )
    seen = distances[np.isfinite(distances)]
    return float(np.median(seen)) if seen.size else float("inf")


def _sniff(path: Path) -> bool:
    try:
        if path.is_dir():
            path = next(file for file in path.iterdir() if file.suffix.casefold() == ".json")
        elif path.suffix.casefold() != ".json":
            return False
        _people(path)
    except (FileFormatError, StopIteration, OSError):
        return False
    return True


FORMAT = PoseFormat(
    name="openpose",
    description="OpenPose JSON, a folder of one file per frame (BODY_25, BODY_25B, COCO)",
    suffixes=(),
    sniff=_sniff,
    read=read_openpose,
    names_keypoints=False,
    read_instances=_read_instances,
)
