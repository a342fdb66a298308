"""DeepLabCut's raw detections of several animals (`..._full.pickle`): candidates of every keypoint, and affinities.

What is in the file, as its TensorFlow engine writes it (`pose_estimation_tensorflow/predict_videos.py` and
`core/predict_multianimal.py`) and its PyTorch engine (`pose_estimation_pytorch/apis/videos.py`):

- `metadata`: a dictionary with `all_joints_names`, the keypoints, those of several animals first and unique ones
  ("single") after; `PAFgraph`, the edges as pairs of numbers of keypoints; `PAFinds`, under which number the costs of
  each edge stand; `nframes`, `nms radius`, `minimal confidence`, `sigma`.
- `frame00000`, ... one dictionary per frame, the digits being as many as the number of frames needs: `coordinates`, a
  tuple of one list with an (n, 2) array of x and y in pixels per keypoint; `confidence`, a list of (n, 1) arrays;
  `costs` (where the network has part affinity fields), by the number of the edge: `m1`, the (n, m) integral of the
  field between every two candidates, and `distance`, how far apart they are in cells of the field; perhaps `identity`,
  which is not read.

`m1` is the length of a mean of unit vectors, so from 0 to about 1, and NaN where a candidate is not finite: it becomes
the affinity, cut at 1. Pixels are those of DeepLabCut's other files: the center of the top-left pixel is (0, 0).

PyTorch's networks assemble animals themselves. In their files `costs` is None and the candidates with the same place
are of one animal; what was not found is -1. The affinity says so: it is 1 at the same place and 0 elsewhere, for every
two keypoints that have as many places as there are animals.

The file is never unpickled, since that would run whatever it says. A file that DeepLabCut kept on disk while it
worked (`use_shelve=True`) is a database and not a pickle; it cannot be read.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from calibration.errors import FileFormatError
from pose3d.datasets import DETECTIONS, detections
from pose3d.formats._array_pickle import read_array_pickle
from pose3d.formats._tidy import clean_confidence
from pose3d.formats.pose_format import PoseFormat

__all__ = ["FORMAT", "read_deeplabcut_full"]

_WHAT = "DeepLabCut's raw detections of several animals (..._full.pickle)"
_REMEDY = "Analyze the video again in DeepLabCut, without use_shelve, or copy the file again; nothing in it was run."
_FRAME = re.compile(r"frame(\d+)")
# As much of the file as is looked at to recognize it: the first frame names its parts.
_PEEKED = 1 << 12

_Candidates = list[tuple[NDArray[np.float64], NDArray[np.float64]]]


def read_deeplabcut_full(
    path: str | os.PathLike[str], *, camera: str | None = None, frame_rate: float | None = None
) -> xr.Dataset:
    """Detections of one camera from DeepLabCut's raw detections of several animals.

    Args:
        path: the file, `..._full.pickle`.
        camera: the name of the camera; the name of the file by default.
        frame_rate: frames per second, where it is known.

    Returns:
        Detections: position (time, camera, candidate, keypoint, space) px, the most probable candidate first,
        confidence in [0, 1] and, where the file says what belongs together, affinity (time, camera, edge, candidate,
        candidate_) and edge_keypoint (edge, end).

    Raises:
        FileFormatError: the file is missing, cut off, of another format, or holds anything but numbers and texts.
        InvalidValueError: a confidence is out of [0, 1], or a position is infinite.
    """
    file = Path(path)
    content = read_array_pickle(file, what=_WHAT, remedy=_REMEDY)
    metadata = content.get("metadata") if isinstance(content, dict) else None
    keypoints = metadata.get("all_joints_names") if isinstance(metadata, dict) else None
    if not isinstance(keypoints, list) or not all(isinstance(name, str) for name in keypoints):
        raise _wrong(file, "no 'metadata' with 'all_joints_names'")
    frames = _frames(content, file)
    found = [_candidates(frames[number], len(keypoints), f"{file}, frame {number}") for number in frames]
    slots = max([1, *(len(scores) for one in found for _, scores in one)])
    position = np.full((len(frames), slots, len(keypoints), 2), np.nan)
    scores = np.zeros((len(frames), slots, len(keypoints)))
    for row, one in enumerate(found):
        for column, (points, confidence) in enumerate(one):
            position[row, : len(points), column] = points
            scores[row, : len(points), column] = confidence
    position[(scores < 0) | np.isnan(position).any(axis=-1)] = np.nan
    confidence = clean_confidence(scores, position, file)
    # stable, so that equal ones, and those that were not found, stay in the order of the file
    order = np.argsort(-confidence, axis=1, kind="stable")
    dataset = detections(
        np.take_along_axis(position, order[..., None], axis=1)[:, None],
        np.take_along_axis(confidence, order, axis=1)[:, None],
        cameras=[camera or file.stem],
        keypoints=keypoints,
        frames=list(frames),
        frame_rate=frame_rate,
        source_software="DeepLabCut",
        source_file=str(file),
    )
    return _with_affinity(dataset, list(frames.values()), found, order, content["metadata"], file)


def _frames(content: Mapping[str, Any], path: Path) -> dict[int, Mapping[str, Any]]:
    """What is in every frame, by its number, in order."""
    numbered = {int(match[1]): value for key, value in content.items() if (match := _FRAME.fullmatch(str(key)))}
    if not numbered or len(numbered) < len(content) - 1:
        odd = next((str(key) for key in content if key != "metadata" and not _FRAME.fullmatch(str(key))), None)
        raise _wrong(path, "no frames" if odd is None else f"'{odd[:40]}', or a frame twice")
    # A frame in which nothing was looked for is empty.
    wrong = [number for number, value in numbered.items() if value and not isinstance(value, dict)]
    if wrong:
        raise _wrong(f"{path}, frame {wrong[0]}", "no dictionary")
    return {number: numbered[number] or {} for number in sorted(numbered)}


def _candidates(frame: Mapping[str, Any], count: int, subject: str) -> _Candidates:
    """(n, 2) places and (n,) scores of every keypoint."""
    if not frame:
        return [(np.empty((0, 2)), np.empty(0))] * count
    coordinates, confidence = frame.get("coordinates"), frame.get("confidence")
    if isinstance(coordinates, tuple | list) and len(coordinates) == 1:
        coordinates = coordinates[0]
    if not isinstance(coordinates, list) or not isinstance(confidence, list):
        raise _wrong(subject, "no lists of 'coordinates' and 'confidence'")
    if not len(coordinates) == len(confidence) == count:
        raise _wrong(subject, f"{len(coordinates)} keypoints with {len(confidence)} confidences instead of {count}")
    return [_pair(*pair, subject) for pair in zip(coordinates, confidence, strict=True)]


def _pair(points: Any, scores: Any, subject: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    points, scores = _numbers(points, subject), _numbers(scores, subject).ravel()
    if points.size != 2 * scores.size or (points.size and points.shape[-1] != 2):
        raise _wrong(subject, f"positions of shape {points.shape} with {scores.size} confidences")
    return points.reshape(-1, 2), scores


def _numbers(values: Any, subject: str) -> NDArray[np.float64]:
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise _wrong(subject, f"something else than numbers ({error})") from error


def _with_affinity(
    dataset: xr.Dataset,
    frames: Sequence[Mapping[str, Any]],
    found: Sequence[_Candidates],
    order: NDArray[np.intp],
    metadata: Mapping[str, Any],
    path: Path,
) -> xr.Dataset:
    """The candidates with what the file says on which of them belong together.

    Args:
        dataset: Detections.
        frames: what is in every frame.
        found: the candidates of every frame, as in the file.
        order: (time, candidate, keypoint) which of them is where in the Detections.
        metadata: of the file.
        path: the file.
    """
    edges: list[tuple[int, int]] = []
    if all("costs" in frame and frame["costs"] is None for frame in frames):
        edges = _edges_of_assemblies(found)
        matrices = [_assembled(len(edges), order.shape[1])] * len(frames)
    elif any(frame.get("costs") for frame in frames):
        numbers, edges = _graph(metadata, dataset.sizes["keypoint"], path)
        matrices = [
            _costs(frame, numbers, edges, one, order.shape[1], f"{path}, frame {int(number)}")
            for number, frame, one in zip(dataset["frame"].values, frames, found, strict=True)
        ]
    if not edges:
        return dataset
    first, second = np.array(edges).T
    affinity = np.stack(matrices)
    # sorted as the candidates are, along both axes; what was not found belongs to nothing
    affinity = np.take_along_axis(affinity, order[..., first].swapaxes(1, 2)[..., :, None], axis=2)
    affinity = np.take_along_axis(affinity, order[..., second].swapaxes(1, 2)[..., None, :], axis=3)
    given = np.isfinite(dataset["position"].values[:, 0]).all(axis=-1)
    both = given[..., first].swapaxes(1, 2)[..., :, None] & given[..., second].swapaxes(1, 2)[..., None, :]
    affinity = np.where(both, affinity, np.float32(np.nan))
    names = np.array([str(name) for name in dataset["keypoint"].values])
    return dataset.assign(
        affinity=(DETECTIONS.variables["affinity"].dims, affinity[:, None], {"units": "1"}),
        edge_keypoint=(DETECTIONS.variables["edge_keypoint"].dims, names[np.array(edges)]),
    )


def _edges_of_assemblies(found: Sequence[_Candidates]) -> list[tuple[int, int]]:
    """Every two keypoints that have a place for every animal; unique ones have one place only."""
    places = np.max([[len(scores) for _, scores in one] for one in found], axis=0, initial=0)
    most = int(places.max(initial=0))
    return [] if most < 2 else list(combinations(np.flatnonzero(places == most).tolist(), 2))


def _assembled(edges: int, slots: int) -> NDArray[np.float32]:
    return np.broadcast_to(np.eye(slots, dtype=np.float32), (edges, slots, slots))


def _graph(metadata: Mapping[str, Any], keypoints: int, path: Path) -> tuple[list[int], list[tuple[int, int]]]:
    """Under which number the costs of every edge stand, and the two keypoints of each."""
    graph, numbers = metadata.get("PAFgraph"), metadata.get("PAFinds")
    pairs = _numbers([] if graph is None else graph, f"{path}, PAFgraph")
    if not pairs.size:
        return [], []
    if pairs.ndim != 2 or pairs.shape[1] != 2 or not np.isin(pairs, np.arange(keypoints)).all():
        raise _wrong(f"{path}, PAFgraph", f"edges that are no pairs of {keypoints} keypoints")
    edges = [(int(first), int(second)) for first, second in pairs]
    stored = [] if numbers is None else _numbers(numbers, f"{path}, PAFinds").ravel().astype(int).tolist()
    return (stored if len(stored) == len(edges) else list(range(len(edges)))), edges


def _costs(
    frame: Mapping[str, Any],
    numbers: Sequence[int],
    edges: Sequence[tuple[int, int]],
    found: _Candidates,
    slots: int,
    subject: str,
) -> NDArray[np.float32]:
    """(edge, candidate, candidate) affinities in the order of the file, NaN where it does not say."""
    affinity = np.full((len(edges), slots, slots), np.nan, dtype=np.float32)
    costs = frame.get("costs") or {}
    for place, (number, (first, second)) in enumerate(zip(numbers, edges, strict=True)):
        cost = costs.get(number) if isinstance(costs, dict) else None
        if cost is None:
            continue
        matrix = _numbers(cost.get("m1") if isinstance(cost, dict) else None, subject)
        shape = (len(found[first][1]), len(found[second][1]))
        if matrix.size != shape[0] * shape[1]:
            raise _wrong(subject, f"costs of shape {matrix.shape} for {shape[0]} x {shape[1]} candidates")
        affinity[place, : shape[0], : shape[1]] = np.clip(matrix.reshape(shape), 0.0, 1.0)
    return affinity


def _wrong(subject: object, got: str) -> FileFormatError:
    return FileFormatError(subject, expected=_WHAT, got=got, remedy=_REMEDY)


def _sniff(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            head = file.read(_PEEKED)
    except OSError:
        return False
    # from protocol 2 on, a pickle begins with its number
    return head[:1] in (b"\x80", b"(", b"}") and any(
        word in head for word in (b"all_joints_names", b"nms radius", b"coordinates")
    )


FORMAT = PoseFormat(
    name="deeplabcut-full",
    description="DeepLabCut _full.pickle, raw detections of several animals; read without unpickling",
    suffixes=(".pickle",),
    sniff=_sniff,
    read=read_deeplabcut_full,
)
