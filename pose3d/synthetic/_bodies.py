"""The body of the quadruped around its keypoints: round cones and two ears, as rows of numbers for the kernels.

Lengths are those of the plan, an animal of 80 mm (`PLAN_LENGTH`); places are given forward, left and up in the frame of
a part of the trunk, from a keypoint. The body is built from keypoints alone, so that it is exactly where the truth is.

Rows of geometry: 0 start, 3 end minus start (or half axes of an ellipsoid), 6 inverse squared length, 7 radius at the
start, 8 radius at the end minus that, 9 blend, 11 whether an ellipsoid, 12 origin and 15 rows (3 x 3) of the frame that
the fur is fixed to. Rows of looks: 0 color at the start, 3 at the end, 6 other color, 9 color of patches, 12 fur,
13 shine, 14 pattern (1 belly, 2 ear, 3 rings), 15 whether there are patches, 16 draw of the animal, 17 its number,
18 plan millimeters per unit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from pose3d.synthetic._coats import Coat
from pose3d.synthetic._quadruped import PLAN_LENGTH, QUADRUPED
from pose3d.synthetic._render_kernels import GEOMETRY, LOOK

__all__ = ["KEYPOINT_DEPTH", "around_parts", "body_geometry", "body_look", "part_names"]

Array = NDArray[np.float64]

# How far below the surface of the body a keypoint may lie, in mm of the plan, and be seen. Joints are inside a limb,
# points of the back on the fur: about a millimeter more than what is above the keypoint, for rays that come aslant.
KEYPOINT_DEPTH = {
    "nose": 2.5,
    **dict.fromkeys(("left_ear", "right_ear"), 3.0),
    **dict.fromkeys(("neck", "spine"), 4.0),
    "tail_base": 4.0,
    "tail_mid": 2.6,
    "tail_tip": 2.0,
    **{
        f"{side}_{joint}": depth
        for side in ("left", "right")
        for joint, depth in (
            *(("shoulder", 4.5), ("elbow", 4.2), ("wrist", 3.2), ("fore_paw", 3.5)),
            *(("hip", 5.5), ("knee", 5.4), ("ankle", 3.5), ("hind_paw", 4.0)),
        )
    },
}

_FUR, _SKIN, _EAR, _TAIL, _EYE, _NOSE = range(6)
_TAIL_PIECES = 4  # capsules between two keypoints of the tail


@dataclass(frozen=True)
class _Place:
    joint: str
    frame: str = "front"
    offset: tuple[float, float, float] = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class _Part:
    """A round cone from `start` to `end`; an ellipsoid about `start` where `axes` are given.

    Attributes:
        radius: at start and end, or half the three axes of an ellipsoid.
        kind: of surface at start and end.
        texture: frame and keypoint that the pattern of the fur is fixed to.
        blend: how far away from another part the surface begins to bend over into it.
        axes: (3, 3) rows in the frame of `start`.
    """

    name: str
    start: _Place
    end: _Place
    radius: tuple[float, ...]
    kind: tuple[int, int]
    texture: tuple[str, str]
    blend: float
    axes: tuple[tuple[float, float, float], ...] | None = None


def part_names() -> tuple[str, ...]:
    """Names of the parts of a body, in the order of their rows."""
    return tuple(part.name for part in _parts())


@cache
def _parts() -> tuple[_Part, ...]:
    return (*_trunk(), *_head(), *_tail(), *(part for side in ("left", "right") for part in _legs(side)))


def _trunk() -> list[_Part]:
    fur, front, rear = (_FUR, _FUR), ("front", "spine"), ("rear", "spine")
    chest, middle = _Place("neck", "front", (-3, 0, -10.5)), _Place("spine", "front", (0, 0, -11.5))
    rump = _Place("tail_base", "rear", (11, 0, -9.5))
    return [
        _Part("chest", chest, middle, (8.5, 11.5), fur, front, 5.0),
        _Part("rump", _Place("spine", "rear", (0, 0, -11.5)), rump, (11.5, 11.0), fur, rear, 5.0),
        _Part("root", rump, _Place("tail_base", "rear", (2, 0, -2)), (9.5, 2.8), fur, rear, 5.0),
    ]


def _head() -> list[_Part]:
    fur, texture = (_FUR, _FUR), ("head", "neck")
    neck, skull = _Place("neck", "front", (-1, 0, -8)), _Place("neck", "head", (11, 0, -0.5))
    snout = _Place("neck", "head", (24.2, 0, -0.3))
    parts = [
        _Part("neck", neck, _Place("neck", "head", (6, 0, -2.5)), (7.8, 6.6), fur, texture, 5.0),
        _Part("skull", _Place("neck", "head", (6, 0, -2.5)), skull, (6.6, 6.2), fur, texture, 4.0),
        _Part("snout", skull, snout, (5.9, 1.9), fur, texture, 3.0),
        _Part("nose", _Place("nose", "head", (-1.2, 0, 0)), _Place("nose", "head", (-0.9, 0, 0)), (1.3, 1.2),
              (_NOSE, _NOSE), texture, 0.6),
    ]  # fmt: skip
    for side, sign in (("left", 1.0), ("right", -1.0)):
        # The ear is a dish that looks forward and outward.
        out = np.array([0.72, 0.62 * sign, 0.3])
        out /= np.linalg.norm(out)
        level = np.cross([0.0, 0.0, 1.0], out)
        level /= np.linalg.norm(level)
        axes = tuple((float(row[0]), float(row[1]), float(row[2])) for row in (out, level, np.cross(out, level)))
        ear, eye = _Place(f"{side}_ear", "head"), _Place("neck", "head", (16.5, 4.1 * sign, 1.7))
        parts.append(_Part(f"{side}_ear", ear, ear, (1.3, 5.2, 5.6), (_EAR, _EAR), texture, 1.2, axes))
        parts.append(_Part(f"{side}_eye", eye, eye, (1.65, 1.65), (_EYE, _EYE), texture, 0.3))
    return parts


def _tail() -> list[_Part]:
    count = 2 * _TAIL_PIECES
    radius = np.interp(np.arange(count + 1), [0, 1, count], [2.7, 2.1, 0.7])
    return [
        _Part(f"tail_{i}", _Place(f"tail_{i}"), _Place(f"tail_{i + 1}"), (float(radius[i]), float(radius[i + 1])),
              (_TAIL, _TAIL), ("rear", f"tail_{i}"), 1.0)
        for i in range(count)
    ]  # fmt: skip


def _legs(side: str) -> list[_Part]:
    parts = []
    for kind, frame, joints, radii, toe in (
        ("fore", "front", ("shoulder", "elbow", "wrist", "fore_paw"), (5.2, 3.2, 2.0, 1.6), 4.0),
        ("hind", "rear", ("hip", "knee", "ankle", "hind_paw"), (6.4, 4.4, 2.1, 1.7), 6.0),
    ):
        level, names = f"{frame}_level", [f"{side}_{joint}" for joint in joints]
        heel = _Place(names[3], level, (0, 0, 1.6))
        places = [*(_Place(name, frame) for name in names[:3]), heel]
        # Upper legs grow out of the trunk, inward of the joint.
        inward = -3.2 if side == "left" else 3.2
        places[0] = _Place(names[0], frame, (0.0, inward, -1.0))
        kinds = ((_FUR, _FUR), (_FUR, _FUR), (_FUR, _SKIN))
        for index, blend in enumerate((4.0, 2.0, 1.0)):
            parts.append(
                _Part(
                    f"{side}_{kind}_{index}",
                    places[index],
                    places[index + 1],
                    radii[index : index + 2],
                    kinds[index],
                    (frame, names[index]),
                    blend,
                )
            )
        for number, aside in enumerate((-1.9, 0.0, 1.9)):
            tip = _Place(names[3], level, (toe - abs(aside) / 2, aside, 0.9))
            name, texture = f"{side}_{kind}_toe_{number}", (frame, names[3])
            parts.append(_Part(name, heel, tip, (1.5, 0.8), (_SKIN, _SKIN), texture, 0.6))
    return parts


def body_geometry(pose: Array, *, body_length: float | Array) -> Array:
    """The parts of bodies: (..., part, GEOMETRY) rows.

    Args:
        pose: (..., keypoint, 3) in mm, of `QUADRUPED`.
        body_length: nose to tail base in mm; (individual,) for a pose (..., individual, keypoint, 3).
    """
    scale = np.asarray(body_length, dtype=np.float64)[..., None] / PLAN_LENGTH
    wide = scale[..., None]
    joints, frames = _joints(pose), _frames(pose)
    table = _table()
    rows = np.zeros((*pose.shape[:-2], len(table.blend), GEOMETRY))
    start = joints[..., table.start, :] + wide * _turned(table.start_offset, frames[..., table.start_frame, :, :])
    end = joints[..., table.end, :] + wide * _turned(table.end_offset, frames[..., table.end_frame, :, :])
    along = end - start
    rows[..., 0:3] = start
    rows[..., 3:6] = np.where(table.ellipsoid[:, None], wide * table.half, along)
    rows[..., 6] = 1.0 / np.maximum((along**2).sum(axis=-1), 1e-12)
    rows[..., 7], rows[..., 8] = scale * table.radius, scale * table.growth
    rows[..., 9], rows[..., 11] = scale * table.blend, table.ellipsoid
    rows[..., 12:15] = joints[..., table.origin, :]
    turned = table.axes @ frames[..., table.frame, :, :]
    rows[..., 15:24] = turned.reshape(*turned.shape[:-2], 9)
    return rows


def around_parts(rows: Array) -> Array:
    """(..., part, 4) centers and radii of spheres around the parts, with their seams; rows of `body_geometry`."""
    ellipsoid = rows[..., 11] > 0
    half = np.where(ellipsoid[..., None], 0.0, rows[..., 3:6] / 2)
    thick = np.where(ellipsoid, rows[..., 7], np.maximum(rows[..., 7], rows[..., 7] + rows[..., 8]))
    reach = np.linalg.norm(half, axis=-1) + thick + rows[..., 9]
    return np.concatenate([rows[..., :3] + half, reach[..., None]], axis=-1)


def body_look(coats: Sequence[Coat], *, body_length: float | Array, seed: int) -> Array:
    """(individual, part, LOOK) colors and patterns of the parts."""
    parts = _parts()
    rows = np.zeros((len(coats), len(parts), LOOK))
    units = PLAN_LENGTH / np.broadcast_to(body_length, len(coats))
    for animal, coat in enumerate(coats):
        # Kind of surface: color, other color, how furry, how shiny, pattern (1 belly, 2 ear, 3 rings).
        looks = {
            _FUR: (coat.back, coat.belly, 1.0, 0.0, 1.0),
            _SKIN: (coat.skin, coat.skin, 0.15, 0.05, 0.0),
            _EAR: (coat.back, coat.skin, 0.3, 0.0, 2.0),
            _TAIL: (coat.tail, coat.tail, 0.1, 0.05, 3.0),
            _EYE: (coat.eye, coat.eye, 0.0, 0.9, 0.0),
            _NOSE: (coat.skin, coat.skin, 0.0, 0.3, 0.0),
        }
        draw = np.random.default_rng([seed, 12, animal]).integers(1, 1 << 20)
        for index, part in enumerate(parts):
            (first, other, fur, shine, pattern), last = looks[part.kind[0]], looks[part.kind[1]]
            patchy = 1.0 if coat.patch != coat.back and part.kind[0] == _FUR else 0.0
            colors = (*first, *last[0], *other, *coat.patch)
            rows[animal, index] = (*colors, fur, shine, pattern, patchy, draw, animal, units[animal])
    return rows


@dataclass(frozen=True, eq=False)
class _Table:
    """The parts as arrays (part, ...): numbers of joints and frames, places in them, and sizes of the plan."""

    start: NDArray[np.intp]
    start_frame: NDArray[np.intp]
    start_offset: Array
    end: NDArray[np.intp]
    end_frame: NDArray[np.intp]
    end_offset: Array
    radius: Array
    growth: Array
    half: Array
    blend: Array
    ellipsoid: NDArray[np.bool_]
    origin: NDArray[np.intp]
    frame: NDArray[np.intp]
    axes: Array


@cache
def _table() -> _Table:
    parts = _parts()
    joints = (*QUADRUPED.keypoints, *(f"tail_{index}" for index in range(2 * _TAIL_PIECES + 1)))
    ellipsoid = np.array([part.axes is not None for part in parts])
    # The radius of an ellipsoid is its largest.
    radius = np.array([max(part.radius) if part.axes else part.radius[0] for part in parts])
    return _Table(
        start=np.array([joints.index(part.start.joint) for part in parts]),
        start_frame=np.array([_FRAMES.index(part.start.frame) for part in parts]),
        start_offset=np.array([part.start.offset for part in parts], dtype=float),
        end=np.array([joints.index(part.end.joint) for part in parts]),
        end_frame=np.array([_FRAMES.index(part.end.frame) for part in parts]),
        end_offset=np.array([part.end.offset for part in parts], dtype=float),
        radius=radius,
        growth=np.array([0.0 if part.axes else part.radius[1] - part.radius[0] for part in parts]),
        half=np.array([part.radius if part.axes else (0.0, 0.0, 0.0) for part in parts]),
        blend=np.array([part.blend for part in parts]),
        ellipsoid=ellipsoid,
        origin=np.array([joints.index(part.texture[1]) for part in parts]),
        frame=np.array([_FRAMES.index(part.start.frame if part.axes else part.texture[0]) for part in parts]),
        axes=np.array([np.eye(3) if part.axes is None else part.axes for part in parts]),
    )


def _turned(offset: Array, frames: Array) -> Array:
    """Places (part, 3) in frames (..., part, 3, 3), in the world."""
    return np.asarray((offset[:, None, :] @ frames)[..., 0, :])


_FRAMES = ("front", "rear", "head", "front_level", "rear_level")


def _frames(pose: Array) -> Array:
    """(..., frame, 3, 3) rows forward, left and up of `_FRAMES`; the level ones stand upright on the floor."""
    number = QUADRUPED.keypoints.index
    ahead, behind = (
        [number(name) for name in names] for names in (("neck", "spine", "nose"), ("spine", "tail_base", "neck"))
    )
    left, right = ([number(f"{side}_{name}") for name in ("shoulder", "hip", "ear")] for side in ("left", "right"))
    forward = pose[..., ahead, :] - pose[..., behind, :]
    aside = pose[..., left, :] - pose[..., right, :]
    level = np.array([1.0, 1.0, 0.0])
    forward = np.concatenate([forward, forward[..., :2, :] * level], axis=-2)
    aside = np.concatenate([aside, aside[..., :2, :] * level], axis=-2)
    forward /= np.linalg.norm(forward, axis=-1, keepdims=True)
    up = np.cross(forward, aside)
    up /= np.linalg.norm(up, axis=-1, keepdims=True)
    return np.stack([forward, np.cross(up, forward), up], axis=-2)


def _joints(pose: Array) -> Array:
    """(..., joint, 3) the keypoints, and points of a curve through those of the tail: it bends without a kink.

    The curve is a Catmull-Rom spline.
    """
    base, middle, tip = (
        pose[..., QUADRUPED.keypoints.index(name), None, :] for name in ("tail_base", "tail_mid", "tail_tip")
    )
    t = (np.arange(_TAIL_PIECES + 1) / _TAIL_PIECES)[:, None]
    h = (2 * t**3 - 3 * t**2 + 1, t**3 - 2 * t**2 + t, -2 * t**3 + 3 * t**2, t**3 - t**2)
    slopes = (middle - base, (tip - base) / 2, tip - middle)
    first = h[0] * base + h[1] * slopes[0] + h[2] * middle + h[3] * slopes[1]
    second = h[0] * middle + h[1] * slopes[1] + h[2] * tip + h[3] * slopes[2]
    return np.concatenate([pose, first[..., :-1, :], second], axis=-2)
