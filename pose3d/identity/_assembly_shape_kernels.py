"""The numba kernels of shapes: where animals overlap, a keypoint goes where the rest of the animal says that it is.

The coordinates of all keypoints of an animal together are normally distributed (see
`pose3d.identity._assembly_shape`). From the inverse of their covariance follows, for every keypoint at once, where all
others say that it is, and how surely (leave-one-out predictions, Dubrule 1983). All kernels stand in this one file for
the sake of numba's cache, see `calibration.kernels.kept`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

from calibration.kernels import kept

__all__ = ["predict", "reshape_views"]

Array = NDArray[np.float64]
Table = NDArray[np.float32]
Labels = NDArray[np.int32]
_Kernel = TypeVar("_Kernel", bound=Callable[..., Any])

# a decorated kernel has the type of the function, whatever numba says of it
_jit: Callable[[_Kernel], _Kernel] = cast(Any, njit(nogil=True, error_model="numpy"))
_kept: Callable[[_Kernel], _Kernel] = cast(Any, kept(njit(nogil=True, error_model="numpy")))

_SWEEPS = 4
_FEWEST = 3  # keypoints of an animal, before it says anything of others
_CONTESTED = 25.0  # with a margin below it, in units of log-likelihood, a keypoint may move
_REACH = 4.0  # how far beyond the outermost keypoint of an animal something is looked for, in units of the body
_GAIN = 1.0  # what an exchange must bring
_WRONG = 0.02  # share of keypoints that are somewhere else
_FAR = 1e4  # variance of what is missing, in squared units of the body


@_kept
def reshape_views(
    position: Array,
    confidence: Array,
    mean: Array,
    covariance: Array,
    noise: Array,
    body: Array,
    label: Labels,
    margin: Table,
) -> None:
    """Exchange keypoints between parts by their shapes, and number the parts: those of one keypoint last.

    Args:
        position: (time, camera, candidate, keypoint, 2) px.
        confidence: (time, camera, candidate, keypoint).
        mean: (camera, 2 keypoints) of the coordinates in units of the body, any place being as likely; x, y, x, y ...
        covariance: (camera, 2 keypoints, 2 keypoints) theirs; not finite where it is not known.
        noise: (camera,) variance of a coordinate, in squared units of the body.
        body: (camera,) px.
        label: (time, camera, candidate, keypoint) part of every candidate, -1 for none; changed in place.
        margin: (time, camera, candidate, keypoint) see `assemble_views`; changed where a candidate is moved.
    """
    frames, cameras, candidates, keypoints = label.shape
    kind, number = np.empty(candidates * keypoints, np.int64), np.empty(candidates * keypoints, np.int64)
    for frame in range(frames):
        for camera in range(cameras):
            count = 0
            for keypoint in range(keypoints):
                for candidate in range(candidates):
                    if label[frame, camera, candidate, keypoint] >= 0:
                        kind[count], number[count] = keypoint, candidate
                        count += 1
            if count == 0:
                continue
            part, free, place = np.empty(count, np.int64), np.empty(count, np.bool_), np.empty((count, 2))
            for node in range(count):
                part[node] = label[frame, camera, number[node], kind[node]]
                free[node] = margin[frame, camera, number[node], kind[node]] < _CONTESTED
                place[node, 0] = position[frame, camera, number[node], kind[node], 0] / body[camera]
                place[node, 1] = position[frame, camera, number[node], kind[node], 1] / body[camera]
            if free.any() and np.isfinite(covariance[camera, 0, 0]):
                moved = _reshape(place, kind[:count], part, free, mean[camera], covariance[camera], noise[camera])
                for node in range(count):
                    if moved[node] > 0:
                        margin[frame, camera, number[node], kind[node]] = moved[node]
            order = _ranks(part, kind, number, confidence[frame, camera])
            for node in range(count):
                label[frame, camera, number[node], kind[node]] = order[part[node]]


@_kept
def predict(
    place: Array, there: NDArray[np.bool_], mean: Array, covariance: Array, noise: float, middle: Array, spread: Array
) -> None:
    """Where all other keypoints say that each one is.

    Args:
        place: (keypoint, 2) in units of the body.
        there: (keypoint,) which are there.
        mean, covariance, noise: of one camera, see `reshape_views`.
        middle: (keypoint, 2) result: prediction.
        spread: (keypoint, 2, 2) result: its covariance, with the noise of the keypoint itself.
    """
    keypoints = len(there)
    center = np.zeros(2)
    known = 0
    for keypoint in range(keypoints):
        if there[keypoint]:
            center += place[keypoint]
            known += 1
    center /= max(known, 1)
    system = covariance.copy()
    offset = np.zeros(2 * keypoints)
    for keypoint in range(keypoints):
        for axis in range(2):
            row = 2 * keypoint + axis
            system[row, row] += noise if there[keypoint] else _FAR
            if there[keypoint]:
                offset[row] = place[keypoint, axis] - center[axis] - mean[row]
    inverse = np.linalg.inv(system)
    weight = inverse @ offset
    for keypoint in range(keypoints):
        row = 2 * keypoint
        a, b, d = inverse[row, row], inverse[row, row + 1], inverse[row + 1, row + 1]
        scale = 1.0 / (a * d - b * b)
        # the inverse of that block is the covariance of the prediction
        x = scale * (d * weight[row] - b * weight[row + 1])
        y = scale * (a * weight[row + 1] - b * weight[row])
        middle[keypoint, 0] = offset[row] - x + mean[row] + center[0]
        middle[keypoint, 1] = offset[row + 1] - y + mean[row + 1] + center[1]
        own = 0.0 if there[keypoint] else _FAR - noise
        spread[keypoint, 0, 0] = max(scale * d - own, noise)
        spread[keypoint, 1, 1] = max(scale * a - own, noise)
        spread[keypoint, 0, 1] = spread[keypoint, 1, 0] = -scale * b


@_jit
def _reshape(
    place: Array,
    kind: NDArray[np.int64],
    part: NDArray[np.int64],
    free: NDArray[np.bool_],
    mean: Array,
    covariance: Array,
    noise: float,
) -> Array:
    """Exchange keypoints while that pays; return (node,) what it brought to those that moved."""
    count, keypoints = len(kind), len(mean) // 2
    moved = np.zeros(count)
    slots = 0
    for node in range(count):
        slots = max(slots, part[node] + 1)
    member = np.full((slots, keypoints), -1, np.int64)
    for node in range(count):
        member[part[node], kind[node]] = node
    middle, spread = np.zeros((slots, keypoints, 2)), np.zeros((slots, keypoints, 2, 2))
    stale = np.ones(slots, np.bool_)
    able, near = np.zeros(slots, np.bool_), np.zeros((slots, count), np.bool_)
    for _ in range(_SWEEPS):
        wanted = np.zeros(slots, np.bool_)
        for each in range(slots):
            size = (member[each] >= 0).sum()
            able[each] = size >= _FEWEST
            if able[each]:
                wanted[each] = _look_around(place, part, free, member[each], size, each, near[each])
        for node in range(count):  # what may leave is compared with where it is
            if free[node]:
                for each in range(slots):
                    if able[each] and near[each, node]:
                        wanted[part[node]] |= able[part[node]]
        for each in range(slots):
            if wanted[each] and stale[each]:
                _predict_member(place, member[each], mean, covariance, noise, middle[each], spread[each])
                stale[each] = False
        changed = False
        for keypoint in range(keypoints):
            changed |= _rearrange(place, kind, keypoint, part, free, member, middle, spread, able, near, stale, moved)
        if not changed:
            break
    return moved


@_jit
def _look_around(
    place: Array,
    part: NDArray[np.int64],
    free: NDArray[np.bool_],
    member: NDArray[np.int64],
    size: int,
    own: int,
    near: NDArray[np.bool_],
) -> bool:
    """Which candidates of other parts are near an animal; whether one of them may move."""
    x = y = 0.0
    for node in member:
        if node >= 0:
            x += place[node, 0]
            y += place[node, 1]
    x, y = x / size, y / size
    reach = 0.0
    for node in member:
        if node >= 0:
            reach = max(reach, np.sqrt((place[node, 0] - x) ** 2 + (place[node, 1] - y) ** 2))
    reach += _REACH
    any_near = False
    for node in range(len(part)):
        u, v = place[node, 0] - x, place[node, 1] - y
        near[node] = free[node] and part[node] != own and u * u + v * v < reach * reach
        any_near |= near[node]
    return any_near


@_jit
def _predict_member(
    place: Array, member: NDArray[np.int64], mean: Array, covariance: Array, noise: float, middle: Array, spread: Array
) -> None:
    there = member >= 0
    own = np.zeros((len(member), 2))
    for keypoint in range(len(member)):
        if there[keypoint]:
            own[keypoint] = place[member[keypoint]]
    predict(own, there, mean, covariance, noise, middle, spread)


@_jit
def _fit(place: Array, middle: Array, spread: Array) -> float:
    """Log-likelihood ratio of a place under a prediction against any place, a few bodies around."""
    x, y = place[0] - middle[0], place[1] - middle[1]
    a, b, d = spread[0, 0], spread[0, 1], spread[1, 1]
    determinant = a * d - b * b
    if not determinant > 0:
        return 0.0
    square = (d * x * x - 2 * b * x * y + a * y * y) / determinant
    density = np.exp(-0.5 * square) / (2 * np.pi * np.sqrt(determinant))
    return np.log((1 - _WRONG) * density * 16.0 + _WRONG)


@_jit
def _rearrange(
    place: Array,
    kind: NDArray[np.int64],
    keypoint: int,
    part: NDArray[np.int64],
    free: NDArray[np.bool_],
    member: NDArray[np.int64],
    middle: Array,
    spread: Array,
    able: NDArray[np.bool_],
    near: NDArray[np.bool_],
    stale: NDArray[np.bool_],
    moved: Array,
) -> bool:
    """Let the candidates of a keypoint change places, the best exchange first."""
    changed = False
    slots = len(able)
    for _ in range(2 * slots):
        node, to, largest = -1, -1, _GAIN
        for one in range(len(kind)):
            here = part[one]
            # what is in a part too small to say anything stays
            if kind[one] != keypoint or not free[one] or not (able[here] or _alone(member[here])):
                continue
            own = _fit(place[one], middle[here, keypoint], spread[here, keypoint]) if able[here] else 0.0
            for there in range(slots):
                if there == here or not able[there] or not near[there, one]:
                    continue
                gain = _fit(place[one], middle[there, keypoint], spread[there, keypoint]) - own
                other = member[there, keypoint]
                if other >= 0:
                    gain -= _fit(place[other], middle[there, keypoint], spread[there, keypoint])
                    if able[here]:
                        gain += _fit(place[other], middle[here, keypoint], spread[here, keypoint])
                if gain > largest:
                    node, to, largest = one, there, gain
        if node < 0:
            return changed
        here, other = part[node], member[to, keypoint]
        member[to, keypoint], part[node], moved[node] = node, to, largest
        member[here, keypoint] = other
        if other >= 0:
            part[other], moved[other] = here, largest
        stale[to] = stale[here] = True
        changed = True
    return changed


@_jit
def _alone(member: NDArray[np.int64]) -> bool:
    return (member >= 0).sum() == 1


@_jit
def _ranks(
    part: NDArray[np.int64], kind: NDArray[np.int64], number: NDArray[np.int64], confidence: Array
) -> NDArray[np.int64]:
    """(part,) the place of every part: those of one keypoint last, the more confidence the earlier."""
    most = part.max() + 1
    weight, size = np.full(most, -1.0), np.zeros(most, np.int64)
    for node in range(len(part)):
        weight[part[node]] = max(weight[part[node]], 0.0) + confidence[number[node], kind[node]]
        size[part[node]] += 1
    for each in range(most):
        if size[each] > 1:
            weight[each] += 1e6
    order = np.argsort(-weight, kind="mergesort")
    result = np.empty(most, np.int64)
    for place in range(most):
        result[order[place]] = place
    return result
